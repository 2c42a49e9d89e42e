"""The metadata file: what is known of input files that do not say it themselves.

CSV (with a header) or JSONL, a row a file: `source_uri` (the whole path or URI) or `file` (its name), and any of
`outlet`, `url`, `date_published`.
"""

import csv
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import orjson

from schemas.errors import ConfigError
from transforms.clean.dates import parse_timestamp

FIELDS = ("outlet", "url", "date_published")
_KEYS = ("source_uri", "file")

Known = Mapping[str, str | None]


def read_metadata(path: Path | None) -> dict[str, Known]:
    """Read the file: what is known by URI or file name.

    Raises:
      ConfigError: it cannot be read, or a row names no file, names one twice, or has a field or a date that is none.
    """
    if path is None:
        return {}
    known: dict[str, Known] = {}
    try:
        for number, row in enumerate(_rows(path), start=1):
            name = next((row[key] for key in _KEYS if row.get(key)), None)
            if None in row:
                raise ConfigError(f"{path}, row {number}: more cells than columns")
            if not all(value is None or isinstance(value, str) for value in row.values()):
                raise ConfigError(f"{path}, row {number}: every field must be text")
            strange = sorted(set(row) - {*FIELDS, *_KEYS})
            if strange:
                raise ConfigError(
                    f"{path}, row {number}: no field {strange[0]!r}: there are {', '.join((*_KEYS, *FIELDS))}"
                )
            if not name:
                raise ConfigError(f"{path}, row {number}: needs `source_uri` or `file`")
            if row.get("date_published") and parse_timestamp(str(row["date_published"])) is None:
                raise ConfigError(f"{path}, row {number}: {row['date_published']!r} is no date")
            if name in known:
                raise ConfigError(f"{path}, row {number}: {name} has a row already")
            known[name] = {key: row.get(key) or None for key in FIELDS}
    except (OSError, UnicodeDecodeError, csv.Error, orjson.JSONDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    return known


def unmatched(known: Mapping[str, Known], uris: Iterable[str]) -> list[str]:
    """Names in the metadata file that are none of the inputs."""
    names = {name for uri in uris for name in (uri, os.path.basename(uri))}  # noqa: PTH119 -- may be a URI
    return sorted(set(known) - names)


def _rows(path: Path) -> Iterator[Mapping[str, str | None]]:
    with path.open(encoding="utf-8-sig", newline="") as source:
        if path.suffix.lower() == ".csv":
            rows = csv.DictReader(source, strict=True)
            twice = [name for name, times in Counter(rows.fieldnames or ()).items() if times > 1]
            if twice:
                raise ConfigError(f"{path}: the column {twice[0]!r} stands there twice")
            yield from rows
            return
        for line in source:
            if line.strip():
                row = orjson.loads(line)
                if not isinstance(row, dict):
                    raise ConfigError(f"{path}: a line is not an object: {line.strip()[:80]}")
                yield row
