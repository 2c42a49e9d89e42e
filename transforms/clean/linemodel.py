"""The two-stage line model: boosted trees whose nodes ship as data, evaluated by compiled code.

`tests/training/train_pages.py` makes `data/page_model.npz`. A tree is a run of nodes: `feature` < 0 marks a leaf,
whose `value` adds to the log-odds; else the left child is taken where the column is ≤ `value`.

No tree is walked. A bit a leaf says which leaves a line can still reach; every test that a line fails clears the bits
of the leaves to the left of it, and the lowest bit left is the leaf (QuickScorer: Lucchese et al., SIGIR 2015). So a
test is one comparison over all lines of a page, which the compiler turns into vector instructions, and a test that the
largest value of its column passes costs nothing.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from transforms.clean.pagefeatures import (
    Matrix,
    context_columns,
    context_matrix,
    line_columns,
    line_matrix,
    never_body,
    silenced,
    some_left,
)
from transforms.clean.pagescan import Scan
from transforms.clean.pagestructure import page_structure

MAX_LEAVES = 32
_BLOCK = 1024  # lines at a time: their columns stay in the cache
_DE_BRUIJN = 0x077CB531  # times a power of two, the top five bits are another number for each of the 32


@dataclass(frozen=True)
class Trees:
    """One stage; the tests of all trees one after another."""

    feature: NDArray[np.int16]  # (tests,) column
    threshold: NDArray[np.float32]  # (tests,) a line fails the test when its column is above
    leaves: NDArray[np.uint32]  # (tests,) what a line that fails can still reach
    ends: NDArray[np.int32]  # (trees,) where each tree's tests end
    values: NDArray[np.float64]  # (trees, 32) of the leaf whose bit a product with `_DE_BRUIJN` finds
    base: float


def body_scores(scan: Scan, rows: NDArray[np.int64]) -> tuple[NDArray[np.float64], list[str]]:
    """How likely each line is body, 0..1.

    Args:
      scan: a page.
      rows: the lines of it that are considered, ascending.

    Returns:
      shape (rows,), and flags that say what had to be undone so that something is left.
    """
    first, second = load_model()
    structure = page_structure(scan, rows)
    never = never_body(scan, rows, structure)
    lines = line_matrix(scan, rows, structure)
    p = silenced(_probabilities(lines, first), never)
    context = context_matrix(scan, rows, structure, p)
    scores = _probabilities(np.concatenate((lines, context), axis=1), second)
    undone = never.any() and not some_left(scores, never)
    return silenced(scores, never), ["places:undone"] if undone else []


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


def _stage(data: Mapping[str, NDArray[Any]], name: str) -> Trees:
    return trees_of({part: data[f"{name}_{part}"] for part in ("feature", "value", "left", "right", "roots", "base")})


def trees_of(nodes: Mapping[str, Any]) -> Trees:
    """Order the tests of trees that are given node by node.

    Args:
      nodes: `feature`, `value`, `left`, `right` of each node, the `roots`, and the `base` log-odds.

    Raises:
      ValueError: a tree has more leaves than there are bits.
    """
    feature, value, left, right = (nodes[part] for part in ("feature", "value", "left", "right"))
    roots = list(nodes["roots"])
    columns: list[int] = []
    thresholds: list[float] = []
    leaves: list[int] = []
    ends = []
    values = np.zeros((len(roots), MAX_LEAVES))
    for tree, root in enumerate(roots):
        count = 0  # of the leaves passed, left to right
        todo = [(root, -1)]  # nodes to visit and, the second time, how many leaves stood before them
        while todo:
            node, before = todo.pop()
            if feature[node] < 0:
                if count == MAX_LEAVES:
                    raise ValueError(f"a tree has more than {MAX_LEAVES} leaves")
                values[tree, _place(1 << count)] = value[node]
                count += 1
            elif before < 0:
                todo += [(right[node], -1), (node, count), (left[node], -1)]
            else:
                columns.append(feature[node])
                thresholds.append(value[node])
                leaves.append(0xFFFFFFFF & ~((1 << count) - (1 << before)))
        ends.append(len(columns))
    return Trees(
        np.array(columns, np.int16),
        _rounded_down(np.array(thresholds)),
        np.array(leaves, np.uint32),
        np.array(ends, np.int32),
        values,
        float(nodes["base"]),
    )


def _place(bit: int) -> int:
    return (bit * _DE_BRUIJN & 0xFFFFFFFF) >> 27


def _rounded_down(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """The largest float32 ≤ each value: a float32 is above the one exactly when it is above the other."""
    near = values.astype(np.float32)
    return np.where(near > values, np.nextafter(near, np.float32(-np.inf)), near)


def _probabilities(matrix: Matrix, trees: Trees) -> NDArray[np.float64]:
    return 1.0 / (1.0 + np.exp(-tree_odds(matrix, trees)))


def tree_odds(matrix: Matrix, trees: Trees) -> NDArray[np.float64]:
    """Log-odds of each row; shape (rows,)."""
    odds = np.empty(len(matrix))
    for start in range(0, len(matrix), _BLOCK):
        columns = np.ascontiguousarray(matrix[start : start + _BLOCK].T)
        odds[start : start + _BLOCK] = _sum_leaves(
            columns, columns.max(axis=1), trees.feature, trees.threshold, trees.leaves, trees.ends, trees.values
        )
    return odds + trees.base


@njit(cache=True, nogil=True)
def _sum_leaves(columns, highest, feature, threshold, leaves, ends, values):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, PLR0913, PLR0917 -- compiled
    n = columns.shape[1]
    out = np.zeros(n, np.float64)
    reach = np.empty(n, np.uint32)
    start = 0
    for tree in range(len(ends)):
        for i in range(n):
            reach[i] = np.uint32(0xFFFFFFFF)
        for test in range(start, ends[tree]):
            limit = threshold[test]
            if highest[feature[test]] <= limit:
                continue
            column = columns[feature[test]]
            kept = leaves[test]
            for i in range(n):
                reach[i] &= kept if column[i] > limit else np.uint32(0xFFFFFFFF)
        start = ends[tree]
        leaf = values[tree]
        for i in range(n):
            lowest = reach[i] & (~reach[i] + np.uint32(1))
            out[i] += leaf[np.uint32(lowest * np.uint32(_DE_BRUIJN)) >> np.uint32(27)]
    return out
