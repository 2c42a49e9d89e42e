"""Words of an article as numbers: one compiled pass over the UTF-8 bytes of a whole block.

A word is a run of letters, marks and digits, compared without case, accents, width (NFKD) or inner apostrophes.
Scripts that write no spaces (Han, kana, Thai, Lao, Khmer, Burmese) give one word a character. Every word carries
where it stands in the text and what stands around it: inside quotation marks, in an embedded post (a paragraph that
ends "(@handle) date"), with a digit, first of a paragraph, a cue that what follows is somebody else's text, in a short
line that is no sentence, in a line that returns in its outlet.
"""

import functools
import io
from dataclasses import dataclass, replace
from importlib import resources
from typing import Any

import numba
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

UInt8Array = NDArray[np.uint8]
UInt32Array = NDArray[np.uint32]
Int32Array = NDArray[np.int32]
Int64Array = NDArray[np.int64]

QUOTED, DIGIT, CUE, PARAGRAPH, LISTED, POSTED, RETURNS = 1, 2, 4, 8, 16, 32, 64  # bits of a word's flags

# Words after which other outlets' text tends to follow. Source: read off the development pairs of `real_pairs` (words
# of attribution only); a paragraph that ends in a colon counts as well.
CUE_WORDS = (
    "according column commentary editorial excerpt excerpted excerpts explained explains noted notes posted quoting "
    "recounted report reported reporting reports tweet tweeted tweets via writes writing wrote"
)

OTHER, WORD, NUMBER, SINGLE, MARK, APOSTROPHE, OPEN, CLOSE, LOW, TOGGLE, BREAK, COLON, SPACE = range(
    13
)  # of code points
TABLE = 0x20000  # code points with a class; those above are OTHER
_CUE_SLOTS = 256
_SIGNATURE = 5  # words: a handle and a date after "(@", with which an embedded post ends
_NEWLINE = ord("\n")
_ITEM = 40  # words; a longer line without an end mark is a paragraph all the same


@dataclass(frozen=True)
class Words:
    """The words of the articles of one block.

    `offsets` has shape (articles + 1,); the words of article r are `[offsets[r]:offsets[r + 1]]` of the other arrays.
    `start` (bytes from the start of the article's text) and `length` (bytes; 0 where it is over 255) say where a word
    stands.
    """

    offsets: Int64Array
    hashes: UInt32Array
    start: Int32Array
    length: UInt8Array
    flags: UInt8Array


def split_words(texts: pa.Array) -> Words:
    """Split the texts of a block.

    Args:
      texts: strings without nulls.
    """
    offsets, data = text_buffers(texts)
    return Words(*_split(data, offsets, *_unicode_tables(), _cue_table()))


def flag_returning(words: Words, texts: pa.Array, line_stories: pa.Array, least: int) -> Words:
    """Set RETURNS for the words of lines that `least` stories of the outlet hold.

    Args:
      words: of the texts.
      texts: a line after another, as CLEAN has them.
      line_stories: for each text how many stories hold each line, or null.
      least: stories.
    """
    offsets, data = text_buffers(texts)
    breaks = np.flatnonzero(data[offsets[0] : offsets[-1]] == _NEWLINE) + offsets[0]
    row = np.repeat(np.arange(len(texts)), np.diff(words.offsets))
    line = np.searchsorted(breaks, offsets[row] + words.start) - np.searchsorted(breaks, offsets[:-1])[row]
    stories = line_stories.flatten().to_numpy()
    sizes = pc.fill_null(pc.list_value_length(line_stories), 0).to_numpy(zero_copy_only=False)
    place = (np.cumsum(sizes) - sizes)[row] + line
    known = line < sizes[row]
    flags = words.flags.copy()
    flags[np.flatnonzero(known)[stories[place[known]] >= least]] |= RETURNS
    return replace(words, flags=flags)


def text_buffers(texts: pa.Array) -> tuple[Int64Array, UInt8Array]:
    """Offsets, shape (texts + 1,), and UTF-8 bytes of a string array, without copying the bytes."""
    offsets = (
        np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts) + 1] if len(texts) else [0]
    )
    data = texts.buffers()[2] if len(texts) else None
    view = np.frombuffer(data or b"", np.uint8)
    view.flags.writeable = False  # as mapped ones are: one compilation serves both
    return np.asarray(offsets, np.int64), view


@functools.cache
def _unicode_tables() -> tuple[UInt8Array, NDArray[np.uint64]]:
    """Class of each code point, and up to four 16-bit units of what it folds to, packed from the low end.

    Shipped as data, so that words do not change with the Unicode version of a Python;
    `tests/training/build_characters.py` makes it.
    """
    data = resources.files("transforms.match").joinpath("data/characters.npz").read_bytes()
    with np.load(io.BytesIO(data)) as tables:
        return tables["classes"], tables["folded"]


@functools.cache
def _cue_table() -> UInt32Array:
    words = pa.array([CUE_WORDS])
    offsets, data = text_buffers(words)
    _, hashes, *_ = _split(data, offsets, *_unicode_tables(), np.zeros(_CUE_SLOTS, np.uint32))
    table = np.zeros(_CUE_SLOTS, np.uint32)
    for value in sorted({int(h) for h in hashes}):
        slot = value % _CUE_SLOTS
        while table[slot]:
            slot = (slot + 1) % _CUE_SLOTS
        table[slot] = value
    return table


@numba.njit(cache=True, nogil=True)
def _is_cue(value, cues):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 -- numba infers
    slot = np.int64(value) & (_CUE_SLOTS - 1)
    while cues[slot] != 0:
        if cues[slot] == value:
            return True
        slot = (slot + 1) & (_CUE_SLOTS - 1)
    return False


@numba.njit(cache=True, nogil=True)
def _split(data, offsets, classes, folded, cues):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, C901, PLR0912, PLR0915 -- one pass, compiled
    rows = offsets.size - 1
    room = (offsets[rows] - offsets[0]) // 2 + rows + 1
    hashes = np.empty(room, np.uint32)
    start = np.empty(room, np.int32)
    length = np.empty(room, np.uint8)
    flags = np.empty(room, np.uint8)
    bounds = np.zeros(rows + 1, np.int64)
    prime = np.uint64(0x100000001B3)  # FNV-1a, over 16-bit units
    basis = np.uint64(0xCBF29CE484222325)
    one = np.uint64(1)  # places are unsigned: numba then need not ask whether one counts from the end
    plain = np.zeros(256, np.uint8)
    for letter in range(128):
        if classes[letter] == WORD or classes[letter] == NUMBER:
            plain[letter] = folded[letter]
    n = 0
    for row in range(rows):
        begin, end = np.uint64(offsets[row]), np.uint64(offsets[row + 1])
        first_of_article = n
        quoted = low = colon = inside = False
        paragraph = True
        ended = False
        first_of_paragraph = handle = n
        value, digit, at, until = basis, 0, begin, begin
        point: Any = 0
        p: Any = begin
        while p <= end:
            here = p
            if p < end and plain[data[p]]:  # most bytes are ASCII letters and digits
                if not inside:
                    inside, value, digit, at = True, basis, 0, p
                unit, least = plain[data[p]], np.uint8(0xFF)
                while unit:
                    value = (value ^ np.uint64(unit)) * prime
                    least = min(least, unit)
                    p += one
                    unit = plain[data[p]] if p < end else np.uint8(0)
                if least < 0x3A:  # noqa: PLR2004 -- compiled
                    digit = DIGIT
                until = here = p
            if p == end:
                point, kind = 0, np.uint8(BREAK)
                p += one
            else:
                byte = np.int64(data[p])
                if byte < 0x80:  # noqa: PLR2004 -- compiled
                    point = byte
                    p += one
                elif byte < 0xE0:  # noqa: PLR2004 -- compiled
                    point = (byte & 0x1F) << 6 | (np.int64(data[p + one]) & 0x3F)
                    p += np.uint64(2)
                elif byte < 0xF0:  # noqa: PLR2004 -- compiled
                    point = (byte & 0x0F) << 12 | (np.int64(data[p + one]) & 0x3F) << 6
                    point |= np.int64(data[p + np.uint64(2)]) & 0x3F
                    p += np.uint64(3)
                else:
                    point = (byte & 7) << 18 | (np.int64(data[p + one]) & 0x3F) << 12
                    point |= (np.int64(data[p + np.uint64(2)]) & 0x3F) << 6 | (np.int64(data[p + np.uint64(3)]) & 0x3F)
                    p += np.uint64(4)
                kind = classes[point] if point < classes.size else np.uint8(SINGLE if point < 0x32000 else OTHER)  # noqa: PLR2004 -- compiled
            if kind in (WORD, NUMBER):
                if not inside:
                    inside, value, digit, at = True, basis, 0, here
                units = folded[point]
                while units:
                    value = (value ^ (units & np.uint64(0xFFFF))) * prime
                    units >>= np.uint64(16)
                if kind == NUMBER:
                    digit = DIGIT
                until = p
                continue
            if inside and kind in (MARK, APOSTROPHE):
                continue
            single = kind == SINGLE
            while inside or single:
                if not inside:  # a character that is a word of its own, after the word before it
                    single = False
                    units = folded[point] if point < folded.size else np.uint64(point)
                    value, digit, at, until = (basis ^ units) * prime, 0, here, p
                inside = False
                mixed = np.uint32((value ^ (value >> np.uint64(29))) >> np.uint64(3))
                if mixed == 0:
                    mixed = np.uint32(1)
                hashes[n] = mixed
                start[n] = at - begin
                length[n] = until - at if until - at < 256 else 0  # noqa: PLR2004 -- compiled
                flags[n] = (QUOTED if quoted else 0) | digit | (PARAGRAPH if paragraph else 0)
                if _is_cue(mixed, cues):
                    flags[n] |= CUE
                n += 1
                paragraph = colon = ended = False
            if kind in (SPACE, SINGLE, MARK):
                continue
            if kind == BREAK:
                if colon and n > first_of_article:
                    flags[n - 1] |= CUE
                if handle > first_of_paragraph and n - handle <= _SIGNATURE:
                    for word in range(first_of_paragraph, n):
                        flags[word] |= POSTED
                if not ended and n - first_of_paragraph <= _ITEM:
                    for word in range(first_of_paragraph, n):
                        flags[word] |= LISTED
                first_of_paragraph = handle = n
                quoted = low = colon = False
                paragraph = True
                continue
            ended = True
            colon = kind == COLON
            if point == 0x40 and p - begin > 1 and data[p - 2] == 0x28:  # noqa: PLR2004 -- compiled; "(@"
                handle = n
            if kind == OPEN:
                quoted, low = not low, False
            elif kind == LOW:
                quoted = low = True
            elif kind == CLOSE:
                quoted = low = False
            elif kind == TOGGLE:
                quoted = not quoted
        bounds[row + 1] = n
    return bounds, hashes[:n], start[:n], length[:n], flags[:n]  # what was never written to takes no memory
