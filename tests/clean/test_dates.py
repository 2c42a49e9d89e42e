"""What counts as a certain day, and which lines are nothing but one."""

from datetime import UTC, datetime

import pytest

from transforms.clean.dates import date_in_address, is_dateline, parse_timestamp


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Monday 07 February 2022 13:15 EST", datetime(2022, 2, 7, 18, 15, tzinfo=UTC)),
        ("Published 10:32 a.m. ET Nov. 20, 2019", datetime(2019, 11, 20, 15, 32, tzinfo=UTC)),
        ("9:05 pm ET July 4, 2021", datetime(2021, 7, 5, 1, 5, tzinfo=UTC)),
        ("Feb. 7, 2022", datetime(2022, 2, 7, tzinfo=UTC)),
        ("7 February 2022", datetime(2022, 2, 7, tzinfo=UTC)),
        ("2022-02-07T18:15:00+01:00", datetime(2022, 2, 7, 17, 15, tzinfo=UTC)),
        ("2022-02-07T18:15:00.123-0500", datetime(2022, 2, 7, 23, 15, tzinfo=UTC)),
        ("Mon, 07 Feb 2022 18:15:22 GMT", datetime(2022, 2, 7, 18, 15, 22, tzinfo=UTC)),
        ("1644257700", datetime(2022, 2, 7, 18, 15, tzinfo=UTC)),
        ("1644257700000", datetime(2022, 2, 7, 18, 15, tzinfo=UTC)),
        ("20220207T101500Z", datetime(2022, 2, 7, 10, 15, tzinfo=UTC)),
        ("7. Februar 2022, 13:15 Uhr", datetime(2022, 2, 7, 13, 15, tzinfo=UTC)),
        ("le 7 février 2022 à 13h15", datetime(2022, 2, 7, 13, 15, tzinfo=UTC)),
        ("7 de febrero de 2022", datetime(2022, 2, 7, tzinfo=UTC)),
        ("2022年2月7日 13時15分", datetime(2022, 2, 7, 13, 15, tzinfo=UTC)),
        ("Oct 15, 2024, 12:47 PM UTC+2", datetime(2024, 10, 15, 10, 47, tzinfo=UTC)),
        ("13/4/2022", datetime(2022, 4, 13, tzinfo=UTC)),
        ("20 EKİM 2024", datetime(2024, 10, 20, tzinfo=UTC)),
        ("20 KASIM 2024", datetime(2024, 11, 20, tzinfo=UTC)),
    ],
)
def test_a_certain_day_is_read_in_utc(text: str, expected: datetime) -> None:
    assert parse_timestamp(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "3/4/2022",
        "March 1",
        "Monday",
        "31 February 2022",
        "13:15 EST",
        "yesterday",
        "9" * 400,
        "no date",
        "1 ſeptember 2022",
    ],
)
def test_an_uncertain_day_is_none(text: str) -> None:
    assert parse_timestamp(text) is None


def test_the_date_after_published_wins_over_an_earlier_one() -> None:
    assert parse_timestamp("Updated Feb 8, 2022 | Published Feb 7, 2022") == datetime(2022, 2, 7, tzinfo=UTC)


@pytest.mark.parametrize(
    "line",
    [
        "Feb. 7, 2022",
        "Monday 07 February 2022 13:15 EST",
        "Published 2 hours ago",
        "March 1",
        "Updated: 7. Februar 2022",
        "20 EKİM 2024",
    ],
)
def test_a_line_that_only_says_when_is_a_dateline(line: str) -> None:
    assert is_dateline(line)


@pytest.mark.parametrize("line", ["5 min read", "By Jane Roe, Feb 7, 2022", "He came on Feb. 7, 2022.", "Monday", ""])
def test_a_line_that_says_more_is_not(line: str) -> None:
    assert not is_dateline(line)


@pytest.mark.parametrize(
    "path", ["/2024/03/05/fog", "/news/2024-03-05/fog?x=1", "/20240305.html", "/fog/2024-03/05", "/2024/03/05"]
)
def test_a_day_in_an_address_is_read(path: str) -> None:
    assert date_in_address(f"https://bay.example{path}") == datetime(2024, 3, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    "path", ["", "/2024/03/fog", "/2024/13/05/", "/20240305101500", "/a?day=/2024/03/05/", "/1802/03/05"]
)
def test_other_digits_in_an_address_are_no_day(path: str) -> None:
    assert date_in_address(f"https://bay.example{path}") is None
