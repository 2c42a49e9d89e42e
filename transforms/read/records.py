"""JSONL and Parquet files → raw rows, a reject for each record that cannot be used."""

import codecs
import os
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.io.filesystems import FileSystems

from schemas.errors import Rejected, RejectReason
from transforms.read.decode import chunks, compression_of
from transforms.read.inputs import InputFile, ReadOptions, WorkItem
from transforms.read.rows import ALIASES, Row, raw_row, reject_row

_PARQUET_BATCH = 256  # rows decoded at a time
_NEWLINE = b"\n"


class Outcome(NamedTuple):
    """A raw row or a reject."""

    row: Row
    rejected: bool = False


class _Line(NamedTuple):
    """A line of a JSONL file, or the size of one that is over the cap."""

    data: bytes
    size: int


def read_jsonl(item: WorkItem, options: ReadOptions) -> Iterator[Outcome]:
    """Read the records of a JSONL file, or of the piece of it that the item names.

    A line that begins in the piece belongs to it. A damaged or truncated stream is one reject, at the
    record where it broke; the records before it stand.
    """
    (file,) = item.files
    number, found = item.first, False
    try:
        for line in _lines(item, options):
            if line.data.strip() or line.size > options.max_article_bytes:
                found = True
                yield _record(line, file, number, options)
            number += 1
    except Rejected as error:
        position = number if error.reason in {RejectReason.TRUNCATED, RejectReason.TOO_LARGE} else None
        yield Outcome(reject_row(file.uri, position, error), rejected=True)
        return
    if not found and not item.start and item.stop < 0:
        empty = Rejected(RejectReason.EMPTY, "no records")
        yield Outcome(reject_row(file.uri, None, empty), rejected=True)


def read_parquet(item: WorkItem, options: ReadOptions) -> Iterator[Outcome]:
    """Read the row groups of a Parquet file that the item names."""
    (file,) = item.files
    number = item.first
    try:
        with FileSystems.open(file.uri, "application/octet-stream", "uncompressed") as source:
            reader = pq.ParquetFile(source)
            groups = range(item.start, reader.num_row_groups if item.stop < 0 else item.stop)
            if not reader.metadata.num_rows:
                raise Rejected(RejectReason.EMPTY, "no rows")  # noqa: TRY301 -- one way out for every whole-file reject
            names = _wanted(reader.schema_arrow, options)
            for batch in reader.iter_batches(_PARQUET_BATCH, row_groups=list(groups), columns=names):
                for record in batch_records(batch):
                    yield _checked_record(record, file, number, options, sample=None)
                    number += 1
    except Rejected as error:
        yield Outcome(reject_row(file.uri, None, error), rejected=True)
    except (OSError, ValueError, pa.ArrowException) as error:
        damaged = Rejected(*_parquet_fault(file, error))
        yield Outcome(reject_row(file.uri, number if number > item.first else None, damaged), rejected=True)


def _wanted(schema: pa.Schema, options: ReadOptions) -> list[str]:
    """The columns that are fields of ours.

    Raises:
      Rejected: BAD_FIELD where there is none.
    """
    known = {alias for aliases in ALIASES.values() for alias in aliases} | set(options.fields.values())
    names = [name for name in schema.names if name in known]
    if not names:
        detail = f"none of the columns {', '.join(schema.names[:10])} is a field: name them in [read.fields]"
        raise Rejected(RejectReason.BAD_FIELD, detail)
    return names


def batch_records(batch: pa.RecordBatch) -> Iterator[object]:
    """Rows as Python values; one whose values Python cannot hold is given as the error that it makes."""
    columns = [
        column.cast(pa.timestamp("us", column.type.tz), safe=False)
        if pa.types.is_timestamp(column.type) and column.type.unit == "ns"
        else column
        for column in batch.columns
    ]
    batch = pa.RecordBatch.from_arrays(columns, names=batch.schema.names)
    try:
        yield from batch.to_pylist()
    except (OverflowError, ValueError):
        for row in range(batch.num_rows):
            try:
                yield batch.slice(row, 1).to_pylist()[0]
            except (OverflowError, ValueError) as error:
                yield error


def with_known(row: Row, known: Mapping[str, str | None]) -> Row:
    """Fill what a record does not say from the metadata given for its file."""
    return row | {name: value for name, value in known.items() if value and not row[name]}


def _record(line: _Line, file: InputFile, number: int, options: ReadOptions) -> Outcome:
    sample = line.data[:800].decode("utf-8", "replace")
    try:
        if line.size > options.max_article_bytes:
            detail = (
                f"line {number + 1} has {line.size} bytes, over {options.max_article_bytes} (read.max_article_bytes)"
            )
            raise Rejected(RejectReason.TOO_LARGE, detail)  # noqa: TRY301 -- one way out for every reject of a line
        record = parse_json(line.data, f"line {number + 1}")
    except Rejected as error:
        return Outcome(reject_row(file.uri, number, error, sample), rejected=True)
    return _checked_record(record, file, number, options, sample)


def _checked_record(record: object, file: InputFile, number: int, options: ReadOptions, sample: str | None) -> Outcome:
    try:
        if isinstance(record, Exception):
            raise Rejected(RejectReason.BAD_FIELD, f"row {number + 1}: {record}")  # noqa: TRY301 -- as below
        if not isinstance(record, dict):
            detail = f"line {number + 1} is a JSON {type(record).__name__}, not an object"
            raise Rejected(RejectReason.NOT_AN_OBJECT, detail)  # noqa: TRY301 -- one way out for every reject of a record
        fields = {} if file.spooled else options.fields
        row = raw_row(record, record["source_uri"] if file.spooled else file.uri, number, fields)
        if len(row["text"] or row["html"] or "") > options.max_article_bytes:
            detail = f"record {number + 1} is over {options.max_article_bytes} bytes (read.max_article_bytes)"
            raise Rejected(RejectReason.TOO_LARGE, detail)  # noqa: TRY301 -- as above
    except Rejected as error:
        name = record.get("id") if isinstance(record, dict) else None
        return Outcome(
            reject_row(file.uri, number, error, sample, str(name) if name is not None else None), rejected=True
        )
    return Outcome(with_known(row, dict(file.known)))


def parse_json(data: bytes, what: str) -> object:
    """Parse a record; `what` names it where it is refused.

    Raises:
      Rejected: BAD_JSON, BAD_ENCODING.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        try:
            data.decode("utf-8")
        except UnicodeDecodeError as wrong:
            raise Rejected(RejectReason.BAD_ENCODING, f"{what} is not UTF-8 at its byte {wrong.start}") from error
        if b"\0" in data:
            raise Rejected(RejectReason.BAD_ENCODING, f"{what} holds NUL bytes") from error
        raise Rejected(RejectReason.BAD_JSON, f"{what}: {error}") from error


def _lines(item: WorkItem, options: ReadOptions) -> Iterator[_Line]:
    """Lines that begin in the item's byte range; an oversized one is skipped over in bounded memory.

    Raises:
      Rejected: as `chunks`; TOO_LARGE where skipping passes the cap.
    """
    (file,) = item.files
    most = options.max_article_bytes
    at = max(item.start - 1, 0)  # position of `pending` in the file
    foreign = item.start > 0  # the line that began in the piece before is being passed over
    pending, dropped = b"", 0
    for chunk in chunks(file.uri, at):
        pieces = (pending + chunk).split(_NEWLINE)
        pending = pieces.pop()
        for piece in pieces:
            size = len(piece) + dropped
            first = not at
            at += size + 1
            piece = piece.removeprefix(codecs.BOM_UTF8) if first else piece  # noqa: PLW2901 -- the mark is no part of it
            if not foreign:
                yield _Line(b"" if dropped else piece, size)
            elif size:
                yield _Line(b"", 0)  # it has the number that this piece begins with
            foreign, dropped = False, 0
            if item.stop >= 0 and at >= item.stop:
                return
        if len(pending) + dropped > most:
            dropped += len(pending)
            pending = b""
            if dropped > options.max_skipped_bytes and not foreign:
                raise Rejected(
                    RejectReason.TOO_LARGE, f"one record of over {dropped} bytes: the rest of the file is given up"
                )
    if (pending or dropped) and not foreign:
        yield _Line(pending.removeprefix(codecs.BOM_UTF8) if not at else pending, len(pending) + dropped)


def _parquet_fault(file: InputFile, error: Exception) -> tuple[RejectReason, str]:
    if not file.size:
        return RejectReason.EMPTY, "no bytes"
    if isinstance(error, PermissionError | FileNotFoundError) or (
        isinstance(error, OSError) and not os.access(file.uri, os.R_OK)
    ):
        return RejectReason.UNREADABLE, f"{type(error).__name__}: {error}"
    return RejectReason.TRUNCATED, f"damaged Parquet, {compression_of(file.uri) or 'uncompressed'}: {error}"
