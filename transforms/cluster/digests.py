"""Digests: articles that hold briefs of several unrelated stories and must not tie those together."""

import numba
import numpy as np
from numpy.typing import NDArray

Int64Array = NDArray[np.int64]
FloatArray = NDArray[np.float64]

_NEIGHBOUR = 0.3  # score from which an article counts as a neighbour
_WHOLE = 0.6  # coverage of an article, of a group its median, by one that holds it whole


def digest_edges(  # noqa: PLR0913, PLR0917 -- compiled
    left: Int64Array,
    right: Int64Array,
    score: FloatArray,
    coverage: tuple[NDArray[np.float32], NDArray[np.float32]],
    related: float,
    digest: float,
) -> NDArray[np.bool_]:
    """Find the edges that a digest must lose.

    An article's neighbours fall into groups, tied by scores of at least `related` among themselves. With two groups
    or more it loses its edges to each one whose median coverage of it is below `digest`, unless it is the only one
    that the article holds whole: that is its own text beside a borrowed paragraph, not one of several items. Two
    articles that hold each other whole keep their edge: neither is an item of the other.

    Args:
      left: one end of each edge, ascending with `right`.
      right: the other end.
      score: of each edge.
      coverage: how much of the left end each edge covers, and of the right end.
      related: see above.
      digest: see above.

    Returns:
      shape (edges,), true where the edge falls.
    """
    ids, ends = np.unique(np.concatenate([left, right]), return_inverse=True)
    a, b = ends[: left.size], ends[left.size :]
    near, far = np.concatenate([a, b]), np.concatenate([b, a])
    order = np.lexsort((far, near))
    bounds = np.searchsorted(near[order], np.arange(ids.size + 1))
    cover = np.concatenate(coverage)[order].astype(np.float64)
    held = np.concatenate(coverage[::-1])[order].astype(np.float64)
    edge = order % max(1, left.size)
    falls = _digest_edges(bounds, far[order], edge, cover, held, score, related, digest)
    return np.asarray(falls & (np.minimum(*coverage) < _WHOLE))


@numba.njit(cache=True, nogil=True)
def _median(values):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 -- numba infers
    """The same as numpy's, sorted in place; numpy's takes seconds to compile."""
    for i in range(1, values.size):
        value, k = values[i], i
        while k > 0 and values[k - 1] > value:
            values[k] = values[k - 1]
            k -= 1
        values[k] = value
    return (values[(values.size - 1) // 2] + values[values.size // 2]) / 2


@numba.njit(cache=True, nogil=True)
def _median_of(values, begin, end, group, far, name, count):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, PLR0913, PLR0917 -- compiled
    """Median of an article's `values` to the neighbours in one group."""
    chosen = np.empty(count)
    size = 0
    for j in range(begin, end):
        if group[far[j]] == name:
            chosen[size] = values[j]
            size += 1
    return _median(chosen[:size])


@numba.njit(cache=True, nogil=True)
def _digest_edges(bounds, far, edge, cover, held, score, related, digest):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, C901, PLR0912, PLR0913, PLR0917 -- compiled
    falls = np.zeros(score.size, np.bool_)
    group = np.full(bounds.size - 1, -1, np.int64)  # of each node, among the neighbours of the present one
    for node in range(bounds.size - 1):
        begin, end = bounds[node], bounds[node + 1]
        count = 0
        for i in range(begin, end):
            if score[edge[i]] >= _NEIGHBOUR:
                group[far[i]] = far[i]
                count += 1
        if count > 1:
            changed = True
            while changed:  # the smallest neighbour's number spreads over its group
                changed = False
                for i in range(begin, end):
                    if group[far[i]] < 0:
                        continue
                    for j in range(bounds[far[i]], bounds[far[i] + 1]):
                        other = far[j]
                        if group[other] >= 0 and score[edge[j]] >= related and group[other] < group[far[i]]:
                            group[far[i]] = group[other]
                            changed = True
            groups = 0
            for i in range(begin, end):
                groups += group[far[i]] == far[i]
            if groups > 1:
                little = np.zeros(groups, np.bool_)  # by group: it covers little of the article
                whole = np.zeros(groups, np.bool_)  # the article holds it whole
                names = np.empty(groups, np.int64)
                size = 0
                for i in range(begin, end):
                    if group[far[i]] == far[i]:
                        names[size] = far[i]
                        little[size] = _median_of(cover, begin, end, group, far, far[i], count) < digest
                        whole[size] = _median_of(held, begin, end, group, far, far[i], count) >= _WHOLE
                        size += 1
                for k in range(groups):
                    if little[k] and not (whole[k] and whole.sum() == 1):
                        for j in range(begin, end):
                            if group[far[j]] == names[k]:
                                falls[edge[j]] = True
        for i in range(begin, end):
            group[far[i]] = -1
    return falls
