"""Words of news text as 32-bit hashes of their stems, straight from the UTF-8 bytes of an Arrow column.

A term is a lower-cased word or number: possessives and inner apostrophes off, stop words and single letters out,
English endings cut. Scripts written without spaces give overlapping pairs of characters instead.
The hash names the stem for good: the background table ships hashes and no words.
"""

# ruff: noqa: PLR2004 -- the figures are code points and bytes; a name for each would say less

from typing import NamedTuple

import numba as nb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

UInt8Array = NDArray[np.uint8]
UInt32Array = NDArray[np.uint32]
Int64Array = NDArray[np.int64]

STOP_WORDS = """
a about above across after again against ago all almost along also although always am amid among an and another any
anyone anything are around as asked at away back be became because become been before began behind being believe below
between both but by call called came can cannot come could day days did do does doing done down during each either
else end even ever every far few first for former found from full further gave get gets getting give given go goes
going gone got had has have having he her here him himself his how however i if in including instead into is it its
itself just keep know known last late later latest least less like likely ll long look made make makes making many may
me might month months more most mr mrs ms much must my need never new next no nor not nothing now of off often on once
one only or other others our out over own part per perhaps put rather re really said same saw say saying says see seen
set several shall she should show since so some something soon still such take taken than that the their them
themselves then there these they thing things think this those though through thus time times to today together told
tomorrow too took toward towards two under until up upon us use used using ve very via want wanted was way we week
weeks well went were what whatever when where whether which while who whom whose why will with within without would
year years yesterday yet you your don doesn didn won wouldn couldn shouldn isn aren wasn weren hasn haven hadn dont
doesnt didnt wont wouldnt couldnt shouldnt isnt arent wasnt werent hasnt havent hadnt cant im ive youre theyre weve
thats whats lets monday tuesday wednesday thursday friday saturday sunday
"""

_WORD = 48  # bytes of a word that count
_FNV_OFFSET = 2166136261
_FNV_PRIME = 16777619


class Terms(NamedTuple):
    """Terms of many texts: those of text i are `hashes[offsets[i]:offsets[i + 1]]`, in reading order."""

    hashes: UInt32Array
    offsets: Int64Array


def tokenise(texts: pa.Array, limit: int = 1 << 30) -> Terms:
    """Hash the terms of each text, at most `limit` of them; a null text has none.

    Args:
      texts: a string column.
      limit: terms kept of a text.
    """
    data, offsets = utf8(texts)
    return Terms(*_tokenise(data, offsets, limit, _STOPS, _CLASSES))


def utf8(texts: pa.Array) -> tuple[UInt8Array, Int64Array]:
    """Bytes of a string column and where each text starts and ends, without copying the bytes."""
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks()
    if texts.null_count:
        texts = texts.fill_null("")
    wide = np.int64 if pa.types.is_large_string(texts.type) else np.int32
    _, starts, data = texts.buffers()
    if starts is None or not len(texts):
        return np.zeros(0, np.uint8), np.zeros(len(texts) + 1, np.int64)
    offsets = np.frombuffer(starts, wide)[texts.offset : texts.offset + len(texts) + 1].astype(np.int64)
    return (np.zeros(0, np.uint8) if data is None else np.frombuffer(data, np.uint8)), offsets


@nb.njit(cache=True, nogil=True)
def _stem(word: UInt8Array, size: int) -> int:  # noqa: C901 -- one list of endings, in order of trial
    """Cut an English ending in place; return the new length. After Harman's S stemmer, with -ed and -ing."""
    for k in range(size):
        if word[k] < 97 or word[k] > 122:
            return size
    if size > 3 and word[size - 1] == 115:  # -s
        if size > 4 and word[size - 2] == 101 and word[size - 3] == 105:  # -ies
            size -= 2
            word[size - 1] = 121
        elif word[size - 2] not in (115, 117, 105):  # not -ss, -us, -is
            size -= 1
    if size > 5 and word[size - 1] == 103 and word[size - 2] == 110 and word[size - 3] == 105:  # -ing
        size -= 3
    elif size > 4 and word[size - 1] == 100 and word[size - 2] == 101:  # -ed
        size -= 2
    else:
        if size > 4 and word[size - 1] == 101:  # -e, as -ed and -ing leave it
            size -= 1
        return size
    if size > 3 and word[size - 1] == word[size - 2] and word[size - 1] not in (108, 115, 122):
        size -= 1
    if size > 4 and word[size - 1] == 101:
        size -= 1
    return size


@nb.njit(cache=True, nogil=True)
def _hash(word: UInt8Array, size: int) -> np.uint32:
    """FNV-1a, 32 bits."""
    value = np.uint64(_FNV_OFFSET)
    for k in range(size):
        value = ((value ^ np.uint64(word[k])) * np.uint64(_FNV_PRIME)) & np.uint64(0xFFFFFFFF)
    return np.uint32(value)


@nb.njit(cache=True, nogil=True)
def _contains(table: UInt32Array, value: np.uint32) -> bool:
    """Look a hash up in an open-addressed set (0 is empty) whose size is a power of two."""
    mask = np.int64(len(table) - 1)
    slot = np.int64(value) & mask
    while table[slot] != 0:
        if table[slot] == value:
            return True
        slot = (slot + 1) & mask
    return False


@nb.njit(cache=True, nogil=True)
def _decode(data: UInt8Array, at: int, stop: int) -> tuple[np.int64, int]:
    """Code point at a byte, in lower case for Latin, Greek and Cyrillic, and the bytes it takes."""
    first = np.int64(data[at])
    if first < 0x80:
        return (first + 32 if 65 <= first <= 90 else first), 1
    if first < 0xE0 and at + 1 < stop:
        code = ((first & 0x1F) << 6) | (np.int64(data[at + 1]) & 0x3F)
        if (0xC0 <= code <= 0xDE and code != 0xD7) or 0x391 <= code <= 0x3A9 or 0x410 <= code <= 0x42F:
            code += 32
        elif 0x400 <= code <= 0x40F:
            code += 80
        elif 0x100 <= code <= 0x137 or 0x14A <= code <= 0x177:
            code |= 1
        return code, 2
    if first < 0xF0 and at + 2 < stop:
        code = ((first & 0x0F) << 12) | ((np.int64(data[at + 1]) & 0x3F) << 6) | (np.int64(data[at + 2]) & 0x3F)
        return code, 3
    return np.int64(0x10000), min(4, stop - at)


@nb.njit(cache=True, nogil=True)
def _tokenise(  # noqa: C901, PLR0912, PLR0915 -- one pass over the bytes; calls would cost more than the work
    data: UInt8Array, offsets: Int64Array, limit: int, stops: UInt32Array, classes: UInt8Array
) -> tuple[UInt32Array, Int64Array]:
    texts = len(offsets) - 1
    hashes = np.empty((offsets[-1] - offsets[0]) // 2 + texts + 1, np.uint32)
    ends = np.zeros(texts + 1, np.int64)
    word = np.empty(_WORD + 4, np.uint8)
    count = 0
    for text in range(texts):
        at, stop = offsets[text], offsets[text + 1]
        first = count
        size = 0
        possessive = -1  # length of the word before a last apostrophe
        previous = 0  # last character of a script without spaces
        while at <= stop and count - first < limit:
            if at < stop:
                kind = classes[data[at]]  # the lower-cased character, 0 for a separator, 255 outside ASCII
                if 0 < kind < 255:
                    if size < _WORD:
                        word[size] = kind
                        size += 1
                    at += 1
                    continue
                if kind == 0 and size == 0:
                    previous = 0
                    at += 1
                    continue
                code, step = _decode(data, at, stop)
            else:
                code, step = 32, 1
            letter = code >= 0xC0 and code not in (0xD7, 0xF7) and not 0x2000 <= code <= 0x2BFF
            spaceless = 0x3040 <= code <= 0x30FF or 0x3400 <= code <= 0x9FFF
            if letter and not spaceless and not 0x3000 <= code <= 0x303F and not 0xFF00 <= code <= 0xFF0F:
                if size < _WORD:
                    if step == 2:
                        word[size] = 0xC0 | (code >> 6)
                        word[size + 1] = 0x80 | (code & 0x3F)
                    else:
                        for k in range(step):
                            word[size + k] = data[at + k]
                    size += step
                at += step
                previous = 0
                continue
            if size and at + step < stop:
                after = data[at + step]
                if (code in (39, 0x2019)) and ((97 <= (after | 32) <= 122) or after >= 0xC3):
                    possessive = size
                    at += step
                    continue
                digits = 48 <= word[size - 1] <= 57 and 48 <= after <= 57
                if digits and code == 44:
                    at += step
                    continue
                if digits and code == 46 and size < _WORD:
                    word[size] = 46
                    size += 1
                    at += step
                    continue
            if size:
                if possessive >= 0 and size == possessive + 1 and word[possessive] == 115:
                    size = possessive
                if size > 1:
                    value = _hash(word, size)
                    if not _contains(stops, value):
                        hashes[count] = _hash(word, _stem(word, size))
                        count += 1
                size = 0
                possessive = -1
            if spaceless:
                if previous:
                    value = np.uint64(previous) * np.uint64(0x9E3779B1) + np.uint64(code) * np.uint64(0x85EBCA77)
                    hashes[count] = np.uint32((value ^ (value >> np.uint64(29))) & np.uint64(0xFFFFFFFF))
                    count += 1
                previous = code
            else:
                previous = 0
            at += step
        ends[text + 1] = count
    return hashes[:count].copy(), ends


def _stop_table() -> UInt32Array:
    table = np.zeros(2048, np.uint32)
    for word in STOP_WORDS.split():
        data = np.frombuffer(word.encode(), np.uint8)
        value = _FNV_OFFSET
        for byte in data.tolist():
            value = ((value ^ byte) * _FNV_PRIME) & 0xFFFFFFFF
        slot = value & 2047
        while table[slot]:
            slot = (slot + 1) & 2047
        table[slot] = value
    return table


_STOPS = _stop_table()
_CLASSES = np.array(
    [255 if byte > 127 else ord(chr(byte).lower()) if chr(byte).isalnum() else 0 for byte in range(256)], np.uint8
)
