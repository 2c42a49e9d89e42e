"""What is known of an outlet from one run to the next: every article once, what is no longer used forgotten."""

import datetime as dt
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from schemas.state import OUTLET_ARTICLES, OUTLET_LINES
from transforms.clean.outlets import STATISTICS
from transforms.clean.remember import Learned, remember

EMPTY = Learned(
    pa.table({}), pa.schema(OUTLET_ARTICLES.fields).empty_table(), pa.schema(OUTLET_LINES.fields).empty_table()
)
BOX, PLACE = 7, 70


def articles(*numbers: int, outlet: str = "a.example", box: int = BOX, day: int | None = 1) -> pa.Table:
    """Articles with a box under a text of their own, teasers at PLACE and body elsewhere."""
    seen = None if day is None else dt.datetime(2024, 5, day, tzinfo=dt.UTC)
    rows: list[dict[str, Any]] = [
        {
            "outlet": outlet,
            "article_id": number,
            "identity": 0,
            "headline_key": 1000 + number,
            "seen": seen,
            "run": 0,
            "keys": [box, *(100 * number + line for line in range(5))],
            "weights": [10] * 6,
            "edges": [True] + [False] * 5,
            "places": [PLACE, PLACE + 1],
            "place_scores": [0.1, 0.9],
        }
        for number in numbers
    ]
    return pa.Table.from_pylist(rows, STATISTICS)


def runs(*deliveries: pa.Table, latest: int = 500) -> Learned:
    """Run after run."""
    learned = EMPTY
    for run, delivery in enumerate(deliveries, start=1):
        learned = remember(delivery, learned.articles, learned.lines, run, latest)
    return learned


def stories(learned: Learned) -> dict[tuple[str, int], int]:
    return {(row["outlet"], row["key"]): row["stories"] for row in learned.lines.to_pylist()}


def test_lines_add_up_over_runs() -> None:
    assert stories(runs(articles(1), articles(2), articles(3)))["a.example", BOX] == 3


def test_an_article_that_is_delivered_again_counts_once() -> None:
    learned = runs(articles(1, 2), articles(2, 3), articles(1, 2, 3))
    assert stories(learned)["a.example", BOX] == 3
    assert learned.articles["article_id"].to_pylist() == [1, 2, 3]


def test_a_changed_version_of_a_known_article_counts_once() -> None:
    again = articles(2).set_column(1, STATISTICS.field("article_id"), pa.array([22]))
    assert stories(runs(articles(1, 2), again))["a.example", BOX] == 2


@given(st.permutations([1, 2, 3, 4, 5]), st.integers(1, 4))
def test_order_and_cutting_into_runs_do_not_matter(order: list[int], cut: int) -> None:
    whole, parts = runs(articles(1, 2, 3, 4, 5)), runs(articles(*order[:cut]), articles(*order[cut:]))
    columns = [name for name in OUTLET_LINES.schema.names if name != "example"]
    assert parts.lines.select(columns).equals(whole.lines.select(columns))
    assert parts.articles.drop_columns("run").equals(whole.articles.drop_columns("run"))


def test_what_an_outlet_stopped_using_is_forgotten() -> None:
    learned = runs(articles(1, 2, 3, day=1), articles(4, 5, 6, box=8, day=2), latest=3)
    assert learned.articles["article_id"].to_pylist() == [4, 5, 6]
    learned = remember(articles(7, box=8, day=3), learned.articles, learned.lines, 3, 3)
    assert ("a.example", BOX) not in stories(learned)
    assert stories(learned)["a.example", 8] == 4


def test_articles_without_a_date_go_first_and_then_those_of_older_runs() -> None:
    learned = runs(articles(5, day=None), articles(4, day=None), articles(1, day=2), latest=2)
    assert learned.articles["article_id"].to_pylist() == [1, 4]


def test_an_outlet_that_a_run_brings_nothing_of_stays_as_it_is() -> None:
    first = runs(articles(1, 2))
    learned = remember(articles(3, 4, outlet="b.example"), first.articles, first.lines, 2, 1)
    assert stories(learned) == {**stories(first), **stories(runs(articles(3, 4, outlet="b.example")))}
    assert set(learned.memory["outlet"].to_pylist()) == {"b.example"}


def test_places_are_scored_over_stories_and_first_seen_is_kept() -> None:
    learned = runs(articles(1, 2, day=1), articles(3, day=9), latest=1)
    place = next(row for row in learned.lines.to_pylist() if row["key"] == PLACE)
    assert (place["place"], place["stories"], round(place["score"], 3)) == (True, 2, 0.1)
    assert (place["first_seen"].day, place["last_seen"].day) == (1, 9)
