"""One record of JSONL or Parquet → one raw row; other people's field names → ours.

A field of the wrong type is a reject that names it, never a silent null.
"""

import datetime as dt
import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pyarrow as pa

from schemas.blocks import RAW
from schemas.errors import Rejected, RejectReason
from transforms.read.decode import checked

Row = dict[str, Any]
_Convert = Callable[[str, object], Any]

ALIASES: Mapping[str, tuple[str, ...]] = {
    "source_id": ("id", "source_id"),
    "url": ("url",),
    "outlet": ("outlet",),
    "headline": ("headline", "title"),
    "description": ("description",),
    "text": ("text",),
    "html": ("html",),
    "date_published": ("date_published", "published_at", "date"),
    "date_modified": ("date_modified",),
    "authors": ("authors", "author"),
    "language": ("language", "lang"),
    "section": ("section",),
    "keywords": ("keywords",),
    "fetched_at": ("fetched_at",),
}
"""Our field → the names it is looked for under, first come first served."""

_SAMPLE = 200
YEARS = (1971, 2200)  # in which something can have been fetched


def raw_row(record: Mapping[str, Any], source_uri: str, position: int, fields: Mapping[str, str]) -> Row:
    """Turn a record into a row of RAW.

    Args:
      record: as read.
      source_uri: the file.
      position: the record's number in it, from 0.
      fields: our field → the record's own name for it, from the configuration; they come before ALIASES.

    Raises:
      Rejected: MISSING_TEXT, BAD_FIELD, BAD_ENCODING.
    """
    row: Row = dict.fromkeys(RAW.names)
    row |= {"source_uri": source_uri, "position": position, "headline_inline": False}
    for name, keys, convert in _lookups(tuple(record), tuple(fields.items())):
        for key in keys:
            value = record[key]
            if value not in (None, ""):
                row[name] = convert(name if key == name else f"{key} ({name})", value)
                break
    body = next((row[name] for name in ("text", "html") if row[name] and row[name].strip()), None)
    if body:
        checked(body)
        row |= {"text": body if body is row["text"] else None, "html": body if body is row["html"] else None}
    elif row["headline"]:
        row |= {"text": None, "html": None}  # a headline alone, as in many feeds
    else:
        detail = "no text, html or headline: name the fields in [read.fields] of the configuration"
        raise Rejected(RejectReason.MISSING_TEXT, detail)
    return row


@functools.lru_cache(maxsize=1024)
def _lookups(names: tuple[str, ...], fields: tuple[tuple[str, str], ...]) -> list[tuple[str, list[str], _Convert]]:
    """For each field of ours that a record of these `names` can give: where to look, in order, and how to read it."""
    theirs, there = dict(fields), set(names)
    found = []
    for name, convert in _CONVERT.items():
        given = [theirs[alias] for alias in (name, *ALIASES[name]) if alias in theirs]
        keys = [key for key in (*given, *ALIASES[name]) if key in there]
        if keys:
            found.append((name, keys, convert))
    return found


def raw_table(rows: Iterable[Row]) -> pa.Table:
    """Rows → a block of RAW."""
    return pa.Table.from_pylist(list(rows), schema=RAW)


def reject_row(
    source_uri: str, position: int | None, error: Rejected, sample: str | None = None, source_id: str | None = None
) -> Row:
    """What REJECTED says of an input that could not be read."""
    return {
        "source_uri": source_uri,
        "position": position,
        "source_id": source_id,
        "stage": "read",
        "reason": str(error.reason),
        "detail": error.detail,
        "sample": sample[:_SAMPLE] if sample else None,
    }


def _text(field: str, value: object) -> str | None:
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        value = "\n".join(value)
    if not isinstance(value, str):
        raise _wrong(field, "text", value)
    return value


def _line(field: str, value: object) -> str | None:
    if not isinstance(value, str):
        raise _wrong(field, "text", value)
    return " ".join(value.split()) or None


def _identifier(field: str, value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise _wrong(field, "text or a whole number", value)
    return str(value) or None


def _moment(field: str, value: object) -> str | None:
    if isinstance(value, dt.datetime | dt.date):
        return value.isoformat()
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise _wrong(field, "a date", value)
    return str(int(value) if isinstance(value, float) and value.is_integer() else value).strip() or None


def _instant(field: str, value: object) -> dt.datetime | None:
    if isinstance(value, str):
        try:
            value = dt.datetime.fromisoformat(value)
        except ValueError:
            raise _wrong(field, "an ISO 8601 time", value) from None
    if not isinstance(value, dt.datetime):
        raise _wrong(field, "an ISO 8601 time", value)
    if not YEARS[0] <= value.year <= YEARS[1]:
        raise Rejected(RejectReason.BAD_FIELD, f"{field}: the year {value.year} is not one of a fetch")
    return value if value.tzinfo else value.replace(tzinfo=dt.UTC)


def _names(field: str, value: object) -> list[str] | None:
    items = value if isinstance(value, list) else [value]
    names = [item.get("name") if isinstance(item, dict) else item for item in items if item is not None]
    if not all(isinstance(name, str) for name in names):
        raise _wrong(field, "text or a list of names", value)
    return [" ".join(str(name).split()) for name in names if str(name).strip()] or None


def _wrong(field: str, wanted: str, value: object) -> Rejected:
    return Rejected(RejectReason.BAD_FIELD, f"{field}: expected {wanted}, got {type(value).__name__}")


_CONVERT: Mapping[str, _Convert] = {
    "source_id": _identifier,
    "url": _line,
    "outlet": _line,
    "headline": _line,
    "description": _line,
    "text": _text,
    "html": _text,
    "date_published": _moment,
    "date_modified": _moment,
    "authors": _names,
    "language": _line,
    "section": _line,
    "keywords": _names,
    "fetched_at": _instant,
}
