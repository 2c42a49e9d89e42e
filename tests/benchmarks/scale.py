"""Whole runs over ever more articles: cost, memory and scratch an article, by stage.

    python tests/benchmarks/scale.py SHARED [--sizes 10000,100000,1000000] [--stories] [--folder DIR] [--json FILE]

The articles are `SHARED/eval/make_scale.py`'s, in compressed pieces; each size is a process of its own. They, the
scratch files (some 35 KB an article) and the dataset lie in DIR; articles that are there already are used again. CPU
seconds begin after the imports,
with compiled code already there. "Functions" is what the functions of the stages took, timed by thread inside the run:
the bare cost of the same rows; the rest is Beam, Arrow's threads, the start of the graph and the commit. "Anonymous" is
the peak of memory that is not backed by a file (the blocks that wait in scratch are mapped); its growth from one size
to the next is what an article costs outside the current block. Stories are off unless asked for.
"""

import argparse
import contextlib
import functools
import importlib
import inspect
import itertools
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard

STAGES = {
    "read": ["transforms.read.articles"],
    "clean": ["transforms.clean.articles"],
    "match: sign": ["transforms.match.signing"],
    "match: find": ["transforms.match.candidates"],
    "match: verify": ["transforms.match.verify"],
    "cluster": ["transforms.cluster.copies", "transforms.cluster.links", "transforms.cluster.settle"],
    "stories": ["transforms.cluster.stories"],
    "write": ["transforms.write.staging", "transforms.write.state"],
    "gathered tables": ["schemas.blocks", "schemas.barriers"],
}
MIB = 1 << 20
POLL_SECONDS = 0.05
SCRATCH_POLLS = 100  # of the above between two looks at the scratch files
PIECE = 20_000  # articles in a file


def main() -> int:
    """Run every size, print the two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path)
    parser.add_argument("--sizes", default="10000,100000")
    parser.add_argument("--stories", action="store_true", help="with stories")
    parser.add_argument("--folder", type=Path, help="keep the articles here")
    parser.add_argument("--json", type=Path, help="write the tables here too")
    parser.add_argument("--alone", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.alone:
        print(json.dumps(alone(arguments.alone, stories=arguments.stories)))
        return 0
    source = arguments.shared / "data/neardup/dev.jsonl.gz"
    if not source.exists():
        print(f"bench: skipped, the articles are not here ({source})")
        return 0
    sizes = [int(size) for size in arguments.sizes.split(",")]
    with tempfile.TemporaryDirectory(prefix="copydesk-bench-") as name:
        folder = arguments.folder or Path(name)
        runs = [measured(arguments, size, folder) for size in (200, *sizes)][1:]  # the first compiles
    show(runs)
    if arguments.json:
        arguments.json.write_text(json.dumps(runs, indent=1) + "\n")
    return 0


def measured(arguments: argparse.Namespace, size: int, folder: Path) -> dict[str, Any]:
    """Run over so many articles in a process of its own."""
    given = folder / f"articles-{size}"
    if not given.exists():
        write_articles(arguments.shared, size, given)
    words = [sys.executable, __file__, str(arguments.shared), "--alone", str(given)]
    done = subprocess.run([*words, *["--stories"] * arguments.stories], check=True, stdout=subprocess.PIPE, text=True)
    if not arguments.folder:
        shutil.rmtree(given)
    run: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {"articles": size} | run


def write_articles(shared: Path, size: int, given: Path) -> None:
    """Make the articles, in files of PIECE; they are all there or none is."""
    making = given.with_name(f"{given.name}.making")
    making.mkdir(parents=True, exist_ok=True)
    make = [sys.executable, str(shared / "eval/make_scale.py"), str(shared / "data/neardup/dev.jsonl.gz")]
    words = [*make, "/dev/stdout", "--rows", str(size)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        lines = process.stdout or iter(())
        for start in range(0, size, PIECE):
            with zstandard.open(making / f"{start:08d}.jsonl.zst", "wb") as piece:
                for line in itertools.islice(lines, PIECE):
                    piece.write(line)
    if process.returncode:
        sys.exit(f"make_scale.py failed: {process.returncode}")
    making.rename(given)


def alone(given: Path, *, stories: bool) -> dict[str, Any]:
    """Run once, with every function of the stages timed."""
    from pipeline.config import Config  # noqa: PLC0415 -- the parent process needs no Beam
    from pipeline.run import Request, run  # noqa: PLC0415

    spent: dict[str, float] = defaultdict(float)
    inside = threading.local()
    for stage, modules in STAGES.items():
        for name in modules:
            module = importlib.import_module(name)
            for label, function in inspect.getmembers(module, inspect.isfunction):
                if function.__module__ == name:
                    setattr(module, label, clocked(function, stage, spent, inside))
    config = Config.model_validate({"stories": {"enabled": stories}})
    with tempfile.TemporaryDirectory(dir=given.parent) as out:
        peaks, done = Peaks(), threading.Event()
        watcher = threading.Thread(target=watch, args=(peaks, Path(out), done), daemon=True)
        watcher.start()
        began = time.process_time()
        run(Request([str(given)], Path(out) / "out", config, {}))
        total = time.process_time() - began
        done.set()
        watcher.join()
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # the parent's, before, was small
    return {"cpu": total, "stages": dict(spent), "peak": largest, "anonymous": peaks.anonymous, "disk": peaks.disk}


@dataclass
class Peaks:
    """The most bytes seen so far."""

    anonymous: int = 0  # memory of this process that no file backs
    disk: int = 0  # files of the run, scratch and dataset


def clocked(function: Callable[..., Any], stage: str, spent: dict[str, float], inside: threading.local) -> Any:
    """The same function, its CPU seconds counted unless another counted one called it; generators item by item."""

    def step(run: Callable[[], Any]) -> Any:
        if getattr(inside, "counted", False):
            return run()
        inside.counted = True
        began = time.thread_time()
        try:
            return run()
        finally:
            spent[stage] += time.thread_time() - began
            inside.counted = False

    @functools.wraps(function)
    def items(*args: Any, **kwargs: Any) -> Iterator[Any]:
        found, end = function(*args, **kwargs), object()
        while (item := step(lambda: next(found, end))) is not end:
            yield item

    @functools.wraps(function)
    def whole(*args: Any, **kwargs: Any) -> Any:
        return step(lambda: function(*args, **kwargs))

    return items if inspect.isgeneratorfunction(function) else whole


def watch(peaks: Peaks, folder: Path, done: threading.Event) -> None:
    """Keep the peaks of this process and of a folder."""
    status = Path(f"/proc/{os.getpid()}/status")
    polls = 0
    while not done.wait(POLL_SECONDS):
        polls += 1
        for line in status.read_text().splitlines():
            if line.startswith("RssAnon:"):
                peaks.anonymous = max(peaks.anonymous, int(line.split()[1]) * 1024)
        if polls % SCRATCH_POLLS == 0:
            peaks.disk = max(peaks.disk, size_of(folder))


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder that others change meanwhile; one file under two names counts once."""
    sizes = {}
    for path, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                about = (Path(path) / name).stat()
                sizes[about.st_ino] = about.st_size
    return sum(sizes.values())


def show(runs: list[dict[str, Any]]) -> None:
    """Print the runs side by side."""
    print(
        "| articles | articles/CPU-s | µs an article | x the smallest | functions | the rest of it | "
        "peak MiB | anonymous MiB | bytes an article more | disk KB an article |"
    )
    print("|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    for at, run in enumerate(runs):
        each = 1e6 * run["cpu"] / run["articles"]
        bare = sum(run["stages"].values())
        more = "" if not at else f"{growth(runs[at - 1], run):.0f}"
        print(
            f"| {run['articles']} | {1e6 / each:.0f} | {each:.0f} | "
            f"{each / (1e6 * runs[0]['cpu'] / runs[0]['articles']):.2f} | {1e6 * bare / run['articles']:.0f} | "
            f"{100 * (run['cpu'] / bare - 1):.0f}% | {run['peak'] / MIB:.0f} | {run['anonymous'] / MIB:.0f} | {more} | "
            f"{run['disk'] / run['articles'] / 1000:.0f} |"
        )
    print("\n| µs an article |" + "".join(f" {run['articles']} |" for run in runs))
    print("|---|" + "--:|" * len(runs))
    for stage in STAGES:
        each = [1e6 * run["stages"].get(stage, 0) / run["articles"] for run in runs]
        print(f"| {stage} |" + "".join(f" {cost:.0f} |" for cost in each))


def growth(less: dict[str, Any], more: dict[str, Any]) -> float:
    """Bytes of anonymous memory for each article that one run had more than the other."""
    return float((more["anonymous"] - less["anonymous"]) / (more["articles"] - less["articles"]))


if __name__ == "__main__":
    sys.exit(main())
