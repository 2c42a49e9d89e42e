"""Exact average linkage inside one component; a pair without a score counts as 0."""

import numba
import numpy as np
from numpy.typing import NDArray

Int64Array = NDArray[np.int64]
FloatArray = NDArray[np.float64]


def average_linkage(
    left: Int64Array, right: Int64Array, score: FloatArray, size: Int64Array, cut: float
) -> tuple[Int64Array, FloatArray]:
    """Cluster the nodes of a component.

    Args:
      left: one end of each edge, 0..nodes-1; each pair of nodes at most once.
      right: the other end.
      score: of each edge, 0..1.
      size: how many articles each node stands for, shape (nodes,).
      cut: clusters are joined while their average link is at least so much.

    Returns:
      for each node the smallest node of its cluster, and the lowest average link its cluster was joined at (1 when
      alone). Source: Müllner, "Modern hierarchical, agglomerative clustering algorithms", 2011 (nearest-neighbour
      chain; average linkage is reducible, so the chain finds the same joins as always taking the best pair).
    """
    return _chain(left, right, score, size.astype(np.float64), cut)


@numba.njit(cache=True, nogil=True)
def _chain(left, right, score, size, cut):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, C901, PLR0912 -- numba infers
    nodes = size.size
    links = np.zeros((nodes, nodes))  # sums of article-to-article scores between clusters
    for edge in range(left.size):
        a, b = left[edge], right[edge]
        links[a, b] += score[edge] * size[a] * size[b]
        links[b, a] = links[a, b]
    members = size.copy()
    home = np.arange(nodes)
    weakest = np.ones(nodes)
    open_ = np.ones(nodes, np.bool_)
    chain = np.empty(nodes + 1, np.int64)
    depth = 0
    start = 0
    while True:
        if depth == 0:
            while start < nodes and not open_[start]:
                start += 1
            if start == nodes:
                break
            chain[0] = start
            depth = 1
        a = chain[depth - 1]
        before = chain[depth - 2] if depth > 1 else -1
        best, link = -1, -1.0
        for b in range(nodes):
            if open_[b] and b != a:
                value = links[a, b] / (members[a] * members[b])
                if value > link or (value == link and b == before):
                    best, link = b, value
        if best < 0 or link < cut:
            open_[a] = False  # nothing will ever be close enough to it
            depth -= 1
            continue
        if best != before:
            chain[depth] = best
            depth += 1
            continue
        depth -= 2
        keep, gone = min(a, best), max(a, best)
        for b in range(nodes):
            links[keep, b] += links[gone, b]
            links[b, keep] = links[keep, b]
        members[keep] += members[gone]
        weakest[keep] = min(weakest[keep], weakest[gone], link)
        open_[gone] = False
        home[gone] = keep
    for node in range(nodes):
        root = node
        while home[root] != root:
            root = home[root]
        home[node] = root
    for node in range(nodes):
        weakest[node] = weakest[home[node]]
    return home, weakest
