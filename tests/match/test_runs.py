"""Shared runs are those that matching gram by gram gives."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.match import runs
from transforms.match.runs import index_grams, runs_in_order, runs_of_both, workspace

Side = list[tuple[int, int]]  # place and gram
Run = tuple[int, int, int]

_SIDES = st.lists(st.tuples(st.integers(1, 3), st.integers(1, 9)), max_size=14)  # step from the place before, gram


def _side(steps: list[tuple[int, int]]) -> Side:
    places = np.cumsum([step for step, _ in steps]).tolist()
    return [(place - 1, gram << 60 | gram << 16) for place, (_, gram) in zip(places, steps, strict=True)]


def _arrays(side: Side) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    at = [place for place, _ in side]
    ends = [*[k for k, (a, b) in enumerate(pairwise(at), 1) if b != a + 1], len(at)]
    reach = [min(end for end in ends if end > k) - k for k in range(len(at))]
    return np.array([gram for _, gram in side], np.uint64), np.array(at, np.int32), np.array(reach, np.int32)


def _plain(side: Side, other: Side) -> list[Run]:
    """Match each gram to the first equal one after the match before, else to the first of all."""
    found: list[list[int]] = []
    last = -1
    for place, gram in side:
        equal = [k for k, (_, theirs) in enumerate(other) if theirs == gram]
        if not equal:
            continue
        last = next((k for k in equal if k > last), equal[0])
        to = other[last][0]
        if found and (place, to) == (found[-1][0] + found[-1][2], found[-1][1] + found[-1][2]):
            found[-1][2] += 1
        else:
            found.append([place, to, 1])
    return [(at, to, grams) for at, to, grams in found]


@given(_SIDES, st.lists(_SIDES, min_size=1, max_size=3))
@settings(deadline=None, max_examples=300)
def test_runs_are_those_of_matching_gram_by_gram(
    left: list[tuple[int, int]], rights: list[list[tuple[int, int]]]
) -> None:
    work = workspace(14)
    a = _side(left)
    mask = index_grams(_arrays(a)[0], work)
    found, other = np.zeros((14, 3), np.int32), np.zeros((14, 3), np.int32)
    for right in rights:  # one after another against the same index
        b = _side(right)
        number = runs_in_order(_arrays(a), _arrays(b), work, mask, other)
        if number >= 0:
            assert [tuple(run) for run in other[:number].tolist()] == _plain(b, a)
            assert [(to, at, grams) for at, to, grams in other[:number].tolist()] == _plain(a, b)
        ours, theirs = runs_of_both(_arrays(a), _arrays(b), work, mask, found, other)
        assert [tuple(run) for run in other[:theirs].tolist()] == _plain(b, a)
        assert [tuple(run) for run in found[:ours].tolist()] == _plain(a, b)


def test_text_in_one_order_without_repeats_needs_no_matching_gram_by_gram() -> None:
    a, b = [(k, 1000 + k << 20) for k in range(10)], [(k, 997 + k << 20) for k in range(10)]
    work = workspace(10)
    found = np.zeros((10, 3), np.int32)
    assert runs_in_order(_arrays(a), _arrays(b), work, index_grams(_arrays(a)[0], work), found) == 1
    assert found[0].tolist() == [3, 0, 7]
    again = [*b, (12, 1001 << 20)]
    assert runs_in_order(_arrays(a), _arrays(again), work, index_grams(_arrays(a)[0], work), found) == -1


def test_a_gram_repeated_without_end_is_searched_for_once_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    search, searches = runs._next_match.py_func, []  # noqa: SLF001 -- its calls are what grows

    def counted(first: int, after: np.ndarray, last: int) -> int:
        searches.append(last)
        found: int = search(first, after, last)
        return found

    monkeypatch.setattr(runs, "_next_match", counted)
    a, b = ([(place, 7 << 16) for place in range(size)] for size in (50, 100))
    work = workspace(100)
    mask = index_grams(_arrays(a)[0], work)
    room = np.zeros((100, 3), np.int32), np.zeros((100, 3), np.int32)
    assert runs_of_both.py_func(_arrays(a), _arrays(b), work, mask, *room) == (1, 2)
    assert len(searches) == 3
