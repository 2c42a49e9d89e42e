"""Who had a text first."""

import pytest

from schemas.contract import CONTRACT_VERSION
from schemas.tables import COPIES
from transforms.write.sources import Source, agency_of, likely_source


@pytest.mark.parametrize(
    ("outlet", "opening", "lines", "agency"),
    [
        ("x.example", "LIMA (AP) — The river rose.", [], "Associated Press"),
        ("x.example", "The river rose.", ["Reporting by a desk; Reuters"], "Reuters"),
        ("reuters.com", "The river rose.", [], "Reuters"),
        ("x.example", "The river rose.", ["AFP Photo / A. Name"], None),
        ("x.example", "The APs of this world met Reutersward.", ["Maps by our own desk"], None),
        (None, "SYDNEY (AAP) - The river rose.", [], "Australian Associated Press"),
    ],
)
def test_an_agency_is_known_by_dateline_credit_or_outlet(
    outlet: str | None, opening: str, lines: list[str], agency: str | None
) -> None:
    assert agency_of(outlet, opening, lines) == agency


def test_the_agency_that_most_members_name_is_the_source() -> None:
    found = likely_source(["Reuters", None, "Reuters", "Associated Press"], ["a", "b", "c", "d"], [1, 0, 2, 3])
    assert found == Source("Reuters", "credit", 0.5)


def test_without_an_agency_the_earliest_is_as_likely_as_the_dates_are_complete() -> None:
    assert likely_source([None] * 2, ["a", "b"], [5, 3]) == Source("b", "earliest", 1.0)
    assert likely_source([None] * 2, ["a", "b"], [5, None]) == Source("a", "earliest", 0.5)
    assert likely_source([None] * 2, ["b", "a"], [5, 5]) == Source("a", "earliest", 0.5)
    assert likely_source([None] * 2, ["a", None], [None, None]) == Source(None, None, None)
    assert likely_source([None] * 3, ["b", None, "a"], [5, 5, 7]) == Source("b", "earliest", 1.0)
    assert likely_source([None] * 2, ["a", None], [5, 3]) == Source(None, None, None)


def test_the_minor_version_only_adds_columns_that_may_be_null() -> None:
    first = ["copy_id", "story_id", "representative_id", "headline", "n_articles", "n_outlets", "outlets"]
    first += ["first_outlet", "first_published", "last_published", "weakest_link", "members"]
    assert CONTRACT_VERSION == "1.2"
    assert [(c.field_id, c.name) for c in COPIES.columns[:12]] == list(enumerate(first, 1))
    assert [(c.name, c.nullable) for c in COPIES.columns[12:]] == [
        (name, True) for name in ("source", "source_evidence", "source_confidence")
    ]
