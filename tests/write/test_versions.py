"""Versions of a page are numbered on, whatever run they came in."""

import pyarrow as pa
import pytest

from schemas.ids import format_id
from schemas.state import SEEN
from transforms.write.versions import versions

TIME = pa.timestamp("us", "UTC")


def numbered(
    articles: list[tuple[int, int, int | None]], earlier: list[tuple[int, int, int]] | None = None
) -> dict[int, tuple[int, str | None]]:
    """Version and predecessor of (id, page, time) articles, upon (id, page, version) ones."""
    ids, pages, times = zip(*articles, strict=True)
    table = pa.table({"article_id": ids, "identity": pages, "modified": pa.array(times, TIME)})
    known = pa.Table.from_pylist(
        [dict(zip(SEEN.schema.names, row, strict=True)) for row in earlier or []], schema=SEEN.schema
    )
    found = versions(table, known).to_pylist()
    return {one: (row["version"], row["supersedes"]) for one, row in zip(ids, found, strict=True)}


def test_articles_of_unknown_pages_are_the_only_version() -> None:
    assert numbered([(5, 0, 1), (6, 0, 2)]) == {5: (1, None), 6: (1, None)}


def test_versions_of_one_run_follow_their_time_and_those_without_come_last() -> None:
    assert numbered([(5, 7, None), (6, 7, 2), (9, 7, 1), (8, 3, 4)]) == {
        9: (1, None),
        6: (2, format_id(9)),
        5: (3, format_id(6)),
        8: (1, None),
    }


def test_a_later_run_counts_on_whatever_its_times() -> None:
    known = [(1, 7, 1), (2, 7, 2), (3, 9, 1)]
    assert numbered([(5, 7, 0), (6, 7, 2)], known) == {5: (3, format_id(2)), 6: (4, format_id(5))}


@pytest.mark.parametrize("page", [4, 99])
def test_other_pages_that_are_known_do_not_matter(page: int) -> None:
    assert numbered([(5, page, 1)], [(1, 7, 3)]) == {5: (1, None)}
