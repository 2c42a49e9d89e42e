# ruff: noqa: PLR2004, PLR1714 -- UTF-8 bytes are written as numbers, and numba wants plain comparisons
"""One pass over the UTF-8 bytes of lines: their keys, counts and cue words.

A byte costs about four nanoseconds, so that the features of a line cost no Python work on its words.
"""

import numba
import numpy as np
from numpy.typing import NDArray

_PRIME, _BASIS = np.uint64(0x100000001B3), np.uint64(0xCBF29CE484222325)  # FNV-1a, 64 bits
_TOP = np.uint64(0x7FFFFFFFFFFFFFFF)


@numba.njit(cache=True, nogil=True)
def hash_word(word: NDArray[np.uint8]) -> np.uint64:
    """Hash a lower-case word (FNV-1a)."""
    key = _BASIS
    for byte in word:
        key = (key ^ np.uint64(byte)) * _PRIME
    return key


@numba.njit(cache=True, nogil=True)
def has_other_breaks(data: NDArray[np.uint8]) -> bool:
    """Whether UTF-8 holds a line break other than LF: CR, FF, U+0085, U+2028 or U+2029.

    A loop without a way out and without counting from the end, which LLVM turns into vector code.
    """
    found = np.uint8(0)
    second, third = data[1:], data[2:]
    for at in range(third.size):
        one, two, three = data[at], second[at], third[at]
        found |= np.uint8(
            (one == 0x0D)
            | (one == 0x0C)
            | ((one == 0xC2) & (two == 0x85))
            | ((one == 0xE2) & (two == 0x80) & ((three | np.uint8(1)) == 0xA9))
        )
    for at in range(max(0, data.size - 2), data.size):
        found |= np.uint8(
            data[at] == 0x0D or data[at] == 0x0C or (at > 0 and data[at - 1] == 0xC2 and data[at] == 0x85)
        )
    return bool(found)


@numba.njit(cache=True, nogil=True)
def words_of_lines(data: NDArray[np.uint8], bounds: NDArray[np.int64], words: NDArray[np.int32]) -> None:
    """Count the words of each line into `words`: runs between white space, or wide characters / 2.5."""
    for line in range(len(bounds) - 1):
        content = data[bounds[line] : bounds[line + 1]]
        begins = wide = 0
        for at in range(1, len(content)):  # counted without branches, which LLVM turns into vector code
            begins += (content[at] > 32) & (content[at - 1] <= 32)
            wide += (content[at] >= 227) & (content[at] <= 233)
        if len(content):
            begins += content[0] > 32
            wide += (content[0] >= 227) & (content[0] <= 233)
        words[line] = max(begins, int(wide / 2.5))


@numba.njit(cache=True, nogil=True)
def words_with_content(  # noqa: PLR0913, PLR0917 -- what it reads and what it fills
    data: NDArray[np.uint8],
    bounds: NDArray[np.int64],
    slots: NDArray[np.uint64],
    classes: NDArray[np.uint64],
    line_of: NDArray[np.int32],
    hash_of: NDArray[np.uint64],
) -> int:
    """List the words of three bytes or more that are no stop words (class 0), each wide character as a word.

    Args:
      data: UTF-8.
      bounds: shape (lines + 1,), where each line begins in `data`.
      slots: as in `measure_lines`.
      classes: as in `measure_lines`.
      line_of: to fill: the line of each word; as long as `data` and the lines together.
      hash_of: to fill: hash of each word; likewise.

    Returns:
      how many words were listed
    """
    size, count = np.uint64(len(slots)), 0
    for line in range(len(bounds) - 1):
        word, part = _BASIS, 0
        at, stop = bounds[line], bounds[line + 1]
        while at <= stop:
            byte = np.int64(data[at]) if at < stop else np.int64(32)
            byte += 32 * (65 <= byte <= 90)
            wide = 227 <= byte <= 233  # scripts without spaces
            if not wide and (97 <= byte <= 122 or 48 <= byte <= 57 or (byte >= 128 and byte != 226 and byte != 194)):
                word = (word ^ np.uint64(byte)) * _PRIME
                part += 1
                at += 1
                continue
            if part >= 3:
                slot = np.int64(word % size)
                while slots[slot] != 0 and slots[slot] != word:
                    slot = (slot + 1) % len(slots)
                if slots[slot] != word or classes[slot] & np.uint64(1) == 0:
                    line_of[count], hash_of[count] = line, word
                    count += 1
            word, part = _BASIS, 0
            if wide:
                for step in range(min(3, stop - at)):
                    word = (word ^ np.uint64(data[at + step])) * _PRIME
                line_of[count], hash_of[count] = line, word
                count += 1
                word = _BASIS
            at += 3 if wide or byte == 226 else 2 if byte == 194 else 1  # 226 and 194 begin punctuation
    return count


@numba.njit(cache=True, nogil=True)
def measure_lines(  # noqa: C901, PLR0912, PLR0913, PLR0915, PLR0917 -- one pass, which numba wants in one function
    data: NDArray[np.uint8],
    bounds: NDArray[np.int64],
    slots: NDArray[np.uint64],
    classes: NDArray[np.uint64],
    keys: NDArray[np.int64],
    counts: NDArray[np.int32],
    cues: NDArray[np.uint64],
) -> None:
    """Measure lines into `keys`, `counts` (textlines.COUNTS) and `cues`.

    Args:
      data: UTF-8.
      bounds: shape (lines + 1,), where each line begins in `data`.
      slots: open-addressing table of word hashes, 0 where empty.
      classes: for each slot, five word classes in the low bits and phrase rules above them.
      keys: shape (lines,), to fill: hash of letters and digit runs, so that digits, case and punctuation do not matter.
      counts: shape (lines, 15), zeros, to fill.
      cues: shape (lines,), to fill: union of the phrase rules of the words.
    """
    size = np.uint64(len(slots))
    for line in range(len(bounds) - 1):
        key, word, cue = _BASIS, _BASIS, np.uint64(0)
        letters = capitals = part = 0  # of the word between white space; of the part that is looked up
        first_capital = has_digit = seen = digit_run = False
        characters = words = wide = capitalised = upper = numbers = quotes = commas = marks = ending = opening = 0
        at, stop = bounds[line], bounds[line + 1]
        while at <= stop:
            byte = np.int64(data[at]) if at < stop else np.int64(32)
            characters += 1
            if 97 <= byte <= 122 or 65 <= byte <= 90:
                if byte <= 90:
                    first_capital |= letters == 0
                    capitals += 1
                    byte += 32
                elif not seen and opening == 0:
                    opening = 1
                key = (key ^ np.uint64(byte)) * _PRIME
                word = (word ^ np.uint64(byte)) * _PRIME
                letters += 1
                part += 1
                ending = 0
                seen, digit_run = True, False
                at += 1
                continue
            if 48 <= byte <= 57:
                if not digit_run:
                    key = (key ^ np.uint64(48)) * _PRIME
                has_digit, digit_run, ending = True, True, 0
                space = apostrophe = letter = False
                width = 1
            else:
                digit_run = space = apostrophe = letter = False
                width = 1
                if byte < 128:
                    if byte == 32 or byte == 9:
                        space = True
                    elif byte == 46 or byte == 33:  # . !
                        ending = 4 if ending == 1 and byte == 46 else 1
                    elif byte == 44 or byte == 59:  # , ;
                        commas += 1
                        ending = 0
                    elif byte == 39:  # '
                        apostrophe = True
                    elif byte == 34:  # "
                        quotes += 1
                        if characters == 1:
                            opening = 2
                    elif byte == 63:
                        ending = 2
                    elif byte == 58:
                        ending = 3
                    elif byte != 41 and byte != 93:  # ) ] may close after the full stop
                        ending = 0
                        marks += (
                            byte == 124 or byte == 47 or byte == 64 or byte == 62 or byte == 95 or byte == 35
                        )  # | / @ > _ #
                        if characters == 1 and (byte == 45 or byte == 42):  # - *
                            opening = 2
                else:
                    width = 2 if byte < 224 else 3 if byte < 240 else 4
                    second = np.int64(data[at + 1]) if at + 1 < stop else np.int64(0)
                    third = np.int64(data[at + 2]) if at + 2 < stop else np.int64(0)
                    if byte == 226 and second == 128:  # U+2000..203F: spaces, dashes, quotes
                        if third <= 139 or third == 175:
                            space = True
                        elif third == 152 or third == 153:  # single quotes
                            apostrophe = True
                        elif third == 156 or third == 157:  # double quotes
                            quotes += 1
                            if characters == 1:
                                opening = 2
                        elif third == 166:  # ellipsis
                            ending = 4
                        else:
                            ending = 0
                            if third == 162:  # bullet
                                marks += 1
                                if characters == 1:
                                    opening = 2
                    elif byte == 194 and second == 160:  # no-break space
                        space = True
                    elif byte == 194 and (second == 187 or second == 171):  # guillemets
                        marks += 1
                    elif byte == 227 and second == 128:  # CJK punctuation
                        space = third == 128
                        ending = 1 if third == 130 else ending
                    elif byte == 224 and second == 165 and (third == 164 or third == 165):  # danda
                        ending = 1
                    else:
                        letter = True
                        marks += byte == 194 and second == 169  # copyright sign
                        wide += int(227 <= byte <= 233)  # scripts without spaces
                        if letters == 0 and (
                            (byte == 195 and 128 <= second <= 158)  # capitals with accents, Cyrillic, Greek
                            or (byte == 208 and 144 <= second <= 175)
                            or (byte == 206 and 145 <= second <= 169)
                        ):
                            first_capital = True
                            capitals += 1
                        for step in range(width):
                            value = np.uint64(data[at + step]) if at + step < stop else np.uint64(0)
                            key = (key ^ value) * _PRIME
                            word = (word ^ value) * _PRIME
                        letters += 1
                        part += 1
                        ending = 0
                        seen = True
            if part and not letter and not apostrophe:
                slot = np.int64(word % size)
                while slots[slot] != 0 and slots[slot] != word:
                    slot = (slot + 1) % len(slots)
                if slots[slot] == word:
                    cue |= classes[slot]
                    for bit in range(5):
                        counts[line, 5 + bit] += np.int32((classes[slot] >> np.uint64(bit)) & np.uint64(1))
                word, part = _BASIS, 0
            if space:
                if letters or has_digit:
                    words += 1
                    capitalised += first_capital
                    upper += letters > 1 and capitals == letters
                    numbers += has_digit
                letters = capitals = 0
                first_capital = has_digit = False
            at += width
        key = (key ^ (key >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
        keys[line] = np.int64((key ^ (key >> np.uint64(32))) & _TOP)
        cues[line] = cue >> np.uint64(5)
        counts[line, 0] = characters - 1
        counts[line, 1] = max(words, int(wide / 2.5))
        counts[line, 2], counts[line, 3], counts[line, 4] = capitalised, upper, numbers
        counts[line, 10], counts[line, 11], counts[line, 12] = ending, opening, quotes
        counts[line, 13], counts[line, 14] = commas, marks


@numba.njit(cache=True, nogil=True)
def sift(  # noqa: PLR0913, PLR0917 -- what it reads and what it changes
    data: NDArray[np.uint8],
    bounds: NDArray[np.int64],
    classes: NDArray[np.uint8],
    moves: NDArray[np.int16],
    hits: NDArray[np.int64],
    bits: NDArray[np.int64],
) -> None:
    """Clear the bits of each line whose group has no string in it.

    Args:
      data: UTF-8.
      bounds: shape (lines + 1,), where each line begins in `data`.
      classes: of a pagecues.Automaton.
      moves: likewise.
      hits: likewise.
      bits: shape (lines,), a bit a group.
    """
    width, flat = np.uint64(moves.shape[1]), moves.ravel()
    for line in range(len(bounds) - 1):
        if bits[line] == 0:
            continue
        state, found = np.uint64(0), hits[0]
        for at in range(bounds[line], bounds[line + 1]):
            state = np.uint64(flat[state * width + np.uint64(classes[data[at]])])  # unsigned: no index from the end
            found |= hits[state]
        bits[line] &= found


@numba.njit(cache=True, nogil=True)
def characterise(data: NDArray[np.uint8], bounds: NDArray[np.int64], kinds: NDArray[np.uint8]) -> None:
    """Tell of each text whether it holds `<` (1) and whether it may not be in Unicode's form NFC (2).

    Characters below U+0300 are in form C, and the dashes and quotes of U+2010..2027; `unicodedata` knows the others.

    Args:
      data: UTF-8.
      bounds: shape (texts + 1,), where each begins in `data`.
      kinds: shape (texts,), to fill.
    """
    for text in range(len(bounds) - 1):
        content = data[bounds[text] : bounds[text + 1]]
        angle = high = np.uint8(0)
        for byte in content:  # without a way out, which LLVM turns into vector code
            angle |= np.uint8(byte == 0x3C)
            high |= byte
        other = False
        if high & 0x80:
            for at in range(len(content)):
                byte = content[at]
                if byte >= 0xCC:
                    other |= byte != 0xE2 or content[at + 1] != 0x80 or not 0x90 <= content[at + 2] <= 0xA7
        kinds[text] = angle | np.uint8(2 * other)
