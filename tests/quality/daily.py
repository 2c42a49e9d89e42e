"""Many runs against one: the same labelled articles fed day by day, and all at once.

    python -m tests.quality.daily SHARED [--runs 30] [--rows 2000] [--window 30] [--sets neardup g5 …] [--json]

The articles are put in order of their dates and cut into runs of equal size; of a set of more than --rows articles
whole clusters are drawn. For each set: ARI (copies) or B-cubed F1 (stories) of one run and of the many, how like the
two are, and of the ids: how many were ever published, how many of those do not resolve to exactly one live id, and the
share of articles that ever changed theirs.
"""

import argparse
import contextlib
import io
import itertools
import json
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pipeline.cli import main
from tests.quality.measure import STORY_SETS, Figures, articles, rows_of, scorer, without_leaks, write_rows


def daily(shared: Path, work: Path, name: str, runs: int, most: int, config: Path) -> Figures:
    """The figures of one set."""
    copies = name == "neardup"
    path = shared / ("data/neardup/dev.jsonl.gz" if copies else f"data/stories/{name}.jsonl.gz")
    label, column, figure = ("cluster", "copy_id", "ari") if copies else ("story", "story_id", "bcubed_f1")
    rows = sorted(
        drawn(rows_of(path), label, most), key=lambda row: (str(row.get("date") or row.get("published_at")), row["id"])
    )
    given = [row if copies else without_leaks(row) for row in rows]
    if copies:
        given = [{key: value for key, value in row.items() if key not in {"cluster", "kind"}} for row in given]
    run(write_rows(work / "all.jsonl", given), work / "once", config)
    out, history = work / "daily", []
    for number in range(runs):
        part = given[len(given) * number // runs : len(given) * (number + 1) // runs]
        if part:
            run(write_rows(work / f"{number}.jsonl", part), out, config)
            history.append({row["source_id"]: row for row in articles(out, "source_id", "copy_id", "story_id")})
    score = scorer(shared, "evaluate_clusters").score
    truth = {row["id"]: row[label] for row in rows}
    once = {row["source_id"]: row[column] for row in articles(work / "once", "source_id", column)}
    many = {name: row[column] for name, row in history[-1].items()}
    figures = {
        "articles": float(len(rows)),
        "lost": float(len(once.keys() ^ many.keys())),
        f"{figure}.once": score(truth, once)[figure],
        f"{figure}.daily": score(truth, many)[figure],
        f"{figure}.between": score(once, many)[figure],
    }
    return figures | ids(out, history, "copy") | ids(out, history, "story")


def ids(out: Path, history: Sequence[dict[str, Any]], kind: str) -> Figures:
    """What became of the ids that a chain of snapshots published."""
    merged = {
        row["alias_id"]: row["id"]
        for row in pq.read_table(out / "current/aliases", partitioning=None).to_pylist()
        if row["kind"] == kind
    }
    live = {row[f"{kind}_id"] for row in history[-1].values()}
    published = {row[f"{kind}_id"] for snapshot in history for row in snapshot.values()}
    astray = 0
    for each in published:
        now, steps = each, 0
        while now in merged and steps < len(merged):
            now, steps = merged[now], steps + 1
        astray += now not in live or (each in merged and each in live)
    changed, moved = set(), set()
    for before, after in itertools.pairwise(history):
        still = {row[f"{kind}_id"] for row in after.values()}
        for name, row in before.items():
            if after[name][f"{kind}_id"] != row[f"{kind}_id"]:
                changed.add(name)
                if row[f"{kind}_id"] in still:
                    moved.add(name)
    return {
        f"{kind}_ids": float(len(published)),
        f"{kind}_ids.astray": float(astray),
        f"{kind}_ids.changed_share": len(changed) / len(history[-1]),
        f"{kind}_ids.merged_share": len(changed - moved) / len(history[-1]),  # with a whole group: an alias tells
        f"{kind}_ids.moved_share": len(moved) / len(history[-1]),  # out of a group that went on without them
    }


def drawn(rows: list[dict[str, Any]], label: str, most: int) -> list[dict[str, Any]]:
    """Whole clusters, about `most` rows of them."""
    if len(rows) <= most:
        return rows
    clusters = sorted({row[label] for row in rows})
    random.Random(0).shuffle(clusters)
    chosen = set(clusters[: max(1, len(clusters) * most // len(rows))])
    return [row for row in rows if row[label] in chosen]


def run(given: Path, out: Path, config: Path) -> None:
    """Run the command in this process: thirty starts cost more than thirty runs."""
    with contextlib.redirect_stdout(io.StringIO()):
        code = main(["run", str(given), "--output", str(out), "--config", str(config), "--json"])
    if code:
        sys.exit(f"copydesk run {given}: exit {code}")


def measure() -> None:
    """Measure each set and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--window", type=int, default=30)
    parser.add_argument("--sets", nargs="*", default=["neardup", *STORY_SETS])
    given = parser.parse_args()
    for name in given.sets:
        with tempfile.TemporaryDirectory() as folder:
            config = Path(folder, "config.toml")
            config.write_text(f"[kept]\nwindow_days = {given.window}\n", encoding="utf-8")
            figures = daily(given.shared, Path(folder), name, given.runs, given.rows, config)
        print(json.dumps({"set": name, "runs": given.runs, "window": given.window} | figures), flush=True)


if __name__ == "__main__":
    measure()
