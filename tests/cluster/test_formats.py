"""Round-ups, live pages and recurring columns never tie two stories together."""

import numpy as np
import pyarrow as pa
import pytest

from schemas.labels import FORMAT_CODES, Format
from tests.cluster.test_stories import groups, stories
from transforms.cluster.formats import formats_of


@pytest.mark.parametrize(
    ("headline", "form"),
    [
        ("Storm Ulla live updates: Vell bursts", Format.LIVE),
        ("Live: Rovers v United", Format.LIVE),
        ("As it happened: the Brenn vote", Format.LIVE),
        ("Live aid for Port Brenn", Format.REPORT),
        ("Live-action Storm Ulla film planned", Format.REPORT),
        ("LIVE \u2013 Rovers v United", Format.LIVE),
        ("Morning Briefing: Brenn floods", Format.ROUNDUP),
        ("Brenn votes; the mayor resigns; Rovers win", Format.ROUNDUP),
        ("What the papers say", Format.ROUNDUP),
        ("Pictures of the day", Format.ROUNDUP),
        ("Picture of the day: Anders Quill", Format.REPORT),
        ("Police brief Brenn residents", Format.REPORT),
        ("Weather forecast: rain in Brenn", Format.RECURRING),
        ("Severe weather kills two in Brenn", Format.REPORT),
        ("Wall Street closes lower", Format.RECURRING),
        ("Gold medal for Anders Quill", Format.REPORT),
        ("Horoscope for Monday", Format.RECURRING),
        (None, Format.REPORT),
    ],
)
def test_the_headline_tells_the_format(headline: str | None, form: Format) -> None:
    assert formats_of(pa.array([headline], pa.string())).tolist() == [FORMAT_CODES[form]]


FLOOD = "Storm Ulla flooded Port Brenn as the river Vell burst its dams"
CUP = "Anders Quill scored twice as Rovers beat United for the cup at Hollin Park"


def test_a_round_up_joins_one_story_at_most_and_connects_none() -> None:
    rows = [
        (1, "Storm Ulla floods Port Brenn", f"{FLOOD}.", None, "2019-03-04"),
        (2, "Port Brenn flooded by storm Ulla", f"{FLOOD}, many fled.", None, "2019-03-04"),
        (3, "Rovers win the cup", f"{CUP}.", None, "2019-03-04"),
        (4, "Quill wins the cup for Rovers", f"{CUP}, a late win.", None, "2019-03-04"),
        (5, "Evening briefing: Brenn floods, Rovers win", f"{FLOOD}. {CUP}.", None, "2019-03-04"),
        (6, "Daily digest: Rovers win, Brenn floods", f"{CUP}. {FLOOD}.", None, "2019-03-04"),
    ]
    found = groups(stories(rows))
    assert not any({1, 3} <= group for group in found)
    assert {1, 2} <= next(group for group in found if 1 in group)
    assert {3, 4} <= next(group for group in found if 3 in group)


def test_two_round_ups_of_one_day_are_no_story_by_themselves() -> None:
    rows = [
        (1, "Evening briefing: Brenn floods", f"{FLOOD}. {CUP}.", None, "2019-03-04"),
        (2, "Daily digest: Rovers win", f"{CUP}. {FLOOD}.", None, "2019-03-04"),
    ]
    assert groups(stories(rows)) == {frozenset({1}), frozenset({2})}


def test_the_weather_of_two_days_is_not_one_event_but_that_of_one_day_is() -> None:
    text = "Rain over Port Brenn and the Vell valley with highs of 12 degrees and a light wind from Hollin."
    rows = [
        (1, "Weather forecast for Port Brenn", text, None, "2019-03-04"),
        (2, "Weather forecast for Port Brenn", text.replace("12", "14"), None, "2019-03-06"),
        (3, "Weather forecast: rain in Port Brenn", text, None, "2019-03-04"),
    ]
    assert groups(stories(rows)) == {frozenset({1, 3}), frozenset({2})}


def test_a_live_page_never_represents_a_story_of_reports() -> None:
    rows = [
        (1, "Storm Ulla live updates", f"{FLOOD}.", None, "2019-03-04"),
        (2, "Storm Ulla floods Port Brenn", f"{FLOOD}, many fled.", None, "2019-03-04"),
        (3, "Port Brenn flooded", f"{FLOOD}, say officials.", None, "2019-03-04"),
    ]
    labels = stories(rows)
    assert groups(labels) == {frozenset({1, 2, 3})}
    assert not labels["lead"].to_pylist()[0]
    assert np.isfinite(labels["weakest_link"].to_numpy(zero_copy_only=False)).all()
