"""Ids: 63-bit integers derived from content, shown as sixteen hexadecimal digits.

Inside the flow an id is a signed 64-bit integer that is never negative (Beam's VarIntCoder fails on
unsigned ones); in the tables it is text, because JSON readers round integers above 2**53.
"""

import string
import unicodedata
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

Int64Array = NDArray[np.int64]

_MASK = (1 << 63) - 1
_SEPARATOR = b"\x1f"
_DIGITS = 16


def stable_hash(*parts: str | bytes) -> int:
    """Hash text, or its UTF-8, to a 63-bit integer, the same on every machine and in every process.

    Source: XXH3-64 over the UTF-8 bytes joined by U+001F, top bit cleared.
    """
    return xxhash.xxh3_64_intdigest(_SEPARATOR.join(map(_encoded, parts))) & _MASK


def article_id(identity: str, headline: str, text: str | bytes) -> int:
    """Derive an article's id from what it is called at its source and what it says.

    Args:
      identity: the canonical URL, else the outlet as given and the id or file name at the source.
      headline: as received.
      text: the received text, whose Unicode form does not matter; or a page as UTF-8, taken byte for byte.
    """
    text = unicodedata.normalize("NFC", text) if isinstance(text, str) else text
    return stable_hash("article", identity, unicodedata.normalize("NFC", headline), text)


def _encoded(text: str | bytes) -> bytes:
    return text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text


def group_id(kind: str, members: Iterable[int]) -> int:
    """Derive the id of a copy or story from its members, in whatever order they come."""
    return stable_hash(kind, *(format_id(member) for member in sorted(members)))


def is_among(ids: Int64Array, ascending: Int64Array) -> NDArray[np.bool_]:
    """Which of some ids stand among many that are in order; only the places looked at are read."""
    if not len(ascending):
        return np.zeros(len(ids), np.bool_)
    at = np.minimum(np.searchsorted(ascending, ids), len(ascending) - 1)
    return np.asarray(ascending[at] == ids)


def format_id(number: int) -> str:
    """Write an id as it stands in the tables."""
    return f"{number:0{_DIGITS}x}"


def parse_id(text: str) -> int:
    """Read an id as it stands in the tables.

    Raises:
      ValueError: `text` is not sixteen hexadecimal digits.
    """
    if len(text) != _DIGITS or not set(text) <= set(string.hexdigits):
        message = f"{text!r} is not an id: expected {_DIGITS} hexadecimal digits"
        raise ValueError(message)
    return int(text, 16)


def parse_ids(texts: pa.Array | pa.ChunkedArray) -> Int64Array:
    """Read many ids at once, as `format_ids` wrote them; none may be null."""
    digits = "".join(texts.to_pylist())
    return np.frombuffer(bytes.fromhex(digits), ">i8").astype(np.int64)


def format_ids(numbers: Int64Array) -> pa.Array:
    """Write many ids at once."""
    digits = numbers.astype(">i8").tobytes().hex().encode()
    bounds = np.arange(len(numbers) + 1, dtype=np.int32) * _DIGITS
    return pa.StringArray.from_buffers(len(numbers), pa.py_buffer(bounds), pa.py_buffer(digits))
