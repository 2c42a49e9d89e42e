"""Following against one run: the same labelled articles in many files, one moved in a round, and in one.

    python -m tests.quality.microbatches SHARED [--rounds 50] [--window 30] [--rows 12000] [--folder DIR] [--trace]

The articles of neardup dev are put in order of their dates. Prints one JSON line: ARI of copies of either way against
the labels and of the two against each other, articles that only one of them has or that are there twice, what became
of the ids, and of the rounds: seconds and CPU seconds of the first and the last quarter, memory (RSS, MiB) and open
files after the first quarter and at the end. `--trace` prints a line for each round, too.
"""

import argparse
import contextlib
import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import fmean
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.config import load_config
from pipeline.follow import Rhythm, follow
from pipeline.run import Request
from pipeline.status import Status
from tests.quality.daily import ids, run
from tests.quality.measure import Figures, articles, rows_of, scorer, write_rows

_LABELS = {"cluster", "kind"}


class Feeder:
    """Moves one file in before each round, and notes what the round before it took."""

    def __init__(self, folder: Path, parts: list[list[dict[str, Any]]], out: Path, *, trace: bool) -> None:
        self.folder, self.parts, self.out, self.trace = folder, parts, out, trace
        self.history: list[dict[str, Any]] = []
        self.notes: list[Figures] = []
        self._begun = (0.0, 0.0)
        folder.mkdir()

    def __call__(self, status: Status) -> None:
        """Called as a round begins, and again once it is over."""
        if status.working:
            path = write_rows(self.folder / ".next", self.parts[status.round - 1])
            os.utime(path, (time.time() - 60, time.time() - 60))  # it is whole
            path.rename(self.folder / f"{status.round:04d}.jsonl")
            self._begun = (time.monotonic(), time.process_time())
            return
        wall, cpu = time.monotonic() - self._begun[0], time.process_time() - self._begun[1]
        note = {"round": float(status.round), "seconds": wall, "cpu": cpu} | memory()
        self.notes.append(note)
        if status.failures:
            sys.exit(f"round {status.round}: {status.problem}")
        self.history.append({row["source_id"]: row for row in articles(self.out, "source_id", "copy_id", "story_id")})
        if self.trace:
            print(json.dumps({name: round(value, 2) for name, value in note.items()}), file=sys.stderr, flush=True)


def memory() -> Figures:
    """Of this process: resident MiB, the part of it that no file backs, MiB that Arrow holds, open files."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines())
    mib = {name: int(status[f"Rss{kind}"].split()[0]) / 1024 for name, kind in (("anon", "Anon"), ("mapped", "File"))}
    return {
        "rss_mib": sum(mib.values()),
        "anon_mib": mib["anon"],
        "arrow_mib": pa.total_allocated_bytes() / 2**20,
        "open_files": float(len(list(Path("/proc/self/fd").iterdir()))),
    }


def followed(given: list[dict[str, Any]], work: Path, rounds: int, config: Path, *, trace: bool) -> Feeder:
    """Follow a folder that gets a part of the articles in each round."""
    parts = [given[len(given) * number // rounds : len(given) * (number + 1) // rounds] for number in range(rounds)]
    out = work / "followed"
    feeder = Feeder(work / "in", parts, out, trace=trace)
    request = Request([str(feeder.folder)], out, load_config(config), {})
    follow(request, Rhythm(0.0, rounds), Status(), threading.Event(), feeder)
    return feeder


def compared(shared: Path, work: Path, rows: list[dict[str, Any]], feeder: Feeder) -> Figures:
    """What the two ways made of the articles."""
    once = articles(work / "once", "source_id", "copy_id")
    many = articles(feeder.out, "source_id", "copy_id")
    score = scorer(shared, "evaluate_clusters").score
    truth = {row["id"]: row["cluster"] for row in rows}
    first, second = ({row["source_id"]: row["copy_id"] for row in each} for each in (once, many))
    rejects = {name: count_of(out, "rejects") for name, out in (("once", work / "once"), ("follow", feeder.out))}
    figures = {
        "articles": float(len(rows)),
        "lost": float(len(first.keys() ^ second.keys())),
        "doubled": float(len(many) - len(second)),
        "rejects.once": rejects["once"],
        "rejects.follow": rejects["follow"],
        "ari.once": score(truth, first)["ari"],
        "ari.follow": score(truth, second)["ari"],
        "ari.between": score(first, second)["ari"],
    }
    return figures | ids(feeder.out, feeder.history, "copy")


def count_of(out: Path, table: str) -> float:
    """Rows of a table of the current snapshot."""
    return float(pq.read_table(out / "current" / table, columns=[], partitioning=None).num_rows)


def course(notes: list[Figures]) -> Figures:
    """The rounds: what the first and the last quarter took, and what was held after each."""
    quarter = max(1, len(notes) // 4)
    first, last = notes[:quarter], notes[-quarter:]
    found = {}
    for name in ("seconds", "cpu"):
        found[f"{name}.first"] = fmean(note[name] for note in first)
        found[f"{name}.last"] = fmean(note[name] for note in last)
    for name in ("rss_mib", "anon_mib", "arrow_mib", "open_files"):
        found[f"{name}.quarter"], found[f"{name}.end"] = first[-1][name], last[-1][name]
    return found


def measure() -> None:
    """Measure and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--window", type=int, default=30)
    parser.add_argument("--rows", type=int, default=12_000)
    parser.add_argument("--folder", type=Path, help="where the datasets stay, for tests.engines.streamed")
    parser.add_argument("--trace", action="store_true")
    asked = parser.parse_args()
    rows = rows_of(asked.shared / "data/neardup/dev.jsonl.gz")
    rows = sorted(rows, key=lambda row: (str(row["date"]), row["id"]))[: asked.rows]
    given = [{key: value for key, value in row.items() if key not in _LABELS} for row in rows]
    with contextlib.ExitStack() as held:
        work = asked.folder.resolve() if asked.folder else Path(held.enter_context(tempfile.TemporaryDirectory()))
        work.mkdir(exist_ok=True)
        config = work / "config.toml"
        config.write_text(f"[kept]\nwindow_days = {asked.window}\n", encoding="utf-8")
        feeder = followed(given, work, asked.rounds, config, trace=asked.trace)
        run(write_rows(work / "all.jsonl", given), work / "once", config)
        figures = compared(asked.shared, work, rows, feeder) | course(feeder.notes)
    about = {"set": "neardup", "rounds": asked.rounds, "window": asked.window}
    print(json.dumps(about | {name: round(value, 5) for name, value in figures.items()}), flush=True)


if __name__ == "__main__":
    measure()
