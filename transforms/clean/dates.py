"""Timestamps as news sites write them, and lines that are nothing but one.

Only a day that is certain is taken: a year has to be there, and 03/04/2022 could be either day. Month names
are known in the languages of the press that we could check; the rest is left to machine-readable dates.
"""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from importlib import resources

_FIRST_YEAR, _LAST_YEAR = 1970, 2100
_ISO = re.compile(r"(?:19|20)\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)", re.ASCII)
_EPOCH = re.compile(r"\d{10}(?:\d{3})?")
_LONGEST = 300  # characters; what is longer is no date

_WORDS = json.loads(resources.files(__package__).joinpath("data/dates.json").read_text("utf-8"))
_MONTH = {name: number for number, names in enumerate(_WORDS["months"], start=1) for name in names.split()}
_HOURS: dict[str, float] = _WORDS["zones"]
_US_STANDARD = {"et": -5, "ct": -6, "mt": -7, "pt": -8, "eastern": -5, "central": -6, "mountain": -7, "pacific": -8}

_NAMES = "|".join(sorted(map(re.escape, _MONTH), key=len, reverse=True))
_DAY = r"(?P<{0}>\d{{1,2}})(?:st|nd|rd|th|er|º|\.)?"
_YEAR = r"(?P<{0}>(?:19|20)\d\d)"
_DATE = re.compile(
    "|".join(
        (
            rf"(?<!\d){_YEAR.format('y1')}(?P<sep>[-/.])(?P<m1>\d{{1,2}})(?P=sep)(?P<d1>\d{{1,2}})(?!\d)",
            rf"(?<!\d){_YEAR.format('y2')}(?P<m2>\d\d)(?P<d2>\d\d)(?=T?\d{{4,6}}|\D|$)",
            rf"{_YEAR.format('y3')}\s*[年년]\s*(?P<m3>\d{{1,2}})\s*[月월]\s*(?P<d3>\d{{1,2}})\s*[日일]",
            (
                rf"(?<!\d){_DAY.format('d4')}(?:\s*[-/,]\s*|\s+)(?:de\s+|of\s+)?(?P<m4>{_NAMES})\b\.?"
                rf"(?:\s+de|\s+del)?[\s,'/-]*{_YEAR.format('y4')}(?!\d)"
            ),
            rf"\b(?P<m5>{_NAMES})\b\.?[\s/-]*{_DAY.format('d5')}(?!\d|:)[,\s]*{_YEAR.format('y5')}(?!\d)",
            rf"(?<![\d.])(?P<d6>\d{{1,2}})\.\s?(?P<m6>\d{{1,2}})\.\s?{_YEAR.format('y6')}(?!\d)",
            rf"(?<![\d/])(?P<a7>\d{{1,2}})(?P<sep7>[/-])(?P<b7>\d{{1,2}})(?P=sep7){_YEAR.format('y7')}(?!\d)",
        )
    ),
    re.IGNORECASE,
)
_IN_ADDRESS = re.compile(r"/((?:19|20)\d\d)[-/]?(\d\d)[-/]?(\d\d)(?!\d)")
_ANY_YEAR = re.compile(r"(?:19|20)\d\d")
_TIME = re.compile(
    r"(?<![\d:.+-])(?:(?P<h>\d{1,2})\s?[:.h時시點点]\s?(?P<mi>\d\d)(?!\d)(?::(?P<s>\d\d)(?:[.,]\d+)?)?(?!\.\d)"
    r"\s*(?P<half>[ap]\.?\s?m\b\.?)?|(?P<h2>\d{1,2})\s?(?P<half2>[ap]\.?m\b\.?))"
    r"\s*(?:uhr\b)?[\s(]*(?P<zone>(?:utc|gmt)?\s?[+-]\d{1,2}:?(?:\d\d)?(?!\d)|[a-z]{1,8}\b)?",
    re.IGNORECASE,
)
_COMPACT_TIME = re.compile(r"T(?P<h>\d\d)(?P<mi>\d\d)(?P<s>\d\d)?(?P<zone>Z|[+-]\d\d:?\d\d)?")
_OFFSET = re.compile(r"(?:utc|gmt)?\s?(?P<sign>[+-])(?P<h>\d{1,2}?):?(?P<m>\d\d)?", re.IGNORECASE)
_PUBLISHED = re.compile(r"publi\w+|posted|issued|veröffentlicht|erstellt|pubblicato|gepubliceerd", re.IGNORECASE)

_DATELINE_WORDS = frozenset(_WORDS["dateline_words"].split())
_TOKENS = re.compile(r"[^\W\d_]+|\d+")
_RELATIVE = re.compile(r"\b\d+\s*(?:minutes?|mins?|hours?|hrs?|days?)\s+ago\b", re.IGNORECASE)
_MONTH_DAY = re.compile(rf"\b(?:(?:{_NAMES})\b\.?\s*\d{{1,2}}|\d{{1,2}}\.?\s*(?:{_NAMES}))\b", re.IGNORECASE)
_LONGEST_DATELINE = 140
_DIGIT = re.compile(r"\d")
_MOST_DIGITS = 4
_SHORTEST_IN_DIGITS = 8  # characters of a date without a word


def parse_timestamp(text: str) -> datetime | None:
    """Read a point in time, in UTC; None when the day is not certain.

    Takes ISO 8601, RFC 2822, Unix time in seconds or milliseconds, and dates written out, with what stands around them
    ("Published 10:32 a.m. ET Nov. 20, 2019"). Of several dates the one after "published" counts, else the first.
    A date without a time means midnight UTC; a time without a zone is taken for UTC. "ET" and its like follow the
    United States' rule for daylight saving time of 2007.
    """
    text = text.strip()
    if _ISO.fullmatch(text):  # nearly every date that a page declares, and ten times as fast
        with suppress(ValueError, OverflowError):
            return _within(datetime.fromisoformat(text).replace(microsecond=0).astimezone(UTC))
    if _EPOCH.fullmatch(text):
        return _from_epoch(text)
    if len(text) > _LONGEST:
        return None
    found = list(_days(text))
    if not found:
        return None
    published = _PUBLISHED.search(text)
    after = [item for item in found if published and item[1] >= published.end()]
    day, start, end = (after or found)[0]
    return _within(_at_time(day, text, start, end))


def date_in_address(url: str | None) -> datetime | None:
    """Midnight UTC of the day that the path of an address spells out (/2024/03/05/, /2024-03-05/, /20240305/)."""
    match = _IN_ADDRESS.search(url.partition("?")[0]) if url else None
    return next((day for day, _, _ in _days("-".join(match.groups()))), None) if match else None


def is_dateline(line: str) -> bool:
    """Whether a line says when and nothing else: a date or an age, with perhaps a time and "Published" or "Updated"."""
    if len(line) > _LONGEST_DATELINE or _DIGIT.search(line) is None:
        return False
    worded = False
    for match in _TOKENS.finditer(_lower(line)):
        token = match[0]
        if token.isdigit():
            if len(token) > _MOST_DIGITS + 4:
                return False
        elif _is_date_word(token):
            worded = True
        else:
            return False
    if worded and (_RELATIVE.search(line) or _MONTH_DAY.search(line)):
        return True
    return (worded or len(line) >= _SHORTEST_IN_DIGITS) and next(_days(line), None) is not None


def _lower(text: str) -> str:
    """Lower case; Turkish "EKİM" has no dot of its own then, which `str.lower` leaves."""
    return text.replace("İ", "i").lower()


def _is_date_word(token: str) -> bool:
    return token in _DATELINE_WORDS or token in _MONTH or token in _HOURS or token in _US_STANDARD


def _from_epoch(text: str) -> datetime | None:
    seconds = int(text) / (1 if len(text) == 10 else 1000)  # noqa: PLR2004 -- ten digits are seconds
    return _within(datetime.fromtimestamp(seconds, UTC))


def _days(text: str) -> Iterator[tuple[datetime, int, int]]:
    """Midnights of the certain days in the text, with where each stands."""
    if not _ANY_YEAR.search(text):
        return
    for match in _DATE.finditer(text):
        parts = {key: value for key, value in match.groupdict().items() if value is not None}
        year = int(next(value for key, value in parts.items() if key[0] == "y"))
        if "a7" in parts:
            first, second = int(parts["a7"]), int(parts["b7"])
            if first <= 12 and second <= 12 and first != second:  # noqa: PLR2004 -- either could be the month
                continue
            month, day = (second, first) if first > 12 else (first, second)  # noqa: PLR2004 -- months
        else:
            name = next(value for key, value in parts.items() if key[0] == "m")
            month = int(name) if name.isdigit() else _MONTH.get(_lower(name), 0)
            day = int(next(value for key, value in parts.items() if key[0] == "d"))
        try:
            yield datetime(year, month, day, tzinfo=UTC), match.start(), match.end()
        except ValueError:
            continue


def _at_time(day: datetime, text: str, start: int, end: int) -> datetime:
    """Add the time of day nearest to the date: after it, else before it."""
    match = _COMPACT_TIME.match(text, end) or _TIME.search(text, end)
    if match is None or match.start() - end > 40:  # noqa: PLR2004 -- a time further off belongs to something else
        match = next(reversed(list(_TIME.finditer(text, 0, start))), None)
    if match is None:
        return day
    parts = match.groupdict()
    hour, minute = int(parts["h"] or parts["h2"]), int(parts["mi"] or 0)
    half = (parts.get("half") or parts.get("half2") or "").lower()
    if half:
        hour = hour % 12 + (12 if half.startswith("p") else 0)
    if hour > 23 or minute > 59:  # noqa: PLR2004 -- no time of day
        return day
    when = day + timedelta(hours=hour, minutes=minute, seconds=min(59, int(parts["s"] or 0)))
    return when - timedelta(hours=_offset(parts["zone"] or "", when))


def _offset(zone: str, when: datetime) -> float:
    """Hours that a zone is ahead of UTC; 0 when it names none."""
    zone = zone.strip().lower()
    match = _OFFSET.fullmatch(zone)
    if match:
        hours = int(match["h"]) + int(match["m"] or 0) / 60
        return -hours if match["sign"] == "-" else hours
    if zone in _US_STANDARD:
        return _US_STANDARD[zone] + _is_us_summer(when)
    return _HOURS.get(zone, 0.0)


def _is_us_summer(when: datetime) -> bool:
    """Second Sunday of March to first Sunday of November (Energy Policy Act of 2005)."""
    march, november = datetime(when.year, 3, 8, 2, tzinfo=UTC), datetime(when.year, 11, 1, 2, tzinfo=UTC)
    begins, ends = (month + timedelta(days=(6 - month.weekday()) % 7) for month in (march, november))
    return begins <= when < ends


def _within(when: datetime) -> datetime | None:
    return when if _FIRST_YEAR <= when.year <= _LAST_YEAR else None
