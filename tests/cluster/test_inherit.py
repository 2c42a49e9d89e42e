"""Ids that stay: whatever clustering makes of the articles, a published id is found again."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from schemas.ids import format_id, stable_hash
from transforms.cluster.inherit import UNKNOWN, inherit


def named(group: list[int], known: list[int], age: list[int] | None = None) -> tuple[list[int], dict[int, int]]:
    """Names, and the aliases old → new."""
    found = inherit(
        np.array(group, np.int64),
        np.array(known, np.int64),
        np.array(age or range(len(group)), np.int64),
        "2",
    )
    return found.name.tolist(), dict(zip(found.old.tolist(), found.new.tolist(), strict=True))


def split(group: int, run: str = "2") -> int:
    return stable_hash("again", run, format_id(group))


def test_a_group_keeps_the_id_of_its_kept_members_and_new_ones_join_it() -> None:
    assert named([70, 70, 70], [1, UNKNOWN, 1]) == ([1, 1, 1], {})


def test_a_group_of_new_articles_has_its_own_name() -> None:
    assert named([70, 71], [UNKNOWN, UNKNOWN]) == ([70, 71], {})


def test_of_merged_ids_the_one_whose_articles_came_first_stays_and_the_other_becomes_its_alias() -> None:
    assert named([70, 70, 70], [1, 2, UNKNOWN], [9, 3, 0]) == ([2, 2, 2], {1: 2})


def test_of_merged_ids_of_one_age_the_smaller_stays() -> None:
    assert named([70, 70], [2, 1], [5, 5]) == ([1, 1], {2: 1})


def test_of_merged_ids_of_one_age_that_of_most_articles_stays() -> None:
    assert named([70, 70, 70], [1, 2, 2], [5, 5, 5]) == ([2, 2, 2], {1: 2})


def test_on_a_split_the_majority_keeps_the_id() -> None:
    assert named([70, 71, 71], [1, 1, 1]) == ([split(70), 1, 1], {})


def test_on_an_even_split_the_group_of_the_smallest_article_keeps_the_id() -> None:
    assert named([71, 70], [1, 1]) == ([1, split(70)], {})


def test_groups_that_split_off_in_two_runs_never_share_a_name() -> None:
    assert split(70, "2") != split(70, "3")


def test_a_group_that_nothing_moved_in_keeps_its_id_whatever_else_there_is() -> None:
    assert named([1, 1, 70, 5], [1, 1, 2, UNKNOWN]) == ([1, 1, 2, 5], {})


@given(st.lists(st.lists(st.integers(0, 4), min_size=8, max_size=8), min_size=1, max_size=6))
def test_after_any_runs_every_id_ever_published_resolves_to_exactly_one_live_id(runs: list[list[int]]) -> None:
    known = np.full(8, UNKNOWN)
    age = np.arange(8)
    merged: dict[int, int] = {}
    published: set[int] = set()
    for number, run in enumerate(runs):
        seen = min(8, 3 + number)  # articles keep coming
        group = 1000 * number + 100 * (
            1 + np.array([min(np.flatnonzero(np.array(run) == label)) for label in run])
        )  # as if by content
        found = inherit(group[:seen], known[:seen], age[:seen], str(number))
        for one in range(seen):
            for other in range(seen):
                assert (found.name[one] == found.name[other]) == (group[one] == group[other])
        merged |= dict(zip(found.old.tolist(), found.new.tolist(), strict=True))
        known[:seen] = found.name
        live = set(found.name.tolist())
        published |= live
        for each in published:
            now = each
            for _ in range(len(merged)):
                now = merged.get(now, now)
            assert now in live
            assert now not in merged
            assert (each in live) == (each not in merged)
