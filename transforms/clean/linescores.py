"""The line model of plain text that was saved with all its menus: how likely each line is body.

Two logistic models one after the other, after RECIPES "Pages": the first sees a line and its neighbours, the second
also how the first judged the lines around it and where the heaviest run of such lines lies. The coefficients are data
(`data/plaintext_model.json`), trained by `tests/training/train_plaintext.py`.
"""

import functools
import json
from dataclasses import dataclass
from importlib import resources

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from transforms.clean.textlines import COLUMN, Lines

Floats = NDArray[np.float64]

_SHORT_WORDS = 8
_BULLET = 2  # `opening`
_DUMP_LINES, _DUMP_SHARE, _DUMP_SITE_LINES = 20, 0.5, 3
_KNOWN_LANGUAGE = 0.03  # share of stop words
_CAP = 80  # words of a line that count as evidence
_WINDOWS = (2, 5, 12)
_SHARES = ("capitalised", "upper", "numbers", "stop", "address", "site", "media", "dates", "commas")
_BANDS = (4, 9, 16, 30, 60)


@dataclass(frozen=True)
class Logistic:
    """weights · (features - mean) / scale + bias."""

    mean: Floats
    scale: Floats
    weights: Floats
    bias: float

    def __call__(self, features: Floats) -> Floats:
        """Probabilities; shape (lines,)."""
        return 1 / (1 + np.exp(-np.clip(((features - self.mean) / self.scale) @ self.weights + self.bias, -30, 30)))


@dataclass(frozen=True)
class LineModel:
    """Both stages, and the probability from which a line is kept."""

    first: Logistic
    second: Logistic
    threshold: float


def page_dumps(lines: Lines, rows: int) -> NDArray[np.bool_]:
    """Which texts were saved with all their menus.

    Many lines, most of them short and unfinished, some with words of sites, unless the language is none we know (then
    stop words are missing too). Of 142 saved pages 137 are found, of 11,624 article texts 3 (transcripts and lists,
    which without the site words made 10, are not).
    """
    short = (
        (lines.column("words") <= _SHORT_WORDS) & (lines.column("ending") == 0) & (lines.column("opening") != _BULLET)
    )
    count, site = np.bincount(lines.row, short, rows), np.bincount(lines.row, short & (lines.column("site") > 0), rows)
    words, stop = (np.bincount(lines.row, lines.column(name), rows) for name in ("words", "stop"))
    many = (count >= _DUMP_LINES) & (count >= _DUMP_SHARE * np.bincount(lines.row, minlength=rows))
    return many & ((site >= _DUMP_SITE_LINES) | (stop < _KNOWN_LANGUAGE * words))


def score_lines(lines: Lines, cued: NDArray[np.bool_]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Judge all lines of some texts.

    Args:
      lines: whole texts.
      cued: shape (lines,), whether the phrase pack took the line.

    Returns:
      how likely each line is body, and whether it is kept; shape (lines,) both.
    """
    model = _model()
    features = first_features(lines, cued)
    first = model.first(features)
    second = model.second(second_features(lines, features, first))
    return second.astype(np.float32), second >= model.threshold


def first_features(lines: Lines, cued: NDArray[np.bool_]) -> Floats:
    """What a line and its two neighbours on each side look like; shape (lines, features)."""
    own = _own_features(lines, cued)
    return np.hstack([own, *(_shifted(own, lines.row, step) for step in (-2, -1, 1, 2))])


def second_features(lines: Lines, features: Floats, first: Floats) -> Floats:
    """The same, and what the first model made of the surroundings; shape (lines, features)."""
    row, words = lines.row, np.minimum(lines.column("words"), _CAP).astype(np.float64)
    logit = np.log(first / (1 - first))
    good = words * first * (first > 0.25)  # noqa: PLR2004 -- RECIPES "Pages" 4
    columns = [logit, good]
    columns += [_shifted(logit[:, None], row, step)[:, 0] for step in (-4, -3, -2, -1, 1, 2, 3, 4)]
    for reach in _WINDOWS:
        columns += [_window(good, row, reach), _window(first, row, reach), _window(words * (first < 0.25), row, reach)]  # noqa: PLR2004 -- likewise
    starts = np.searchsorted(row, np.unique(row))
    sizes = np.diff(np.r_[starts, len(row)])
    total = np.repeat(np.add.reduceat(good, starts), sizes)
    before = _sums_before(good, starts, sizes)
    columns += [
        before / (total + 1),
        (total - before - good) / (total + 1),
        lines.number / np.repeat(sizes, sizes),
        np.log1p(lines.number),
        np.log1p(np.repeat(sizes, sizes)),
    ]
    columns += _segment(words * (first - 0.5) - 1.0, starts, sizes)
    columns += [total / np.log1p(np.repeat(sizes, sizes))]
    raw = np.column_stack(columns)
    own = features[:, : features.shape[1] // 5]
    return np.hstack([own, raw, np.sign(raw) * np.log1p(np.abs(raw))])


def _own_features(lines: Lines, cued: NDArray[np.bool_]) -> Floats:
    counts = lines.counts.astype(np.float64)
    words, characters = counts[:, COLUMN["words"]], counts[:, COLUMN["characters"]]
    shares = counts[:, [COLUMN[name] for name in _SHARES]] / np.maximum(words, 1)[:, None]
    ending, opening = counts[:, COLUMN["ending"]], counts[:, COLUMN["opening"]]
    stop = shares[:, _SHARES.index("stop")]
    _, where, times = np.unique(
        np.stack([lines.row.astype(np.int64), lines.keys]), axis=1, return_inverse=True, return_counts=True
    )
    size = np.log1p(words)
    columns = [
        size,
        np.log1p(characters),
        characters / np.maximum(words, 1),
        *(ending == code for code in range(1, 5)),
        *(opening == code for code in (1, 2)),
        counts[:, COLUMN["quotes"]] > 0,
        np.log1p(counts[:, COLUMN["marks"]]),
        counts[:, COLUMN["marks"]] / np.maximum(words, 1),
        times[where.ravel()] > 1,
        cued,
        *(words >= band for band in _BANDS),
        size * stop,
        size * (ending > 0),
        size * (ending == 1),
        size * cued,
        (ending == 0) & (words >= 4) & (shares[:, 0] >= 0.6),  # noqa: PLR2004 -- title case
    ]
    return np.hstack([np.column_stack(columns).astype(np.float64), shares])


def _shifted(values: Floats, row: NDArray[np.int32], step: int) -> Floats:
    """Values of the line `step` further down in the same text; 0 outside it."""
    out = np.zeros_like(values)
    here, there = (slice(0, -step), slice(step, None)) if step > 0 else (slice(-step, None), slice(0, step))
    inside = row[here] == row[there]
    out[here][inside] = values[there][inside]
    return out


def _window(values: Floats, row: NDArray[np.int32], reach: int) -> Floats:
    """Sum over the lines at most `reach` away in the same text, the line itself left out."""
    ends = np.searchsorted(row, row, side="right")
    begins = np.searchsorted(row, row, side="left")
    at = np.arange(len(row))
    sums = np.r_[0.0, np.cumsum(values)]
    return sums[np.minimum(at + reach + 1, ends)] - sums[np.maximum(at - reach, begins)] - values


def _sums_before(values: Floats, starts: NDArray[np.int64], sizes: NDArray[np.int64]) -> Floats:
    sums = np.cumsum(values) - values
    return sums - np.repeat(sums[starts], sizes)


def _segment(gain: Floats, starts: NDArray[np.int64], sizes: NDArray[np.int64]) -> list[Floats]:
    """Where the run of lines with the largest sum lies: inside or not, lines until it, lines after it."""
    inside, until, after = np.zeros(len(gain)), np.zeros(len(gain)), np.zeros(len(gain))
    for start, size in zip(starts.tolist(), sizes.tolist(), strict=True):
        sums = np.r_[0.0, np.cumsum(gain[start : start + size])]
        lowest = np.minimum.accumulate(sums)
        end = int(np.argmax(sums - lowest))
        begin = int(np.argmin(sums[: end + 1]))
        at = np.arange(size)
        inside[start : start + size] = (at >= begin) & (at < end)
        until[start : start + size] = np.maximum(begin - at, 0)
        after[start : start + size] = np.maximum(at - end + 1, 0)
    return [inside, until, after]


@functools.cache
def _model() -> LineModel:
    stored = json.loads((resources.files(__package__) / "data" / "plaintext_model.json").read_text("utf-8"))
    first, second = (
        Logistic(np.array(s["mean"]), np.array(s["scale"]), np.array(s["weights"]), s["bias"])
        for s in (stored["first"], stored["second"])
    )
    return LineModel(first, second, stored["threshold"])


def subset(lines: Lines, kept: NDArray[np.bool_]) -> Lines:
    """The lines of whole texts only."""
    return Lines(
        lines.row[kept],
        lines.number[kept],
        lines.text.filter(pa.array(kept)),
        lines.keys[kept],
        lines.counts[kept],
        lines.cues[kept],
    )
