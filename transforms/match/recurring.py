"""Two editions of a recurring report: the same words around other figures (weather, markets, scores, police log)."""

import numba
import numpy as np
from numpy.typing import NDArray

from transforms.match.words import DIGIT

_FEWEST = 4  # numbers that make a report of figures
_DENSE = 25  # words to one number at most, in such a report
_SHARED = 3  # less than one in so many numbers of the poorer side shared: another edition


def other_editions(
    lefts: NDArray[np.int64],
    rights: NDArray[np.int64],
    words: NDArray[np.uint32],
    flags: NDArray[np.uint8],
    offsets: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Which pairs are two reports full of figures that share few of them.

    A copy keeps its figures, a later edition of a recurring report changes them. Of 40,885 true pairs of simulated
    syndication 3 look so, of 994 false ones 70; see docs/decisions/0014-quality-of-copies.md.

    Args:
      lefts: shape (pairs,), articles.
      rights: shape (pairs,), articles.
      words: hashes, one article after another.
      flags: of the words.
      offsets: shape (articles + 1,), into `words`.

    Returns:
      shape (pairs,).
    """
    numeric = (flags & DIGIT) != 0
    starts = np.concatenate([[0], np.cumsum(numeric)])[offsets]
    article = np.repeat(np.arange(offsets.size - 1), np.diff(starts))
    numbers = words[numeric]
    numbers = numbers[np.lexsort((numbers, article))]
    sizes = np.diff(starts)
    full = (sizes >= _FEWEST) & (sizes * _DENSE >= np.diff(offsets))
    found = np.zeros(lefts.size, bool)
    at = np.flatnonzero(full[lefts] & full[rights])
    shared = _shared(lefts[at], rights[at], numbers, starts)
    found[at] = shared * _SHARED < np.minimum(sizes[lefts[at]], sizes[rights[at]])
    return found


@numba.njit(cache=True, nogil=True)
def _shared(lefts, rights, numbers, starts):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 -- numba infers
    """How many numbers two articles share, repeated ones as often as both have them."""
    shared = np.zeros(lefts.size, np.int64)
    for pair in range(lefts.size):
        i, j = starts[lefts[pair]], starts[rights[pair]]
        last, end = starts[lefts[pair] + 1], starts[rights[pair] + 1]
        while i < last and j < end:
            if numbers[i] == numbers[j]:
                shared[pair] += 1
                i += 1
                j += 1
            elif numbers[i] < numbers[j]:
                i += 1
            else:
                j += 1
    return shared
