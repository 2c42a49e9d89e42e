"""WriteTables: catalog, labels, pairs and rejects → staged Parquet files, listed for the driver to commit.

Nothing under the staging folder is visible to a reader. A bundle that is tried again writes its files under
other names; only those listed at the end count.
"""

import json
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.io.filesystems import FileSystems

from schemas.barriers import Gather, Spread
from schemas.blocks import StoredTable, load, store_new
from schemas.files import Counted, DataFile, Staged
from schemas.ids import is_among
from schemas.labels import Label
from schemas.seen import versions
from schemas.state import NOTHING_KEPT, Kept, kept_files
from schemas.tables import REMOVED, TABLES
from schemas.window import news_after
from transforms.write import rows
from transforms.write.parquet import ROW_GROUP_ROWS, write_parquet
from transforms.write.partitions import MOST_PARTITIONS, Slice, date_unit, partition_slices
from transforms.write.upon import Edit, absorbed, changes_of, edited, edits, read_file

FILE_LIST = "files.json"
REJECTED_AS = "rejected as "  # and the reason, in the counts
_ABSORBED_BYTES = 64 << 20  # of a partition's small files that one task reads
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
    """Files of one partition: the rows start..stop of a stored table, and what becomes of those of earlier runs."""

    table: str
    partition: str
    part: int
    rows: StoredTable | None  # none are new
    start: int = 0
    stop: int = 0
    small: tuple[DataFile, ...] = ()  # that the new rows may be written together with, see `absorbed`; absolute paths
    suspects: tuple[DataFile, ...] = ()  # others with rows that may have changed
    edit: Edit | None = None
    most_rows: int = ROW_GROUP_ROWS  # in one file


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
            | "Plan" >> beam.FlatMap(plan_files, self.scratch, self.options, self.kept, **sides)
            | "Spread" >> Spread(FileTask | Counted)
            | "Write" >> beam.FlatMap(write_task, self.staging)
            | "List" >> Gather(store_list, (self.staging,))
        )


def plan_files(
    _once: bytes, scratch: str, options: WriteOptions, kept: Kept, **stored: StoredTable
) -> Iterator[FileTask | Counted]:
    """Put every table's rows in order, store them, cut them into files; and name those of earlier runs to look into.

    Args:
      scratch: where they wait.
      options: how files are cut.
      kept: what the run adds to.
      stored: INPUTS.
    """
    given = {name: load(table.path) for name, table in stored.items()}
    order = rows.article_order(given["catalog"], given["copies"], given["stories"])
    news = news_after(order["published"], kept) or None
    changes = changes_of(order, kept, news)
    new = order.filter(pa.array(changes.new))
    for name, column in zip(("version", "supersedes"), versions(new, kept), strict=True):
        new = new.append_column(name, pa.array(column))
    copies = order.filter(pa.array(is_among(order["copy_id"].to_numpy(), changes.copies)))
    stories = order.filter(pa.array(is_among(order["story_id"].fill_null(-1).to_numpy(), changes.stories)))
    unit = date_unit(new["published"], options.max_partitions)
    tables = {
        "articles": new,
        "copies": rows.copy_rows(copies),
        "stories": rows.story_rows(stories, news, kept),
        "pairs": rows.pair_order(given["pairs"], order),
        "rejects": rows.reject_rows(given["rejects"]),
        "aliases": rows.alias_rows(given["aliases"], kept.run),
    }
    yield from _counts(tables)
    todo = edits(order, changes, kept, scratch)
    there: dict[tuple[str, str], list[DataFile]] = defaultdict(list)
    for file in kept_files(kept):
        there[file.table, file.partition].append(file)
    for name, table in tables.items():
        waiting = store_new(table, scratch, name)
        pieces = list(partition_slices(table["published"], unit, options.max_rows))
        for each in (name, "removed") if name == "articles" else (name,):
            yield from _tasks(each, waiting, pieces, there, todo.get(each), options)


def _tasks(  # noqa: PLR0913, PLR0917 -- what is there and what comes
    table: str,
    waiting: StoredTable,
    pieces: list[Slice],
    there: Mapping[tuple[str, str], list[DataFile]],
    edit: Edit | None,
    options: WriteOptions,
) -> Iterator[FileTask]:
    """What is to be done to the partitions of one table."""
    parts = Counter(piece.partition for piece in pieces)
    taken: dict[str, tuple[DataFile, ...]] = {}
    for piece in pieces:
        new = piece.stop - piece.start
        if new and parts[piece.partition] == 1:
            files = tuple(there.get((table, piece.partition), ()))
            if table != REMOVED.name:  # how many lines its articles have lost is known when they are written
                files = tuple(absorbed(files, new, options.max_rows, _ABSORBED_BYTES))
            taken[piece.partition] = files
        joined = taken.get(piece.partition, ())
        rows = (waiting, piece.start, piece.stop)
        yield FileTask(table, piece.partition, piece.part, *rows, joined, edit=edit, most_rows=options.max_rows)
    for partition in sorted(edit.partitions) if edit and edit.changed.rows else ():
        suspects = tuple(f for f in there.get((table, partition), []) if f.rows and f not in taken.get(partition, ()))
        if suspects:
            yield FileTask(table, partition, 0, None, suspects=suspects, edit=edit)


def _counts(tables: Mapping[str, pa.Table]) -> Iterator[Counted]:
    """What the run's summary tells of its new rows."""
    for name, table in tables.items():
        yield Counted(f"new_{name}", table.num_rows)
    rejects = tables["rejects"]
    for reason, where in sorted(_first_of_each(rejects["reason"].to_pylist()).items()):
        row = rejects.slice(where, 1).to_pylist()[0]
        place = row["source_uri"] + ("" if row["source_position"] is None else f" record {row['source_position']}")
        count = pc.sum(pc.equal(rejects["reason"], reason)).as_py()
        yield Counted(f"{REJECTED_AS}{reason}", count, f"{place}: {row['detail']}")


def _first_of_each(values: list[str]) -> dict[str, int]:
    return {value: at for at, value in reversed(list(enumerate(values)))}


def write_task(task: FileTask | Counted, staging: str) -> Iterator[Staged | Counted]:
    """Write the files of one task; those of earlier runs only where they are not as they should be."""
    if isinstance(task, Counted):
        yield task
        return
    if task.rows is not None:
        part = load(task.rows.path).slice(task.start, task.stop - task.start)
        table = _MAKE.get(task.table, _as_they_are)(part)
        if task.table == REMOVED.name:
            furniture = pc.sum(pc.equal(table["label"], str(Label.FURNITURE))).as_py() or 0
            yield Counted("furniture_lines", furniture)
            yield Counted("other_lines", table.num_rows - furniture)
        yield _written(table, task, staging)
    for file in task.suspects:
        if (table := edited(file, task.edit)) is not None:
            yield _staged(table, task, file.part, staging, (file.path,))


def _written(table: pa.Table, task: FileTask, staging: str) -> Staged:
    """New rows, and those of the files that they are written together with."""
    contract = TABLES[task.table]
    files = list(absorbed(task.small, table.num_rows, task.most_rows, _ABSORBED_BYTES))
    if files:
        before = [read_file(file) if (now := edited(file, task.edit)) is None else now for file in files]
        table = pa.concat_tables([table.select(contract.schema.names).cast(contract.schema), *before])
        table = table.sort_by([(name, "ascending") for name in contract.sort])
    return _staged(table, task, task.part, staging, tuple(file.path for file in files))


def _staged(table: pa.Table, task: FileTask, part: int, staging: str, replaces: tuple[str, ...]) -> Staged:
    name = f"{task.table}-{task.partition}-{part:05d}-{uuid.uuid4().hex}.parquet"
    written = write_parquet(table, TABLES[task.table], FileSystems.join(staging, name))
    return Staged(DataFile(task.table, task.partition, part, name, table.num_rows, *written), replaces)


def store_list(found: Iterable[Staged | Counted], staging: str) -> str:
    """Write the staged files and what was counted as JSON, sorted; give its path."""
    listed = list(found)
    files = sorted(each for each in listed if isinstance(each, Staged))
    counts: dict[str, tuple[int, str]] = {}
    for each in sorted(each for each in listed if isinstance(each, Counted)):
        total, example = counts.get(each.name, (0, ""))
        counts[each.name] = (total + each.total, example or each.example)
    path = FileSystems.join(staging, FILE_LIST)
    with FileSystems.create(path, "application/json", "uncompressed") as sink:
        listing = {"files": [[each.file._asdict(), each.replaces] for each in files], "counts": counts}
        sink.write(json.dumps(listing).encode())
    return path


def _as_they_are(table: pa.Table) -> pa.Table:
    return table


_MAKE: Mapping[str, Callable[[pa.Table], pa.Table]] = {
    "articles": rows.article_rows,
    "removed": rows.removed_rows,
    "pairs": rows.pair_rows,
}
