"""Words of news text as 32-bit hashes of their stems, straight from the UTF-8 bytes of an Arrow column.

A term is a lower-cased word or number: possessives and inner apostrophes off, stop words and single letters out,
English endings cut. Chinese and Japanese give overlapping pairs of characters instead, none with a particle or
hiragana in it.
The hash names the stem for good: the background table ships hashes and no words.
"""

# ruff: noqa: PLR2004 -- the figures are code points and bytes; a name for each would say less

from importlib import resources
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

_PARTICLES = (
    "的了在是我有和就不都一上也很到说說要去你会會着著没沒这這那为為与與及等对對将將已于於从從被其个個们們她他它曜"
)

_WORD = 48  # bytes of a word that count
_NO_BYTES = np.frombuffer(bytes(1), np.uint8)[:0]  # read-only as those of columns are, lest all is compiled again
_FNV_OFFSET = 2166136261
_FNV_PRIME = 16777619


class Terms(NamedTuple):
    """Terms of many texts: those of text i are `hashes[offsets[i]:offsets[i + 1]]`, in reading order."""

    hashes: UInt32Array
    offsets: Int64Array
    starts: Int64Array  # where each stands among the bytes of the column, shape (terms,)
    stops: Int64Array
    marks: UInt8Array  # CAPITAL, OPENING and ADJACENT, or'ed


CAPITAL = 1  # begins with a capital letter
OPENING = 2  # the first word of a line or sentence, or after a quotation mark
ADJACENT = 4  # nothing but a space or hyphen stands between it and the term before
_FOREIGN = 8  # a stop word of another language; such are taken out of texts that have more of them than English ones
_ENGLISH = 16  # an English one; never on a term
_LEAST_FOREIGN = 3


def tokenise(texts: pa.Array, limit: int = 1 << 30) -> Terms:
    """Hash the terms of each text, at most `limit` of them; a null text has none.

    Args:
      texts: a string column.
      limit: terms kept of a text.
    """
    data, offsets = utf8(texts)
    return Terms(*_tokenise(data, offsets, limit, _STOPS, _STOP_KINDS, _CLASSES, _CLOSES, _BREAKS))


def cut(texts: pa.Array, starts: Int64Array, stops: Int64Array) -> pa.Array:
    """The pieces of a column between the byte positions that `Terms` gives, as strings."""
    data, offsets = _cut(utf8(texts)[0], starts, stops)
    return pa.StringArray.from_buffers(len(starts), pa.py_buffer(offsets), pa.py_buffer(data))


@nb.njit(cache=True, nogil=True)
def _cut(data: UInt8Array, starts: Int64Array, stops: Int64Array) -> tuple[UInt8Array, NDArray[np.int32]]:
    offsets = np.zeros(len(starts) + 1, np.int32)
    for i in range(len(starts)):
        offsets[i + 1] = offsets[i] + stops[i] - starts[i]
    out = np.empty(offsets[-1], np.uint8)
    for i in range(len(starts)):
        for k in range(stops[i] - starts[i]):
            out[offsets[i] + k] = data[starts[i] + k]
    return out, offsets


def utf8(texts: pa.Array) -> tuple[UInt8Array, Int64Array]:
    """Bytes of a string column and where each text starts and ends, without copying the bytes."""
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks()
    if texts.null_count:
        texts = texts.fill_null("")
    wide = np.int64 if pa.types.is_large_string(texts.type) else np.int32
    _, starts, data = texts.buffers()
    if starts is None or not len(texts):
        return _NO_BYTES, np.zeros(len(texts) + 1, np.int64)
    offsets = np.frombuffer(starts, wide)[texts.offset : texts.offset + len(texts) + 1].astype(np.int64)
    return (_NO_BYTES if data is None else np.frombuffer(data, np.uint8)), offsets


@nb.njit(cache=True, nogil=True)
def _mix(value: np.uint64, byte: np.uint64) -> np.uint64:
    """One step of FNV-1a, 32 bits."""
    return ((value ^ byte) * np.uint64(_FNV_PRIME)) & np.uint64(0xFFFFFFFF)


@nb.njit(cache=True, nogil=True)
def _stem(word: UInt8Array, size: int, states: NDArray[np.uint64]) -> np.uint64:
    """The hash of a word of a to z without its English ending. After Harman's S stemmer, with -ed and -ing.

    `states` are the hashes of its beginnings: what is left of a word is one of those, but for -ies, which leaves -y.
    """
    last, before, third = word[size - 1], word[size - 2], word[size - 3]  # of a word of two letters, whatever is there
    if (size > 4) & (last == 115) & (before == 101) & (third == 105):  # -ies
        return _mix(states[size - 3], np.uint64(121))
    # from here on without a branch: endings cannot be guessed
    size -= (size > 3) & (last == 115) & (before != 115) & (before != 117) & (before != 105)  # -s; not -ss, -us, -is
    last, before, third = word[size - 1], word[size - 2], word[size - 3]
    ing = (size > 5) & (last == 103) & (before == 110) & (third == 105)
    cut = ing | ((size > 4) & (last == 100) & (before == 101))  # -ing, -ed
    size -= cut + cut + ing + ((size > 4) & (last == 101))  # and -e, as -ed and -ing leave it
    last = word[size - 1]
    size -= cut & (size > 3) & (last == word[size - 2]) & (last != 108) & (last != 115) & (last != 122)
    size -= cut & (size > 4) & (word[size - 1] == 101)
    return states[size]


@nb.njit(cache=True, nogil=True)
def _kind(table: UInt32Array, kinds: UInt8Array, value: np.uint32) -> np.uint8:
    """Look a hash up in an open-addressed table (0 is empty) whose size is a power of two; 0 where it is not there."""
    mask = np.int64(len(table) - 1)
    slot = np.int64(value) & mask
    while table[slot] != 0:
        if table[slot] == value:
            return kinds[slot]
        slot = (slot + 1) & mask
    return np.uint8(0)


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
def _tokenise(  # noqa: C901, PLR0912, PLR0913, PLR0915, PLR0917 -- one pass over the bytes; calls would cost more than the work
    data: UInt8Array,
    offsets: Int64Array,
    limit: int,
    stops: UInt32Array,
    stop_kinds: UInt8Array,
    classes: UInt8Array,
    closes: UInt8Array,
    breaks: UInt8Array,
) -> tuple[UInt32Array, Int64Array, Int64Array, Int64Array, UInt8Array]:
    texts = len(offsets) - 1
    room = (offsets[-1] - offsets[0]) // 2 + texts + 1
    hashes, marks = np.empty(room, np.uint32), np.empty(room, np.uint8)
    starts, stops_at = np.empty(room, np.int64), np.empty(room, np.int64)
    ends = np.zeros(texts + 1, np.int64)
    word = np.empty(_WORD + 4, np.uint8)
    states = np.empty(_WORD + 5, np.uint64)  # the hash of each beginning of the word
    states[0] = _FNV_OFFSET
    count = 0
    for text in range(texts):
        at, stop = offsets[text], offsets[text + 1]
        first = count
        size = 0
        latin = True  # nothing but a to z in the word
        possessive = -1  # length of the word before a last apostrophe
        apostrophe = at  # where that stands
        previous = 0  # last character of a script without spaces
        began = ended = at  # of this word, of the term before
        mark = 0
        opening = OPENING
        english = foreign = 0  # stop words
        while at <= stop and count - first < limit:
            code, step = np.int64(32), 1
            letter = spaceless = inner = False  # inner: may stand inside a word
            if at < stop:
                kind = classes[data[at]]  # the lower-cased character, 0 for a separator, 255 outside ASCII
                if kind == 0:
                    if size == 0:
                        previous = 0
                        opening |= closes[data[at]]
                        at += 1
                        continue
                    code = np.int64(data[at])
                    inner = (code == 39) | (code == 44) | (code == 46)
                elif kind < 255:
                    if size == 0:
                        began = at
                        mark = opening | (CAPITAL if kind != data[at] else 0)
                        opening = 0
                        previous = 0
                    value = states[size]
                    while 0 < kind < 255:
                        if size < _WORD:
                            word[size] = kind
                            size += 1
                            value = _mix(value, np.uint64(kind))
                            states[size] = value
                            latin &= kind >= 97
                        at += 1
                        kind = classes[data[at]] if at < stop else 0
                    continue
                else:
                    code, step = _decode(data, at, stop)
                    inner = code == 0x2019
                    letter = code >= 0xC0 and code not in (0xD7, 0xF7) and not 0x2000 <= code <= 0x2BFF
                    spaceless = 0x3040 <= code <= 0x30FF or 0x3400 <= code <= 0x9FFF
            if letter and not spaceless and not 0x3000 <= code <= 0x303F and not 0xFF00 <= code <= 0xFF0F:
                if size == 0:
                    began = at
                    raised = step == 2 and code & 0x3F != data[at + 1] & 0x3F
                    mark = opening | (CAPITAL if raised else 0)
                    opening = 0
                latin = False
                if size < _WORD:
                    for k in range(step):
                        word[size + k] = data[at + k]
                    if step == 2:
                        word[size] = 0xC0 | (code >> 6)
                        word[size + 1] = 0x80 | (code & 0x3F)
                    for _ in range(step):
                        states[size + 1] = _mix(states[size], np.uint64(word[size]))
                        size += 1
                at += step
                previous = 0
                continue
            if inner and size and at + step < stop:
                after = data[at + step]
                if (code == 39 or step == 3) and ((97 <= (after | 32) <= 122) or after >= 0xC3):
                    possessive = size
                    apostrophe = at
                    at += step
                    continue
                digits = 48 <= word[size - 1] <= 57 and 48 <= after <= 57
                if digits and code == 44:
                    at += step
                    continue
                if digits and code == 46 and size < _WORD:
                    word[size] = 46
                    states[size + 1] = _mix(states[size], np.uint64(46))
                    latin = False
                    size += 1
                    at += step
                    continue
            if size:
                stopped = at
                if possessive >= 0 and size == possessive + 1 and word[possessive] == 115:
                    size = possessive
                    stopped = apostrophe
                if size > 1:
                    whole = np.uint32(states[size])
                    kind = _kind(stops, stop_kinds, whole)
                    if kind == _ENGLISH:
                        english += 1
                    else:
                        foreign += kind == _FOREIGN
                        mark |= kind
                        hashes[count] = np.uint32(_stem(word, size, states) if latin else states[size])
                        starts[count], stops_at[count] = began, stopped
                        if began == ended + 1 and (data[ended] == 32 or data[ended] == 45) and count > first:
                            mark |= ADJACENT
                        marks[count] = mark
                        ended = stopped
                        count += 1
                size = 0
                latin = True
                possessive = -1
            if spaceless and breaks[code]:
                previous = 0
            elif spaceless:
                if previous:
                    both = np.uint64(previous) * np.uint64(0x9E3779B1) + np.uint64(code) * np.uint64(0x85EBCA77)
                    hashes[count] = np.uint32((both ^ (both >> np.uint64(29))) & np.uint64(0xFFFFFFFF))
                    starts[count], stops_at[count], marks[count] = at - 3, at + step, 0
                    count += 1
                previous = int(code)
            else:
                previous = 0
                if at < stop:
                    opening |= closes[data[at]]
                if 0x2010 <= code <= 0x203A:
                    opening |= OPENING
            at += step
        if foreign >= _LEAST_FOREIGN and foreign > english:
            stop, count = count, first
            for one in range(first, stop):
                if not marks[one] & _FOREIGN:
                    hashes[count], marks[count] = hashes[one], marks[one]
                    starts[count], stops_at[count] = starts[one], stops_at[one]
                    count += 1
        ends[text + 1] = count
    return hashes[:count], ends, starts[:count], stops_at[:count], marks[:count]


def _stop_table(english: str, foreign: str) -> tuple[UInt32Array, UInt8Array]:
    """Hashes of stop words and the kind of each; a word of several languages is English."""
    table, kinds = np.zeros(8192, np.uint32), np.zeros(8192, np.uint8)
    for words, kind in ((english, _ENGLISH), (foreign, _FOREIGN)):
        for word in sorted(set(words.split())):
            value = _FNV_OFFSET
            for byte in word.encode():
                value = ((value ^ byte) * _FNV_PRIME) & 0xFFFFFFFF
            slot = value & 8191
            while table[slot] not in {0, value}:
                slot = (slot + 1) & 8191
            if not table[slot]:
                table[slot], kinds[slot] = value, kind
    return table, kinds


def _foreign_stop_words() -> str:
    """Function words and weekdays of German, French, Spanish, Italian, Portuguese, Dutch, Nordic, Polish, Russian."""
    return (resources.files("transforms.cluster") / "data" / "stop_words.txt").read_text(encoding="utf-8")


def _break_table() -> UInt8Array:
    """Characters of scripts without spaces that hold grammar rather than words: hiragana, Chinese particles."""
    table = np.zeros(0xA000, np.uint8)
    table[0x3040:0x30A0] = 1
    table[[ord(character) for character in _PARTICLES]] = 1
    return table


(_STOPS, _STOP_KINDS), _BREAKS = _stop_table(STOP_WORDS, _foreign_stop_words()), _break_table()
_CLASSES = np.array(
    [255 if byte > 127 else ord(chr(byte).lower()) if chr(byte).isalnum() else 0 for byte in range(256)], np.uint8
)
_CLOSES = np.array([OPENING if chr(byte) in '.!?:;"(\n' else 0 for byte in range(256)], np.uint8)  # what follows opens
