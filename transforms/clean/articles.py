"""Clean: raw blocks → stored clean articles, their catalog and rejects.

    parse ─► stored lines ───────────────────────────────► label ─► stored articles, catalog, rejects
      ├─► line statistics ─► bucket by outlet ─► memory ────┤      (earlier runs' articles join in the bucket)
      └─► article ids ─────► bucket by id ─────► repeats ───┘

No text passes a shuffle: lines wait in scratch, and what is shuffled are keys.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas.barriers import GatherTable, GroupBuckets, Merge, StoreBuckets
from schemas.blocks import CATALOG, CLEAN, PARSED, REJECTED, BlockRef, StoredTable, concat, load, new_block, store
from schemas.seen import is_seen
from schemas.state import NOTHING_KEPT, OUTLET_BUCKETS, EarlierRuns, Kept, StatePart
from transforms.clean.label import MemoryOptions, label_block
from transforms.clean.outlets import MEMORY, STATISTICS, memory_of, outlet_buckets
from transforms.clean.overrides import OutletRules
from transforms.clean.page import PageLimits
from transforms.clean.parse import line_statistics, parse_block
from transforms.clean.remember import store_learned

BUCKETS = 64
RECORDS = pa.schema(
    [
        pa.field("article_id", pa.int64(), nullable=False),
        *(PARSED.field(name) for name in ("date_published", "outlet", "description", "language", "section")),
        pa.field("source_uri", pa.string(), nullable=False),
        pa.field("position", pa.int64(), nullable=False),
        pa.field("block", pa.string(), nullable=False),
        pa.field("row", pa.int32(), nullable=False),
    ]
)


@dataclass(frozen=True)
class CleanOptions:
    """How articles are cleaned."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    limits: PageLimits = field(default_factory=PageLimits)  # caps on one page
    memory: MemoryOptions = field(default_factory=MemoryOptions)  # when an outlet's repeated lines are furniture
    outlets: Mapping[str, OutletRules] = field(default_factory=dict)  # what a user knows better, by outlet


class Parsed(NamedTuple):
    """A parsed and stored block, with what is known of it before the others are."""

    block: BlockRef
    statistics: pa.Table
    records: pa.Table  # RECORDS
    rejects: pa.Table


class Learned(NamedTuple):
    """What the outlets of a bucket repeat, and what later runs are to know of them."""

    memory: pa.Table  # MEMORY
    state: list[StatePart]


class Labelled(NamedTuple):
    """A finished and stored block."""

    block: BlockRef
    catalog: pa.Table
    rejects: pa.Table


@dataclass(eq=False)
class CleanArticles(beam.PTransform):  # type: ignore[misc]
    """Raw blocks (RAW) → clean articles.

    Gives `blocks`: BlockRef (parts `parsed`, `lines`, `articles`), `catalog`: CATALOG, `rejects`: REJECTED, and
    `state`: StatePart, what later runs are to know of the outlets.
    """

    options: CleanOptions
    scratch: str
    earlier: EarlierRuns = field(default_factory=EarlierRuns)
    kept: Kept = NOTHING_KEPT

    def expand(self, raw: beam.PCollection) -> Any:
        """Wire."""
        parsed = raw | "Parse" >> beam.Map(parse_stored, self.options, self.scratch).with_output_types(Parsed)
        learned = (
            parsed
            | "Statistics" >> StoreBuckets(bucketed_statistics, self.scratch)
            | "ByOutlet" >> GroupBuckets()
            | "Remember"
            >> beam.Map(learned_of_bucket, self.earlier, self.options.memory, self.scratch).with_output_types(Learned)
        )
        memory = (
            learned
            | "Repeating" >> beam.Map(_memory_of).with_output_types(pa.Table)
            | "Memory" >> GatherTable(MEMORY, self.scratch, "memory", "lookup")
        )
        repeats = (
            parsed
            | "Records" >> StoreBuckets(bucketed_records, self.scratch)
            | "ById" >> GroupBuckets()
            | "Repeated" >> beam.MapTuple(repeats_of_bucket, kept=self.kept).with_output_types(pa.Table)
            | "Repeats" >> GatherTable(RECORDS, self.scratch, "repeats", "block")
        )
        labelled = (
            parsed
            | "Stored" >> beam.Map(_block_of).with_output_types(BlockRef)
            | "Label"
            >> beam.Map(
                label_stored, beam.pvalue.AsSingleton(memory), beam.pvalue.AsSingleton(repeats), self.options
            ).with_output_types(Labelled)
        )
        refused = (
            parsed | "Unparsed" >> beam.Map(_rejects_of).with_output_types(pa.Table),
            labelled | "Unlabelled" >> beam.Map(_rejects_of).with_output_types(pa.Table),
        )
        return {
            "blocks": labelled | "Blocks" >> beam.Map(_block_of).with_output_types(BlockRef),
            "catalog": labelled | "Catalog" >> beam.Map(_catalog_of).with_output_types(pa.Table),
            "rejects": refused | "Rejects" >> Merge(pa.Table),
            "state": learned | "State" >> beam.FlatMap(_state_of).with_output_types(StatePart),
        }


def parse_stored(raw: pa.Table, options: CleanOptions, scratch: str) -> Parsed:
    """Parse a block and store its parts `parsed` and `lines`."""
    parsed, lines, rejects = parse_block(raw, options.limits, options.outlets)
    block = new_block(scratch, parsed.num_rows)
    store(parsed, block.part("parsed"))
    store(lines, block.part("lines"))
    statistics = line_statistics(parsed, lines, block.base) if options.memory.learn else STATISTICS.empty_table()
    return Parsed(block, statistics, records_of(block.base, parsed), rejects)


def bucketed_statistics(parsed: Parsed) -> list[tuple[int, pa.Table]]:
    """Line statistics by bucket of the outlet."""
    return outlet_buckets(parsed.statistics, OUTLET_BUCKETS)


def learned_of_bucket(
    bucketed: tuple[int, Iterable[pa.Table]], earlier: EarlierRuns, options: MemoryOptions, scratch: str
) -> Learned:
    """What the outlets of a bucket repeat, by this run's articles and the earlier ones'."""
    bucket, table = bucketed[0], concat(bucketed[1], STATISTICS)
    return Learned(*store_learned(bucket, table, earlier, options.latest_articles, scratch))


def bucketed_records(parsed: Parsed) -> Iterator[tuple[int, pa.Table]]:
    """Article ids by bucket."""
    bucket = parsed.records["article_id"].to_numpy() % BUCKETS
    order = np.argsort(bucket, kind="stable")
    numbers, starts = np.unique(bucket[order], return_index=True)
    records = parsed.records.take(pa.array(order))
    for number, (start, stop) in zip(numbers.tolist(), pairwise([*starts.tolist(), len(order)]), strict=True):
        yield number, records.slice(start, stop - start)


def records_of(base: str, parsed: pa.Table) -> pa.Table:
    """Where each delivered article is; RECORDS."""
    rows = parsed.num_rows
    place = [pa.array([base] * rows, pa.string()), pa.array(np.arange(rows, dtype=np.int32))]
    return pa.table([*(parsed[name] for name in RECORDS.names[:-2]), *place], schema=RECORDS)


def repeats_of_bucket(_bucket: int, records: Iterable[pa.Table], kept: Kept = NOTHING_KEPT) -> pa.Table:
    """All deliveries of an article but one, all of one that an earlier run took in; RECORDS.

    Otherwise kept is the earliest dated; what else they say comes before where they stood, so that the order of a file
    decides only between deliveries that say the same.
    """
    table = concat(records, RECORDS).sort_by([(name, "ascending") for name in RECORDS.names])
    ids = table["article_id"].to_numpy()
    repeated = np.r_[False, ids[1:] == ids[:-1]][: len(ids)]
    return table.filter(pa.array(repeated | is_seen(ids, kept)))


def label_stored(block: BlockRef, memory: StoredTable, repeats: StoredTable, options: CleanOptions) -> Labelled:
    """Finish a block and store its part `articles`."""
    parsed, lines = load(block.part("parsed")), load(block.part("lines"))
    repeated = _rows_in(load(repeats.path), block.base, parsed.num_rows)
    articles, rejects = label_block(parsed, lines, load(memory.path), repeated, options.memory, options.outlets)
    block = BlockRef(block.base, articles.num_rows)
    store(articles, block.part("articles"))
    return Labelled(block, catalog_of(block, articles), rejects)


def catalog_of(block: BlockRef, articles: pa.Table) -> pa.Table:
    """Where each article of a stored block is; CATALOG."""
    rows = articles.num_rows
    return pa.table(
        [
            articles["article_id"],
            articles["identity"],
            pa.array([block.base] * rows, pa.string()),
            pa.array(np.arange(rows, dtype=np.int32)),
            articles["outlet"],
            articles["date_published"],
            articles["words"],
            pc.coalesce(articles["date_modified"], articles["date_published"], articles["fetched_at"]),
        ],
        schema=CATALOG,
    )


def clean_tables(raw: Iterable[pa.Table], options: CleanOptions) -> tuple[pa.Table, pa.Table]:
    """Clean blocks without Beam: all articles (CLEAN) and rejects."""
    parsed = [parse_block(block, options.limits, options.outlets) for block in raw]
    memory = (
        memory_of(concat((line_statistics(p, lines) for p, lines, _ in parsed), STATISTICS))
        if options.memory.learn
        else MEMORY.empty_table()
    )
    repeats = repeats_of_bucket(0, (records_of(str(at), p) for at, (p, _, _) in enumerate(parsed)))
    done = [
        label_block(p, lines, memory, _rows_in(repeats, str(at), p.num_rows), options.memory, options.outlets)
        for at, (p, lines, _) in enumerate(parsed)
    ]
    refused = [rejects for _, _, rejects in parsed] + [rejects for _, rejects in done]
    return concat((articles for articles, _ in done), CLEAN), concat(refused, REJECTED)


def _rows_in(repeats: pa.Table, base: str, rows: int) -> NDArray[np.bool_]:
    repeated = np.zeros(rows, bool)
    repeated[repeats.filter(pc.equal(repeats["block"], base))["row"].to_numpy()] = True
    return repeated


def _block_of(stage: Parsed | Labelled) -> BlockRef:
    return stage.block


def _memory_of(learned: Learned) -> pa.Table:
    return learned.memory


def _state_of(learned: Learned) -> list[StatePart]:
    return learned.state


def _catalog_of(stage: Labelled) -> pa.Table:
    return stage.catalog


def _rejects_of(stage: Parsed | Labelled) -> pa.Table:
    return stage.rejects
