"""Connected components over fat edge blocks."""

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.cluster.components import EDGES, SpanForest, components

_PAIRS = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)).filter(lambda p: p[0] != p[1]), max_size=40)


def _edges(pairs: list[tuple[int, int]]) -> pa.Table:
    return pa.table([[a for a, _ in pairs], [b for _, b in pairs]], schema=EDGES)


def _by_hand(pairs: list[tuple[int, int]]) -> dict[int, int]:
    home = {end: end for pair in pairs for end in pair}
    for _ in home:
        for a, b in pairs:
            home[a] = home[b] = min(home[a], home[b])
    return home


@given(_PAIRS)
@settings(max_examples=80, deadline=None)
def test_an_article_is_labelled_with_the_smallest_it_hangs_together_with(pairs: list[tuple[int, int]]) -> None:
    ids, home = components(*(np.array([pair[side] for pair in pairs], np.int64) for side in (0, 1)))
    assert dict(zip(ids.tolist(), home.tolist(), strict=True)) == _by_hand(pairs)


@given(_PAIRS, st.integers(1, 5))
@settings(max_examples=80, deadline=None)
def test_forests_of_parts_join_to_the_same_components(pairs: list[tuple[int, int]], size: int) -> None:
    combine = SpanForest()
    parts = [
        combine.compact(combine.add_input(combine.create_accumulator(), _edges(pairs[start : start + size])))
        for start in range(0, len(pairs), size)
    ]
    found = combine.extract_output(combine.merge_accumulators(parts))
    assert dict(zip(found["article_id"].to_pylist(), found["component"].to_pylist(), strict=True)) == _by_hand(pairs)


def test_a_forest_has_fewer_edges_than_articles() -> None:
    combine = SpanForest()
    everything = [(a, b) for a in range(30) for b in range(a + 1, 30)]
    (forest,) = combine.compact(combine.add_input(combine.create_accumulator(), _edges(everything)))
    assert forest.num_rows == 29
