"""The line model of plain text that was saved with all its menus: how likely each line is body.

Two stages, after RECIPES "Pages": the first, logistic, sees a line and its surroundings; the second, the mean of a
logistic model and boosted trees, also what the first made of the text. The coefficients are data
(`data/plaintext_model.json`), trained by `tests/training/train_plaintext.py`.
"""

import functools
import itertools
import json
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from transforms.clean.linefeatures import Floats, first_features, second_features, with_logarithms
from transforms.clean.linemodel import Trees, tree_odds, trees_of
from transforms.clean.textlines import Lines

_SHORT_WORDS = 8
_BULLET = 2  # `opening`
_DUMP_LINES, _DUMP_SHARE, _DUMP_SITE_LINES = 20, 0.5, 3
_KNOWN_LANGUAGE = 0.03  # share of stop words
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
class SecondStage:
    """The mean of both log-odds."""

    logistic: Logistic
    trees: Trees

    def __call__(self, features: Floats) -> Floats:
        """Probabilities; shape (lines,)."""
        return probabilities(
            (self.logistic(with_logarithms(features)) + tree_odds(features.astype(np.float32), self.trees)) / 2
        )


@dataclass(frozen=True)
class LineModel:
    """Both stages, and the probability from which a line is kept."""

    first: Logistic
    second: SecondStage
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
    starts = np.flatnonzero(np.r_[True, lines.row[1:] != lines.row[:-1]]).tolist()
    # text by text: sums over others before it would differ in their last digits, and a tree may turn on one of them
    scores = [
        _score_text(_text_of(lines, slice(start, stop)), cued[start:stop])
        for start, stop in itertools.pairwise([*starts, len(lines.row)])
    ]
    score = np.concatenate(scores)
    return score.astype(np.float32), score >= load_model().threshold


def _score_text(lines: Lines, cued: NDArray[np.bool_]) -> Floats:
    model = load_model()
    own, features = first_features(lines, cued)
    first = np.clip(probabilities(model.first(features)), _SURE, 1 - _SURE)
    return model.second(second_features(lines, own, first))


def _text_of(lines: Lines, at: slice) -> Lines:
    row = np.zeros(at.stop - at.start, np.int32)
    text = lines.text.slice(at.start, len(row))
    return Lines(row, lines.number[at], text, lines.keys[at], lines.counts[at], lines.cues[at])


def probabilities(odds: Floats) -> Floats:
    """Of log-odds."""
    return 1 / (1 + np.exp(-np.clip(odds, -30, 30)))


@functools.cache
def load_model() -> LineModel:
    """Read the shipped model."""
    stored = json.loads((resources.files(__package__) / "data" / "plaintext_model.json").read_text("utf-8"))
    return LineModel(
        _logistic(stored["first"]),
        SecondStage(_logistic(stored["second"]), trees_of(stored["trees"])),
        stored["threshold"],
    )


def _logistic(stored: dict[str, Any]) -> Logistic:
    return Logistic(np.array(stored["mean"]), np.array(stored["scale"]), np.array(stored["weights"]), stored["bias"])


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
