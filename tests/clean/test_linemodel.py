"""Trees as comparisons say what walking them says."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from transforms.clean.linemodel import Trees, _probabilities, _stage


def _grown(rng: np.random.Generator, trees: int, columns: int) -> dict[str, NDArray[Any]]:
    """Random trees in the form of the model file, of one to twelve leaves."""
    feature: list[int] = []
    value: list[float] = []
    children: list[list[int]] = []

    def grow(leaves: int) -> int:
        at = len(feature)
        feature.append(-1 if leaves == 1 else int(rng.integers(columns)))
        value.append(float(rng.normal()))
        children.append([0, 0])
        if leaves > 1:
            left = int(rng.integers(1, leaves))
            children[at] = [grow(left), grow(leaves - left)]
        return at

    roots = [grow(int(rng.integers(1, 13))) for _ in range(trees)]
    left, right = np.array(children, np.int32).T
    parts = {"feature": np.array(feature, np.int16), "value": np.array(value), "left": left, "right": right}
    return {f"first_{name}": array for name, array in (parts | {"roots": np.array(roots, np.int32)}).items()}


def _walked(data: dict[str, NDArray[Any]], line: NDArray[np.float32]) -> float:
    feature, value, left, right = (data[f"first_{name}"] for name in ("feature", "value", "left", "right"))
    total = 0.0
    for root in data["first_roots"].tolist():
        node = root
        while feature[node] >= 0:
            node = left[node] if line[feature[node]] <= value[node] else right[node]
        total += float(value[node])
    return total


def test_comparing_columns_finds_the_leaves_that_walking_the_trees_finds() -> None:
    rng = np.random.default_rng(5)
    data = _grown(rng, 20, 6)
    trees: Trees = _stage(data | {"first_base": np.array(0.5)}, "first")
    matrix = rng.normal(size=(1100, 6)).astype(np.float32)
    thresholds = data["first_value"][data["first_feature"] >= 0].astype(np.float32)
    matrix[: len(thresholds), 0] = thresholds  # on the edge of a test, rounded either way
    odds = np.array([_walked(data, line) for line in matrix])
    assert np.array_equal(_probabilities(matrix, trees), 1 / (1 + np.exp(-(odds + 0.5))))
