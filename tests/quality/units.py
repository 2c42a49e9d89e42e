"""Furniture inside real article text, on outlets that nothing was chosen on.

    PYTHONPATH=. python tests/quality/units.py SHARED [--by label|band|outlet] [--rules]

Reads `data/furniture/dev_units.jsonl.gz` (labelled paragraphs) and `dev_articles.jsonl.gz` (what outlets are learned
from) under SHARED, and prints the columns of `eval/evaluate_units.py` for:

  shipped   the shipped defaults
  nested    the memory's thresholds chosen anew for each outlet on the others: best F1 at most 5% of body lost
  proven    as shipped, but a turn of phrase counts only if it also fires on another outlet: nearer to what a pack finds
            on outlets it was written without
  both      nested and proven
  phrases   the pack alone
  memory    the memory alone

`--rules` shows for each rule how often, where and on how many outlets it fires.
"""

import argparse
import collections
import dataclasses
import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.blocks import LINES, RAW
from schemas.labels import LABEL_CODES, Label
from tests.quality.measure import rows_of, scorer
from transforms.clean.label import MemoryOptions, edge_lines, remembered_furniture
from transforms.clean.outlets import memory_of
from transforms.clean.page import PageLimits
from transforms.clean.parse import line_statistics, parse_block
from transforms.clean.phrases import _pack

BODY = LABEL_CODES[Label.BODY]
MOST_LOST = 0.05
ANYWHERE, EDGE, WEAK = (8, 12, 20, 40), (2, 3, 5, 8), (2, 3, 5)  # distinct stories
BLOCK = 1024

Bools = NDArray[np.bool_]
Units = list[dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class Corpus:
    """Articles, parsed, and which of their lines are labelled."""

    parsed: pa.Table
    lines: pa.Table
    memory: pa.Table
    units: Units
    place: NDArray[np.int64]  # line of each unit


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path)
    parser.add_argument("--by", choices=("label", "band", "outlet"))
    parser.add_argument("--rules", action="store_true")
    arguments = parser.parse_args()
    corpus = read(arguments.shared)
    scoring = scorer(arguments.shared, "evaluate_units")
    groups = {"label": lambda u: u["label"], "band": scoring.band_of, "outlet": lambda u: u["outlet"]}
    rows = []
    for name, flagged in answers(corpus, scoring).items():
        flags = {scoring.key_of(unit): bool(flag) for unit, flag in zip(corpus.units, flagged, strict=True)}
        key = groups.get(arguments.by, lambda _: "all")
        for group in sorted({key(unit) for unit in corpus.units}):
            chosen = [unit for unit in corpus.units if key(unit) == group]
            rows.append({"system": name, "group": group, **scoring.score(chosen, flags)})
    scoring.print_table(rows)
    if arguments.rules:
        show_rules(corpus)


def answers(corpus: Corpus, scoring: Any) -> dict[str, Bools]:
    """Which units each system flags."""
    shipped = flags_of(corpus, corpus.lines, MemoryOptions())
    grid = [
        MemoryOptions(stories_anywhere=anywhere, stories_edge=edge, stories_weak=weak)
        for anywhere, edge, weak in itertools.product(ANYWHERE, EDGE, WEAK)
    ]
    proven = with_labels(corpus.lines, unproven(corpus))
    unphrased = with_labels(corpus.lines, np.ones(corpus.lines.num_rows, bool))
    return {
        "shipped": shipped,
        "nested": nested(corpus, [flags_of(corpus, corpus.lines, options) for options in grid], scoring),
        "proven": flags_of(corpus, proven, MemoryOptions()),
        "both": nested(corpus, [flags_of(corpus, proven, options) for options in grid], scoring),
        "phrases": flags_of(corpus, corpus.lines, MemoryOptions(learn=False)),
        "memory": flags_of(corpus, unphrased, MemoryOptions()),
    }


def read(shared: Path) -> Corpus:
    """Parse the articles as a run does."""
    articles = rows_of(shared / "data/furniture/dev_articles.jsonl.gz")
    raw = [
        dict.fromkeys(RAW.names)
        | {"source_uri": "units", "position": at, "source_id": each["id"], "url": each["url"], "outlet": each["outlet"]}
        | {"headline": each["title"], "text": "\n".join(each["units"]), "headline_inline": False}
        for at, each in enumerate(articles)
    ]
    parsed, lines, statistics, before = [], [], [], 0
    for start in range(0, len(raw), BLOCK):
        table, found, _ = parse_block(pa.Table.from_pylist(raw[start : start + BLOCK], RAW), PageLimits())
        statistics.append(line_statistics(table, found))
        parsed.append(table)
        lines.append(found.set_column(0, LINES.field("row"), pa.array(found["row"].to_numpy() + before, pa.int32())))
        before += table.num_rows
    whole = pa.concat_tables(lines).combine_chunks()
    first = dict(zip(pa.concat_tables(parsed)["source_id"].to_pylist(), range(before), strict=True))
    starts = np.searchsorted(whole["row"].to_numpy(), np.arange(before + 1))
    units = [unit for unit in rows_of(shared / "data/furniture/dev_units.jsonl.gz") if unit["article_id"] in first]
    place = np.array([starts[first[unit["article_id"]]] + unit["unit_index"] for unit in units])
    return Corpus(pa.concat_tables(parsed), whole, memory_of(pa.concat_tables(statistics)), units, place)


def flags_of(corpus: Corpus, lines: pa.Table, options: MemoryOptions) -> Bools:
    """Units that pack or memory take."""
    taken = remembered_furniture(corpus.parsed, lines, corpus.memory, options)
    return ((lines["label"].to_numpy() != BODY) | taken)[corpus.place]


def with_labels(lines: pa.Table, body: Bools) -> pa.Table:
    """The lines with some of them taken for body, as if no phrase had been found in them."""
    columns = {"label": np.where(body, BODY, lines["label"].to_numpy()).astype(np.int8)}
    columns["score"] = np.where(body, 1.0, lines["score"].to_numpy()).astype(np.float32)
    for name, values in columns.items():
        lines = lines.set_column(LINES.get_field_index(name), LINES.field(name), pa.array(values))
    return lines


def nested(corpus: Corpus, tried: list[Bools], scoring: Any) -> Bools:
    """Each outlet's units as the setting answers that is best on the other outlets."""
    outlets = np.array([unit["outlet"] for unit in corpus.units])
    out = np.zeros(len(outlets), bool)
    for outlet in np.unique(outlets):
        others = [unit for unit in corpus.units if unit["outlet"] != outlet]
        scores = []
        for flags in tried:
            given = zip(corpus.units, flags.tolist(), strict=True)
            found = scoring.score(others, {scoring.key_of(unit): flag for unit, flag in given})
            scores.append(found["F1"] if found["bodyU"] <= MOST_LOST else -found["bodyU"])
        here = outlets == outlet
        out[here] = tried[int(np.argmax(scores))][here]
    return out


def unproven(corpus: Corpus) -> Bools:
    """Lines that only such turns of phrase take as fire on one outlet alone."""
    alternatives = {rule.name: [re.compile(each) for each in split(rule.pattern)] for rule in _pack()[0]}
    outlets = corpus.parsed["outlet"].combine_chunks().take(corpus.lines["row"].combine_chunks()).to_pylist()
    names, texts = corpus.lines["rule"].to_pylist(), corpus.lines["text"].to_pylist()
    seen: dict[tuple[str, int], set[str]] = collections.defaultdict(set)
    hits: dict[int, list[tuple[str, int]]] = {}
    for at, name in enumerate(names):
        if name in alternatives:
            hits[at] = [(name, n) for n, each in enumerate(alternatives[name]) if each.search(texts[at])]
            for key in hits[at]:
                seen[key].add(outlets[at])
    alone = np.zeros(len(names), bool)
    alone[[at for at, keys in hits.items() if all(len(seen[key]) == 1 for key in keys)]] = True
    return alone


def split(pattern: str) -> list[str]:
    """The outermost alternatives of a pattern of the pack, each a pattern of its own."""
    head = re.match(r"\(\?i?:", pattern)
    if head is None or _closing(pattern, 0) != len(pattern) - 1:
        parts = _alternatives(pattern)
        if len(parts) > 1:
            return [each for part in parts for each in split(part)]
        if head and (end := _closing(pattern, 0)):  # (a|b)suffix
            return [f"(?:{each}){pattern[end + 1 :]}" for each in _alternatives(pattern[head.end() : end])]
        anchor = "^" if pattern.startswith("^(") else ""
        return [anchor + each for each in split(pattern[1:])] if anchor else [pattern]
    return [f"{head.group()}{each})" for each in split(pattern[head.end() : -1])]


def _closing(pattern: str, start: int) -> int:
    depth, at, in_class = 0, start, False
    while at < len(pattern):
        char = pattern[at]
        if char == "\\":
            at += 1
        elif in_class:
            in_class = char != "]"
        elif char == "[":
            in_class = True
        elif char in "()":
            depth += 1 if char == "(" else -1
            if not depth:
                return at
        at += 1
    return -1


def _alternatives(pattern: str) -> list[str]:
    parts, begin, at = [], 0, 0
    while at < len(pattern):
        if pattern[at] == "(":
            at = _closing(pattern, at)
        elif pattern[at] == "[":
            at = pattern.index("]", at + 2)
        elif pattern[at] == "\\":
            at += 1
        elif pattern[at] == "|":
            parts.append(pattern[begin:at])
            begin = at + 1
        at += 1
    return [*parts, pattern[begin:]]


def show_rules(corpus: Corpus) -> None:
    """Hits of each rule: how many, how many amid an article, on how many outlets, and on which labelled units."""
    names = np.array(corpus.lines["rule"].to_pylist())
    row = corpus.lines["row"].to_numpy()
    outlets = np.array(corpus.parsed["outlet"].to_pylist())[row]
    amid = ~edge_lines(row, corpus.parsed.num_rows)
    labelled: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for unit, name in zip(corpus.units, names[corpus.place].tolist(), strict=True):
        labelled[name][unit["label"]] += 1
    for rule in _pack()[0]:
        hit = names == rule.name
        share = float(amid[hit].mean()) if hit.any() else 0.0
        print(
            f"{rule.name:24} {hit.sum():5} amid {share:.2f} outlets {len(set(outlets[hit])):3}",
            dict(labelled[rule.name]),
        )


if __name__ == "__main__":
    main()
