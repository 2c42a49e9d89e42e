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
from apache_beam.io.filesystems import FileSystems

from schemas.barriers import Gather
from schemas.blocks import StoredTable, load, store_new
from schemas.files import DataFile
from schemas.tables import TABLES
from transforms.write import rows
from transforms.write.parquet import ROW_GROUP_ROWS, write_parquet
from transforms.write.partitions import MOST_PARTITIONS, Slice, date_unit, partition_slices

FILE_LIST = "files.json"
INPUTS = ("catalog", "copies", "stories", "pairs", "rejects")


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

    @beam.typehints.no_annotations  # Beam warns of hints that are dicts
    def expand(self, results: Mapping[str, beam.PCollection]) -> beam.PCollection:
        """Wire."""
        sides = {
            name: beam.pvalue.AsSingleton(results[name])
            for name in ("catalog", "copies", "stories", "pairs", "rejects")
        }
        pipeline = results["catalog"].pipeline
        return (
            pipeline
            | "Once" >> beam.Impulse()
            | "Plan" >> beam.FlatMap(plan_files, self.scratch, self.options, **sides).with_output_types(FileTask)
            | "Spread" >> beam.Reshuffle()
            | "Write" >> beam.Map(write_file, self.staging).with_output_types(DataFile)
            | "List" >> Gather(store_list, (self.staging,))
        )


def plan_files(_once: bytes, scratch: str, options: WriteOptions, **stored: StoredTable) -> Iterator[FileTask]:
    """Put every table's rows in order, store them, and cut them into files.

    Args:
      scratch: where they wait.
      options: how files are cut.
      stored: `catalog`, `copies`, `stories`, `pairs`, `rejects`.
    """
    given = {name: load(table.path) for name, table in stored.items()}
    order = rows.article_order(given["catalog"], given["copies"], given["stories"])
    unit = date_unit(order["published"], options.max_partitions)
    tables = {
        "articles": order,
        "copies": rows.copy_rows(order),
        "stories": rows.story_rows(order),
        "pairs": rows.pair_order(given["pairs"], order),
        "rejects": rows.reject_rows(given["rejects"]),
    }
    for name, table in tables.items():
        waiting = store_new(table, scratch, name)
        for piece in partition_slices(table["published"], unit, options.max_rows):
            yield FileTask(name, waiting, piece)
            if name == "articles":
                yield FileTask("removed", waiting, piece)


def write_file(task: FileTask, staging: str) -> DataFile:
    """Write one file of a table."""
    contract = TABLES[task.table]
    part = load(task.rows.path).slice(task.slice.start, task.slice.stop - task.slice.start)
    table = _MAKE.get(task.table, _as_they_are)(part)
    name = f"{task.table}-{task.slice.partition}-{task.slice.part:05d}-{uuid.uuid4().hex}.parquet"
    written = write_parquet(table, contract, FileSystems.join(staging, name))
    return DataFile(task.table, task.slice.partition, task.slice.part, name, table.num_rows, *written)


def store_list(files: Iterable[DataFile], staging: str) -> str:
    """Write the list of staged files as JSON, sorted; give its path."""
    path = FileSystems.join(staging, FILE_LIST)
    with FileSystems.create(path, "application/json", "uncompressed") as sink:
        sink.write(json.dumps([file._asdict() for file in sorted(files)]).encode())
    return path


def _as_they_are(table: pa.Table) -> pa.Table:
    return table


_MAKE: Mapping[str, Callable[[pa.Table], pa.Table]] = {
    "articles": rows.article_rows,
    "removed": rows.removed_rows,
    "pairs": rows.pair_rows,
}
