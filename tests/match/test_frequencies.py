"""Counting grams, and what is an outlet's furniture."""

from collections import defaultdict

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.match.documents import first_of_group, leaders
from transforms.match.frequencies import count_grams
from transforms.match.options import FURNITURE_BIT
from transforms.match.shingles import by_bucket, evident_hashes, mark_furniture, winnow

_ARTICLES = st.lists(
    st.tuples(st.lists(st.integers(1, 12), max_size=8), st.integers(0, 2), st.booleans()), min_size=1, max_size=8
)


@given(_ARTICLES)
@settings(max_examples=100, deadline=None)
def test_counts_equal_plain_counting(articles: list[tuple[list[int], int, bool]]) -> None:
    counted, every, inside = defaultdict(set), defaultdict(set), defaultdict(set)
    for number, (grams, outlet, counts) in enumerate(articles):
        for gram in grams:
            every[gram].add(number)
            if counts:
                counted[gram].add(number)
                inside[gram, outlet].add(number)
    flat = [(gram, number) for number, (grams, _, _) in enumerate(articles) for gram in grams]
    found = count_grams(
        np.array([gram for gram, _ in flat], np.uint64),
        np.array([number for _, number in flat], np.int32),
        np.array([counts for _, _, counts in articles]),
        np.array([outlet for _, outlet, _ in articles], np.int64),
        3,
    )
    for (gram, number), value in zip(flat, found.tolist(), strict=True):
        outlet = articles[number][1]
        furniture = outlet != 0 and len(inside[gram, outlet]) >= 3
        assert value & ~FURNITURE_BIT == max(len(counted[gram]), min(len(every[gram]), 2))
        assert bool(value & FURNITURE_BIT) == furniture


def test_versions_and_clones_are_led_by_what_was_kept_then_by_the_smallest_id() -> None:
    ids, groups = np.array([9, 4, 7, 1]), np.array([5, 5, 6, 5])
    for new, expected in (([True] * 4, [1, 1, 7, 1]), ([False, True, True, True], [9, 9, 7, 9])):
        first = first_of_group(ids, groups, np.array(new))
        assert leaders(ids, groups, first).tolist() == expected
        assert set(ids[first]) == set(expected)
    assert leaders(ids[:0], groups[:0], first_of_group(ids[:0], groups[:0], ids[:0] > 0)).size == 0


def test_a_gram_with_most_words_in_furniture_is_furniture_and_articles_do_not_touch() -> None:
    frequency = np.array([1, FURNITURE_BIT | 3, 1, 1, 1, 1, 1, 1], np.uint16)
    marked = mark_furniture(frequency, np.array([0, 5, 8])) >= FURNITURE_BIT
    assert marked.tolist() == [True, True, True, True, False, False, False, False]


@given(st.lists(st.integers(1, 2**63), min_size=21, max_size=60, unique=True), st.data())
@settings(max_examples=60, deadline=None)
def test_articles_that_share_a_window_share_a_chosen_gram(grams: list[int], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(grams) - 21))
    other = [2**63 + 5, 3, *grams[start : start + 21], 2**63 + 7, 2]
    joined = np.array(grams + other, np.uint64)
    chosen = winnow(joined, np.array([0, len(grams), joined.size]), 21)
    assert set(joined[: len(grams)][chosen[: len(grams)]]) & set(joined[len(grams) :][chosen[len(grams) :]])


@given(st.lists(st.integers(0, 2**64 - 1), max_size=50), st.sampled_from([0, 3, 61]))
@settings(deadline=None)
def test_bucketing_keeps_order_inside_a_bucket(keys: list[int], shift: int) -> None:
    order, ordered, bounds = by_bucket(np.array(keys, np.uint64), 8, shift)
    for bucket in range(8):
        expected = [i for i, k in enumerate(keys) if (k >> shift) % 8 == bucket]
        assert order[bounds[bucket] : bounds[bucket + 1]].tolist() == expected
    assert ordered.tolist() == [keys[i] for i in order]


@given(st.lists(st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(1, 9)), max_size=12), max_size=5))
@settings(deadline=None)
def test_what_is_signed_is_the_evidence_of_articles_that_have_enough(articles: list[list[tuple[int, int]]]) -> None:
    grams = np.array([gram for article in articles for gram, _ in article], np.uint64)
    frequency = np.array([number for article in articles for _, number in article], np.uint16)
    offsets = np.concatenate([[0], np.cumsum([len(article) for article in articles], dtype=np.int64)]).astype(np.int64)
    hashes, bounds = evident_hashes(grams, frequency, offsets, 5, 3)
    for row, article in enumerate(articles):
        evidence = [gram >> 32 for gram, number in article if number <= 5]
        assert hashes[bounds[row] : bounds[row + 1]].tolist() == (evidence if len(evidence) >= 3 else [])
