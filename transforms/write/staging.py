"""WriteTables: catalog, labels, pairs and rejects → staged Parquet files, listed for the driver to commit.

Nothing under the staging folder is visible to a reader. A bundle that is tried again writes its files under
other names; only those listed at the end count.
"""

import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.io.filesystems import FileSystems

from schemas.barriers import Gather
from schemas.blocks import StoredTable, load, store_new
from schemas.files import DataFile, Staged
from schemas.ids import is_among
from schemas.state import NOTHING_KEPT, Kept
from schemas.tables import TABLES
from transforms.write import rows
from transforms.write.parquet import ROW_GROUP_ROWS, write_parquet
from transforms.write.partitions import MOST_PARTITIONS, Slice, date_unit, partition_slices
from transforms.write.upon import Rewrite, changes_of, rewrites, rewritten, story_versions

FILE_LIST = "files.json"
INPUTS = ("catalog", "copies", "stories", "pairs", "rejects", "aliases")


@dataclass(frozen=True)
class WriteOptions:
    """How files are cut."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    max_partitions: int = MOST_PARTITIONS  # of one table; more days than that are cut by month, then by year
    max_rows: int = ROW_GROUP_ROWS  # in one file

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        for name in ("max_partitions", "max_rows"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, not {getattr(self, name)}")


class FileTask(NamedTuple):
    """One file to write: the rows start..stop of a stored table."""

    table: str
    rows: StoredTable
    slice: Slice


@dataclass(eq=False)
class WriteTables(beam.PTransform):  # type: ignore[misc]
    """Single stored tables, one for each of INPUTS → the path of FILE_LIST, which lists the staged files."""

    options: WriteOptions
    scratch: str
    staging: str
    kept: Kept = NOTHING_KEPT

    @beam.typehints.no_annotations  # Beam warns of hints that are dicts
    def expand(self, results: Mapping[str, beam.PCollection]) -> beam.PCollection:
        """Wire."""
        sides = {name: beam.pvalue.AsSingleton(results[name]) for name in INPUTS}
        pipeline = results["catalog"].pipeline
        return (
            pipeline
            | "Once" >> beam.Impulse()
            | "Plan"
            >> beam.FlatMap(plan_files, self.scratch, self.options, self.kept, **sides).with_output_types(
                FileTask | Rewrite
            )
            | "Spread" >> beam.Reshuffle()
            | "Write" >> beam.FlatMap(write_task, self.staging).with_output_types(Staged)
            | "List" >> Gather(store_list, (self.staging,))
        )


def plan_files(
    _once: bytes, scratch: str, options: WriteOptions, kept: Kept, **stored: StoredTable
) -> Iterator[FileTask | Rewrite]:
    """Put every table's rows in order, store them, cut them into files; and name those of earlier runs to look into.

    Args:
      scratch: where they wait.
      options: how files are cut.
      kept: what the run adds to.
      stored: INPUTS.
    """
    given = {name: load(table.path) for name, table in stored.items()}
    order = rows.article_order(given["catalog"], given["copies"], given["stories"])
    newest = pc.max(order["published"].cast(pa.int64())).as_py()
    changes = changes_of(order, kept)
    new = order.filter(pa.array(changes.new))
    copies = order.filter(pa.array(is_among(order["copy_id"].to_numpy(), changes.copies)))
    stories = order.filter(pa.array(is_among(order["story_id"].fill_null(-1).to_numpy(), changes.stories)))
    unit = date_unit(new["published"], options.max_partitions)
    tables = {
        "articles": new,
        "copies": rows.copy_rows(copies),
        "stories": rows.story_rows(stories, newest, story_versions(changes.stories, kept)),
        "pairs": rows.pair_order(given["pairs"], order),
        "rejects": rows.reject_rows(given["rejects"]),
        "aliases": rows.alias_rows(given["aliases"], kept.run),
    }
    yield from rewrites(order, changes, kept, newest, scratch)
    for name, table in tables.items():
        waiting = store_new(table, scratch, name)
        for piece in partition_slices(table["published"], unit, options.max_rows):
            yield FileTask(name, waiting, piece)
            if name == "articles":
                yield FileTask("removed", waiting, piece)


def write_task(task: FileTask | Rewrite, staging: str) -> Iterator[Staged]:
    """Write one file, unless it is there as it should be."""
    if isinstance(task, FileTask):
        yield Staged(write_file(task, staging))
    elif (table := rewritten(task)) is not None:
        old = task.file
        name = f"{old.table}-{old.partition}-again-{uuid.uuid4().hex}.parquet"
        written = write_parquet(table, TABLES[old.table], FileSystems.join(staging, name))
        yield Staged(DataFile(old.table, old.partition, old.part, name, table.num_rows, *written), replaces=old.path)


def write_file(task: FileTask, staging: str) -> DataFile:
    """Write one file of a table."""
    contract = TABLES[task.table]
    part = load(task.rows.path).slice(task.slice.start, task.slice.stop - task.slice.start)
    table = _MAKE.get(task.table, _as_they_are)(part)
    name = f"{task.table}-{task.slice.partition}-{task.slice.part:05d}-{uuid.uuid4().hex}.parquet"
    written = write_parquet(table, contract, FileSystems.join(staging, name))
    return DataFile(task.table, task.slice.partition, task.slice.part, name, table.num_rows, *written)


def store_list(files: Iterable[Staged], staging: str) -> str:
    """Write the list of staged files as JSON, sorted; give its path."""
    path = FileSystems.join(staging, FILE_LIST)
    with FileSystems.create(path, "application/json", "uncompressed") as sink:
        sink.write(json.dumps([[file._asdict(), replaces] for file, replaces in sorted(files)]).encode())
    return path


def _as_they_are(table: pa.Table) -> pa.Table:
    return table


_MAKE: Mapping[str, Callable[[pa.Table], pa.Table]] = {
    "articles": rows.article_rows,
    "removed": rows.removed_rows,
    "pairs": rows.pair_rows,
}
