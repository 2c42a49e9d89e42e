"""Ids: 63-bit integers derived from content, shown as sixteen hexadecimal digits.

Inside the flow an id is a signed 64-bit integer that is never negative (Beam's VarIntCoder fails on
unsigned ones); in the tables it is text, because JSON readers round integers above 2**53.
"""

import functools
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
_LEAD_OF_0300 = 0xCC
_TWO_BYTES = 0x7FF  # the last character that takes no more
_STABLE = (  # first and last of whole blocks of 64 that neither change in normal form C nor combine
    (0x3C0, 0x47F),
    (0x2040, 0x20BF),
    (0x2180, 0x21BF),
    (0x2200, 0x223F),
    (0x2500, 0x27FF),
    (0x4000, 0x9FFF),
    (0xB000, 0xF8FF),
    (0x1F000, 0x1FFFF),
)


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
      text: the received text or HTML, or its UTF-8.
    """
    return stable_hash("article", identity, unicodedata.normalize("NFC", headline), composed(_encoded(text)))


def composed(text: bytes) -> bytes:
    """Put UTF-8 into Unicode's normal form C.

    Most text is in it already, and its bytes tell that several times as fast as its characters: all below U+0300 and in
    `_STABLE` stays as it is, whatever of these stands beside it.
    """
    if text.isascii():
        return text
    units = np.frombuffer(text, np.uint8)
    at = np.flatnonzero(units >= _LEAD_OF_0300)
    if len(at):
        lead, second, third = (units[np.minimum(at + k, len(units) - 1)] for k in range(3))
        marks = (lead == 0xE2) & (second == 0x80) & (third >= 0x82)  # noqa: PLR2004 -- U+2002..U+203F in UTF-8
        if not (_stable_starts()[lead, second] | marks).all():
            return unicodedata.normalize("NFC", text.decode("utf-8", "surrogatepass")).encode("utf-8", "surrogatepass")
    return text


@functools.cache
def _stable_starts() -> NDArray[np.bool_]:
    """By the first two bytes of a character: whether it is in `_STABLE`."""
    table = np.zeros((256, 256), np.bool_)
    for first, last in _STABLE:
        for point in range(first, last, 64):  # characters that differ in their last byte
            encoded = chr(point).encode("utf-8", "surrogatepass")
            table[encoded[0], encoded[1] if point > _TWO_BYTES else slice(None)] = True
    return table


def _encoded(text: str | bytes) -> bytes:
    return text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text


def group_id(kind: str, members: Iterable[int]) -> int:
    """Derive the id of a copy or story from its members, in whatever order they come."""
    return stable_hash(kind, *(format_id(member) for member in sorted(members)))


def format_id(number: int) -> str:
    """Write an id as it stands in the tables."""
    return f"{number:0{_DIGITS}x}"


def parse_id(text: str) -> int:
    """Read an id as it stands in the tables.

    Raises:
      ValueError: `text` is not sixteen hexadecimal digits.
    """
    if len(text) != _DIGITS:
        message = f"{text!r} is not an id: expected {_DIGITS} hexadecimal digits"
        raise ValueError(message)
    return int(text, 16)


def format_ids(numbers: Int64Array) -> pa.Array:
    """Write many ids at once."""
    digits = numbers.astype(">i8").tobytes().hex().encode()
    bounds = np.arange(len(numbers) + 1, dtype=np.int32) * _DIGITS
    return pa.StringArray.from_buffers(len(numbers), pa.py_buffer(bounds), pa.py_buffer(digits))
