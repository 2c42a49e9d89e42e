"""What the workers of a run wrote and counted, and what is made of it before it is committed."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import apache_beam as beam
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from apache_beam.metrics.metric import MetricsFilter

from pipeline.commit import Attempt
from pipeline.config import Config
from schemas.errors import CopydeskError, RejectReason, TooManyRejects
from schemas.files import DataFile, Staged
from schemas.state import LINKS
from transforms.write.partitions import UNDATED
from transforms.write.staging import FILE_LIST, REJECTED_AS


class Listing(NamedTuple):
    """What workers wrote and counted."""

    staged: list[Staged]
    counts: Mapping[str, tuple[int, str]]  # and an example

    def total(self, name: str) -> int:
        """How often something was counted."""
        return self.counts.get(name, (0, ""))[0]


def read_listing(folder: Path) -> Listing:
    """Read what the workers listed in a folder of an attempt, and take the list away.

    Raises:
      CopydeskError: there is none: the pipeline did not get so far.
    """
    path = folder / FILE_LIST
    if not path.exists():
        raise CopydeskError("the pipeline ended without a list of files: see the runner's log; nothing was committed")
    listed = orjson.loads(path.read_bytes())
    path.unlink()
    staged = [Staged(DataFile(**file), tuple(replaces)) for file, replaces in listed["files"]]
    return Listing(staged, {name: tuple(each) for name, each in listed["counts"].items()})


def replaced_files(root: Path, staged: Sequence[Staged]) -> frozenset[str]:
    """The files of the base whose place is taken, as its manifest calls them."""
    return frozenset(Path(path).relative_to(root).as_posix() for each in staged for path in each.replaces)


def numbered(staged: Sequence[DataFile], others: Sequence[DataFile]) -> list[DataFile]:
    """Staged files with the parts of each partition counted from 0; without those of no rows that are not needed.

    A table needs one file in a partition that is a date, even without rows: see `partition_slices`.

    Args:
      staged: as they were written.
      others: files that stay beside them.
    """
    dated = {file.table for file in (*(file for file in staged if file.rows), *others) if file.partition != UNDATED}
    parts = Counter[tuple[str, str]]()
    kept = []
    for file in sorted(staged, key=lambda each: (each.table, each.partition, each.part, each.sha256)):
        if file.rows or file.table not in dated:
            kept.append(file._replace(part=parts[file.table, file.partition]))
            parts[file.table, file.partition] += 1
    return kept


def summary_of(found: Listing, after: Sequence[DataFile]) -> dict[str, int]:
    """The counts that a run prints; they go into the manifest."""
    kept, rejected = found.total("new_articles"), found.total("new_rejects")
    counts = {
        "articles_read": kept + rejected,
        "articles_kept": kept,
        "rejected": rejected,
        "delivered_twice": found.total(REJECTED_AS + RejectReason.DUPLICATE_INPUT),
        "furniture_lines": found.total("furniture_lines"),
        "other_lines": found.total("other_lines"),
    }
    return counts | {name: _rows(after, name) for name in ("articles", "copies", "stories", "pairs")}


def counted(pipeline: beam.Pipeline, stage: str, name: str) -> int:
    """The total of a counter of the pipeline."""
    found = pipeline.result.metrics().query(MetricsFilter().with_namespace(stage).with_name(name))
    return sum(counter.result or 0 for counter in found["counters"])


def check_links(found: Listing, left: Sequence[Staged]) -> None:
    """Abandon a run whose state does not fit its tables: later runs could not tell its copies.

    Raises:
      CopydeskError: there are copies, and no links that hold them together.
    """
    links = sum(each.file.rows for each in left if each.file.table == LINKS.name)
    if found.total("new_copies") and not links:
        raise CopydeskError("the runner lost the links between copies; nothing was committed: run it again")


def check_rejects(found: Listing, summary: Mapping[str, int], config: Config, *, adding: bool) -> None:
    """Abandon a run that refused too much.

    Raises:
      TooManyRejects: naming the most frequent reason and an example.
    """
    records = summary["articles_read"] - summary["delivered_twice"]
    refused = summary["rejected"] - summary["delivered_twice"]
    limits = config.rejects
    too_many = records >= limits.from_records and refused > limits.max_share * records
    if (summary["articles_kept"] or (adding and summary["delivered_twice"])) and not too_many:
        return
    reasons = {
        name.removeprefix(REJECTED_AS): each for name, each in found.counts.items() if name.startswith(REJECTED_AS)
    }
    reasons.pop(RejectReason.DUPLICATE_INPUT, None)  # what is delivered again is no fault of the input
    if not reasons:
        raise TooManyRejects("no articles in the input; nothing was committed")
    reason, (count, example) = min(reasons.items(), key=lambda each: (-each[1][0], each[0]))
    raise TooManyRejects(
        f"{refused} of {records} records were rejected, most as {reason} ({count}), for example {example}; "
        "nothing was committed (limits: [rejects] in the configuration)"
    )


def unknown_outlets(attempt: Attempt, files: Sequence[DataFile], config: Config) -> list[str]:
    """Outlets that the configuration has rules for and no article is of: misspelt, or without news today."""
    if not config.clean.outlets:
        return []
    columns = [_column(attempt, file, "outlet") for file in files if file.table == "articles"]
    return sorted(set(config.clean.outlets).difference(*(pc.unique(column).to_pylist() for column in columns)))


def _rows(files: Sequence[DataFile], table: str) -> int:
    return sum(file.rows for file in files if file.table == table)


def _column(attempt: Attempt, file: DataFile, name: str) -> pa.ChunkedArray:
    return pq.read_table(attempt.files / file.path, columns=[name])[name]
