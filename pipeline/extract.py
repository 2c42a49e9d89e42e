"""`copydesk extract`: the cleaner alone, without Beam, for measuring and for one's own corpora.

A manifest row is `{id, html: path beside the manifest | text, url?, outlet?}`; a prediction row is
`{id, text, headline, description, date_published, authors, language, removed, quality_flags, seconds}`, and `error`
where the text is empty for a reason. With `--learn` the furniture of each
outlet is learned over the whole manifest first, as a run does.
"""

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
import pyarrow as pa

from schemas.blocks import concat
from schemas.errors import Rejected, UsageError
from transforms.clean.articles import CleanOptions
from transforms.clean.label import label_block
from transforms.clean.outlets import MEMORY, STATISTICS, memory_of
from transforms.clean.parse import line_statistics, parse_block
from transforms.read.decode import decode_page, read_all
from transforms.read.inputs import ReadOptions
from transforms.read.rows import Row, raw_row, raw_table

_BLOCK = 64  # pages parsed together; `seconds` is a block's time shared evenly


class _Parsed(NamedTuple):
    parsed: pa.Table
    lines: pa.Table
    seconds: float  # an article


def extract(
    manifest: Path, output: Path, options: CleanOptions, reading: ReadOptions, *, learn: bool
) -> dict[str, int]:
    """Clean every row of a manifest.

    A page that cannot be read or has no body gets a row with an empty text and the reason as `error`.

    Returns:
      how many rows came in, and how many went out empty.

    Raises:
      UsageError: the manifest cannot be read, a row has no id or neither html nor text, or two share an id; or the
        output would take the manifest's place, or cannot be a file.
    """
    rows = _manifest_rows(manifest)
    if not output.absolute().parent.is_dir():
        raise UsageError(f"{output}: its folder does not exist")
    if output.is_dir() or (output.exists() and output.samefile(manifest)):
        raise UsageError(f"{output}: is a folder, or the manifest itself: choose another file to write")
    errors: dict[str, str] = {}
    blocks = list(_parsed_blocks(_raw_rows(rows, manifest.parent, reading, errors), options, errors))
    memory = MEMORY.empty_table()
    if learn:
        began = time.process_time()
        memory = memory_of(concat((line_statistics(block.parsed, block.lines) for block in blocks), STATISTICS))
        share = (time.process_time() - began) / max(sum(block.parsed.num_rows for block in blocks), 1)
        blocks = [block._replace(seconds=block.seconds + share) for block in blocks]
    predictions = {str(row["id"]): _empty(str(row["id"])) for row in rows}
    for block in blocks:
        predictions |= {prediction["id"]: prediction for prediction in _predict(block, memory, options, errors)}
    with output.open("wb") as sink:
        for name, prediction in predictions.items():
            if name in errors:
                prediction["error"] = errors[name]
            sink.write(orjson.dumps(prediction) + b"\n")
    return {"rows": len(predictions), "empty": sum(not prediction["text"] for prediction in predictions.values())}


def _manifest_rows(path: Path) -> list[dict[str, Any]]:
    try:
        rows = [orjson.loads(line) for line in path.read_bytes().splitlines() if line.strip()]
    except (OSError, orjson.JSONDecodeError) as error:
        raise UsageError(f"{path}: cannot be read as JSON lines: {error}") from error
    seen: set[str] = set()
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict) or row.get("id") is None or not _has_content(row):
            raise UsageError(f"{path}, line {number}: needs an id, and html (a path) or text")
        if str(row["id"]) in seen:
            raise UsageError(f"{path}, line {number}: the id {row['id']} stands there twice")
        seen.add(str(row["id"]))
    return rows


def _has_content(row: dict[str, Any]) -> bool:
    return (isinstance(row.get("html"), str) and row["html"] != "") or isinstance(row.get("text"), str)


def _raw_rows(
    rows: Iterable[dict[str, Any]], folder: Path, reading: ReadOptions, errors: dict[str, str]
) -> Iterator[tuple[Row, float]]:
    for number, row in enumerate(rows):
        record = {name: row[name] for name in ("url", "outlet") if row.get(name)} | {"id": str(row["id"])}
        began = time.process_time()
        try:
            if row.get("html"):
                data = read_all(str(folder / row["html"]), reading.max_article_bytes)
                began = time.process_time()
                record["html"] = decode_page(data)
            else:
                record["text"] = row["text"]
            raw = raw_row(record, str(row["id"]), number, {})
        except Rejected as error:
            errors[str(row["id"])] = str(error)
        else:
            raw["headline_inline"] = not row.get("html")
            yield raw, time.process_time() - began


def _parsed_blocks(
    raws: Iterable[tuple[Row, float]], options: CleanOptions, errors: dict[str, str]
) -> Iterator[_Parsed]:
    rows: list[tuple[Row, float]] = []
    for raw in raws:
        rows.append(raw)
        if len(rows) == _BLOCK:
            yield _parse(rows, options, errors)
            rows = []
    if rows:
        yield _parse(rows, options, errors)


def _parse(rows: list[tuple[Row, float]], options: CleanOptions, errors: dict[str, str]) -> _Parsed:
    began = time.process_time()
    parsed, lines, rejects = parse_block(raw_table(row for row, _ in rows), options.limits, options.outlets)
    spent = time.process_time() - began + sum(seconds for _, seconds in rows)
    errors |= {row["source_id"]: f"{row['reason']}: {row['detail']}" for row in rejects.to_pylist()}
    return _Parsed(parsed, lines, spent / len(rows))


def _predict(
    block: _Parsed, memory: pa.Table, options: CleanOptions, errors: dict[str, str]
) -> Iterator[dict[str, Any]]:
    began = time.process_time()
    repeated = np.zeros(block.parsed.num_rows, np.bool_)
    articles, rejects = label_block(block.parsed, block.lines, memory, repeated, options.memory, options.outlets)
    seconds = block.seconds + (time.process_time() - began) / max(block.parsed.num_rows, 1)
    errors |= {row["source_id"]: f"{row['reason']}: {row['detail']}" for row in rejects.to_pylist()}
    for article in articles.to_pylist():
        yield {
            "id": article["source_id"],
            "text": article["text"],
            "headline": article["headline"],
            "description": article["description"],
            "date_published": article["date_published"],
            "authors": article["authors"] or [],
            "language": article["language"],
            "removed": article["removed"],
            "quality_flags": article["quality_flags"] or [],
            "seconds": seconds,
        }


def _empty(name: str) -> dict[str, Any]:
    return {
        "id": name,
        "text": "",
        "headline": None,
        "description": None,
        "date_published": None,
        "authors": [],
        "language": None,
        "removed": [],
        "quality_flags": [],
        "seconds": 0.0,
    }
