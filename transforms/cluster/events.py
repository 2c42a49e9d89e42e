"""When it happened: the weekdays and dates that an article names, and how far two articles agree on them.

Reports of one event rarely contradict each other about the day: the weekdays named in the leads are disjoint in
8 to 11% of the pairs of one story and in 69 to 76% of other pairs. A weekday becomes a day once the publication is
known, from the metadata or from the text:

* "Monday, Feb. 7, 2022", a weekday with its full date, near the top or in a caption, is the day of the event
  (published within a week of it: 93% of 138 in the background articles; without the weekday 40% of 580, left alone);
* a full date in a caption is a day that the article cannot be older than (99% of 503), however old the picture;
* dates of file photos, dates without a year and dates further down say nothing of the kind: history and plans.
"""

import calendar
import datetime as dt
import re
from collections.abc import Sequence
from typing import NamedTuple

import numba as nb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from transforms.cluster.dayscan import scan
from transforms.cluster.terms import utf8

Float64Array = NDArray[np.float64]
Int32Array = NDArray[np.int32]
UInt8Array = NDArray[np.uint8]

UNKNOWN = np.int32(1 << 30)  # |day| of a bound that is not known

_LEAD_CHARACTERS = 900  # about 120 words after the headline
_CAPTION_CHARACTERS = 2000
_FIRM_DAYS = 3  # a report follows the day that its text names by so much
_BEFORE, _AFTER = 6, 2  # a weekday means the latest such day, or one of the next two
_WEEK, _LONG = 7, 30
_EVENTS = 16  # days kept of an article

_DAY_NAMES = [name.lower() for name in calendar.day_name]
_MONTHS = {name.lower(): number for number, name in enumerate(calendar.month_abbr) if name}
_MONTH = "(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)"
_WEEKDAY = re.compile("day(?:" + "|".join(rf"(?<={name})" for name in _DAY_NAMES) + r")\b")
_WEEKDAY_OF = {name[-6:-3]: number for number, name in enumerate(_DAY_NAMES)}
_YEAR = re.compile(r"(?:20|19)\d\d\b")
_DATE_BEFORE_YEAR = re.compile(
    r"(?:\b(mon|tue|wed|thu|fri|sat|sun)[a-z]*[.,]{0,2} (?:the )?)?"
    rf"(?:\b({_MONTH})[a-z]*\.? ([0-3]?\d)|\b([0-3]?\d)(?:st|nd|rd|th)? ({_MONTH})[a-z]*\.?)(?:st|nd|rd|th)?,? $"
)
_FILE_PHOTO = re.compile(
    r"\bfile\b|\bfiles\b|\barchive|\bcreated on\b|\bcombination of\b|\bundated\b|\blibrary (?:photo|image|picture)"
)


class Days(NamedTuple):
    """What each article says of its days, as days since 1970-01-01; shape (articles,) each."""

    first: Int32Array  # earliest publication, or -UNKNOWN
    last: Int32Array  # latest publication, or UNKNOWN
    weekdays: UInt8Array  # bit 0 Monday … bit 6 Sunday


class Agreement(NamedTuple):
    """Factors on the similarity of two articles by what they say of their days; 1 where nothing is known."""

    next_day: float = 0.9  # nearest event days one day apart
    other_day: float = 0.3  # two days apart or more
    other_week: float = 0.1  # a week apart or more
    other_weekday: float = 0.5  # days not known, no weekday in common
    far: float = 0.1  # lost, in the end, to publications more than two days apart
    decay_days: float = 5.0
    other_month: float = 0.8  # times this, when published over 30 days apart; .6 to 1 score alike


def days_of(articles: pa.Table) -> Days:
    """Read the days of a block of clean articles (CLEAN)."""
    published = pc.cast(pc.floor_temporal(articles["date_published"], unit="day"), pa.date32(), safe=False).cast(
        pa.int32()
    )
    known = published.fill_null(int(UNKNOWN)).to_numpy().astype(np.int32)
    first = np.where(known == UNKNOWN, -UNKNOWN, known).astype(np.int32)
    last = known.copy()
    lead = pc.utf8_lower(
        pc.binary_join_element_wise(
            articles["headline"].fill_null(""),
            articles["description"].fill_null(""),
            pc.utf8_slice_codeunits(articles["text"], 0, _LEAD_CHARACTERS),
            "\n",
        )
    )
    captions = articles["captions"]
    weekdays, dated, odd = scan(*utf8(lead))
    owner = pc.list_parent_indices(captions).to_numpy()
    in_caption, caption_dated, caption_odd = scan(*utf8(pc.utf8_lower(pc.list_flatten(captions))))
    # most articles have a date and no weekday in a caption: what the scan found is all there is to know
    unclear = odd | (dated & (last == UNKNOWN))
    unclear[owner[(in_caption > 0) | caption_odd | (caption_dated & (last[owner] == UNKNOWN))]] = True
    rows = np.flatnonzero(unclear)
    taken = pa.array(rows)
    for row, text, shown in zip(
        rows.tolist(), lead.take(taken).to_pylist(), captions.take(taken).to_pylist(), strict=True
    ):
        weekdays[row], firm, bound = named_days(text, shown)
        if last[row] == UNKNOWN:
            if firm is not None:
                first[row], last[row] = firm, firm + _FIRM_DAYS
            elif bound is not None:
                first[row] = bound
    return Days(first, last, weekdays)


def named_days(lead: str, captions: Sequence[str]) -> tuple[int, int | None, int | None]:
    """Weekdays as bits, the latest day named with its weekday, the latest full date of a caption.

    Args:
      lead: headline, standfirst and start of the text, in lower case.
      captions: as they stand.
    """
    weekdays = 0
    firm: list[int] = []
    bounds: list[int] = []
    room = _CAPTION_CHARACTERS
    sources = [(lead, False)]
    for caption in captions:
        if room > 0:
            sources.append((caption[:room].lower(), True))
            room -= len(caption)
    for text, is_caption in sources:
        if is_caption and _FILE_PHOTO.search(text):
            continue
        for match in _WEEKDAY.finditer(text):
            weekdays |= 1 << _WEEKDAY_OF[text[match.start() - 3 : match.start()]]
        for match in _YEAR.finditer(text):
            date = _date_before(text, match)
            if date is None:
                continue
            day, with_weekday = date
            if with_weekday and not _FILE_PHOTO.search(text, max(0, match.start() - 200), match.end()):
                firm.append(day)
            if is_caption:
                bounds.append(day)
    return weekdays, max(firm, default=None), max(bounds, default=None)


def _date_before(text: str, year: re.Match[str]) -> tuple[int, bool] | None:
    """The full date that ends in `year`, and whether its own weekday stands before it."""
    found = _DATE_BEFORE_YEAR.search(text, max(0, year.start() - 32), year.start())
    if found is None:
        return None
    weekday, month, day, day_first, month_last = found.groups()
    try:
        date = dt.date(int(year.group()), _MONTHS[month or month_last], int(day or day_first))
    except ValueError:
        return None
    ordinal = date.toordinal() - dt.date(1970, 1, 1).toordinal()
    return ordinal, weekday is not None and _DAY_NAMES[date.weekday()].startswith(weekday)


@nb.njit(cache=True, nogil=True)
def _events(first: Int32Array, last: Int32Array, weekdays: UInt8Array) -> tuple[Int32Array, Int32Array]:
    """Days that the weekdays of each article can mean, ascending, and how many; none where the days are not known."""
    days = np.zeros((len(first), _EVENTS), np.int32)
    counts = np.zeros(len(first), np.int32)
    for i in range(len(first)):
        if last[i] == UNKNOWN or weekdays[i] == 0:
            continue
        for day in range(first[i] - _BEFORE, last[i] + _AFTER + 1):
            if (weekdays[i] >> ((day + 3) % 7)) & 1 and counts[i] < _EVENTS:
                days[i, counts[i]] = day
                counts[i] += 1
    return days, counts


def agreements(left: Int32Array, right: Int32Array, days: Days, options: Agreement) -> Float64Array:
    """Factor on the similarity of each pair."""
    return _agreements(left, right, *days, *_events(*days), np.array(options))


@nb.njit(cache=True, nogil=True)
def _agreements(  # noqa: PLR0913, PLR0917 -- arrays of two tables
    left: Int32Array,
    right: Int32Array,
    first: Int32Array,
    last: Int32Array,
    weekdays: UInt8Array,
    days: Int32Array,
    counts: Int32Array,
    options: Float64Array,
) -> Float64Array:
    next_day, other_day, other_week, other_weekday, far, decay, other_month = options
    out = np.ones(len(left), np.float64)
    for pair in range(len(left)):
        i, j = left[pair], right[pair]
        apart = max(first[i] - last[j], first[j] - last[i], 0)  # days between the publications, at least
        if weekdays[i] and weekdays[j]:
            if counts[i] and counts[j]:
                gap = UNKNOWN
                for a in range(counts[i]):
                    for b in range(counts[j]):
                        gap = min(gap, abs(days[i, a] - days[j, b]))
                out[pair] = 1.0 if gap == 0 else (next_day if gap == 1 else (other_day if gap < _WEEK else other_week))
            elif apart > _BEFORE + _AFTER + 1:
                out[pair] = other_week if apart > _BEFORE + _AFTER + _WEEK else other_day
            elif not weekdays[i] & weekdays[j]:
                out[pair] = other_weekday
        if apart > _AFTER:
            out[pair] *= 1.0 - far * (1.0 - np.exp(-(apart - _AFTER) / decay))
        if apart > _LONG:
            out[pair] *= other_month
    return out
