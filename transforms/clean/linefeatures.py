"""What the line model of plain text looks at: a line, its neighbours, and its place among what may be the body.

Nothing but counts of `textlines`, line keys and word hashes: no column depends on one language or one outlet.
"""

import numpy as np
from numpy.typing import NDArray

from transforms.clean.textlines import COLUMN, Lines, UInt64Array, content_words

Floats = NDArray[np.float64]
Bounds = tuple[NDArray[np.int64], NDArray[np.int64]]

_CAP = 80  # words of a line that count as evidence
_SHORT_WORDS, _DATED_WORDS = 8, 12
_TEASER_WORDS = (5, 20)
_ALIKE = 0.35  # difference of two lines' log words under which they look alike
_SHARES = ("capitalised", "upper", "numbers", "stop", "address", "site", "media", "dates", "commas")
_BANDS = (4, 9, 16, 30, 60)
_WINDOWS = (2, 5, 12)
_DOUBT = 0.25  # a line less likely than this is no evidence of body (RECIPES "Pages" 4)
_SEGMENTS = ((0.5, 1.0), (0.5, 4.0), (0.3, 0.3))  # what a segment's words lose in probability, and its lines in words
_FOUND = 5  # words of body that make a word known of the article
_PRIOR = 20  # words


def first_features(lines: Lines, cued: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Describe each line.

    Args:
      lines: whole texts.
      cued: shape (lines,), whether the phrase pack took the line.

    Returns:
      the line alone, shape (lines, columns), and the same with its surroundings, shape (lines, more columns)
    """
    own = _own(lines, cued)
    around = [_shifted(own, lines.row, step) for step in (-2, -1, 1, 2)]
    return own, np.hstack([own, np.column_stack(_surroundings(lines, cued)), *around])


def second_features(lines: Lines, own: Floats, first: Floats) -> Floats:
    """Describe each line by what the first model made of its text.

    Args:
      lines: whole texts.
      own: the first answer of `first_features`.
      first: shape (lines,), probabilities, none of them 0 or 1.

    Returns:
      shape (lines, columns)
    """
    row, words = lines.row, np.minimum(lines.column("words"), _CAP).astype(np.float64)
    bounds = _bounds(row)
    logit, good = np.log(first / (1 - first)), words * first * (first > _DOUBT)
    starts = np.flatnonzero(np.r_[True, row[1:] != row[:-1]])
    sizes = np.diff(np.r_[starts, len(row)])
    size, total = np.repeat(sizes, sizes), np.repeat(np.add.reduceat(good, starts), sizes)
    columns = [first, good, words]
    columns += [_shifted(logit[:, None], row, step)[:, 0] for step in (-4, -3, -2, -1, 1, 2, 3, 4)]
    for reach in _WINDOWS:
        columns += [_window(values, bounds, reach) for values in (good, first, words * (first < _DOUBT))]
    before = np.cumsum(good) - good
    before -= np.repeat(before[starts], sizes)
    columns += [before / (total + 1), (total - before - good) / (total + 1), lines.number / size]
    columns += [np.log1p(lines.number), np.log1p(size), np.log1p(total)]
    for odds, cost in _SEGMENTS:
        columns += _segment(words * (first - odds) - cost, starts, sizes)
    near = _window(good, bounds, _WINDOWS[1])
    for values in (first, near):
        most = np.repeat(np.maximum.reduceat(values, starts), sizes)
        columns += [values / np.maximum(most, 1e-6), most]
    columns += _cohesion(lines, good, total)
    return np.hstack([own, np.column_stack(columns)])


def with_logarithms(features: Floats) -> Floats:
    """The columns and their signed logarithms, which a linear model needs."""
    return np.hstack([features, np.sign(features) * np.log1p(np.abs(features))])


def _own(lines: Lines, cued: NDArray[np.bool_]) -> Floats:
    counts = lines.counts.astype(np.float64)
    words, characters = counts[:, COLUMN["words"]], counts[:, COLUMN["characters"]]
    shares = counts[:, [COLUMN[name] for name in _SHARES]] / np.maximum(words, 1)[:, None]
    ending, opening, marks = (counts[:, COLUMN[name]] for name in ("ending", "opening", "marks"))
    size = np.log1p(words)
    columns = [
        size,
        np.log1p(characters),
        characters / np.maximum(words, 1),
        *(ending == code for code in range(1, 5)),
        *(opening == code for code in (1, 2)),
        counts[:, COLUMN["quotes"]] > 0,
        np.log1p(marks),
        marks / np.maximum(words, 1),
        _times_in_text(lines) > 1,
        cued,
        *(words >= band for band in _BANDS),
        size * shares[:, _SHARES.index("stop")],
        size * (ending > 0),
        size * (ending == 1),
        size * cued,
        (ending == 0) & (words >= _BANDS[0]) & (shares[:, 0] >= 0.6),  # noqa: PLR2004 -- title case
    ]
    return np.hstack([np.column_stack(columns).astype(np.float64), shares])


def _surroundings(lines: Lines, cued: NDArray[np.bool_]) -> list[Floats]:
    """Lists, teasers, comments and menus by what stands around a line: its like, repeats, dates, cues."""
    row, bounds = lines.row, _bounds(lines.row)
    words, times = np.maximum(lines.column("words"), 1).astype(np.float64), _times_in_text(lines)
    ended = lines.column("ending") > 0
    short = (lines.column("words") <= _SHORT_WORDS) & ~ended
    dated = (lines.column("dates") > 0) & (words <= _DATED_WORDS)
    teaser = ~ended & (words >= _TEASER_WORDS[0]) & (words <= _TEASER_WORDS[1])
    shares = {name: lines.column(name) / words for name in ("site", "address", "capitalised")}
    around = [
        *((words * ended, reach) for reach in (3, 8)),
        *((short, reach) for reach in (3, 10)),
        *((values, reach) for values in (dated, times > 1, cued) for reach in (4, 15)),
        (shares["site"], 4),
        (lines.column("quotes"), 6),
        (shares["address"], 6),
        (shares["capitalised"], 6),
        (teaser, 5),
    ]
    left = np.bincount(row)[row] - lines.number
    return [
        np.log1p(times - 1),
        *(_alike(lines, reach) for reach in (2, 6)),
        *(np.log(_run_lengths(flag, row)) * np.where(flag, 1, -1) for flag in (short, ended)),
        *(_window(values.astype(np.float64), bounds, reach) for values, reach in around),
        teaser.astype(np.float64),
        lines.number / (lines.number + left),
        np.log1p(left),
    ]


def _times_in_text(lines: Lines) -> NDArray[np.int64]:
    """How often each line stands in its text."""
    _, where, times = np.unique(
        _mixed(lines.keys.astype(np.uint64), lines.row), return_inverse=True, return_counts=True
    )
    return times[where]


def _mixed(keys: UInt64Array, row: NDArray[np.int32]) -> UInt64Array:
    """Keys that differ from text to text."""
    return keys ^ (row.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))


def _alike(lines: Lines, reach: int) -> Floats:
    """Lines at most `reach` away with the same end and nearly as many words."""
    kind = np.column_stack([np.log1p(lines.column("words")) + 1, lines.column("ending") > 0]).astype(np.float64)
    count = np.zeros(len(kind))
    for step in (*range(-reach, 0), *range(1, reach + 1)):
        other = _shifted(kind, lines.row, step)
        count += (np.abs(other[:, 0] - kind[:, 0]) < _ALIKE) & (other[:, 1] == kind[:, 1])
    return count


def _run_lengths(flag: NDArray[np.bool_], row: NDArray[np.int32]) -> NDArray[np.int64]:
    """Length of the run of equal flags that a line stands in."""
    starts = np.flatnonzero(np.r_[True, (flag[1:] != flag[:-1]) | (row[1:] != row[:-1])])
    lengths = np.diff(np.r_[starts, len(flag)])
    return np.repeat(lengths, lengths)


def _shifted(values: Floats, row: NDArray[np.int32], step: int) -> Floats:
    """Values of the line `step` further down in the same text; 0 outside it."""
    out = np.zeros_like(values)
    here, there = (slice(0, -step), slice(step, None)) if step > 0 else (slice(-step, None), slice(0, step))
    inside = row[here] == row[there]
    out[here][inside] = values[there][inside]
    return out


def _bounds(row: NDArray[np.int32]) -> Bounds:
    """First line and line after the last of each line's text."""
    return np.searchsorted(row, row), np.searchsorted(row, row, side="right")


def _window(values: Floats, bounds: Bounds, reach: int) -> Floats:
    """Sum over the lines at most `reach` away in the same text, the line itself left out."""
    at, sums = np.arange(len(values)), np.zeros(len(values) + 1)
    np.cumsum(values, out=sums[1:])
    return sums[np.minimum(at + reach + 1, bounds[1])] - sums[np.maximum(at - reach, bounds[0])] - values


def _segment(gain: Floats, starts: NDArray[np.int64], sizes: NDArray[np.int64]) -> list[Floats]:
    """The run of lines with the largest sum: inside or not, lines until it, lines after it.

    And how near the best run through each line comes to it.
    """
    inside, until, after, through = (np.zeros(len(gain)) for _ in range(4))
    for start, size in zip(starts.tolist(), sizes.tolist(), strict=True):
        here = slice(start, start + size)
        sums = np.r_[0.0, np.cumsum(gain[here])]
        lowest = np.minimum.accumulate(sums)
        end = int(np.argmax(sums - lowest))
        begin = int(np.argmin(sums[: end + 1]))
        at = np.arange(size)
        inside[here] = (at >= begin) & (at < end)
        until[here], after[here] = np.maximum(begin - at, 0), np.maximum(at - end + 1, 0)
        through[here] = np.maximum.accumulate(sums[::-1])[::-1][1:] - lowest[:-1]
        through[here] /= max(1.0, float(through[here].max()))
    return [inside, until, after, through]


def _cohesion(lines: Lines, good: Floats, total: Floats) -> list[Floats]:
    """How much of a line's words the likely body of its text has, other copies of the line left out.

    Teasers and boxes of other stories read as body does, but speak of other things.
    """
    share = good / _times_in_text(lines)
    line, word = content_words(lines.text)
    _, code = np.unique(_mixed(word, lines.row[line]), return_inverse=True)
    others = np.maximum(np.bincount(code, share[line])[code] - good[line], 0) if len(code) else np.zeros(0)
    known = others / (np.maximum(total - good, 0)[line] + _PRIOR)
    count = np.maximum(np.bincount(line, minlength=len(good)), 1)
    return [
        np.bincount(line, known, len(good)) / count,
        np.bincount(line, others > _FOUND, len(good)) / count,
        np.bincount(line, np.sqrt(known), len(good)) / np.sqrt(count),
    ]
