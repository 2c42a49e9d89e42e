"""Records that are plain texts → their fields and lines: columns of a whole block, and no Python object a field."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas.blocks import LINES, PARSED
from schemas.errors import RejectReason
from schemas.ids import article_id
from transforms.clean.addresses import canonical_url, domain_of, identity_of, outlet_in
from transforms.clean.given import Record, given_date, reject, timestamp
from transforms.clean.label import HEADLINE_ONLY
from transforms.clean.linekernel import characterise
from transforms.clean.plaintext import (
    BYLINE,
    DATELINE,
    DESCRIPTION,
    FURNITURE,
    HEADLINE,
    LabelledLines,
    authors_of,
    head_fields,
    label_texts,
    row_starts,
)
from transforms.clean.textlines import Lines, one_array, split_lines, utf8

BoolArray = NDArray[np.bool_]

_MARKUP = re.compile(r"</(?:p|div|a|li|span|em|strong|b|i|h[1-6])>|<(?:br|p)\s*/?>")
_Failed = dict[int, Exception]  # rows that cannot be used
_TEXT = pa.string()
_ANGLE, _PERHAPS_UNCOMPOSED = 1, 2  # of `characterise`
_SPACE, _DELETE = 32, 127


def plain_rows(raw: pa.Table) -> BoolArray:
    """Which records are plain texts, or headlines without one; shape (rows,). The others are read as markup."""
    texts = one_array(raw["text"])
    data, bounds = utf8(texts)
    filled = np.diff(bounds) > 0
    first = np.where(filled, data[np.minimum(bounds[:-1], len(data) - 1)], 0)
    plain = _flags(pc.is_null(raw["html"])) & filled
    for at in np.flatnonzero(plain & ((first <= _SPACE) | (first >= _DELETE))).tolist():
        plain[at] = not texts[at].as_py().isspace()
    for at in np.flatnonzero(plain & (_kinds(texts) & _ANGLE > 0)).tolist():
        plain[at] = _MARKUP.search(texts[at].as_py()) is None
    return plain | _headline_only(raw)


def parse_texts(raw: pa.Table, rejects: list[Record]) -> tuple[pa.Table, pa.Table, list[int]]:
    """Read plain texts.

    Args:
      raw: RAW.
      rejects: to add to.

    Returns:
      PARSED of what could be read, LINES whose `row` counts the rows of `raw`, and which rows were read.
    """
    rows = raw.num_rows
    lines = split_lines(raw["text"])
    inline = raw["headline_inline"].to_numpy() & ~_filled(raw["headline"])
    labelled = label_texts(lines, rows, inline)
    failed: _Failed = {}
    fields = _fields(raw, lines, labelled, failed)
    table = pa.table(
        [
            pa.array(lines.row),
            pa.array(lines.number),
            lines.text,
            pa.array(labelled.label),
            labelled.rule_names(),
            pa.array(labelled.score),
            pa.array(lines.keys),
            pa.array(np.zeros(len(lines.row), np.int64)),
        ],
        schema=LINES,
    )
    read = [at for at in range(rows) if at not in failed]
    for at, error in sorted(failed.items()):
        record = raw.slice(at, 1).to_pylist()[0]
        rejects.append(reject(record, RejectReason.FAILED, f"{type(error).__name__}: {error}"))
    return fields.take(pa.array(read, pa.int64())) if failed else fields, table, read


def _fields(raw: pa.Table, lines: Lines, labelled: LabelledLines, failed: _Failed) -> pa.Table:
    """What the records give, else what the first lines say; PARSED, with rows of no use for what is in `failed`."""
    rows = raw.num_rows
    said = {label: head_fields(lines, labelled, label) for label in (HEADLINE, DESCRIPTION, BYLINE, DATELINE)}
    urls = _values(raw["url"])
    canonical = _each(canonical_url, urls, failed)
    published, source = _dates(raw["date_published"], failed)
    ids = _ids(raw, canonical, failed)
    identities = _each(identity_of, canonical, failed)
    outlets = pc.coalesce(_filled_text(raw["outlet"]), _column(_each(domain_of, urls, failed), rows))
    modified, _ = _dates(raw["date_modified"], failed)
    authors = _each(authors_of, said[BYLINE], failed)
    undated = _flags(published.is_null())
    datelines = {at: line for at, line in said[DATELINE].items() if undated[at]}
    dates = _each(timestamp, datelines, failed)
    sources = {at: "dateline" if dates.get(at) else f"unparsable: {line[:60]}" for at, line in datelines.items()}
    starts = row_starts(lines.row, rows).tolist()
    furniture = {
        at: lines.text.slice(starts[at], starts[at + 1] - starts[at])
        .filter(pa.array(labelled.label[starts[at] : starts[at + 1]] == FURNITURE))
        .to_pylist()
        for at in np.flatnonzero(_flags(outlets.is_null())).tolist()
    }
    flags = {at: list(names) for at, names in labelled.flags.items()}
    for at in np.flatnonzero(_headline_only(raw)).tolist():
        flags.setdefault(at, []).append(HEADLINE_ONLY)
    columns = {
        "article_id": pa.array(ids, pa.int64()),
        "identity": pa.array([identities.get(at, 0) for at in range(rows)], pa.int64()),
        "outlet": pc.coalesce(outlets, _column(_each(outlet_in, furniture, failed), rows)),
        "headline": pc.coalesce(_filled_text(raw["headline"]), _column(said[HEADLINE], rows)),
        "description": pc.coalesce(_filled_text(raw["description"]), _column(said[DESCRIPTION], rows)),
        "authors": _lists(_values(raw["authors"]), authors, rows),
        "date_published": pc.coalesce(published, _column(dates, rows, published.type)),
        "date_modified": modified,
        "date_source": pc.coalesce(_column(sources, rows), source),
        "keywords": _lists(_values(raw["keywords"]), {}, rows),
        "quality_flags": _lists({}, flags, rows),
    }
    return pa.table([columns[name] if name in columns else raw[name] for name in PARSED.names], schema=PARSED)


def _ids(raw: pa.Table, canonical: dict[int, str | None], failed: _Failed) -> list[int]:
    """Ids of the articles; texts that are in form NFC as they are, nearly all, stay the bytes that Arrow has."""
    texts = one_array(raw["text"])
    data, bounds = utf8(texts)
    uncomposed = _kinds(texts) & _PERHAPS_UNCOMPOSED > 0
    ids = []
    names = zip(*(raw[name].to_pylist() for name in ("outlet", "source_id", "headline")), strict=True)
    for at, (outlet, source_id, headline) in enumerate(names):
        name = canonical.get(at) or "\x1f".join((outlet or "", source_id or ""))  # two outlets' id 1 are two
        try:
            text = texts[at].as_py() if uncomposed[at] else data[bounds[at] : bounds[at + 1]].tobytes()
            ids.append(article_id(name, headline or "", text))
        except Exception as error:  # noqa: BLE001 -- as in `_each`
            failed.setdefault(at, error)
            ids.append(0)
    return ids


def _each(function: Callable[[Any], Any], values: dict[int, Any], failed: _Failed) -> dict[int, Any]:
    """Call a function for some rows; where a call goes wrong the row fails, and no other."""
    results = {}
    for at, value in values.items():
        try:
            results[at] = function(value)
        except Exception as error:  # noqa: BLE001 -- a bug on one article is reported with it, and the rest goes on
            failed.setdefault(at, error)
    return results


def _dates(column: pa.ChunkedArray, failed: _Failed) -> tuple[pa.Array, pa.Array]:
    """The points in time that dates name, and where they are from or why there is none; a date is read once."""
    encoded = one_array(column).dictionary_encode()
    wrong: _Failed = {}
    read = _each(given_date, dict(enumerate(encoded.dictionary.to_pylist())), wrong)
    found = [read.get(at, (None, None)) for at in range(len(encoded.dictionary))]
    for at, error in wrong.items():
        for row in np.flatnonzero(_flags(pc.equal(encoded.indices, at))).tolist():
            failed.setdefault(row, error)
    return (
        pa.array([time for time, _ in found], PARSED.field("date_published").type).take(encoded.indices),
        pc.fill_null(pa.array([source for _, source in found], _TEXT).take(encoded.indices), given_date(None)[1]),
    )


def _values(column: pa.ChunkedArray) -> dict[int, Any]:
    """What is given, by row."""
    if column.null_count == len(column):
        return {}
    return {at: value for at, value in enumerate(column.to_pylist()) if value is not None}


def _column(values: dict[int, Any], rows: int, kind: pa.DataType = _TEXT) -> pa.Array:
    return pa.array([values.get(at) for at in range(rows)], kind) if values else pa.nulls(rows, kind)


def _lists(given: dict[int, list[str]], said: dict[int, list[str]], rows: int) -> pa.Array:
    """What is given, else what is said, else nothing: never null."""
    if not given and not said:
        return pa.ListArray.from_arrays(pa.array(np.zeros(rows + 1, np.int32)), pa.array([], _TEXT))
    return pa.array([given.get(at) or said.get(at) or [] for at in range(rows)], pa.list_(_TEXT))


def _filled_text(column: pa.ChunkedArray) -> pa.Array:
    """The column with nulls for empty strings."""
    texts = one_array(column)
    return pc.if_else(pc.equal(pc.binary_length(texts), 0), pa.scalar(None, _TEXT), texts)


def _headline_only(raw: pa.Table) -> BoolArray:
    return _filled(raw["headline"]) & ~_filled(raw["text"]) & ~_filled(raw["html"])


def _filled(column: pa.ChunkedArray) -> BoolArray:
    """Where there is a text that is not empty."""
    return _flags(pc.fill_null(pc.greater(pc.binary_length(column), 0), fill_value=False))


def _kinds(texts: pa.Array) -> NDArray[np.uint8]:
    kinds = np.empty(len(texts), np.uint8)
    characterise(*utf8(texts), kinds)
    return kinds


def _flags(values: pa.Array | pa.ChunkedArray) -> BoolArray:
    return np.asarray(values).astype(bool)
