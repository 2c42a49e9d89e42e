"""What to read: INPUT arguments → work items of about a block each.

A work item is a run of small files, or a piece of a large one: a byte range of a JSONL or WARC file, some row
groups of a Parquet file. Nothing of the content is read here, except that the lines of a JSONL file that is
cut are counted, so that a record keeps the number it has in its file.
"""

import glob
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, NamedTuple

import pyarrow.parquet as pq
from apache_beam.io.filesystem import BeamIOError, FileMetadata
from apache_beam.io.filesystems import FileSystems

from schemas.blocks import BLOCK_BYTES, BLOCK_ROWS
from schemas.errors import RejectReason, SourceAway, UsageError
from transforms.read.decode import CHUNK_BYTES, COMPRESSIONS, compression_of
from transforms.read.fetchoptions import FetchOptions
from transforms.read.kafka_client import KafkaOptions
from transforms.read.rows import ALIASES

STDIN = "-"
"""The argument that stands for standard input."""
STDIN_NAME = "stdin"
"""What rows and rejects call it."""
_LOCAL = "file://"

FORMATS = {
    ".txt": "text",
    ".html": "page",
    ".htm": "page",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".warc": "warc",
    ".wet": "warc",
}

Known = Mapping[str, str | None]
"""What a metadata file says of one input file: `outlet`, `url`, `date_published`."""


@dataclass(frozen=True)
class ReadOptions:
    """How inputs are read."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    max_article_bytes: int = 10 << 20  # one text, page or record, decompressed
    max_skipped_bytes: int = 1 << 30  # of one oversized record, before the rest of its file is given up
    split_bytes: int = BLOCK_BYTES  # a larger JSONL or WARC file is cut into pieces of this size
    fields: Mapping[str, str] = field(default_factory=dict)  # our field name → the name in JSONL and Parquet records
    fetch: FetchOptions = field(default_factory=FetchOptions)  # for feeds and sitemaps
    kafka: KafkaOptions = field(default_factory=KafkaOptions)  # how topics are read

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        for name in ("max_article_bytes", "max_skipped_bytes", "split_bytes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, not {getattr(self, name)}")
        known = {alias for aliases in ALIASES.values() for alias in aliases} | set(ALIASES)
        strange = sorted(set(self.fields) - known)
        if strange:
            raise ValueError(f"fields: there is no field {strange[0]!r}: there are {', '.join(sorted(known))}")


class InputFile(NamedTuple):
    """One file to read."""

    uri: str
    size: int
    known: tuple[tuple[str, str | None], ...] = ()
    spooled: bool = False  # written by a source: each record says in `source_uri` where it came from


class WorkItem(NamedTuple):
    """What one worker reads at a time; `start`, `stop` and `first` say which piece of a single file."""

    format: str
    files: tuple[InputFile, ...]
    start: int = 0  # byte (jsonl, warc) or row group (parquet)
    stop: int = -1  # likewise; -1: to the end
    first: int = 0  # number of the piece's first record
    name: str = ""  # what rows and rejects call the file, if that is not its URI


class Refused(NamedTuple):
    """An input that cannot even be planned."""

    uri: str
    reason: RejectReason
    detail: str


class Plan(NamedTuple):
    """All there is to read."""

    items: tuple[WorkItem, ...]
    refused: tuple[Refused, ...]
    fingerprint: tuple[tuple[str, int, float], ...]  # uri, bytes, last change: what makes a run the same run


def plan_inputs(
    inputs: Iterable[str], known: Mapping[str, Known], split_bytes: int = BLOCK_BYTES, stdin: Path | None = None
) -> Plan:
    """Find the files behind the arguments and cut them into work items.

    Args:
      inputs: files, folders (all below them), globs, URIs of any file system that Beam reads, or `-`.
      known: what a metadata file says, by URI or by file name.
      split_bytes: where larger JSONL and WARC files are cut.
      stdin: what `-` stands for, as `transforms.read.stdin.spool_stdin` left it.

    Raises:
      UsageError: an input does not exist, or its file system is not installed.
      SourceAway: a file system does not answer.
    """
    found: dict[str, FileMetadata] = {}
    refused = []
    for argument in inputs:
        if argument == STDIN and stdin:
            continue
        matched = list(found_files(argument))
        if not matched:
            refused.append(Refused(argument, RejectReason.EMPTY, "a folder or glob without files"))
        refused += [each for each in matched if isinstance(each, Refused)]
        found |= {each.path: each for each in matched if isinstance(each, FileMetadata)}
    items, unknown = items_of(found.values(), known, split_bytes)
    fingerprint = [(uri, found[uri].size_in_bytes, found[uri].last_updated_in_seconds) for uri in sorted(found)]
    if stdin:
        size = stdin.stat().st_size
        items = (*items, *(stdin_items(stdin, split_bytes) if size else ()))
        refused += [Refused(STDIN_NAME, RejectReason.EMPTY, "no records")] * (not size)
        fingerprint.append((f"{STDIN_NAME}:{stdin.stem}", size, 0.0))
    return Plan(items, (*refused, *unknown), tuple(fingerprint))


def items_of(
    found: Iterable[FileMetadata], known: Mapping[str, Known], split_bytes: int
) -> tuple[tuple[WorkItem, ...], tuple[Refused, ...]]:
    """Cut files into work items, in the order of their names; refuse those of no format that is read."""
    files, refused = [], []
    for metadata in sorted(found, key=lambda each: each.path):
        uri = metadata.path
        if format_of(uri) is None:
            names = " ".join(sorted(FORMATS))
            refused.append(
                Refused(uri, RejectReason.UNKNOWN_FORMAT, f"name ends in none of {names}, with or without .gz .zst")
            )
        else:
            about = known.get(uri) or known.get(os.path.basename(uri)) or {}  # noqa: PTH119 -- may be a URI
            files.append(InputFile(uri, metadata.size_in_bytes, tuple(sorted(about.items()))))
    return tuple(_items(files, split_bytes)), tuple(refused)


def stdin_items(spooled: Path, split_bytes: int) -> tuple[WorkItem, ...]:
    """Work items of a file of JSON lines that came by standard input."""
    file = InputFile(str(spooled), spooled.stat().st_size)
    return tuple(item._replace(name=STDIN_NAME) for item in _jsonl_items(file, split_bytes))


def format_of(uri: str) -> str | None:
    """The format that a name's ending stands for, if any."""
    name = uri.lower()
    compression = compression_of(name)
    ending = os.path.splitext(name[: len(name) - len(compression)])[1]  # noqa: PTH122 -- may be a URI
    if compression and ending == ".parquet":
        return None
    return FORMATS.get(ending)


def found_files(argument: str, *, must_be: bool = True) -> Iterator[FileMetadata | Refused]:
    """Give the files behind an argument, and a word on each that cannot be read.

    Raises:
      UsageError: there is none of that name and there must be, or its file system is not installed.
      SourceAway: its file system does not answer.
    """
    if "://" not in argument or argument.startswith(_LOCAL):
        yield from _match_local(argument.removeprefix(_LOCAL))
        return
    if argument.startswith(("http://", "https://")):
        raise UsageError(f"{argument}: pages are not fetched one by one: name a feed+https://… or sitemap+https://…")
    try:
        patterns = [argument] if any(c in argument for c in "*?[") else [argument, argument.rstrip("/") + "/**"]
        results = FileSystems.match(patterns)
    except BeamIOError as error:
        raise SourceAway(f"{argument}: cannot be listed now: {error}") from error
    except (ValueError, ImportError) as error:
        raise UsageError(f"{argument}: cannot be listed: {error}") from error
    matched = [metadata for result in results for metadata in result.metadata_list]
    if not matched and must_be:
        raise UsageError(f"{argument}: no such file, folder or pattern")
    yield from matched


def _match_local(argument: str) -> Iterator[FileMetadata | Refused]:
    path = Path(argument)
    if path.is_symlink() or path.exists():
        yield from _below(path)
        return
    matches = [Path(name) for name in glob.glob(argument, recursive=True)]  # noqa: PTH207 -- any pattern
    if not matches and not glob.has_magic(argument):
        raise UsageError(f"{argument}: no such file or folder")
    for match in matches:
        if "**" not in argument or not match.is_dir():  # `**` has matched what is below as well
            yield from _below(match)


def _below(path: Path) -> Iterator[FileMetadata | Refused]:
    """A file, or all files below a folder that are not hidden."""
    if not path.is_dir():
        yield _described(path)
        return
    unread: list[OSError] = []
    for folder, folders, names in os.walk(path, onerror=unread.append):
        for name in (*names, *folders):
            found = Path(folder) / name
            if any(part.startswith(".") for part in found.relative_to(path).parts):
                continue
            if name not in folders:
                yield _described(found)
            elif found.is_symlink():
                yield Refused(
                    str(found), RejectReason.UNREADABLE, "a link to a folder is not followed: name the folder"
                )
    for error in unread:
        yield Refused(str(error.filename), RejectReason.UNREADABLE, f"{type(error).__name__}: {error.strerror}")


def _described(path: Path) -> FileMetadata | Refused:
    try:
        str(path).encode()
        about = path.stat()
    except UnicodeEncodeError:
        name = os.fsencode(path).decode("utf-8", "backslashreplace")
        return Refused(name, RejectReason.UNREADABLE, "the file's name is not UTF-8: rename it")
    except OSError as error:
        return Refused(str(path), RejectReason.UNREADABLE, f"{type(error).__name__}: {error.strerror}")
    if not stat.S_ISREG(about.st_mode):
        return Refused(str(path), RejectReason.UNREADABLE, "not a regular file")
    return FileMetadata(str(path), about.st_size, about.st_mtime)


def _items(files: Iterable[InputFile], split_bytes: int) -> Iterator[WorkItem]:
    small: dict[str, list[InputFile]] = {"text": [], "page": []}
    for file in files:
        kind = format_of(file.uri)
        if kind == "jsonl":
            yield from _jsonl_items(file, split_bytes)
        elif kind == "parquet":
            yield from _parquet_items(file)
        elif kind == "warc":
            yield from _warc_items(file, split_bytes)
        elif kind:
            run = small[kind]
            run.append(file)
            if len(run) == BLOCK_ROWS or sum(f.size for f in run) > BLOCK_BYTES:
                yield WorkItem(kind, tuple(run))
                run.clear()
    for kind, run in small.items():
        if run:
            yield WorkItem(kind, tuple(run))


def _jsonl_items(file: InputFile, split_bytes: int) -> Iterator[WorkItem]:
    """Cut a large local file; a remote or compressed one is read by one worker."""
    if file.size <= split_bytes or "://" in file.uri or file.uri.lower().endswith(COMPRESSIONS):
        yield WorkItem("jsonl", (file,))
        return
    first = 0
    for start in range(0, file.size, split_bytes):
        stop = min(start + split_bytes, file.size)
        yield WorkItem("jsonl", (file,), start, stop, first)
        first += _newlines(file.uri, start, stop)


def _newlines(path: str, start: int, stop: int) -> int:
    """Line ends in a byte range; the record that a piece begins in belongs to the piece before."""
    count = 0
    try:
        with Path(path).open("rb") as source:
            source.seek(start)
            while (left := stop - source.tell()) > 0 and (data := source.read(min(left, CHUNK_BYTES))):
                count += data.count(b"\n")
    except OSError:
        return count  # unreadable: the worker that gets the piece rejects the file
    return count


def _parquet_items(file: InputFile) -> Iterator[WorkItem]:
    """One item for each row group, so that a large file is read by many; a damaged one is left to the reader."""
    try:
        with FileSystems.open(file.uri, "application/octet-stream", "uncompressed") as source:
            about = pq.ParquetFile(source).metadata
    except (OSError, ValueError):
        yield WorkItem("parquet", (file,))
        return
    first = 0
    for group in range(about.num_row_groups):
        yield WorkItem("parquet", (file,), group, group + 1, first)
        first += about.row_group(group).num_rows
    if not about.num_row_groups:
        yield WorkItem("parquet", (file,))


def _warc_items(file: InputFile, split_bytes: int) -> Iterator[WorkItem]:
    """Cut a large file, compressed or not, wherever it lies: the readers find the records' beginnings."""
    for start in range(0, max(file.size, 1), split_bytes):
        yield WorkItem("warc", (file,), start, min(start + split_bytes, file.size))
