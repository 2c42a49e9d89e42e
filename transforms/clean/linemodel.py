"""The two-stage line model: boosted trees whose nodes ship as data, evaluated by compiled code.

`tests/training/train_pages.py` makes `data/page_model.npz`. A tree is a run of nodes: `feature` < 0 marks a leaf,
whose `value` adds to the log-odds; else the left child is taken where the column is ≤ `value`.
"""

import functools
from dataclasses import dataclass
from importlib import resources

import numpy as np
from numba import njit
from numpy.typing import NDArray

from transforms.clean.pagefeatures import Matrix, context_columns, context_matrix, line_columns, line_matrix
from transforms.clean.pagescan import Scan


@dataclass(frozen=True)
class Trees:
    """One stage; nodes of all trees one after another, children as absolute places."""

    feature: NDArray[np.int16]
    value: NDArray[np.float64]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    roots: NDArray[np.int32]
    base: float


def body_scores(scan: Scan, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """How likely each line is body, 0..1.

    Args:
      scan: a page.
      rows: the lines of it that are considered, ascending.

    Returns:
      shape (rows,)
    """
    first, second = load_model()
    lines = line_matrix(scan, rows)
    p = _probabilities(lines, first)
    return _probabilities(np.concatenate((lines, context_matrix(scan, rows, p)), axis=1), second)


@functools.cache
def load_model() -> tuple[Trees, Trees]:
    """Read the shipped model.

    Raises:
      ValueError: it was trained on other columns.
    """
    with resources.files(__package__).joinpath("data/page_model.npz").open("rb") as file, np.load(file) as data:
        if list(data["columns"]) != line_columns() + context_columns():
            raise ValueError("page_model.npz was trained on other columns: run tests/training/train_pages.py")
        return _stage(data, "first"), _stage(data, "second")


def _stage(data: np.lib.npyio.NpzFile, name: str) -> Trees:
    feature, value, left, right, roots, base = (
        data[f"{name}_{part}"] for part in ("feature", "value", "left", "right", "roots", "base")
    )
    return Trees(feature, value, left, right, roots, float(base))


def _probabilities(matrix: Matrix, trees: Trees) -> NDArray[np.float64]:
    return 1.0 / (1.0 + np.exp(-tree_odds(matrix, trees)))


def tree_odds(matrix: Matrix, trees: Trees) -> NDArray[np.float64]:
    """Log-odds of each row; shape (rows,)."""
    odds: NDArray[np.float64] = _sum_leaves(matrix, trees.feature, trees.value, trees.left, trees.right, trees.roots)
    return odds + trees.base


@njit(cache=True, nogil=True)
def _sum_leaves(matrix, feature, value, left, right, roots):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, PLR0913, PLR0917 -- compiled
    out = np.zeros(len(matrix), np.float64)
    for i in range(len(matrix)):
        for root in roots:
            node = root
            while feature[node] >= 0:
                node = left[node] if matrix[i, feature[node]] <= value[node] else right[node]
            out[i] += value[node]
    return out
