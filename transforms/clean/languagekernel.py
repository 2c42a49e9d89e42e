# ruff: noqa: PLR2004 -- UTF-8 bytes are written as numbers
"""The beginnings of texts → their scripts and function words: compiled, so that an article costs a microsecond.

A sample is folded as `str.casefold` does and cut as `str.split` does, by tables that `language` makes.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from transforms.clean.pagecues import FNV_OFFSET, FNV_PRIME, find

SAMPLE = 300  # characters that are looked at (docs/decisions/0013-metadata.md)
SPACE = 255  # in the place of a script: white space
_FEWEST_LETTERS, _FEWEST_WORDS = 15, 8
_MAIN_SCRIPT = 0.6  # share of the letters
_KANA_SHARE = 0.05  # of East Asian letters: Chinese has none, Japanese rarely under a third
_LEAST_SHARE = 0.15  # of the words that are a language's function words: half in English, a quarter in Turkish
_FEWEST_HITS, _CLEARER = 3, np.float32(1.5)  # or so many of them, and so many times the runner-up


class Scripts(NamedTuple):
    """The tables that a sample is read by."""

    script: NDArray[np.uint8]  # (65536,) number of the script of each letter of the first plane, SPACE, or `none`
    folded: NDArray[np.uint16]  # (65536, 3) case folding, 0 behind its end
    keys: NDArray[np.uint64]  # of a pagecues.Table: `word_hash` → 1 + row of `shares`
    values: NDArray[np.int64]
    shares: NDArray[np.float32]  # (words, 2, languages): 1 in each of a word's languages, then 1 shared among them
    languages: NDArray[np.int64]  # (none,) how many languages each script has that words tell apart; 0 where it is one
    han: int
    kana: int


def word_hash(script: int, word: str) -> int:
    """Hash a word of a script (FNV-1a over code points)."""
    value = int(FNV_OFFSET) ^ script
    for character in word:
        value = ((value ^ ord(character)) * int(FNV_PRIME)) & 0xFFFFFFFFFFFFFFFF
    return value


@njit(cache=True, nogil=True)
def score_samples(data, bounds, line, starts, stops, tables, script, scores):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201, PLR0913, PLR0917 -- compiled: what it reads and what it fills
    """Fill the script of each article's sample, and how much it sounds like the languages of that script.

    Args:
      data: UTF-8.
      bounds: where each text begins in `data`.
      line: numbers of texts.
      starts: shape (articles,), where the sample of each begins in `line`.
      stops: shape (articles,), where it ends.
      tables: Scripts.
      script: shape (articles,), to fill; -1 where it sounds like nothing known.
      scores: shape (articles, languages), zeros, to fill.
    """
    codes = np.empty(3 * SAMPLE, np.int64)
    for article in range(len(starts)):
        size = _read(data, bounds, line, starts[article], stops[article], tables.folded, codes)
        number = _main_script(codes, size, tables.script, len(tables.languages), tables.han, tables.kana)
        if number >= 0:
            if tables.languages[number] == 0:
                scores[article, 0] = 1
            elif not _score_words(codes, size, number, tables, scores[article]):
                number = -1
        script[article] = number


@njit(cache=True, nogil=True)
def _read(data, bounds, line, start, stop, folded, codes):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, PLR0913, PLR0917 -- likewise
    """Fill the folded characters of lines, a space between two; gives how many."""
    size = taken = 0
    for place in range(start, stop):
        if place > start and taken < SAMPLE:
            codes[size] = 32
            size += 1
            taken += 1
        at, end = bounds[line[place]], bounds[line[place] + 1]
        while at < end and taken < SAMPLE:
            code = np.int64(data[at])
            width = 1 if code < 0x80 else 2 if code < 0xE0 else 3 if code < 0xF0 else 4
            if width > 1:
                code &= 0x7F >> width
                for step in range(1, width):
                    code = (code << 6) | (np.int64(data[at + step]) & 0x3F)
            at += width
            taken += 1
            if code >= len(folded):
                codes[size] = code
                size += 1
                continue
            for step in range(3):
                if step == 0 or folded[code, step]:
                    codes[size] = folded[code, step]
                    size += 1
    return size


@njit(cache=True, nogil=True)
def _main_script(codes, size, script, scripts, han, kana):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, PLR0913, PLR0917 -- likewise
    """The script of most letters, -1 where there is none."""
    counts = np.zeros(256, np.int64)
    for code in codes[:size]:
        if code < len(script):
            counts[script[code]] += 1
    letters = counts[:scripts].sum()
    if letters < _FEWEST_LETTERS:
        return -1
    if counts[han] + counts[kana] > _MAIN_SCRIPT * letters:
        return kana if counts[kana] > _KANA_SHARE * letters else han
    most = np.argmax(counts[:scripts])
    return most if counts[most] >= _MAIN_SCRIPT * letters else -1


@njit(cache=True, nogil=True)
def _score_words(codes, size, script, tables, scores):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 -- likewise
    """Fill the share of the words that are each language's; tells whether they are clearly of one.

    A function word seldom touches a comma: that white space alone cuts words loses little.
    """
    keys, values, shares = tables.keys, tables.values, tables.shares  # each access to a tuple of arrays costs a count
    spaces = tables.script
    hits = np.zeros_like(scores)
    basis = FNV_OFFSET ^ np.uint64(script)
    words, word, inside = 0, basis, False
    for at in range(size + 1):
        code = codes[at] if at < size else 32
        if code < len(spaces) and spaces[code] == SPACE:
            if inside:
                words += 1
                row = find(keys, values, word)
                if row:
                    for place in range(len(scores)):
                        hits[place] += shares[row - 1, 0, place]
                        scores[place] += shares[row - 1, 1, place]
            word, inside = basis, False
        else:
            word = (word ^ np.uint64(code)) * FNV_PRIME
            inside = True
    best, second = 0, np.float32(0)
    for place in range(1, len(scores)):
        if scores[place] >= scores[best]:
            best, second = place, scores[best]
        else:
            second = max(second, scores[place])
    if words < _FEWEST_WORDS or scores[best] == 0:
        return False
    clear = hits[best] >= _FEWEST_HITS and scores[best] >= _CLEARER * second
    if not clear and hits[best] < np.float32(_LEAST_SHARE * words):
        return False
    scores /= np.float32(words)
    return True
