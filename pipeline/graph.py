"""The batch graph: read → clean → match → cluster → write, on one screen.

Text stays in the blocks that `CleanArticles` stores; what moves between the stages is references, hashes,
pairs and labels. Each stage is described in its own package under `transforms`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import apache_beam as beam
import pyarrow as pa

from pipeline.config import Config
from schemas.barriers import GatherTable, Merge, StoreBlocks
from schemas.blocks import CATALOG, REJECTED, SETTLED, BlockRef
from schemas.state import ALIASED, NOTHING_KEPT, EarlierRuns, Kept, StateFile, StatePart
from transforms.clean.articles import CleanArticles
from transforms.clean.kept import ReadKept
from transforms.cluster.copies import ClusterCopies
from transforms.cluster.inherit import InheritCopies, InheritStories
from transforms.cluster.joining import ClusterStories
from transforms.cluster.links import LinkArticles
from transforms.cluster.settle import SettlePairs
from transforms.cluster.stories import StoreFeatures
from transforms.match.candidates import FindCandidates
from transforms.match.keeping import KeepBlocks
from transforms.match.signing import SignArticles
from transforms.match.verify import VerifyPairs
from transforms.read.articles import ReadArticles
from transforms.read.inputs import WorkItem
from transforms.write.cards import StoreCards
from transforms.write.keep import KeepArticles
from transforms.write.staging import WriteTables
from transforms.write.state import WriteState


class Folders(NamedTuple):
    """Where workers meet: every one of them can write and read both."""

    scratch: str  # blocks wait here between stages
    staging: str  # the Parquet files and their list go here
    state: str  # and here those that only later runs open
    earlier: EarlierRuns = EarlierRuns()  # what the runs before this one left there
    kept: Kept = NOTHING_KEPT  # and the articles that they kept


def build(
    pipeline: beam.Pipeline, items: Sequence[WorkItem], refused: pa.Table, config: Config, folders: Folders
) -> beam.PCollection:
    """Wire a batch run.

    Args:
      pipeline: an empty pipeline.
      items: what to read.
      refused: REJECTED, inputs that could not even be planned.
      config: the options of every stage.
      folders: where workers meet.
    """
    scratch, staging, state, earlier, kept = folders
    read = pipeline | "Inputs" >> beam.Create(items, reshuffle=False) | "Read" >> ReadArticles(config.read)
    clean = read["raw"] | "Clean" >> CleanArticles(config.clean, scratch, earlier, kept)
    old = pipeline | "Kept" >> ReadKept(kept, scratch)
    texts = (clean["blocks"], old["blocks"]) | "All blocks" >> Merge(BlockRef)
    blocks = texts | "Cards" >> StoreCards() | "Features" >> StoreFeatures(config.stories)
    entries = (clean["catalog"], old["catalog"]) | "All articles" >> Merge(pa.Table)
    catalog = entries | "Catalog" >> GatherTable(CATALOG, scratch, "catalog", "article_id")
    signed = blocks | "Sign" >> SignArticles(config.match, scratch, kept)
    candidates = signed | {"catalog": catalog} | "Find" >> FindCandidates(config.match, scratch, kept)
    verified = {"candidates": candidates, "catalog": catalog} | "Verify" >> VerifyPairs(config.match, kept)
    pairs = verified | "Keep" >> StoreBlocks(scratch, "pairs")
    linked = pairs | "Link" >> LinkArticles(config.copies.related, kept, scratch)
    grouped = {"links": linked["links"], "catalog": catalog} | "Copies" >> ClusterCopies(config.copies, scratch, kept)
    copies, merged_copies = grouped | "Copy ids" >> InheritCopies(kept, scratch)
    to_tell = {"blocks": blocks, "copies": copies, "catalog": catalog}
    told = to_tell | "Stories" >> ClusterStories(config.stories, kept, scratch)
    named = {"stories": told["stories"], "copies": copies}
    stories, merged_stories = named | "Story ids" >> InheritStories(kept, scratch)
    aliases = (merged_copies, merged_stories) | "Merged" >> Merge(pa.Table)
    aliases |= "Aliases" >> GatherTable(ALIASED, scratch, "aliases", "alias_id")
    settled = {"pairs": pairs, "labels": copies} | "Settle" >> SettlePairs(config.match.quote_words)
    shown = settled | "Pairs" >> GatherTable(SETTLED, scratch, "settled", "left")
    early = pipeline | "Refused" >> beam.Create([refused])
    rejects = (
        (early, read["rejects"], clean["rejects"])
        | "Every stage" >> Merge(pa.Table)
        | "Rejects" >> GatherTable(REJECTED, scratch, "rejects", "source_uri")
    )
    results = {"catalog": catalog, "copies": copies, "stories": stories, "pairs": shown, "rejects": rejects}
    results["aliases"] = aliases
    stored = {"blocks": signed["signed"], "catalog": catalog, "copies": copies, "stories": stories}
    words = stored | "Blocks" >> KeepBlocks(config.match, scratch, kept)
    to_keep = stored | {"texts": signed["documents"], "places": words["places"]}
    open_articles = to_keep | "Open" >> KeepArticles(kept, scratch)
    learned = clean["state"], linked["state"], told["state"], words["files"], open_articles
    learned | "Learned" >> Merge(StatePart | StateFile) | "State" >> WriteState(state)
    return results | "Write" >> WriteTables(config.write, scratch, staging, kept)
