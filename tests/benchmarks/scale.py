"""Whole runs without stories over ever more articles: cost and memory an article, by stage.

    python tests/benchmarks/scale.py SHARED [--sizes 10000,100000] [--json FILE]

The articles are `SHARED/eval/make_scale.py`'s; each size is a process of its own. CPU seconds begin after the imports,
with compiled code already there. "Functions" is what the functions of the stages took, timed by thread inside the run:
the bare cost of the same rows; the rest is Beam, Arrow's threads, the start of the graph and the commit. "Anonymous" is
the peak of memory that is not backed by a file (the blocks that wait in scratch are mapped); its growth from one size
to the next is what an article costs outside the current block.
"""

import argparse
import functools
import importlib
import inspect
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

STAGES = {
    "read": ["transforms.read.articles"],
    "clean": ["transforms.clean.articles"],
    "match: sign": ["transforms.match.signing"],
    "match: find": ["transforms.match.candidates"],
    "match: verify": ["transforms.match.verify"],
    "cluster": ["transforms.cluster.copies"],
    "write": ["transforms.write.staging", "transforms.write.state"],
    "gathered tables": ["schemas.blocks"],
}
MIB = 1 << 20
POLL_SECONDS = 0.05


def main() -> int:
    """Run every size, print the two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path)
    parser.add_argument("--sizes", default="10000,100000")
    parser.add_argument("--json", type=Path, help="write the tables here too")
    parser.add_argument("--alone", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.alone:
        print(json.dumps(alone(arguments.alone)))
        return 0
    source = arguments.shared / "data/neardup/dev.jsonl.gz"
    if not source.exists():
        print(f"bench: skipped, the articles are not here ({source})")
        return 0
    sizes = [int(size) for size in arguments.sizes.split(",")]
    with tempfile.TemporaryDirectory(prefix="copydesk-bench-") as name:
        runs = [measured(arguments.shared, size, Path(name)) for size in (200, *sizes)][1:]  # the first compiles
    show(runs)
    if arguments.json:
        arguments.json.write_text(json.dumps(runs, indent=1) + "\n")
    return 0


def measured(shared: Path, size: int, folder: Path) -> dict[str, Any]:
    """Make the articles and run over them in a process of its own."""
    given = folder / f"{size}.jsonl"
    make = [sys.executable, str(shared / "eval/make_scale.py"), str(shared / "data/neardup/dev.jsonl.gz")]
    subprocess.run([*make, str(given), "--rows", str(size)], check=True, stderr=subprocess.DEVNULL)
    words = [sys.executable, __file__, str(shared), "--alone", str(given)]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    given.unlink()
    run: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {"articles": size} | run


def alone(given: Path) -> dict[str, Any]:
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
    peak, done = [0], threading.Event()
    watcher = threading.Thread(target=watch, args=(peak, done), daemon=True)
    watcher.start()
    config = Config.model_validate({"stories": {"enabled": False}})
    with tempfile.TemporaryDirectory(dir=given.parent) as out:
        began = time.process_time()
        run(Request([str(given)], Path(out) / "out", config, {}))
        total = time.process_time() - began
    done.set()
    watcher.join()
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # the parent's, before, was small
    return {"cpu": total, "stages": dict(spent), "peak": largest, "anonymous": peak[0]}


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


def watch(peak: list[int], done: threading.Event) -> None:
    """Keep the largest anonymous memory of this process seen so far."""
    status = Path(f"/proc/{os.getpid()}/status")
    while not done.wait(POLL_SECONDS):
        for line in status.read_text().splitlines():
            if line.startswith("RssAnon:"):
                peak[0] = max(peak[0], int(line.split()[1]) * 1024)


def show(runs: list[dict[str, Any]]) -> None:
    """Print the runs side by side."""
    print(
        "| articles | articles/CPU-s | µs an article | x the smallest | functions | the rest of it | "
        "peak MiB | anonymous MiB | bytes an article more |"
    )
    print("|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    for at, run in enumerate(runs):
        each = 1e6 * run["cpu"] / run["articles"]
        bare = sum(run["stages"].values())
        more = "" if not at else f"{growth(runs[at - 1], run):.0f}"
        print(
            f"| {run['articles']} | {1e6 / each:.0f} | {each:.0f} | "
            f"{each / (1e6 * runs[0]['cpu'] / runs[0]['articles']):.2f} | {1e6 * bare / run['articles']:.0f} | "
            f"{100 * (run['cpu'] / bare - 1):.0f}% | {run['peak'] / MIB:.0f} | {run['anonymous'] / MIB:.0f} | {more} |"
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
