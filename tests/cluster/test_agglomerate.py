"""Agglomeration of sparse graphs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.cluster.agglomerate import agglomerate, agglomerate_units, best_other, mean_links


def cluster(nodes: int, edges: dict[tuple[int, int], float], cut: float = 0.1) -> list[int]:
    edges = dict(sorted(edges.items()))
    left = np.array([a for a, _ in edges], np.int32)
    right = np.array([b for _, b in edges], np.int32)
    return agglomerate(nodes, left, right, np.array(list(edges.values()), np.float64), cut)[0].tolist()


def average_linkage(nodes: int, edges: dict[tuple[int, int], float], cut: float) -> list[int]:
    """The same by trying every pair of clusters."""
    groups = [[node] for node in range(nodes)]
    while len(groups) > 1:
        links = [
            (sum(edges.get((min(a, b), max(a, b)), 0) for a in one for b in other) / (len(one) * len(other)), i, j)
            for i, one in enumerate(groups)
            for j, other in enumerate(groups)
            if i < j
        ]
        best, i, j = max(links)
        if best < cut:
            break
        groups[i] += groups.pop(j)
    return [min(group) for node in range(nodes) for group in groups if node in group]


def test_a_chain_does_not_make_a_cluster() -> None:
    chain = {(0, 1): 0.5, (1, 2): 0.12, (2, 3): 0.5}
    assert cluster(4, chain) == [0, 0, 2, 2]


def test_a_clique_does() -> None:
    assert cluster(4, {(a, b): 0.2 for a in range(4) for b in range(a + 1, 4)}) == [0, 0, 0, 0]


def test_no_edges_leave_all_alone() -> None:
    assert cluster(3, {}) == [0, 1, 2]


def test_a_large_loose_story_stays_whole() -> None:
    rng = np.random.default_rng(5)
    edges = {(a, b): 0.4 for a in range(80) for b in range(a + 1, 80) if rng.random() < 0.22}
    assert len(set(cluster(80, edges))) == 1


WEIGHTS = st.dictionaries(
    st.tuples(st.integers(0, 4), st.integers(0, 4)).filter(lambda pair: pair[0] < pair[1]),
    st.floats(0.01, 1, allow_nan=False),
    max_size=10,
)


@given(WEIGHTS.filter(lambda edges: len(set(edges.values())) == len(edges)))
def test_small_clusters_are_average_linkage(edges: dict[tuple[int, int], float]) -> None:
    assert cluster(5, edges, 0.15) == average_linkage(5, edges, 0.15)


def test_mean_links_count_missing_edges_as_nothing() -> None:
    label = np.array([0, 0, 0, 3])
    links = mean_links(label, np.array([0, 1, 2], np.int32), np.array([1, 2, 3], np.int32), np.array([0.4, 0.2, 0.9]))
    assert links.tolist() == [0.2, 0.30000000000000004, 0.1, 1.0]


def test_an_article_with_few_candidates_can_still_be_linked_to_a_large_story() -> None:
    label = np.array([0, *[1] * 100])  # a round-up, and a story of 100, ten of which it was compared with
    left, right, weight = np.zeros(10, np.int32), np.arange(1, 11, dtype=np.int32), np.full(10, 0.3)
    (best, *_), (by_mean, *_) = best_other(label, left, right, weight, np.inf)
    (_, *_), (by_ten, *_) = best_other(label, left, right, weight, 10.0)
    assert best == 1
    assert [by_mean, by_ten] == pytest.approx([0.03, 0.3])


def test_an_article_paired_with_itself_is_linked_to_no_other_story() -> None:
    left, right = np.array([0, 0, 1], np.int32), np.array([0, 1, 1], np.int32)
    best, link = best_other(np.array([0, 1, 2]), left, right, np.array([0.9, 0.2, 0.9]), np.inf)
    assert best.tolist() == [1, 0, -1]
    assert link.tolist() == [0.2, 0.2, 0]


def by_trying_all(
    edges: dict[tuple[int, int], float],
    sizes: list[float],
    within: list[float],
    kept: list[int],
    rank: list[int],
    cuts: list[float],
) -> list[int]:
    """Agglomeration of units by comparing every pair of clusters after every merge."""
    groups = [[unit] for unit in range(len(sizes))]

    def between(one: list[int], other: list[int]) -> float:
        return sum(edges.get((min(a, b), max(a, b)), 0) for a in one for b in other)

    def link(one: list[int], other: list[int]) -> float:
        n, m = (sum(sizes[unit] for unit in group) for group in (one, other))
        w, v = (sum(within[unit] for unit in group) + between(group, group) for group in (one, other))
        power = 1.3 * min(1, max(0, ((n * m) ** 0.5 - 6) / 19))
        return between(one, other) / (n * m) * (n * n / w * m * m / v) ** (power / 2)

    def cut(one: list[int], other: list[int]) -> float:
        counts = [sum(kept[unit] for unit in group) for group in (one, other)]
        if not all(counts):
            return cuts[any(counts)]
        named = [min(rank[unit] for unit in group if kept[unit]) for group in (one, other)]
        goes, stays = counts if named[0] > named[1] else counts[::-1]
        return cuts[1 if stays >= 8 * goes else 2]

    while True:
        found = [
            (link(one, other), i, j)
            for i, one in enumerate(groups)
            for j, other in enumerate(groups)
            if i < j and link(one, other) >= cut(one, other)
        ]
        if not found:
            return [min(group) for unit in range(len(sizes)) for group in groups if unit in group]
        _, i, j = max(found)
        groups[i] += groups.pop(j)


@given(st.integers(2, 9), st.integers(0, 2**32))
def test_units_become_what_trying_all_pairs_makes_of_them(nodes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)  # no two links are equal
    edges = {(a, b): rng.uniform(0.01, 40) for a in range(nodes) for b in range(a + 1, nodes) if rng.random() < 0.7}
    sizes = rng.choice([1.0, 1.0, 2.0, 9.0, 30.0], nodes)
    within = sizes * rng.uniform(1, sizes)
    published = (sizes * rng.integers(0, 2, nodes)).astype(np.int32)
    units = sizes, within, published, rng.permutation(nodes).astype(np.int32), np.array([0.04, 0.1, 0.6])
    ends = np.array(list(edges), np.int32).reshape(-1, 2).T.copy()
    label, weakest = agglomerate_units(*ends, np.array(list(edges.values()), np.float64), *units)
    assert label.tolist() == by_trying_all(edges, *(each.tolist() for each in units))
    assert (weakest >= 0.04).all()


def test_merges_that_make_far_more_links_than_were_given_have_room() -> None:
    edges = {(0, leaf): 1 - leaf / 1000 for leaf in range(1, 31)}  # each merge links the middle to all leaves left
    assert set(cluster(31, edges, 0.02)) == {0}
    assert set(cluster(31, edges, 0.1)) == {0, *range(10, 31)}  # the tenth: .99 over 10
