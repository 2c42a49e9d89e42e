"""Train the line model of the page path, and measure it on domains it never saw.

    PYTHONPATH=. python tests/training/train_pages.py DATA [--out page_model.npz] [--predictions CV.jsonl] [--salt SALT]

DATA is a folder with `manifest.jsonl` and the pages it names. With `--predictions` the texts of a cross-validation
by domain are written for `evaluate_extraction.py` (another `--salt` makes other folds); with `--out` a model is
trained on all pages, and `--seen` writes what it gives for these same pages.

Stage two learns from what stage one gives pages it was not trained on. A line weighs √min(words, 80) of its page, so
that each page counts once; optional lines weigh nothing. A line of up to three words is body where the truth goes on
from or to its neighbour, or is that line: a "News" of the menu is in many a truth. Pages whose truth is snippets
teach with the lines that hold one.
"""

import argparse
import gzip
import json
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from selectolax.lexbor import LexborHTMLParser
from sklearn.ensemble import HistGradientBoostingClassifier

from transforms.clean.declared import read_declared
from transforms.clean.linetext import LINE_FEATURES
from transforms.clean.metadata import choose_metadata
from transforms.clean.page import choose_lines
from transforms.clean.pagefeatures import (
    considered,
    context_columns,
    context_matrix,
    line_columns,
    line_matrix,
    never_body,
    silenced,
)
from transforms.clean.pagescan import Scan, scan_page
from transforms.clean.pagestrip import strip_page
from transforms.clean.pagestructure import Structure, page_structure

FOLDS, INNER_FOLDS = 5, 3
STAGES = ({"max_iter": 60, "max_leaf_nodes": 15}, {"max_iter": 90, "max_leaf_nodes": 8})
SNIPPET_WEIGHT = 0.5  # of a page whose truth is snippets, with six known lines or more
_TOKEN = re.compile(r"\w+")
_SHINGLE, _MATCH = 4, 0.7  # as the scorer takes a line to be in the truth
_SURE, _REACH = 6, 3  # words from which a line of the truth is no chance, and lines beyond those where it may go on
_TITLED = 0.7  # as the page path takes a line to be the headline


@dataclass(frozen=True)
class Example:
    """One page: its lines, which of them are body, and how much each counts."""

    truth: dict[str, Any]
    lines: list[str]
    scan: Scan
    rows: NDArray[np.int64]
    structure: Structure
    never: NDArray[np.bool_]  # body, by their place
    headline: NDArray[np.bool_]  # the page's own, said again
    matrix: NDArray[np.float32]
    body: NDArray[np.bool_]
    weight: NDArray[np.float64]


def main() -> None:
    """Read the pages, cross-validate, train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--predictions", type=Path)
    parser.add_argument("--salt", default="")
    parser.add_argument("--seen", type=Path)
    arguments = parser.parse_args()
    manifest = (arguments.data / "manifest.jsonl").read_text("utf-8").splitlines()
    examples = [read_example(arguments.data, json.loads(row)) for row in manifest]
    if arguments.predictions:
        cross_validate(examples, arguments.predictions, arguments.salt)
    if arguments.out:
        stages = train(examples, arguments.out)
        if arguments.seen:
            with arguments.seen.open("w", encoding="utf-8") as file:
                file.writelines(prediction(stages, example) for example in examples)


def read_example(folder: Path, truth: dict[str, Any]) -> Example:
    """Cut a page into lines as the page path does, and find each in the truth."""
    stripped = strip_page(decode(gzip.decompress((folder / truth["html"]).read_bytes())).encode("utf-8", "replace"))
    tree = LexborHTMLParser(stripped.html)
    declared = read_declared(tree, stripped.linked_data)
    body = tree.body
    scan = scan_page((body.html or "").encode("utf-8", "replace") if body else b"", declared.titles, declared.summary)
    if scan is None:
        raise ValueError(f"{truth['id']} nests too deep to learn from: take it out of the manifest")
    rows = considered(scan)
    texts = scan.text.tobytes().decode("utf-8", "replace").split("\n")
    lines = [texts[row] for row in rows.tolist()]
    labels, known = snippet_labels(lines, truth) if "with" in truth else paragraph_labels(lines, truth)
    weight = np.sqrt(np.minimum(scan.features[rows, 0], 80) + 0.5) * known
    weight /= max(float(weight.sum()), 1e-9)
    if "with" in truth:
        weight *= SNIPPET_WEIGHT * min(1.0, float(known.sum()) / 6)
    structure = page_structure(scan, rows)
    never, matrix = never_body(scan, rows, structure), line_matrix(scan, rows, structure)
    metadata = choose_metadata(declared, tree, [], [], truth.get("url"))
    titled = scan.features[rows, LINE_FEATURES.index("title_share")] > _TITLED
    headline = np.array([joined(line) == joined(metadata.headline or "") for line in lines], np.bool_) & titled
    return Example(truth, lines, scan, rows, structure, never, headline, matrix, labels, weight)


def decode(page: bytes) -> str:
    """UTF-8 if it is, else what the page declares."""
    try:
        return page.decode("utf-8")
    except UnicodeDecodeError:
        declared = re.search(rb'charset=["\']?([\w-]+)', page[:4096])
        return page.decode(declared[1].decode() if declared else "cp1252", "replace")


def paragraph_labels(lines: list[str], truth: dict[str, Any]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Whether each line is in the truth, and whether it counts: optional lines and lines without words do not."""
    required = truth.get("text") or "\n".join(truth.get("paragraphs") or [])
    inside, optional = held_by(required), held_by("\n".join(truth.get("optional") or []))
    labels = np.array([inside(line) for line in lines], np.bool_)
    ignored = np.array(
        [
            not _TOKEN.search(line) or (not label and bool(truth.get("optional")) and optional(line))
            for line, label in zip(lines, labels, strict=True)
        ],
        np.bool_,
    )
    stray, unsure = stray_lines(lines, labels, required)
    return labels & ~stray, 1.0 - (ignored | unsure).astype(np.float64)


def stray_lines(
    lines: list[str], labels: NDArray[np.bool_], required: str
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Short lines whose words the truth only happens to hold: outside the body, and inside it (nothing is known)."""
    running = f" {joined(required)} "
    whole = {joined(line) for line in required.splitlines()}
    said = [(i, joined(line).split()) for i, line in enumerate(lines) if joined(line)]
    body = [i for i, words in said if labels[i] and len(words) >= _SURE]
    stray, unsure = np.zeros((2, len(lines)), np.bool_)
    for k, (i, words) in enumerate(said):
        if not labels[i] or len(words) >= _SHINGLE:
            continue
        before, after = said[k - 1][1][-3:] if k else [], said[k + 1][1][:3] if k + 1 < len(said) else []
        joins = any(f" {' '.join(text)} " in running for text in (before + words, words + after) if text != words)
        if not body or not body[0] - _REACH <= i <= body[-1] + _REACH:
            stray[i] = True
        elif not joins and " ".join(words) not in whole:
            unsure[i] = True
    return stray, unsure


def joined(text: str) -> str:
    """Words of a text, lower-cased, by single spaces."""
    return " ".join(word.lower() for word in _TOKEN.findall(text))


def snippet_labels(lines: list[str], truth: dict[str, Any]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Lines that hold a wanted or an unwanted snippet; of the others nothing is known."""
    wanted, unwanted = ([" ".join(text.split()) for text in truth[key] if text.split()] for key in ("with", "without"))
    good = np.array(
        [any(text in line or (len(line) > 25 and line in text) for text in wanted) for line in lines], np.bool_
    )
    bad = np.array(
        [any(text in line or (len(line) > 25 and line in text) for text in unwanted) for line in lines], np.bool_
    )
    return good & ~bad, (good | bad).astype(np.float64)


def held_by(text: str) -> Any:
    """A test of whether a line stands in the text: 70% of its 4-token shingles, or all of a shorter line in a row."""
    words = [word.lower() for word in _TOKEN.findall(text)]
    joined = f" {' '.join(words)} "
    shingles = {tuple(words[i : i + _SHINGLE]) for i in range(len(words) - _SHINGLE + 1)}

    def holds(line: str) -> bool:
        tokens = [word.lower() for word in _TOKEN.findall(line)]
        if len(tokens) < _SHINGLE:
            return f" {' '.join(tokens)} " in joined if tokens else True
        grams = [tuple(tokens[i : i + _SHINGLE]) for i in range(len(tokens) - _SHINGLE + 1)]
        return sum(gram in shingles for gram in grams) >= _MATCH * len(grams)

    return holds


class Stages:
    """Two stages trained on some of the pages."""

    def __init__(self, examples: list[Example]) -> None:
        """Train: stage two on out-of-fold answers of stage one."""
        folds = [fold_of(example, INNER_FOLDS, "inner") for example in examples]
        answers: dict[int, NDArray[np.float64]] = {}
        for fold in range(INNER_FOLDS):
            stage = fit([e for e, f in zip(examples, folds, strict=True) if f != fold], None, 0)
            answers.update(
                {
                    i: probability(stage, e.matrix)
                    for i, (e, f) in enumerate(zip(examples, folds, strict=True))
                    if f == fold
                }
            )
        self.first = fit(examples, None, 0)
        self.second = fit(examples, [answers[i] for i in range(len(examples))], 1)

    def scores(self, example: Example) -> NDArray[np.float64]:
        """How likely each line of a page is body."""
        p = probability(self.second, widened(example, probability(self.first, example.matrix)))
        return silenced(p, example.never)


def fit(
    examples: list[Example], answers: list[NDArray[np.float64]] | None, stage: int
) -> HistGradientBoostingClassifier:
    """Boost trees over the lines that count."""
    matrices = (
        [e.matrix for e in examples]
        if answers is None
        else [widened(e, p) for e, p in zip(examples, answers, strict=True)]
    )
    weight = np.concatenate([e.weight for e in examples])
    known = weight > 0
    model = HistGradientBoostingClassifier(
        **STAGES[stage],
        learning_rate=0.12,
        min_samples_leaf=40,
        l2_regularization=1.0,
        max_bins=63,
        early_stopping=False,
        random_state=0,
    )
    body = np.concatenate([e.body for e in examples])
    return model.fit(np.concatenate(matrices)[known], body[known], sample_weight=weight[known] / weight[known].mean())


def widened(example: Example, answers: NDArray[np.float64]) -> NDArray[np.float32]:
    """Stage-two columns of a page."""
    p = silenced(answers, example.never)
    return np.concatenate((example.matrix, context_matrix(example.scan, example.rows, example.structure, p)), axis=1)


def probability(model: HistGradientBoostingClassifier, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
    """Of body; shape (rows,)."""
    return model.predict_proba(matrix)[:, 1] if len(matrix) else np.zeros(0)


def fold_of(example: Example, folds: int, salt: str = "") -> int:
    """A fold by domain, so that no outlet stands on both sides."""
    return zlib.crc32((example.truth["domain"] + salt).encode()) % folds


def cross_validate(examples: list[Example], path: Path, salt: str) -> None:
    """Write the text of every page by a model that never saw its domain."""
    with path.open("w", encoding="utf-8") as file:
        for fold in range(FOLDS):
            stages = Stages([e for e in examples if fold_of(e, FOLDS, salt) != fold])
            file.writelines(prediction(stages, e) for e in examples if fold_of(e, FOLDS, salt) == fold)


def prediction(stages: Stages, example: Example) -> str:
    """A line for the scorer."""
    keep, _ = choose_lines(example.lines, stages.scores(example), example.matrix[:, 0])
    kept = np.array(keep, np.bool_) & ~example.headline
    text = "\n".join(line for line, body in zip(example.lines, kept, strict=True) if body)
    return json.dumps({"id": example.truth["id"], "text": text}, ensure_ascii=False) + "\n"


def train(examples: list[Example], path: Path) -> Stages:
    """Train on all pages and write the trees."""
    stages = Stages(examples)
    arrays: dict[str, Any] = {"columns": np.array(line_columns() + context_columns())}
    arrays |= packed_trees(stages.first, "first") | packed_trees(stages.second, "second")
    np.savez_compressed(path, **arrays)
    return stages


def packed_trees(model: HistGradientBoostingClassifier, name: str) -> dict[str, NDArray[Any]]:
    """Trees as `transforms.clean.linemodel` reads them."""
    nodes = [tree.nodes for (tree,) in model._predictors]  # noqa: SLF001 -- scikit-learn gives no other way at its trees
    starts = np.cumsum([0, *(len(tree) for tree in nodes)])
    every = np.concatenate(nodes)
    shift = np.repeat(starts[:-1], np.diff(starts))
    leaf = every["is_leaf"].astype(np.bool_)
    return {
        f"{name}_feature": np.where(leaf, -1, every["feature_idx"]).astype(np.int16),
        f"{name}_value": np.where(leaf, every["value"], every["num_threshold"]),
        f"{name}_left": (every["left"] + shift).astype(np.int32),
        f"{name}_right": (every["right"] + shift).astype(np.int32),
        f"{name}_roots": starts[:-1].astype(np.int32),
        f"{name}_base": np.array(float(model._baseline_prediction.ravel()[0])),  # noqa: SLF001 -- likewise
    }


if __name__ == "__main__":
    main()
