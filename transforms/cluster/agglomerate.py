"""Greedy agglomeration of a sparse graph: average linkage of small clusters, centroid cosine of large ones.

A missing edge counts as 0, so a chain of strong pairs does not make a cluster. The merges are exact (a heap with lazy
deletion) and ties go to the earliest members: the result depends on nothing but the graph.
"""

import numba as nb
import numpy as np
from numpy.typing import NDArray

Float64Array = NDArray[np.float64]
Int32Array = NDArray[np.int32]
Int64Array = NDArray[np.int64]

_POWER, _SMALL, _RAMP = 1.3, 6.0, 19.0
_TIMES = 8  # as large as a fragment of it; 5 and 10 score alike


@nb.njit(cache=True, nogil=True)
def _link(between: float, n: float, m: float, within_n: float, within_m: float) -> float:
    """X / (nA nB) · [(nA² / W_A)(nB² / W_B)]^(p/2), p growing from 0 at √(nA nB) = 6 to 1.3 at 25.

    W = n + 2 · internal sum, so that n² / W is 1 in a cluster of equal articles: large clusters are looser inside,
    and what joins them is judged against that.
    """
    average = between / (n * m)
    power = _POWER * min(1.0, max(0.0, (np.sqrt(n * m) - _SMALL) / _RAMP))
    if power == 0.0:
        return average
    return average * ((n * n / within_n) * (m * m / within_m)) ** (power / 2.0)


def agglomerate(
    nodes: int, left: Int32Array, right: Int32Array, weight: Float64Array, cut: float
) -> tuple[Int64Array, Float64Array]:
    """Merge the two clusters of the strongest link until none reaches `cut`.

    Args:
      nodes: how many articles.
      left: first ends of the edges, each pair once, ascending.
      right: other ends, ascending for one left end.
      weight: similarities, above 0.
      cut: least link, above 0.

    Returns:
      the smallest member of each article's cluster, and the lowest link at which that was joined (1 when alone);
      shape (nodes,) each.
    """
    ones = np.ones(nodes)
    nothing = np.zeros(nodes, np.int32)
    return agglomerate_units(left, right, weight, ones, ones, nothing, nothing, np.full(3, cut))


@nb.njit(cache=True, nogil=True)
def _which(known: int, other: int, rank: int, other_rank: int) -> int:
    """Which cut counts for two clusters, see `agglomerate_units`."""
    if not (known and other):
        return 1 if known or other else 0
    goes, stays = (known, other) if rank > other_rank else (other, known)
    return 1 if stays >= _TIMES * goes else 2


@nb.njit(cache=True, nogil=True)
def agglomerate_units(  # noqa: C901, PLR0912, PLR0913, PLR0915, PLR0917 -- one algorithm, one place
    left: Int32Array,
    right: Int32Array,
    between_units: Float64Array,
    sizes: Float64Array,
    within: Float64Array,
    kept: Int32Array,
    rank: Int32Array,
    cuts: Float64Array,
) -> tuple[Int64Array, Float64Array]:
    """The same for clusters that some articles form already, and that nothing splits.

    Args:
      left: first ends of the edges, each pair of units once, ascending.
      right: other ends, ascending for one left end.
      between_units: sums of the similarities between the articles of two units, above 0.
      sizes: articles of each unit, shape (units,).
      within: W of each, as in `_link`; 1 for an article.
      kept: published articles of each unit, 0 for new ones.
      rank: of each unit that was published, distinct: of two that merge that of the lower rank keeps its name.
      cuts: least links of two clusters of which none, one or both hold published articles. Of two that do the second
        counts where that whose name goes holds an eighth of the other's articles or less: few change their story then.

    Returns:
      the smallest unit of each unit's cluster, and the lowest link at which that was joined.
    """
    nodes = len(sizes)
    room = 4 * len(left) + 16
    entry_to = np.empty(room, np.int32)  # linked lists of a cluster's edges, latest neighbour first
    entry_sum = np.empty(room, np.float64)
    entry_next = np.empty(room, np.int32)
    head = np.full(2 * nodes, -1, np.int32)
    size = np.ones(2 * nodes, np.float64)
    inside = np.ones(2 * nodes, np.float64)  # W
    known, named = np.zeros(2 * nodes, np.int32), np.zeros(2 * nodes, np.int32)
    for unit in range(nodes):
        size[unit], inside[unit], known[unit], named[unit] = sizes[unit], within[unit], kept[unit], rank[unit]
    weakest = np.ones(2 * nodes, np.float64)
    alive = np.ones(2 * nodes, np.bool_)
    parent = np.full(2 * nodes, -1, np.int32)
    used = 0
    links = np.empty(len(left) + 16, np.float64)  # a heap, and the two clusters of each link
    ends = np.empty(len(left) + 16, np.int64)
    waiting = 0
    for at in range(len(left)):
        a, b = left[at], right[at]
        _enter(entry_to, entry_sum, entry_next, head, used, a, b, between_units[at])
        _enter(entry_to, entry_sum, entry_next, head, used + 1, b, a, between_units[at])
        used += 2
        link = _link(between_units[at], size[a], size[b], inside[a], inside[b])
        if link >= cuts[_which(known[a], known[b], named[a], named[b])]:
            _push(links, ends, waiting, link, (np.int64(a) << 32) | np.int64(b))
            waiting += 1
    sums = np.zeros(2 * nodes, np.float64)
    seen = np.empty(2 * nodes, np.int32)
    made = nodes
    while waiting:
        a, b = np.int32(ends[0] >> 32), np.int32(ends[0] & 0xFFFFFFFF)
        strongest = links[0]
        waiting -= 1
        _pop(links, ends, waiting)
        if not (alive[a] and alive[b]):
            continue
        alive[a] = alive[b] = False
        count = 0
        between = 0.0
        for one in (a, b):
            at = head[one]
            while at >= 0:
                c = entry_to[at]
                if c in (a, b):
                    between = entry_sum[at]
                elif alive[c]:
                    if sums[c] == 0.0:
                        seen[count] = c
                        count += 1
                    sums[c] += entry_sum[at]
                at = entry_next[at]
        new = np.int32(made)
        made += 1
        parent[a] = parent[b] = new
        weakest[new] = min(strongest, weakest[a], weakest[b])
        size[new] = size[a] + size[b]
        inside[new] = inside[a] + inside[b] + 2.0 * between
        known[new] = known[a] + known[b]
        named[new] = min(named[a], named[b]) if known[a] and known[b] else named[a] if known[a] else named[b]
        if used + 2 * count > room:
            room = 2 * (used + 2 * count)
            entry_to, entry_sum, entry_next = _grown(entry_to, room), _grown(entry_sum, room), _grown(entry_next, room)
        if waiting + count > len(links):
            links, ends = _grown(links, 2 * (waiting + count)), _grown(ends, 2 * (waiting + count))
        for k in range(count):
            c = seen[k]
            _enter(entry_to, entry_sum, entry_next, head, used, new, c, sums[c])
            _enter(entry_to, entry_sum, entry_next, head, used + 1, c, new, sums[c])
            used += 2
            link = _link(sums[c], size[new], size[c], inside[new], inside[c])
            if link >= cuts[_which(known[new], known[c], named[new], named[c])]:
                _push(links, ends, waiting, link, (np.int64(c) << 32) | np.int64(new))
                waiting += 1
            sums[c] = 0.0
    for cluster in range(made - 1, -1, -1):  # what a cluster was merged into is younger than it
        if parent[cluster] >= 0 and parent[parent[cluster]] >= 0:
            parent[cluster] = parent[parent[cluster]]
    smallest = np.full(2 * nodes, -1, np.int64)
    label = np.empty(nodes, np.int64)
    lowest = np.empty(nodes, np.float64)
    for i in range(nodes):
        root = parent[i] if parent[i] >= 0 else i
        if smallest[root] < 0:
            smallest[root] = i
        label[i] = smallest[root]
        lowest[i] = weakest[root]
    return label, lowest


@nb.njit(cache=True, nogil=True)
def _enter(  # noqa: PLR0913, PLR0917 -- a list in four arrays
    entry_to: Int32Array,
    entry_sum: Float64Array,
    entry_next: Int32Array,
    head: Int32Array,
    at: int,
    one: int,
    other: int,
    value: float,
) -> None:
    """Put an edge before the others of a cluster."""
    entry_to[at] = other
    entry_sum[at] = value
    entry_next[at] = head[one]
    head[one] = at


@nb.njit(cache=True, nogil=True)
def _before(links: Float64Array, ends: Int64Array, one: int, other: int) -> bool:
    """Whether a link comes before another: the stronger one, of equal ones that of the earlier clusters."""
    return links[one] > links[other] or (links[one] == links[other] and ends[one] < ends[other])


@nb.njit(cache=True, nogil=True)
def _swap(links: Float64Array, ends: Int64Array, one: int, other: int) -> None:
    link, end = links[one], ends[one]
    links[one] = links[other]
    ends[one] = ends[other]
    links[other] = link
    ends[other] = end


@nb.njit(cache=True, nogil=True)
def _push(links: Float64Array, ends: Int64Array, size: int, link: float, end: int) -> None:
    links[size] = link
    ends[size] = end
    while size > 0 and _before(links, ends, size, (size - 1) // 2):
        _swap(links, ends, size, (size - 1) // 2)
        size = (size - 1) // 2


@nb.njit(cache=True, nogil=True)
def _pop(links: Float64Array, ends: Int64Array, size: int) -> None:
    """Take the first link away; `size` are left."""
    _swap(links, ends, 0, size)
    at = 0
    while 2 * at + 1 < size:
        child = 2 * at + 1
        if child + 1 < size and _before(links, ends, child + 1, child):
            child += 1
        if not _before(links, ends, child, at):
            break
        _swap(links, ends, at, child)
        at = child


@nb.njit(cache=True, nogil=True)
def _grown(values: NDArray[np.generic], room: int) -> NDArray[np.generic]:
    out = np.empty(room, values.dtype)
    for at in range(len(values)):  # a slice would take 3 s to compile
        out[at] = values[at]
    return out


@nb.njit(cache=True, nogil=True)
def mean_links(label: Int64Array, left: Int32Array, right: Int32Array, weight: Float64Array) -> Float64Array:
    """Mean weight from each article to the rest of its cluster, missing edges as 0; 1 when it is alone."""
    sizes = np.zeros(len(label), np.int64)
    total = np.zeros(len(label), np.float64)
    for i in range(len(label)):
        sizes[label[i]] += 1
    for at in range(len(left)):
        if label[left[at]] == label[right[at]]:
            total[left[at]] += weight[at]
            total[right[at]] += weight[at]
    for i in range(len(label)):
        total[i] = total[i] / (sizes[label[i]] - 1) if sizes[label[i]] > 1 else 1.0
    return total


@nb.njit(cache=True, nogil=True)
def best_other(
    label: Int64Array, left: Int32Array, right: Int32Array, weight: Float64Array, most: float
) -> tuple[Int64Array, Float64Array]:
    """The other cluster that each article is linked to most, or -1, and how strongly.

    That is the sum of its weights to the cluster over the cluster's size, or over `most` where it is larger. An edge of
    an article with itself counts for nothing.
    """
    nodes = len(label)
    sizes = np.zeros(nodes, np.int64)
    starts = np.zeros(nodes + 1, np.int64)  # both directions of the edges, by article
    for i in range(nodes):
        sizes[label[i]] += 1
    for at in range(len(left)):
        starts[left[at] + 1] += 1
        starts[right[at] + 1] += 1
    for i in range(nodes):
        starts[i + 1] += starts[i]
    room = starts[:nodes].copy()
    other, weights = np.empty(2 * len(left), np.int64), np.empty(2 * len(left), np.float64)
    for at in range(len(left)):
        a, b = left[at], right[at]
        other[room[a]], weights[room[a]] = label[b], weight[at]
        room[a] += 1
        other[room[b]], weights[room[b]] = label[a], weight[at]  # where a is b, the second of its two places
        room[b] += 1
    sums = np.zeros(nodes, np.float64)
    best, score = np.full(nodes, -1, np.int64), np.zeros(nodes, np.float64)
    for i in range(nodes):
        for at in range(starts[i], starts[i + 1]):
            sums[other[at]] += weights[at]
        for at in range(starts[i], starts[i + 1]):
            mean = sums[other[at]] / min(sizes[other[at]], most)
            if other[at] != label[i] and (mean > score[i] or (mean == score[i] and mean > 0 and other[at] < best[i])):
                best[i], score[i] = other[at], mean
        for at in range(starts[i], starts[i + 1]):
            sums[other[at]] = 0.0
    return best, score
