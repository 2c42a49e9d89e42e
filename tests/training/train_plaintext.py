"""Train the line model of plain text, leave-outlets-out, and write its coefficients.

    python tests/training/train_plaintext.py LABELLED.jsonl.gz [--write] [--predictions OUT.jsonl] [--regularise C1 C2]

LABELLED holds rows {id, outlet, lines: [{text, label: body|not|title|optional}]}. Every figure and prediction comes
from models that never saw the line's outlet; `--write` then trains on all rows.
"""

import argparse
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.preprocessing import StandardScaler

from transforms.clean.linescores import Logistic, first_features, second_features
from transforms.clean.phrases import NO_RULE, find_cues
from transforms.clean.textlines import measured_lines

MODEL = Path(__file__).parents[2] / "transforms" / "clean" / "data" / "plaintext_model.json"
FOLDS = 10
THRESHOLD = 0.5


def fit(
    features: NDArray[np.float64], target: NDArray[np.bool_], weight: NDArray[np.float64], strength: float
) -> Logistic:
    """Fit one stage."""
    scaler = StandardScaler().fit(features)
    model = LogisticRegression(C=strength, max_iter=2000).fit(scaler.transform(features), target, weight)
    return Logistic(scaler.mean_, scaler.scale_, model.coef_[0], float(model.intercept_[0]))


def out_of_fold(
    features: NDArray[np.float64],
    target: NDArray[np.bool_],
    weight: NDArray[np.float64],
    groups: NDArray[np.int64],
    strength: float,
) -> NDArray[np.float64]:
    """Predict each row by a model that never saw its group."""
    out = np.zeros(len(target))
    for train, test in GroupKFold(FOLDS).split(features, target, groups):
        out[test] = fit(features[train], target[train], weight[train], strength)(features[test])
    return out


def main() -> None:
    """Read, cross-validate, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labelled", type=Path)
    parser.add_argument("--predictions", type=Path)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--regularise", type=float, nargs=2, default=(0.005, 0.005), metavar=("C1", "C2"))
    arguments = parser.parse_args()

    with gzip.open(arguments.labelled, "rt", encoding="utf-8") as file:
        pages: list[dict[str, Any]] = [json.loads(line) for line in file]
    row = np.repeat(np.arange(len(pages), dtype=np.int32), [len(page["lines"]) for page in pages])
    lines = measured_lines(row, pa.array([" ".join(line["text"].split()) for page in pages for line in page["lines"]]))
    label = np.array([line["label"] for page in pages for line in page["lines"]])
    outlets = {name: number for number, name in enumerate(sorted({page["outlet"] for page in pages}))}
    groups = np.array([outlets[page["outlet"]] for page in pages])[row]
    target = label == "body"
    weight = np.sqrt(np.minimum(np.maximum(lines.column("words"), 1), 80)) * (label != "optional")
    weight /= np.bincount(row, weight)[row] / np.mean(np.bincount(row))

    cued = find_cues(lines, np.bincount(row)[row].astype(np.int32)).rule != NO_RULE
    first_matrix = first_features(lines, cued)
    first = out_of_fold(first_matrix, target, weight, groups, arguments.regularise[0])
    second_matrix = second_features(lines, first_matrix, np.clip(first, 1e-9, 1 - 1e-9))
    second = out_of_fold(second_matrix, target, weight, groups, arguments.regularise[1])
    for name, score in (("first", first), ("second", second)):
        print(name, "weighted error", round(float(np.average((score > 0.5) != target, weights=weight)), 4))
    if arguments.predictions:
        with arguments.predictions.open("w", encoding="utf-8") as file:
            for number, page in enumerate(pages):
                at = np.flatnonzero(row == number)
                kept = [page["lines"][i]["text"] for i, score in enumerate(second[at]) if score >= THRESHOLD]
                file.write(
                    json.dumps({"id": page["id"], "text": "\n".join(kept), "scores": np.round(second[at], 4).tolist()})
                    + "\n"
                )
    if arguments.write:
        stages = {
            "first": fit(first_matrix, target, weight, arguments.regularise[0]),
            "second": fit(second_matrix, target, weight, arguments.regularise[1]),
        }
        stored = {
            name: {
                "mean": np.round(s.mean, 6).tolist(),
                "scale": np.round(s.scale, 6).tolist(),
                "weights": np.round(s.weights, 6).tolist(),
                "bias": round(s.bias, 6),
            }
            for name, s in stages.items()
        }
        MODEL.write_text(json.dumps({"threshold": THRESHOLD, **stored}) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
