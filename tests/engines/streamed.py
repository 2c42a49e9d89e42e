"""Streams against one run: labelled articles moved into a watched folder piece by piece, on each engine.

    python -m tests.engines.streamed SHARED [--folder DIR] [--engines prism flink] [--pieces 50] [--pause 3]

The articles of neardup dev in order of their dates. The stream ends once the cursor of the folder tells of every piece.
Datasets and logs stay in DIR; whatever way has its dataset there (`once`, `followed` of tests.quality.microbatches, a
stream of an engine) is compared and not made again. Prints one JSON line: for each way articles that are not one run's
(lost), that are there twice (doubled), rejects that differ, ARI of its copies against the labels; for each two ways the
ARI between them. Exit 1 if any is lost or doubled, or if an ARI is over .005 from that of one run.
"""

import argparse
import contextlib
import itertools
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tests.engines.conftest import COPYDESK, ROOT
from tests.engines.fetch_flink import fetch as fetch_flink
from tests.engines.fetch_prism import fetch as fetch_prism
from tests.engines.flinkcluster import cluster, until
from tests.quality.daily import run
from tests.quality.measure import articles, rows_of, scorer, write_rows

_LABELS = {"cluster", "kind"}
_MOST_APART = 0.005  # of the ARI of two ways
_SECONDS = 1800  # that a stream may take from the last piece on


@contextlib.contextmanager
def engine(name: str, folder: Path) -> Iterator[list[str]]:
    """The flags of an engine, which runs for as long as the block."""
    if name == "prism":
        yield ["--runner", "PrismRunner", "--", f"--prism_location={fetch_prism()}"]
        return
    fetch_flink()
    with cluster(folder / "cluster") as flink:
        yield [*flink.flags(), "--parallelism=2", "--checkpointing_interval=10000"]


def stream(flags: list[str], work: Path, out: Path, config: Path, given: list[Any], asked: argparse.Namespace) -> float:
    """Stream a folder that gets a piece now and then; gives the seconds from the first piece to the last commit."""
    watched = work / "watched"
    watched.mkdir(parents=True)
    words = [*COPYDESK, "stream", str(watched), "--output", str(out), "--config", str(config)]
    words += ["--every", asked.every, "--lateness", "120s", *flags]
    with (work / "log").open("wb") as log, subprocess.Popen(words, cwd=ROOT, stdout=log, stderr=log) as process:
        try:
            began = time.monotonic()
            for number in range(asked.pieces):
                piece = given[len(given) * number // asked.pieces : len(given) * (number + 1) // asked.pieces]
                path = write_rows(work / "next", piece)
                os.utime(path, (time.time() - 60, time.time() - 60))  # it is whole
                path.rename(watched / f"{number:04d}.jsonl")
                time.sleep(asked.pause)
            until(lambda: files_in(out) == asked.pieces, "all pieces", lambda: process.poll() is None, _SECONDS)
            return time.monotonic() - began
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(60)
            process.kill()


def files_in(out: Path) -> int:
    """How many files of its source the newest snapshot has."""
    (cursor,) = json.loads(max((out / "manifests").glob("*.json")).read_text())["cursors"].values()
    return len(cursor["files"])


def compared(ways: dict[str, Path], truth: dict[str, str], shared: Path) -> dict[str, Any]:
    """What the ways made of the same articles."""
    score = scorer(shared, "evaluate_clusters").score
    rows = {name: articles(out, "source_id", "copy_id") for name, out in ways.items()}
    copies = {name: {row["source_id"]: row["copy_id"] for row in each} for name, each in rows.items()}
    refused = {name: rejects(out) for name, out in ways.items()}
    figures = {
        name: {
            "articles": len(rows[name]),
            "lost": len(copies["once"].keys() ^ copies[name].keys()),
            "doubled": len(rows[name]) - len(copies[name]),
            "rejects": refused[name].total(),
            "rejects_differ": ((refused[name] - refused["once"]) + (refused["once"] - refused[name])).total(),
            "snapshots": len(list((out / "manifests").glob("*.json"))),
            "ari": round(score(truth, copies[name])["ari"], 5),
        }
        for name, out in ways.items()
    }
    between = {
        f"{one}-{other}": round(score(copies[one], copies[other])["ari"], 5)
        for one, other in itertools.combinations(ways, 2)
    }
    return {"ways": figures, "between": between}


def rejects(out: Path) -> Counter[tuple[str, str]]:
    """How often each record was rejected, and why."""
    rows = pq.read_table(out / "current/rejects", columns=["source_id", "reason"], partitioning=None).to_pylist()
    return Counter((str(row["source_id"]), str(row["reason"])) for row in rows)


def main() -> int:
    """Run what is missing, compare all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path)
    parser.add_argument("--folder", type=Path, default=Path("streams-compared"))
    parser.add_argument("--engines", nargs="*", default=["prism", "flink"], choices=["prism", "flink"])
    parser.add_argument("--pieces", type=int, default=50)
    parser.add_argument("--pause", type=float, default=3.0)
    parser.add_argument("--every", default="4s")
    parser.add_argument("--window", type=int, default=30)
    parser.add_argument("--rows", type=int, default=12_000)
    asked = parser.parse_args()
    folder = asked.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    rows = sorted(rows_of(asked.shared / "data/neardup/dev.jsonl.gz"), key=lambda row: (str(row["date"]), row["id"]))[
        : asked.rows
    ]
    given = [{key: value for key, value in row.items() if key not in _LABELS} for row in rows]
    config = folder / "config.toml"
    config.write_text(f"[kept]\nwindow_days = {asked.window}\n", encoding="utf-8")
    if not (folder / "once").exists():
        run(write_rows(folder / "all.jsonl", given), folder / "once", config)
    seconds = {}
    for name in asked.engines:
        if not (folder / name).exists():
            work = folder / f"{name}-work"
            with engine(name, work) as flags:
                seconds[name] = round(stream(flags, work, folder / name, config, given, asked), 1)
    found = compared(
        {
            name: folder / name
            for name in ("once", "followed", "prism", "flink")
            if (folder / name / "current").exists()
        },
        {row["id"]: row["cluster"] for row in rows},
        asked.shared,
    )
    about = {"pieces": asked.pieces, "window": asked.window, "seconds": seconds}
    sys.stdout.write(json.dumps(about | found, indent=1) + "\n")
    ways = found["ways"].values()
    off = any(each["lost"] or each["doubled"] or each["rejects_differ"] for each in ways)
    aris = [each["ari"] for each in ways]
    return int(off or max(aris) - min(aris) > _MOST_APART)


if __name__ == "__main__":
    sys.exit(main())
