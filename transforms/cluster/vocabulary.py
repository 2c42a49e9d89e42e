"""How common each term is in news at large: document frequencies of a fixed background, shipped as data.

The background is hashes of stems with the number of articles whose lead, and whose whole text, holds them
(`tests/training/build_background.py` makes it). It is fixed so that the similarity of two articles does not depend
on what else is in the run: with frequencies of the run alone the stories lose 3 points of B-cubed F1.
"""

import functools
from importlib import resources
from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

Float32Array = NDArray[np.float32]
Int32Array = NDArray[np.int32]
UInt32Array = NDArray[np.uint32]

MIN_DF = 2


class Vocabulary(NamedTuple):
    """An open-addressed table of terms (its size a power of two) and the weight of each."""

    slots: Int32Array  # index of a term, or -1
    terms: UInt32Array
    lead_idf: Float32Array
    body_idf: Float32Array
    unknown: tuple[float, float]  # idf of a term that the background lacks, in a lead and in a text


@functools.lru_cache(maxsize=1)
def background() -> Vocabulary:
    """The vocabulary shipped with the package."""
    source = resources.files("transforms.cluster") / "data" / "background.npz"
    with source.open("rb") as file, np.load(file) as data:
        return vocabulary(data["terms"], data["lead_df"], data["body_df"], int(data["articles"]))


def vocabulary(
    terms: UInt32Array, lead_df: NDArray[np.integer], body_df: NDArray[np.integer], articles: int
) -> Vocabulary:
    """Weigh terms by idf = max(0, ln((N + 1) / (df + 1/2))).

    Args:
      terms: distinct hashes, shape (terms,).
      lead_df: articles whose lead holds the term, shape (terms,).
      body_df: articles that hold it at all, shape (terms,).
      articles: N, how many were counted.
    """

    def idf(df: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.maximum(0.0, np.log((articles + 1) / (df + 0.5)))

    rare = float(idf(np.array([MIN_DF - 1.0]))[0])
    return Vocabulary(
        open_slots(terms),
        terms,
        idf(lead_df.astype(np.float64)).astype(np.float32),
        idf(body_df.astype(np.float64)).astype(np.float32),
        (rare, rare),
    )


def open_slots(terms: UInt32Array) -> Int32Array:
    """An open-addressed table of distinct terms: their places, or -1; its size is a power of two."""
    return _slots(terms, 1 << max(4, (2 * len(terms)).bit_length()))


@nb.njit(cache=True, nogil=True)
def find(slots: Int32Array, terms: UInt32Array, term: np.uint32) -> int:
    """Index of a term, or -1."""
    mask = len(slots) - 1
    slot = np.int64(term) & mask
    while slots[slot] >= 0:
        if terms[slots[slot]] == term:
            return slots[slot]
        slot = (slot + 1) & mask
    return -1


@nb.njit(cache=True, nogil=True)
def _slots(terms: UInt32Array, size: int) -> Int32Array:
    slots = np.full(size, -1, np.int32)
    for index in range(len(terms)):
        slot = np.int64(terms[index]) & (size - 1)
        while slots[slot] >= 0:
            slot = (slot + 1) & (size - 1)
        slots[slot] = index
    return slots
