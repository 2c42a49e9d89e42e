"""More figures about copies: other seeds, no furniture at all, real pairs by relation, a ten times larger set.

Each goes through `copydesk run` at the shipped defaults, without stories. The sets are made by the scripts that come
with the labelled data.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.quality.measure import Figures, articles, clusters, copydesk, rows_of, scorer, write_rows

SEEDS = (12, 13, 14)  # the labelled set itself is seed 11
_KEPT = ("ari", "bcubed_f1", "bcubed_p", "bcubed_r", "biggest_over_merge", "missing")
_RELATIONS = ("same", "abridged", "version", "embedded", "quotes", "furniture", "event")


def syndication(shared: Path, work: Path) -> Figures:
    """Simulated syndication under other seeds, and the worst of them."""
    figures: Figures = {}
    for seed in SEEDS:
        given = work / f"syndication{seed}.jsonl.gz"
        _script(shared, "make_syndication", base_file(shared), given, "--seed", seed)
        found = _copies(shared, work, given)
        figures |= {f"syndication{seed}.{key}": found[key] for key in _KEPT}
    for key in ("ari", "bcubed_f1"):
        figures[f"syndication.worst.{key}"] = min(figures[f"syndication{seed}.{key}"] for seed in SEEDS)
    return figures


def plain(shared: Path, work: Path) -> Figures:
    """Input without any furniture: what the furniture filters cost, against the same run without them."""
    simulator: Any = scorer(shared, "make_syndication")
    simulator.Outlet.boiler = lambda *_: []
    simulator.Outlet.blocks = property(lambda _: [], lambda *_: None)  # a new empty list each time: nothing stays
    rows = simulator.simulate(rows_of(base_file(shared)), SEEDS[0], 12_000)
    given = write_rows(work / "plain.jsonl", rows)
    off = work / "off.toml"
    off.write_text("[match]\nfurniture_articles = 1000000\n[clean.memory]\nlearn = false\n", encoding="utf-8")
    with_filters = _copies(shared, work, given)["ari"]
    without = _copies(shared, work, given, off.read_text(encoding="utf-8"))["ari"]
    return {"plain.ari": with_filters, "plain.ari_without_filters": without, "plain.gain": with_filters - without}


def real_pairs(shared: Path, work: Path) -> Figures:
    """Real pairs read by hand: how many of each relation were taken for copies."""
    pairs = shared / "data/neardup/real_pairs.jsonl.gz"
    groups = _groups(shared, work, pairs)
    scoring = scorer(shared, "evaluate_pairs")
    known = scoring.read_pairs(str(pairs))
    report = scoring.evaluate(known, scoring.predict(known, groups, None, 0.5))
    figures = {f"real_pairs.{key}": report["all"][key] for key in ("f1", "precision", "recall")}
    for relation in _RELATIONS:
        cell = report["by_relation"].get(relation, {"pairs": 0, "predicted_copy": 0})
        figures |= {
            f"real_pairs.{relation}.pairs": cell["pairs"],
            f"real_pairs.{relation}.taken_for_copies": cell["predicted_copy"],
        }
    return figures


def natural_pairs(shared: Path, work: Path) -> Figures:
    """Natural pairs read by hand: those joined of the "same", of those with containment of .75, of the different."""
    pairs = shared / "data/neardup/natural_pairs.jsonl.gz"
    groups = _groups(shared, work, pairs)
    figures: Figures = {}
    for pair in rows_of(pairs):
        if pair["label"] == "partial":
            continue  # either way is right
        joined = groups[pair["a"]["id"]] == groups[pair["b"]["id"]]
        names = [pair["label"]]
        if pair["label"] == "same" and pair["containment5"] >= 0.75:
            names.append("same_contained")
        for name in names:
            figures[f"natural_pairs.{name}.pairs"] = figures.get(f"natural_pairs.{name}.pairs", 0) + 1
            figures[f"natural_pairs.{name}.joined"] = figures.get(f"natural_pairs.{name}.joined", 0) + joined
    return figures


def scale(shared: Path, work: Path) -> Figures:
    """The labelled set ten times over, each time in words of its own."""
    given = work / "scale.jsonl"
    _script(shared, "make_scale", shared / "data/neardup/dev.jsonl.gz", given, "--rows", 120_000)
    found = _copies(shared, work, given)
    return {f"scale.{key}": found[key] for key in _KEPT}


def base_file(shared: Path) -> Path:
    """The real articles that syndication is simulated from."""
    return shared / "data/neardup/base.jsonl.gz"


def _script(shared: Path, name: str, *words: object) -> None:
    subprocess.run([sys.executable, shared / "eval" / f"{name}.py", *map(str, words)], check=True, capture_output=True)


def run_without_stories(work: Path, given: Path, extra: str = "") -> Path:
    """Run over a file, with `extra` in the configuration; the dataset's folder."""
    config = Path(tempfile.mkdtemp(dir=work)) / "config.toml"
    config.write_text("[stories]\nenabled = false\n" + extra, encoding="utf-8")
    out = config.with_name("out")
    copydesk("run", given, "--output", out, "--config", config)
    return out


def _copies(shared: Path, work: Path, given: Path, extra: str = "") -> Figures:
    return clusters(shared, given, run_without_stories(work, given, extra), "cluster", "copy_id")


def _groups(shared: Path, work: Path, pairs: Path) -> dict[str, str]:
    """Copy of each article of the base and of the labelled pairs, run together."""
    rows = {row["id"]: row for row in rows_of(base_file(shared))}
    for pair in rows_of(pairs):
        rows |= {pair[side]["id"]: pair[side] for side in "ab"}
    out = run_without_stories(work, write_rows(work / f"{pairs.name}.jsonl", rows.values()))
    return {row["source_id"]: row["copy_id"] for row in articles(out, "source_id", "copy_id")}


MEASURES: Mapping[str, Callable[[Path, Path], Figures]] = {
    "syndication": syndication,
    "plain": plain,
    "real_pairs": real_pairs,
    "natural_pairs": natural_pairs,
    "scale": scale,
}
