"""Stories upon kept ones: new articles among themselves and towards those that earlier runs published.

A published story is never split. New articles join one over a stricter cut (`StoryOptions.join`) than they join each
other, and so do fragments: published stories that are younger than another and hold an eighth of its articles or less.
Others become one only over a far higher cut (`StoryOptions.merge`). So what a reader has seen stays; what that costs,
and what else was tried, is in docs/decisions/0031-stories-upon-kept-ones.md. Only new articles ask for neighbours. The
similarities of kept ones come from the state table SIMILAR, those of new ones are added to it.

All work that grows with the kept articles is one pass over arrays: some microseconds an article.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas import blocks
from schemas.barriers import Gather
from schemas.blocks import BlockRef, StoredTable, load, store_new
from schemas.ids import is_among
from schemas.state import SIMILAR, Kept, StatePart
from schemas.window import compared
from transforms.cluster import neighbours, similarity, stories
from transforms.cluster.remembered import PAIRS, remembered, similar_pairs
from transforms.cluster.spoken import UNKNOWN, Copies, changed, representatives
from transforms.cluster.stories import BLOCK_FEATURES, Chosen, StoryOptions
from transforms.cluster.upon import joined, named

Float64Array = NDArray[np.float64]
Int64Array = NDArray[np.int64]


@dataclass(eq=False)
class ClusterStories(beam.PTransform):  # type: ignore[misc]
    """Stories of copies; gives a dict.

    Takes a dict: `blocks` (with a part `features`), `copies` (one StoredTable of COPY_LABELS) and `catalog` (one of
    CATALOG, of the same articles). Gives `stories`, one StoredTable of STORY_LABELS with a row for every copy, or none
    when switched off, and `state`, a StatePart: SIMILAR for later runs.
    """

    options: StoryOptions
    kept: Kept
    scratch: str

    @beam.typehints.no_annotations  # Beam warns of hints that are dicts
    def expand(self, inputs: dict[str, beam.PCollection]) -> dict[str, beam.PCollection]:
        """Wire."""
        catalog = beam.pvalue.AsSingleton(inputs["catalog"])
        ready = beam.pvalue.AsSingleton(inputs["blocks"] | "Ready" >> Gather(list))
        found = inputs["copies"] | "Cluster" >> beam.Map(
            store_stories, catalog, ready, self.kept, self.options, self.scratch
        ).with_output_types(Clustered)
        return {
            "stories": found | "Stories" >> beam.Map(lambda each: each.labels).with_output_types(StoredTable),
            "state": found | "State" >> beam.Map(lambda each: each.similar).with_output_types(StatePart),
        }


class Clustered(NamedTuple):
    """Stored labels, and what later runs need."""

    labels: StoredTable
    similar: StatePart


def store_stories(  # noqa: PLR0913, PLR0917 -- what meets here
    copies: StoredTable,
    catalog: StoredTable,
    ready: Sequence[BlockRef],
    kept: Kept,
    options: StoryOptions,
    scratch: str,
) -> Clustered:
    """Cluster what the blocks hold and store the labels."""
    labels, similar = blocks.empty(blocks.STORY_LABELS), PAIRS.empty_table()
    if options.enabled:
        labels, similar = label_window(load(copies.path), load(catalog.path), ready, kept, options)
    state = StatePart(SIMILAR.name, 0, store_new(similar, scratch, SIMILAR.name))
    return Clustered(store_new(labels, scratch, "story-labels"), state)


def label_window(
    copies: pa.Table, catalog: pa.Table, new_blocks: Sequence[BlockRef], kept: Kept, options: StoryOptions
) -> tuple[pa.Table, pa.Table]:
    """Stories (STORY_LABELS) of all copies, and SIMILAR for later runs.

    Args:
      copies: COPY_LABELS, ascending: the run's own articles and all kept ones.
      catalog: CATALOG of the same articles, ascending.
      new_blocks: blocks of this run, with a part `features`.
      kept: what the run adds to.
      options: the setting.
    """
    refs = [*sorted(new_blocks), *kept.blocks]
    parts = [load(ref.part("features")) for ref in refs]
    features = pa.concat_tables([blocks.empty(BLOCK_FEATURES), *parts])  # mapped
    known = representatives(copies, catalog, refs, parts, kept)
    asks = (known.story == UNKNOWN) & (known.row >= 0)
    old = (known.story != UNKNOWN) & (known.row >= 0)
    earlier = similar_pairs(kept)
    among = stories.chosen(features, known.row[asks], known.copy[asks])
    asking = np.flatnonzero(asks)[among.order]  # in order of time
    pairs = stories.nearest(among, options)
    if (known.story == UNKNOWN).all():
        score = stories.compared(pairs, among)
        graph = stories.linked(among, pairs, score, options)
        labels = stories.label_graph(graph, np.sort(known.copy), options.cut)
        ends = known.article[asking[pairs.left]], known.article[asking[pairs.right]]
        return labels, remembered(earlier, ends, score, known, catalog, kept)
    met = copies.filter(pa.array(is_among(copies["article_id"].to_numpy(), compared(kept)["article_id"].to_numpy())))
    recent = is_among(known.copy, np.unique(met["copy_id"].to_numpy()))
    new, near = _nearest_kept(among, known, old & recent, parts, options)
    touched = np.union1d(known.story[near], changed(copies, known, kept))
    nodes = np.concatenate([asking, np.flatnonzero(old & is_among(known.story, touched))])
    node = np.full(len(known.article), -1, np.int64)
    among = stories.chosen(features, known.row[nodes], known.copy[nodes])
    nodes = nodes[among.order]
    node[nodes] = np.arange(len(nodes))
    pairs = _ascending(
        np.concatenate([node[asking[pairs.left]], node[asking[new]]]),
        np.concatenate([node[asking[pairs.right]], node[near]]),
    )
    score = stories.compared(pairs, among)
    graph, label, weakest = joined(among, nodes, pairs, score, known, earlier, options)
    labels, name = named(stories.describe(graph, label, weakest), label, known.story[nodes])
    rest = np.setdiff1d(np.arange(len(known.article)), nodes)
    silent, lone = rest[known.story[rest] != UNKNOWN], rest[known.story[rest] == UNKNOWN]
    told, first = np.unique(known.story[nodes], return_index=True)
    story = known.story[silent]
    merged = is_among(story, told)  # what is no longer compared goes with its story
    story[merged] = name[first][np.searchsorted(told, story[merged])]
    others = [_silent(known.copy[silent], story, labels), stories.alone(known.copy[lone])]
    labels = pa.concat_tables([labels, *others]).sort_by("copy_id").combine_chunks()
    ends = known.article[nodes[pairs.left]], known.article[nodes[pairs.right]]
    return labels, remembered(earlier, ends, score, known, catalog, kept)


def _silent(copy: Int64Array, story: Int64Array, labels: pa.Table) -> pa.Table:
    """Labels of kept copies that nothing new was found of: one leads each story that no other copy does."""
    rows = stories.alone(copy, story)
    first = np.zeros(len(copy), np.bool_)
    first[np.unique(story, return_index=True)[1]] = True
    first &= ~is_among(story, np.unique(labels["story_id"].to_numpy()))
    return rows.set_column(rows.schema.get_field_index("lead"), blocks.STORY_LABELS.field("lead"), pa.array(first))


def _nearest_kept(
    among: Chosen, known: Copies, old: NDArray[np.bool_], parts: Sequence[pa.Table], options: StoryOptions
) -> tuple[Int64Array, Int64Array]:
    """The nearest kept articles of new ones: which of the new, and which of all representatives."""
    search = neighbours.Nearest(neighbours.heaviest(among.vectors), options.neighbours, options.floor)
    start = 0
    for block, part in enumerate(parts):
        here = np.flatnonzero(old & (known.block == block))
        if len(here):
            number = np.full(part.num_rows, -1)
            number[known.row[here] - start] = here
            search.meet(stories.mapped_heavy(part), number)
        start += part.num_rows
    return search.pairs()


def _ascending(one: Int64Array, other: Int64Array) -> similarity.Pairs:
    """Pairs, each once, as `similarity.Pairs` has them."""
    low, high = np.minimum(one, other), np.maximum(one, other)
    found = np.unique((low << 32) | high)
    return similarity.Pairs((found >> 32).astype(np.int32), (found & 0xFFFFFFFF).astype(np.int32))
