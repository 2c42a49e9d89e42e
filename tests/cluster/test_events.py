"""What an article says of its days, and how far two articles agree."""

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest

from transforms.cluster import events
from transforms.cluster.dayscan import scan
from transforms.cluster.events import UNKNOWN, Agreement, Days
from transforms.cluster.terms import utf8

MONDAY, TUESDAY, THURSDAY = 1, 2, 8


def day(text: str) -> int:
    return (dt.date.fromisoformat(text) - dt.date(1970, 1, 1)).days


def days(*rows: tuple[int, int, int]) -> Days:
    first, last, weekdays = zip(*rows, strict=True)
    return Days(np.array(first, np.int32), np.array(last, np.int32), np.array(weekdays, np.uint8))


def agreement(one: tuple[int, int, int], other: tuple[int, int, int]) -> float:
    return float(events.agreements(np.zeros(1, np.int32), np.ones(1, np.int32), days(one, other), Agreement())[0])


@pytest.mark.parametrize(
    "text",
    [
        "the bridge was closed on monday, march 4, 2019 after",
        "monday 04 march 2019 13:15 est",
        "(mon., mar. 4, 2019)",
        "on monday, 4th march 2019, the",
        "on monday, march 4th 2019",
    ],
)
def test_a_weekday_with_its_full_date_is_the_day_of_the_event(text: str) -> None:
    assert events.named_days(text, [])[1] == day("2019-03-04")


@pytest.mark.parametrize(
    "text",
    [
        "since march 4, 2019 the bridge",  # history, for all we know
        "on monday, march 5, 2019",  # that was a Tuesday
        "on monday, march 44, 2019",
        "in march 2019 the bridge",
        "file - the bridge on monday, march 4, 2019",
        "the 2019 march",
    ],
)
def test_other_dates_do_not_tell_the_day(text: str) -> None:
    assert events.named_days(text, [])[1] is None


def test_a_caption_tells_the_day_that_the_article_cannot_be_older_than() -> None:
    captions = ["The bridge on March 4, 2019. (Jo Doe/Wire)", "The mayor on Jan. 2, 2018"]
    assert events.named_days("", captions) == (0, None, day("2019-03-04"))


@pytest.mark.parametrize(
    "caption",
    [
        "FILE - The bridge on Monday, March 4, 2019",
        "This combination of pictures created on March 4, 2019 shows",
        "Archive picture of Monday 4 March 2019",
    ],
)
def test_file_photos_tell_nothing(caption: str) -> None:
    assert events.named_days("", [caption]) == (0, None, None)


def test_each_weekday_has_its_bit() -> None:
    names = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
    assert [events.named_days(f"it fell on {name}, they said", [])[0] for name in names] == [1 << n for n in range(7)]
    assert events.named_days("a holiday; days later; birthday", [])[0] == 0


def test_the_same_day_named_on_different_days_agrees() -> None:
    monday = day("2019-03-04")
    assert agreement((monday, monday, MONDAY), (monday + 1, monday + 1, MONDAY)) == 1


def test_event_days_apart_tell_two_events() -> None:
    monday = day("2019-03-04")
    options = Agreement()
    assert agreement((monday, monday, MONDAY), (monday + 1, monday + 1, TUESDAY)) == options.next_day
    assert agreement((monday, monday, MONDAY), (monday + 3, monday + 3, THURSDAY)) < options.next_day
    week = agreement((monday, monday, MONDAY), (monday + 7, monday + 7, MONDAY))
    assert week <= options.other_week


def test_publications_over_a_month_apart_count_less_the_same_month_last_year_too() -> None:
    here, near, month, year = ((day("2019-03-04") + after,) * 2 for after in (0, 29, 31, 365))
    options = Agreement()
    assert agreement((*here, 0), (*month, 0)) == pytest.approx(options.other_month * (1 - options.far), abs=0.01)
    assert agreement((*here, 0), (*near, 0)) == pytest.approx(1 - options.far, abs=0.01)
    assert agreement((*here, 0), (*year, 0)) == pytest.approx(agreement((*here, 0), (*month, 0)), abs=0.01)
    assert agreement((*here, 0), (-int(UNKNOWN), int(UNKNOWN), 0)) == 1


def test_weekdays_alone_disagree_only_when_none_is_shared() -> None:
    unknown = (-int(UNKNOWN), int(UNKNOWN))
    assert agreement((*unknown, MONDAY | TUESDAY), (*unknown, TUESDAY)) == 1
    assert agreement((*unknown, MONDAY), (*unknown, THURSDAY)) == Agreement().other_weekday
    assert agreement((*unknown, 0), (*unknown, THURSDAY)) == 1


def test_an_article_known_to_be_younger_tells_another_week() -> None:
    monday = day("2019-03-04")
    assert agreement((monday, monday, MONDAY), (monday + 21, int(UNKNOWN), MONDAY)) < 0.3
    assert agreement((monday, monday, MONDAY), (monday - 21, int(UNKNOWN), MONDAY)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "monday",
        "on monday.",
        "mondays",
        "day",
        "xmonday, wednesday_",
        "thursday’s, saturday\nsunday",
        "fridayé",
        "tuesday3 tuesday",
        "it was 2019",
        "no 1919 nor 201 nor 2o19",
    ],
)
def test_the_fast_scan_finds_the_same_weekdays_or_says_that_it_cannot_tell(text: str) -> None:
    (weekdays,), (dated,), (odd,) = scan(*utf8(pa.array([text])))
    assert odd or weekdays == events.named_days(text, [])[0]
    assert dated == ("19" in text and "x" not in text)


def clean_days(*rows: tuple[str, list[str], dt.datetime | None]) -> Days:
    return events.days_of(
        pa.table(
            {
                "headline": pa.array([""] * len(rows)),
                "description": pa.array([None] * len(rows), pa.string()),
                "text": pa.array([text for text, _, _ in rows]),
                "captions": pa.array([captions for _, captions, _ in rows], pa.list_(pa.string())),
                "date_published": pa.array([date for _, _, date in rows], pa.timestamp("us", "UTC")),
            }
        )
    )


def test_captions_and_odd_letters_are_read_slowly() -> None:
    known = dt.datetime(2019, 3, 6, tzinfo=dt.UTC)
    found = clean_days(
        ("On Thursday it rained.", ["The bridge on Monday."], known),
        ("Thursday’s rain.", [], known),
        ("Thursdayé", [], known),
        ("Rain.", ["Monday, March 4, 2019", "File photo of Thursday"], None),
    )
    assert found.weekdays.tolist() == [1 << 3 | 1, 1 << 3, 0, 1]
    assert found.last.tolist()[:3] == [day("2019-03-06")] * 3
    assert found.first[3] == day("2019-03-04")
