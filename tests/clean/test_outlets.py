"""Outlet memory counts distinct stories, never snapshots, never across outlets."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from transforms.clean.outlets import STATISTICS, lookup_keys, memory_of, outlet_buckets, recall

Article = tuple[str, int, list[int]]


def statistics(articles: list[Article], **columns: list[int]) -> pa.Table:
    """One row an article: outlet, id, line keys; each line weighs ten words."""
    rows = [
        {
            "outlet": outlet,
            "article_id": number,
            "identity": columns.get("identity", [0] * len(articles))[at],
            "headline_key": columns.get("headline_key", [0] * len(articles))[at],
            "run": 0,
            "keys": keys,
            "places": [],
            "place_scores": [],
            "weights": [10] * len(keys),
            "edges": [place in {0, len(keys) - 1} for place in range(len(keys))],
        }
        for at, (outlet, number, keys) in enumerate(articles)
    ]
    return pa.Table.from_pylist(rows, STATISTICS)


def stories(table: pa.Table) -> dict[tuple[str, int], int]:
    return {(r["outlet"], r["key"]): r["stories"] for r in memory_of(table).to_pylist()}


def test_a_line_is_counted_once_a_story() -> None:
    table = statistics([("a.example", n, [7, 100 + 10 * n, 101 + 10 * n, 102 + 10 * n]) for n in range(5)])
    assert stories(table) == {("a.example", 7): 5}


def test_snapshots_of_one_article_are_one_story() -> None:
    body = [1, 2, 3, 4, 5, 6]
    assert stories(statistics([("a.example", 1, body), ("a.example", 2, [*body, 9])])) == {}


def test_articles_of_one_address_or_headline_are_one_story() -> None:
    rows: list[Article] = [("a.example", 1, [7, 11, 12, 13]), ("a.example", 2, [7, 21, 22, 23])]
    assert stories(statistics(rows)) == {("a.example", 7): 2}
    assert stories(statistics(rows, identity=[5, 5])) == {}
    assert stories(statistics(rows, headline_key=[5, 5])) == {}


def test_nothing_is_learned_across_outlets() -> None:
    assert stories(statistics([("a.example", 1, [7, 11, 12]), ("b.example", 2, [7, 21, 22])])) == {}


def test_the_same_article_delivered_twice_counts_once() -> None:
    assert stories(statistics([("a.example", 1, [7, 8]), ("a.example", 1, [7, 8])])) == {}


def test_edges_are_counted() -> None:
    table = statistics([("a.example", n, [10 * n + 100, 7, *range(10 * n + 101, 10 * n + 105), 8]) for n in range(3)])
    assert {r["key"]: r["edge_stories"] for r in memory_of(table).to_pylist()} == {7: 0, 8: 3}


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 30), st.lists(st.integers(1, 12), max_size=6)),
        max_size=12,
    ),
    st.randoms(),
)
def test_memory_does_not_depend_on_order_or_blocks(articles: list[Article], random: object) -> None:
    distinct = list({number: (outlet, number, keys) for outlet, number, keys in articles}.values())
    shuffled = list(distinct)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert memory_of(statistics(distinct)).equals(memory_of(statistics(shuffled)))


def test_buckets_hold_whole_outlets() -> None:
    table = statistics([(f"{n % 7}.example", n, [1, 2, 3]) for n in range(40)])
    owners = [set(part["outlet"].to_pylist()) for _, part in outlet_buckets(table, 4)]
    assert sum(len(names) for names in owners) == 7


def test_recall_finds_lines_of_the_outlet_only() -> None:
    memory = memory_of(statistics([("a.example", n, [7, 100 + n, 200 + n, 300 + n]) for n in range(3)]))
    found, edges = recall(memory, pa.array(["a.example", "b.example", None, "a.example"]), np.array([7, 7, 7, 8]))
    assert found.tolist() == [3, 0, 0, 0]
    assert edges.tolist() == [1.0, 0.0, 0.0, 0.0]


def test_lookup_keys_are_not_negative_but_for_unknown_outlets() -> None:
    keys = lookup_keys(pa.array(["a.example", None]), np.array([3, 3]))
    assert keys[0] >= 0
    assert keys[1] == -1
