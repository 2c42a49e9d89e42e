"""Average linkage by nearest-neighbour chain."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from transforms.cluster.linkage import average_linkage


def _link(scores: np.ndarray, sizes: list[int], cut: float) -> tuple[list[int], list[float]]:
    a, b = np.triu_indices(len(scores), 1)
    home, weakest = average_linkage(a, b, scores[a, b], np.array(sizes), cut)
    return home.tolist(), weakest.tolist()


@given(st.integers(2, 9), st.integers(0, 10_000))
@settings(max_examples=80, deadline=None)
def test_it_finds_what_scipy_finds(nodes: int, seed: int) -> None:
    scores = np.triu(np.random.default_rng(seed).random((nodes, nodes)), 1)
    scores += scores.T
    distance = 1 - scores
    np.fill_diagonal(distance, 0)
    expected = fcluster(linkage(squareform(distance), "average"), 1 - 0.4, "distance")
    home, _ = _link(scores, [1] * nodes, 0.4)
    assert [[a == b for b in home] for a in home] == [[a == b for b in expected] for a in expected]


def test_an_absent_pair_counts_as_nothing() -> None:
    chain = np.array([[0, 0.8, 0], [0.8, 0, 0.7], [0, 0.7, 0]])
    assert _link(chain, [1, 1, 1], 0.5)[0] == [0, 0, 2]
    assert _link(chain, [1, 1, 1], 0.3) == ([0, 0, 0], [0.35, 0.35, 0.35])


def test_a_node_weighs_as_many_articles_as_it_stands_for() -> None:
    scores = np.array([[0, 0.9, 0.0], [0.9, 0, 0.6], [0.0, 0.6, 0]])
    assert _link(scores, [1, 1, 1], 0.25)[0] == [0, 0, 0]
    assert _link(scores, [3, 1, 1], 0.25)[0] == [0, 0, 2]


def test_a_lone_node_is_its_own_cluster() -> None:
    assert _link(np.zeros((1, 1)), [1], 0.2) == ([0], [1.0])
