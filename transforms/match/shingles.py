"""Grams: hashes of five consecutive words, and the few of them that stand for a passage.

A gram hash has 64 bits; its upper half is what MinHash signs, its lower bits choose the bucket it is counted in.
"""

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from transforms.match.options import FURNITURE_BIT, PASSAGE, SHINGLE
from transforms.match.words import RETURNS

UInt8Array = NDArray[np.uint8]
UInt16Array = NDArray[np.uint16]
UInt32Array = NDArray[np.uint32]
UInt64Array = NDArray[np.uint64]
Int32Array = NDArray[np.int32]
Int64Array = NDArray[np.int64]

# Odd multipliers from the fractional part of the golden ratio (Knuth, TAOCP 3, 6.4) and its iterates.
_MULTIPLIERS = np.array(
    [0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93, 0xA0761D6478BD642F], np.uint64
)


def gram_offsets(word_offsets: Int64Array) -> Int64Array:
    """Bounds of each article's grams, shape (articles + 1,), from the bounds of its words."""
    counts = np.maximum(np.diff(word_offsets) - (SHINGLE - 1), 0)
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])


def hash_grams(words: UInt32Array, word_offsets: Int64Array) -> UInt64Array:
    """Hash every gram of every article, article by article, shape (grams,)."""
    words = words.view()
    words.flags.writeable = False  # as mapped ones are: one compilation serves both
    return _hash_grams(words, word_offsets, gram_offsets(word_offsets), _MULTIPLIERS)


def by_bucket(keys: UInt64Array, buckets: int, shift: int = 0) -> tuple[Int32Array, UInt64Array, Int64Array]:
    """Order keys by bucket, keeping their order inside one.

    Args:
      keys: hashes whose bits from `shift` up are spread evenly.
      buckets: a power of two.
      shift: the lowest of the bits that choose the bucket.

    Returns:
      positions of the keys in the new order, the keys in it, and the bounds of each bucket, shape (buckets + 1,).
    """
    keys = keys.view()
    keys.flags.writeable = False  # as mapped ones are: one compilation serves both
    return _by_bucket(keys, buckets, np.uint64(shift))


def text_keys(words: UInt32Array, word_offsets: Int64Array, ids: Int64Array) -> Int64Array:
    """Hash all words of each article in order, 63 bits; one shorter than a gram gets its id and so equals no other."""
    return _text_keys(words, word_offsets, ids)


def hash_passages(grams: UInt64Array, offsets: Int64Array) -> UInt64Array:
    """Hash the `PASSAGE` words that begin where each gram does, shape (grams,).

    Too few words are left for the last grams of an article: they get the largest value, which is chosen last.
    """
    return _hash_passages(grams, offsets, _MULTIPLIERS[0])


def shareable_passages(frequency: UInt16Array, offsets: Int64Array, cap: int, least: int = 2) -> NDArray[np.bool_]:
    """Whether the passage at each gram can stand in `least`..`cap` articles, judged by its first gram and its last."""
    step = PASSAGE - SHINGLE
    shareable = (frequency >= least) & (frequency <= cap)  # furniture is above any cap
    shareable[:-step] &= shareable[step:]
    shareable[_last_grams(offsets, step)] = False
    return shareable


def _last_grams(offsets: Int64Array, number: int) -> Int64Array:
    last = (offsets[1:, np.newaxis] - 1 - np.arange(number)).astype(np.int64)
    return last[last >= offsets[:-1, np.newaxis]]


def winnow(grams: UInt64Array, offsets: Int64Array, window: int) -> NDArray[np.bool_]:
    """Choose the smallest gram of every window of an article; ties go to the right.

    Two articles that share a run of `window` grams share a chosen one of that run.
    Source: Schleimer, Wilkerson, Aiken, "Winnowing", SIGMOD 2003.
    """
    return _winnow(grams, offsets, window)


def evident_hashes(
    grams: UInt64Array, frequency: UInt16Array, offsets: Int64Array, cap: int, least: int
) -> tuple[UInt32Array, Int64Array]:
    """What MinHash signs: the upper halves of the grams in up to `cap` articles, of articles with `least` of them.

    Returns:
      the hashes, article by article, and the bounds of each article's, shape (articles + 1,).
    """
    return _evident_hashes(grams, frequency, offsets, cap, least)


def returning(flags: UInt8Array, word_offsets: Int64Array, offsets: Int64Array) -> NDArray[np.bool_]:
    """Which grams stand wholly in lines that return in their outlet (`words.RETURNS`).

    Args:
      flags: of every word.
      word_offsets: bounds of each article's words.
      offsets: bounds of each article's grams, of which each begins at a word.

    Returns:
      shape (grams,).
    """
    before = np.concatenate([[0], np.cumsum((flags & RETURNS) != 0)])
    word = np.arange(offsets[-1]) + np.repeat(word_offsets[:-1] - offsets[:-1], np.diff(offsets))
    return np.asarray(before[word + SHINGLE] - before[word] == SHINGLE)


def mark_furniture(frequency: UInt16Array, offsets: Int64Array) -> UInt16Array:
    """Extend `FURNITURE_BIT` to the grams most of whose words stand in a gram that has it.

    Args:
      frequency: shape (grams,), as `frequencies.count_grams` gives it.
      offsets: bounds of each article's grams.

    Returns:
      the same with more bits set.
    """
    return _mark_furniture(frequency, offsets, np.uint16(FURNITURE_BIT))


@numba.njit(cache=True, nogil=True)
def find_slot(keys, key, mask):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201 -- numba infers
    """Where a gram stands in an open-addressed table of `mask` + 1 grams (0 is empty), or the place for it."""
    slot = np.int64((key >> np.uint64(16)) & mask)
    while keys[slot] != 0 and keys[slot] != key:
        slot = (slot + 1) & np.int64(mask)
    return slot


@numba.njit(cache=True, nogil=True)
def _hash_grams(words, word_offsets, offsets, multipliers):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 -- numba infers
    grams = np.empty(offsets[-1], np.uint64)
    times = (multipliers[0], multipliers[1], multipliers[2], multipliers[3], multipliers[4])
    for row in range(offsets.size - 1):
        made = grams[offsets[row] : offsets[row + 1]]
        given = words[word_offsets[row] : word_offsets[row + 1]]
        for k in range(made.size):
            value = np.uint64(given[k]) * times[0] + np.uint64(given[k + 1]) * times[1]
            value += np.uint64(given[k + 2]) * times[2] + np.uint64(given[k + 3]) * times[3]
            value += np.uint64(given[k + 4]) * times[4]
            value ^= value >> np.uint64(32)  # murmur3's finalizer spreads every word over all bits
            value *= np.uint64(0xFF51AFD7ED558CCD)
            value ^= value >> np.uint64(33)
            made[k] = value
    return grams


@numba.njit(cache=True, nogil=True)
def _by_bucket(keys, buckets, shift):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 -- numba infers
    mask = np.uint64(buckets - 1)
    bounds = np.zeros(buckets + 1, np.int64)
    for key in keys:
        bounds[np.int64((key >> shift) & mask) + 1] += 1
    for bucket in range(buckets):
        bounds[bucket + 1] += bounds[bucket]
    free = bounds[:-1].copy()
    order, ordered = np.empty(keys.size, np.int32), np.empty(keys.size, np.uint64)
    for i in range(keys.size):
        home = np.int64((keys[i] >> shift) & mask)
        place = free[home]
        order[place], ordered[place] = i, keys[i]
        free[home] = place + 1
    return order, ordered, bounds


@numba.njit(cache=True, nogil=True)
def _hash_passages(grams, offsets, multiplier):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 -- numba infers
    step = PASSAGE - SHINGLE
    passages = np.full(grams.size, np.uint64(0xFFFFFFFFFFFFFFFF))
    for row in range(offsets.size - 1):
        given, made = grams[offsets[row] : offsets[row + 1]], passages[offsets[row] : offsets[row + 1]]
        for k in range(given.size - step):
            mixed = (given[k] ^ (given[k + step] << np.uint64(1))) * multiplier
            made[k] = mixed ^ (mixed >> np.uint64(29))
    return passages


@numba.njit(cache=True, nogil=True)
def _evident_hashes(grams, frequency, offsets, cap, least):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 -- numba infers
    hashes = np.empty(grams.size + 1, np.uint32)
    bounds = np.zeros(offsets.size, np.int64)
    size = 0
    for row in range(offsets.size - 1):
        first = size
        for gram in range(offsets[row], offsets[row + 1]):
            hashes[size] = grams[gram] >> np.uint64(32)  # overwritten by the next one unless it is evidence
            size += frequency[gram] <= cap  # furniture is above any cap
        if size - first < least:
            size = first
        bounds[row + 1] = size
    return hashes[:size], bounds


@numba.njit(cache=True, nogil=True)
def _text_keys(words, word_offsets, ids):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 -- numba infers
    keys = np.empty(ids.size, np.int64)
    for row in range(ids.size):
        value = np.uint64(0x9E3779B97F4A7C15)
        for word in range(word_offsets[row], word_offsets[row + 1]):
            value = (value ^ np.uint64(words[word])) * np.uint64(0xFF51AFD7ED558CCD)
            value ^= value >> np.uint64(32)
        short = word_offsets[row + 1] - word_offsets[row] < SHINGLE
        keys[row] = ids[row] if short else np.int64(value >> np.uint64(1))
    return keys


@numba.njit(cache=True, nogil=True)
def _winnow(grams, offsets, window):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 -- numba infers
    chosen = np.zeros(grams.size, np.bool_)
    for row in range(offsets.size - 1):
        given, taken = grams[offsets[row] : offsets[row + 1]], chosen[offsets[row] : offsets[row + 1]]
        smallest = 0
        for end in range(given.size):
            begin = end - window + 1
            if smallest < begin:
                smallest = begin
                for k in range(begin + 1, end + 1):
                    if given[k] <= given[smallest]:
                        smallest = k
            elif given[end] <= given[smallest]:
                smallest = end
            if begin >= 0 or end == given.size - 1:
                taken[smallest] = True
    return chosen


@numba.njit(cache=True, nogil=True)
def _mark_furniture(frequency, offsets, bit):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 -- numba infers
    marked = frequency.copy()
    for row in range(offsets.size - 1):
        first, stop = offsets[row], offsets[row + 1]
        nearest: Any = first - SHINGLE  # the last gram so far that is furniture
        for gram in range(first, stop):
            if frequency[gram] & bit:
                nearest = gram
            behind = max(0, nearest + SHINGLE - gram)
            ahead = 0
            for k in range(1, SHINGLE):
                if gram + k < stop and frequency[gram + k] & bit:
                    ahead = SHINGLE - k
                    break
            if 2 * min(SHINGLE, behind + ahead) > SHINGLE:
                marked[gram] |= bit
    return marked
