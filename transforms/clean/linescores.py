"""The line model of plain text that was saved with all its menus: how likely each line is body.

Two stages, after RECIPES "Pages": the first, logistic, sees a line and its surroundings; the second, the mean of a
logistic model and boosted trees, also what the first made of the text. Where a line repeats the headline that is known
of a text, a second stage that sees this judges it. The coefficients are data (`data/plaintext_model.json`), trained by
`tests/training/train_plaintext.py`.
"""

import functools
import json
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from transforms.clean.linefeatures import (
    Floats,
    first_features,
    headline_features,
    second_features,
    with_logarithms,
)
from transforms.clean.textlines import Lines

_SHORT_WORDS = 8
_BULLET = 2  # `opening`
_DUMP_LINES, _DUMP_SHARE, _DUMP_SITE_LINES = 20, 0.5, 3
_KNOWN_LANGUAGE = 0.03  # share of stop words
_LINES_AT_ONCE = 4096
_SURE = 1e-6  # no probability of the first stage is nearer to 0 or 1


@dataclass(frozen=True)
class Logistic:
    """weights · (features - mean) / scale + bias."""

    mean: Floats
    scale: Floats
    weights: Floats
    bias: float

    def __call__(self, features: Floats) -> Floats:
        """Log-odds; shape (lines,)."""
        return ((features - self.mean) / self.scale) @ self.weights + self.bias


@dataclass(frozen=True)
class Trees:
    """Nodes of all trees one after another; children as absolute places, `feature` < 0 at a leaf."""

    feature: NDArray[np.int64]
    value: Floats
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    roots: NDArray[np.int64]
    base: float

    def __call__(self, features: Floats) -> Floats:
        """Log-odds; shape (lines,)."""
        out = np.empty(len(features))
        for start in range(0, len(features), _LINES_AT_ONCE):
            some = features[start : start + _LINES_AT_ONCE]
            node, line = np.tile(self.roots, (len(some), 1)), np.arange(len(some))[:, None]
            while (inner := self.feature[node] >= 0).any():
                lower = some[line, np.maximum(self.feature[node], 0)] <= self.value[node]
                node = np.where(inner, np.where(lower, self.left[node], self.right[node]), node)
            out[start : start + len(some)] = self.base + self.value[node].sum(axis=1)
        return out


@dataclass(frozen=True)
class SecondStage:
    """The mean of both log-odds."""

    logistic: Logistic
    trees: Trees

    def __call__(self, features: Floats) -> Floats:
        """Probabilities; shape (lines,)."""
        return probabilities((self.logistic(with_logarithms(features)) + self.trees(features)) / 2)


@dataclass(frozen=True)
class LineModel:
    """All stages, and the probability from which a line is kept."""

    first: Logistic
    second: SecondStage
    titled: SecondStage
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


def score_lines(
    lines: Lines, cued: NDArray[np.bool_], headlines: pa.Array
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Judge all lines of some texts.

    Args:
      lines: whole texts.
      cued: shape (lines,), whether the phrase pack took the line.
      headlines: by text, empty where unknown.

    Returns:
      how likely each line is body, and whether it is kept; shape (lines,) both.
    """
    model = load_model()
    own, features = first_features(lines, cued)
    first = np.clip(probabilities(model.first(features)), _SURE, 1 - _SURE)
    second = second_features(lines, own, first)
    score = model.second(second)
    titles = headline_features(lines, headlines)
    titled = np.flatnonzero(titles[:, -1] > 0)
    if len(titled):
        score[titled] = model.titled(np.hstack([second[titled], titles[titled]]))
    return score.astype(np.float32), score >= model.threshold


def probabilities(odds: Floats) -> Floats:
    """Of log-odds."""
    return 1 / (1 + np.exp(-np.clip(odds, -30, 30)))


@functools.cache
def load_model() -> LineModel:
    """Read the shipped model."""
    stored = json.loads((resources.files(__package__) / "data" / "plaintext_model.json").read_text("utf-8"))
    return LineModel(
        _logistic(stored["first"]), _second(stored["second"]), _second(stored["titled"]), stored["threshold"]
    )


def _logistic(stored: dict[str, Any]) -> Logistic:
    return Logistic(np.array(stored["mean"]), np.array(stored["scale"]), np.array(stored["weights"]), stored["bias"])


def _second(stored: dict[str, Any]) -> SecondStage:
    trees: dict[str, Any] = {
        name: value if name == "base" else np.array(value) for name, value in stored["trees"].items()
    }
    return SecondStage(_logistic(stored["logistic"]), Trees(**trees))


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
