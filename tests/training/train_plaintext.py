"""Train the line model of plain text, leave-outlets-out, and write its coefficients.

    PYTHONPATH=. python tests/training/train_plaintext.py SHARED [--seeds 3] [--write]

Learns from `data/furniture/plaintext_dev.jsonl.gz` ({id, outlet, title, lines: [{text, label:
body|not|title|optional}]}) and the pages of `saved_pages`, all under SHARED, and scores the lines kept of the former
with `eval/evaluate_extraction.py`. Every figure comes from models that never saw the line's outlet, under any of its
names (FoxNews and foxnews.com are one). The folds are drawn anew for each seed, because ten pages of 142 hold half of
all that is lost.

Printed: F1 on all pages, also where pages that are not told for dumps lose only what the phrase pack takes; and with
the lines left out that other pages of the outlet have (on all pages, and on those that have such sisters, at most 1, 2
and 4 of them). `--write` then trains on all rows.
"""

import argparse
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from tests.quality.measure import rows_of, scorer
from tests.training.saved_pages import saved_pages
from tests.training.train_pages import packed_trees
from transforms.clean.addresses import domain_of
from transforms.clean.linefeatures import first_features, second_features, with_logarithms
from transforms.clean.linemodel import trees_of
from transforms.clean.linescores import Logistic, SecondStage, page_dumps, probabilities
from transforms.clean.phrases import NO_RULE, find_cues
from transforms.clean.textlines import Lines, measured_lines

MODEL = Path(__file__).parents[2] / "transforms" / "clean" / "data" / "plaintext_model.json"
FOLDS = 8
THRESHOLD = 0.5
STRENGTH = 0.005  # C of the logistic models
TREES = {"max_iter": 70, "max_leaf_nodes": 6, "learning_rate": 0.1, "l2_regularization": 5.0, "max_features": 0.25}
SISTERS = (1, 2, 4)

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Fit = Callable[[Floats, Bools, Floats], Callable[[Floats], Floats]]


@dataclass(frozen=True)
class Labelled:
    """The pages as one block of lines."""

    pages: list[dict[str, Any]]
    scored: int  # pages that are scored; those after them only teach
    lines: Lines
    cued: Bools
    body: Bools
    weight: Floats
    outlet: NDArray[np.int64]  # of each page


def main() -> None:
    """Read, cross-validate, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    data = read(arguments.shared)
    dumps = page_dumps(data.lines, len(data.pages))
    told, taught = dumps[: data.scored], dumps[data.scored :]
    print(f"dumps told: {told.sum()} of {len(told)} scored, {taught.sum()} of {len(taught)} that only teach")
    found = [figures(data, seed, arguments.shared) for seed in range(arguments.seeds)]
    for name in found[0] if found else ():
        values = [each[name] for each in found]
        print(f"{name:34} {np.mean(values):.4f}  seeds {' '.join(f'{value:.4f}' for value in values)}")
    if arguments.write:
        MODEL.write_text(json.dumps(trained(data)) + "\n", encoding="utf-8")


def read(shared: Path) -> Labelled:
    """Read and measure the pages."""
    pages = rows_of(shared / "data/furniture/plaintext_dev.jsonl.gz")
    scored = len(pages)
    pages += saved_pages(shared)
    row = np.repeat(np.arange(len(pages), dtype=np.int32), [len(page["lines"]) for page in pages])
    texts = [" ".join(line["text"].split()) for page in pages for line in page["lines"]]
    lines = measured_lines(row, pa.array(texts))
    label = np.array([line["label"] for page in pages for line in page["lines"]])
    weight = np.sqrt(np.minimum(np.maximum(lines.column("words"), 1), 80)) * (label != "optional")
    weight /= np.bincount(row, weight)[row] / np.mean(np.bincount(row))
    cued = find_cues(lines, np.bincount(row)[row].astype(np.int32)).rule != NO_RULE
    outlet = np.unique([name_of(page["outlet"]) for page in pages], return_inverse=True)[1]
    return Labelled(pages, scored, lines, cued, label == "body", weight, outlet)


def name_of(outlet: str) -> str:
    """One name for an outlet given by name or by domain."""
    domain = domain_of(f"https://{outlet}/") if "." in outlet else outlet
    return re.sub(r"^the", "", (domain or outlet).lower().split(".")[0])


def figures(data: Labelled, seed: int, shared: Path) -> dict[str, float]:
    """F1 of each way to judge the pages, cross-validated."""
    fold = folds_of(data, seed)[data.lines.row]
    own, features = first_features(data.lines, data.cued)
    first = out_of_fold(features, data, fold, fit_first)
    second = second_features(data.lines, own, first)
    kept = out_of_fold(second, data, fold, fit_second) >= THRESHOLD
    scoring = Scores(data, shared)
    every = np.arange(len(data.pages)) < data.scored
    told = page_dumps(data.lines, len(data.pages))[data.lines.row]
    out = {
        "first stage": scoring.f1(first >= THRESHOLD, every),
        "both stages": scoring.f1(kept, every),
        "both stages, only dumps that are told": scoring.f1(np.where(told, kept, ~data.cued), every),
    }
    for most in SISTERS:
        seen, has = seen_in_sisters(data, most, seed)
        out[f"with {most} sisters"] = scoring.f1(kept & ~seen, every)
        out[f"with {most} sisters, pages that have one"] = scoring.f1(kept & ~seen, has)
    return out | {"both stages, the same pages": scoring.f1(kept, has)}


def folds_of(data: Labelled, seed: int) -> NDArray[np.int64]:
    """Fold of each page: whole outlets, evenly many scored pages."""
    rng = np.random.default_rng(seed)
    size = np.bincount(data.outlet[: data.scored], minlength=data.outlet.max() + 1)
    order = rng.permutation(len(size))
    load, fold = np.zeros(FOLDS), np.zeros(len(size), np.int64)
    for each in order[np.argsort(-size[order], kind="stable")]:
        fold[each] = np.argmin(load + rng.random(FOLDS) * 0.1)
        load[fold[each]] += max(size[each], 0.01)
    return fold[data.outlet]


def out_of_fold(features: Floats, data: Labelled, fold: NDArray[np.int64], fit: Fit) -> Floats:
    """Predict each line by a model that never saw its outlet."""
    out = np.zeros(len(fold))
    for number in range(FOLDS):
        seen = fold != number
        out[~seen] = fit(features[seen], data.body[seen], data.weight[seen])(features[~seen])
    return np.clip(out, 1e-6, 1 - 1e-6)


def seen_in_sisters(data: Labelled, most: int, seed: int) -> tuple[Bools, Bools]:
    """Lines that at most so many other pages of the outlet have, and which pages have such sisters."""
    rng = np.random.default_rng(seed)
    keys = [data.lines.keys[data.lines.row == at] for at in range(len(data.pages))]
    seen: list[Bools] = []
    has = np.zeros(len(data.pages), bool)
    for at, outlet in enumerate(data.outlet):
        sisters = [other for other in np.flatnonzero(data.outlet[: data.scored] == outlet).tolist() if other != at]
        chosen = [keys[other] for other in rng.permutation(sisters)[:most].astype(int)]
        has[at] = bool(chosen) and at < data.scored
        seen.append(np.isin(keys[at], np.concatenate(chosen)) if chosen else np.zeros(len(keys[at]), bool))
    return np.concatenate(seen), has


class Scores:
    """The shared scorer's F1 over some pages."""

    def __init__(self, data: Labelled, shared: Path) -> None:
        """Read the truth."""
        truths = {row["id"]: row for row in rows_of(shared / "data/extraction/manifest.jsonl")}
        self.scoring = scorer(shared, "evaluate_extraction")
        self.truths = [truths[page["id"]] for page in data.pages[: data.scored]]
        self.texts = data.lines.text.to_pylist()
        self.row = data.lines.row
        self.known: dict[tuple[int, bytes], Any] = {}

    def f1(self, kept: Bools, chosen: Bools) -> float:
        """Of the pages chosen, with these lines kept."""
        found = []
        for page in np.flatnonzero(chosen).tolist():
            at = np.flatnonzero((self.row == page) & kept)
            key = (page, at.tobytes())
            if key not in self.known:
                text = "\n".join(self.texts[line] for line in at)
                self.known[key] = self.scoring.score_page(self.truths[page], text)[0]
            found.append(self.known[key])
        return float(self.scoring.summarise(found)["F1"])


def fit_first(features: Floats, body: Bools, weight: Floats) -> Callable[[Floats], Floats]:
    """The first stage."""
    model = logistic(features, body, weight)
    return lambda given: probabilities(model(given))


def fit_second(features: Floats, body: Bools, weight: Floats) -> SecondStage:
    """A second stage."""
    return SecondStage(logistic(with_logarithms(features), body, weight), trees_of(boosted(features, body, weight)))


def boosted(features: Floats, body: Bools, weight: Floats) -> dict[str, Any]:
    """Trees node by node, as `trees_of` reads them."""
    trees = HistGradientBoostingClassifier(
        **TREES, min_samples_leaf=40, max_bins=48, early_stopping=False, random_state=0
    ).fit(features.astype(np.float32), body, weight)
    return {name.removeprefix("trees_"): values for name, values in packed_trees(trees, "trees").items()}


def logistic(features: Floats, body: Bools, weight: Floats) -> Logistic:
    """Fit a logistic model on standardised columns."""
    scaler = StandardScaler().fit(features)
    model = LogisticRegression(C=STRENGTH, max_iter=200, tol=1e-3).fit(scaler.transform(features), body, weight)
    return Logistic(scaler.mean_, scaler.scale_, model.coef_[0], float(model.intercept_[0]))


def trained(data: Labelled) -> dict[str, Any]:
    """A model of all rows, as it is stored."""
    own, features = first_features(data.lines, data.cued)
    first = out_of_fold(features, data, folds_of(data, 0)[data.lines.row], fit_first)
    context = second_features(data.lines, own, first)
    return {
        "threshold": THRESHOLD,
        "first": stored(vars(logistic(features, data.body, data.weight))),
        "second": stored(vars(logistic(with_logarithms(context), data.body, data.weight))),
        "trees": stored(boosted(context, data.body, data.weight)),
    }


def stored(model: Mapping[str, Any]) -> dict[str, Any]:
    """A stage as JSON."""
    return {name: np.round(value, 6).tolist() for name, value in model.items()}


if __name__ == "__main__":
    main()
