# ruff: noqa: PLR2004, PLR1714, RUF001 -- code points and the marks of many scripts are the subject here
"""What can be told of a line from its text alone: compiled, over UTF-8 bytes.

Words are runs of letters and digits; in scripts that set no spaces between words a character counts as 1 / 2.5 words.
"""

import functools

import numpy as np
from numba import njit
from numpy.typing import NDArray

from transforms.clean.pagecues import FNV_OFFSET, FNV_PRIME, Table, find, load_cues

LINE_FEATURES = (
    "words",
    "characters",
    "link_share",
    "links",
    "bold_share",
    "ends_sentence",
    "ends_colon",
    "ends_comma",
    "capital_share",
    "stop_share",
    "digit_share",
    "upper_share",
    "commas",
    "sentences",
    "starts_quote",
    "starts_lower",
    "word_length",
    "wide_share",
    "separators",
    "title_share",
    "starts_link",
    "description_share",
    "images_before",
)
_IS_STOP, _IN_TITLE, _IN_SUMMARY = 1, 2, 4
_LONGEST_TITLE = 1000  # bytes
_LETTER, _UPPER, _DIGIT, _WIDE, _COMMA, _SEPARATOR, _QUOTE = (1 << i for i in range(7))
_SENTENCE_ENDS = np.array(sorted(map(ord, ".!?…”’»\"')。！？」।؟۔")), np.int64)
_SEPARATORS = np.array(sorted(map(ord, "|·•/›>→»-–—#+")), np.int64)
_COMMAS = np.array(sorted(map(ord, ",;、،，")), np.int64)
_QUOTES = np.array(sorted(map(ord, "\"“„«「『‘'")), np.int64)


def word_table(title: str, summary: str) -> Table:
    """Words that a line is looked up in: one table, so that a word costs one look-up; values are the bits below."""
    keys, values = _stop_table()
    keys, values = keys.copy(), values.copy()
    for text, bit in ((title, _IN_TITLE), (summary, _IN_SUMMARY)):
        _add(keys, values, _word_hashes(np.frombuffer(text.encode("utf-8", "replace")[:_LONGEST_TITLE], np.uint8)), bit)
    return Table(keys, values)


@functools.cache
def _stop_table() -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Stop words, with room for all words of a title and a summary."""
    stop_words = load_cues().stop_words
    size = 1 << (2 * (len(stop_words.keys) + 2 * _LONGEST_TITLE)).bit_length()
    keys, values = np.zeros(size, np.uint64), np.zeros(size, np.int64)
    _add(keys, values, stop_words.keys[stop_words.keys != 0], _IS_STOP)
    return keys, values


@njit(cache=True, nogil=True)
def _add(keys, values, hashes, bit):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 -- compiled
    mask = np.uint64(len(keys) - 1)
    for key in hashes:
        place = (key ^ (key >> np.uint64(29))) & mask
        while keys[place] != np.uint64(0) and keys[place] != key:
            place = (place + np.uint64(1)) & mask
        keys[place] = key
        values[place] |= bit


@njit(cache=True, nogil=True, inline="never")
def _decode(text, i):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 -- compiled
    """Code point at i and how many bytes it takes."""
    b = np.int64(text[i])
    if b < 0x80 or i + 1 >= len(text):
        return b, 1
    if b < 0xE0:
        return ((b & 0x1F) << 6) | (np.int64(text[i + 1]) & 0x3F), 2
    if i + 2 >= len(text):
        return b, 1
    if b < 0xF0:
        return ((b & 0x0F) << 12) | ((np.int64(text[i + 1]) & 0x3F) << 6) | (np.int64(text[i + 2]) & 0x3F), 3
    if i + 3 >= len(text):
        return b, 1
    return (
        ((b & 0x07) << 18)
        | ((np.int64(text[i + 1]) & 0x3F) << 12)
        | ((np.int64(text[i + 2]) & 0x3F) << 6)
        | (np.int64(text[i + 3]) & 0x3F)
    ), 4


@njit(cache=True, nogil=True, inline="never")
def _is_wide(cp):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 -- compiled
    """Scripts without spaces between words: Han, kana, Thai, Lao, Khmer, Burmese."""
    return (0x3040 <= cp < 0xA000) or (0x0E00 <= cp < 0x0F00) or (0x1000 <= cp < 0x10A0) or (0x1780 <= cp < 0x1800)


@njit(cache=True, nogil=True, inline="never")
def _is_letter(cp):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 -- compiled
    if cp < 0x80:
        return (48 <= cp <= 57) or (65 <= cp <= 90) or (97 <= cp <= 122)
    return not (
        cp < 0xC0
        or cp == 0xD7
        or cp == 0xF7
        or (0x2000 <= cp < 0x2C00)
        or (0x3000 <= cp < 0x3040)
        or (0xFE10 <= cp < 0xFE70)
        or (0xFF00 <= cp < 0xFF10)
        or cp == 0x060C
        or cp == 0x061F
        or cp == 0x06D4
        or cp == 0x0964
    )


@njit(cache=True, nogil=True, inline="never")
def _among(cp, codes):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 -- compiled
    for code in codes:  # noqa: SIM110 -- numba compiles no generators
        if code == cp:
            return True
    return False


@njit(cache=True, nogil=True, inline="never")
def _kind(cp):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 -- compiled
    """What a code point is to a line, as bits."""
    if _is_wide(cp):
        return _WIDE
    if _is_letter(cp):
        kind = _LETTER
        if 65 <= cp <= 90 or 0xC0 <= cp <= 0xDE or 0x391 <= cp <= 0x3AB or 0x410 <= cp <= 0x42F:
            kind |= _UPPER
        if 48 <= cp <= 57:
            kind |= _DIGIT
        return kind
    kind = 0
    if _among(cp, _COMMAS):
        kind |= _COMMA
    if _among(cp, _SEPARATORS):
        kind |= _SEPARATOR
    if _among(cp, _QUOTES):
        kind |= _QUOTE
    return kind


def _ascii_kinds() -> NDArray[np.int64]:
    """What `_kind` says of the first 128 code points, without running compiled code at import."""
    kinds = np.zeros(0x80, np.int64)
    for cp in range(0x80):
        if chr(cp).isalnum():
            kinds[cp] = _LETTER | (_UPPER if chr(cp).isupper() else 0) | (_DIGIT if chr(cp).isdigit() else 0)
        else:
            for codes, bit in ((_COMMAS, _COMMA), (_SEPARATORS, _SEPARATOR), (_QUOTES, _QUOTE)):
                kinds[cp] |= bit if cp in codes else 0
    return kinds


_ASCII = _ascii_kinds()


@njit(cache=True, nogil=True)
def _word_hashes(text):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 -- compiled
    out = np.zeros(len(text) + 1, np.uint64)
    n = 0
    h = FNV_OFFSET
    inside = False
    i = 0
    while i < len(text):
        cp, size = _decode(text, i)
        if _is_letter(cp) and not _is_wide(cp):
            inside = True
            for k in range(i, i + size):
                b = text[k]
                h = (h ^ np.uint64(b + 32 if 65 <= b <= 90 else b)) * FNV_PRIME
        else:
            if inside:
                out[n] = h
                n += 1
            inside = False
            h = FNV_OFFSET
            if _is_wide(cp):
                out[n] = (FNV_OFFSET ^ np.uint64(cp)) * FNV_PRIME
                n += 1
        i += size
    if inside:
        out[n] = h
        n += 1
    return out[:n]


@njit(cache=True, nogil=True, inline="never")
def describe(text, row, known, automaton):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201, C901, PLR0912, PLR0915 -- compiled: one pass
    """Fill the features of a line that need only its text; gives its cue bits and hash."""
    classes, moves, hits = automaton
    keys, values = known  # taken out once: each access to a tuple of arrays counts a reference
    mask = np.uint64(len(keys) - 1)
    words = 0
    wide = 0
    characters = 0
    capitals = 0
    stop = 0
    digits = 0
    uppers = 0
    letters = 0
    commas = 0
    sentences = 0
    separators = 0
    in_title = 0
    in_summary = 0
    quote = False
    lower = False
    bits = np.int64(0)
    state = np.int64(0)
    total = FNV_OFFSET
    h = FNV_OFFSET
    inside = False
    capital = 0
    last = np.int64(0)
    i = 0
    n = len(text)
    while i <= n:
        cp, size = np.int64(32), 1
        if i < n:
            cp = np.int64(text[i])
            state = np.int64(moves[state, classes[cp]])
            bits |= hits[state]
            characters += 1
            if cp >= 0x80:
                cp, size = _decode(text, i)
                for k in range(i + 1, i + size):
                    state = np.int64(moves[state, classes[text[k]]])
                    bits |= hits[state]
        kind = _ASCII[cp] if cp < 0x80 else _kind(cp)
        if kind & _LETTER:
            if not inside:
                inside = True
                capital = 1 if kind & _UPPER else 0
                if words == 0 and wide == 0:
                    lower = bool(97 <= cp <= 122)
            letters += 1
            if kind & _UPPER:
                uppers += 1
            if kind & _DIGIT:
                digits += 1
            if size == 1:
                h = (h ^ np.uint64(cp + 32 if 65 <= cp <= 90 else cp)) * FNV_PRIME
            else:
                for k in range(i, i + size):
                    h = (h ^ np.uint64(text[k])) * FNV_PRIME
        else:
            if inside:
                words += 1
                capitals += capital
                total = (total ^ h) * FNV_PRIME
                place = (h ^ (h >> np.uint64(29))) & mask  # as in pagecues.find, which would cost a call a word
                while keys[place] != np.uint64(0):
                    if keys[place] == h:
                        found = values[place]
                        stop += found & _IS_STOP
                        in_title += (found & _IN_TITLE) >> 1
                        in_summary += (found & _IN_SUMMARY) >> 2
                        break
                    place = (place + np.uint64(1)) & mask
                inside = False
                h = FNV_OFFSET
            if kind & _WIDE:
                wide += 1
                single = (FNV_OFFSET ^ np.uint64(cp)) * FNV_PRIME
                total = (total ^ single) * FNV_PRIME
                found = find(keys, values, single)
                in_title += (found & _IN_TITLE) >> 1
                in_summary += (found & _IN_SUMMARY) >> 2
            elif kind:
                if words == 0 and wide == 0 and kind & _QUOTE:
                    quote = True
                if kind & _COMMA:
                    commas += 1
                elif kind & _SEPARATOR:
                    separators += 1
        if cp != 32:
            last = cp
        elif last == 46 or last == 33 or last == 63:
            sentences += 1
        if cp == 0x3002:
            sentences += 1
        i += size
    size_words = words + wide / 2.5
    units = max(1.0, words + wide)
    row[0] = size_words
    row[1] = characters
    row[5] = 1.0 if _among(last, _SENTENCE_ENDS) else 0.0
    row[6] = 1.0 if last == 58 or last == 0xFF1A else 0.0
    row[7] = 1.0 if _among(last, _COMMAS) else 0.0
    row[8] = capitals / max(1, words)
    row[9] = stop / max(1, words)
    row[10] = digits / max(1, letters + wide)
    row[11] = uppers / max(1, letters)
    row[12] = commas / max(1.0, size_words)
    row[13] = sentences
    row[14] = 1.0 if quote else 0.0
    row[15] = 1.0 if lower else 0.0
    row[16] = letters / max(1, words)
    row[17] = wide / max(1, characters)
    row[18] = separators / max(1.0, size_words)
    row[19] = in_title / units
    row[21] = in_summary / units
    return bits, total, words + wide > 0
