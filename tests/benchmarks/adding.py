"""A run of new articles upon ever more kept ones: wall and CPU seconds, peak memory, size of the state.

Of memory it tells the peak of all that is resident, mapped files among it, and that of what no file backs (looked at
every 50 ms).

    python tests/benchmarks/adding.py SHARED [--kept 10000,1000000] [--new 2000] [--per-day 1000] [--folder DIR]

The articles are `SHARED/eval/make_scale.py`'s, put in order of their dates and dated again so that every day has
the same number of them: what lies further back than the window is history, the window holds the same in all sizes
from 30 days on. Of those over FULL_DAYS days back only the beginning is given, which no later run reads. They are
told apart by a line of their own, so that more can be made of them than there are. Each dataset is built
by runs of CHUNK articles and kept in DIR; then the same new articles are added to each, in turns, three times,
each time by a command of its own on a copy.
"""

import argparse
import datetime as dt
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zstandard

CHUNK = 50_000
FULL_DAYS, BEGINNING = 62, 400  # days, characters
TURNS = 3
LOOKS = 0.05  # seconds between two looks at a command's memory
BEGIN = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
SOURCE = 100_000  # articles that all others are made of


def main() -> int:
    """Build the datasets, add to them in turns, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path)
    parser.add_argument("--kept", default="10000,1000000")
    parser.add_argument("--new", type=int, default=2000)
    parser.add_argument("--per-day", type=int, default=1000)
    parser.add_argument("--folder", type=Path, help="keep the datasets here")
    arguments = parser.parse_args()
    if not (arguments.shared / "data/neardup/dev.jsonl.gz").exists():
        print(f"bench: skipped, the articles are not here ({arguments.shared}/data)")
        return 0
    sizes = [int(size) for size in arguments.kept.split(",")]
    with tempfile.TemporaryDirectory(prefix="copydesk-adding-") as name:
        folder = arguments.folder or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        source = folder / "source.jsonl.zst"
        if not source.exists():
            make_source(arguments.shared, source)
        largest = max(sizes)
        new = folder / f"new-{largest}.jsonl"
        write_dated(source, range(largest, largest + arguments.new), arguments.per_day, new, largest)
        kept = [built(source, folder, size, largest, arguments.per_day) for size in sizes]
        found: list[list[dict[str, float]]] = [[] for _ in sizes]
        for _ in range(TURNS):
            for at, dataset in enumerate(kept):
                found[at].append(added(dataset, new, folder))
        show(sizes, kept, found)
    return 0


def make_source(shared: Path, target: Path) -> None:
    """Write the articles in order of their dates."""
    make = [sys.executable, str(shared / "eval/make_scale.py"), str(shared / "data/neardup/dev.jsonl.gz")]
    done = subprocess.run([*make, "/dev/stdout", "--rows", str(SOURCE)], check=True, stdout=subprocess.PIPE)
    lines = sorted(done.stdout.splitlines(), key=lambda line: [str(json.loads(line)[name]) for name in ("date", "id")])
    with zstandard.open(target, "wb") as sink:
        sink.write(b"\n".join(lines) + b"\n")


def write_dated(source: Path, numbers: range, per_day: int, target: Path, end: int) -> None:
    """Write articles of these numbers; number n is the (n mod SOURCE)-th, of day n / per_day."""
    with target.open("w", encoding="utf-8") as sink:
        for number, line in zip(numbers, cycled(source, numbers.start), strict=False):
            row: dict[str, Any] = json.loads(line)
            day, second = divmod(number, per_day)
            date = BEGIN + dt.timedelta(days=day, seconds=second * 86_400 // per_day)
            text = row["text"] if number > end - FULL_DAYS * per_day else row["text"][:BEGINNING]
            text = f"{text}\n\nFiled under the number {number} of this series."
            row |= {"id": str(number), "date": date.isoformat(), "text": text}
            sink.write(json.dumps(row) + "\n")


def cycled(source: Path, start: int) -> Iterator[str]:
    """Lines of the source from one on, over and over."""
    skip = start % SOURCE
    while True:
        with zstandard.open(source, "rt", encoding="utf-8") as lines:
            yield from itertools.islice(lines, skip, None)
        skip = 0


def built(source: Path, folder: Path, size: int, end: int, per_day: int) -> Path:
    """A dataset of the `size` articles before the number `end`; one that is there is used again."""
    out = folder / f"kept-{size}-{end}"
    making = folder / f"making-{size}-{end}"
    while not out.exists():
        done = len(list(making.glob("manifests/*.json")))
        start = end - size + done * CHUNK
        if start >= end:
            making.rename(out)
            break
        given = folder / "chunk.jsonl"
        write_dated(source, range(start, min(start + CHUNK, end)), per_day, given, end)
        taken = command(given, making)
        print(f"built {min(start + CHUNK, end) - end + size:,} of {size:,}: {taken}", file=sys.stderr, flush=True)
        given.unlink()
    return out


def added(dataset: Path, new: Path, folder: Path) -> dict[str, float]:
    """Add the new articles to a copy of a dataset, whose files are hard links."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        copy = Path(name) / "out"
        shutil.copytree(dataset, copy, symlinks=True, copy_function=os.link)
        return command(new, copy)


def command(given: Path, out: Path) -> dict[str, float]:
    """Run the command; wall and CPU seconds, peak MiB."""
    words = [sys.executable, "-m", "pipeline", "run", str(given), "--output", str(out), "--json"]
    began, anonymous, pid = time.monotonic(), 0.0, 0
    with subprocess.Popen(words, stdout=subprocess.DEVNULL) as process:
        while not pid:
            time.sleep(LOOKS)
            anonymous = max(anonymous, rss_anon(process.pid))
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(words)}: exit {process.returncode}")
    cpu, wall = usage.ru_utime + usage.ru_stime, time.monotonic() - began
    return {"wall": wall, "cpu": cpu, "MiB": usage.ru_maxrss / 1024, "anonymous MiB": anonymous}


def rss_anon(pid: int) -> float:
    """MiB of a process that no file backs; 0 when it has ended."""
    found = re.search(r"RssAnon:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace"))
    return int(found[1]) / 1024 if found else 0.0


def show(sizes: list[int], kept: list[Path], found: list[list[dict[str, float]]]) -> None:
    """Print the best of each size, and its ratio to the first."""
    first = {name: min(turn[name] for turn in found[0]) for name in found[0][0]}
    names = ["kept", "in the window", "state MB", *(each for name in first for each in (name, "x"))]
    print(f"| {' | '.join(names)} |\n{'|--:' * len(names)}|")
    for size, dataset, turns in zip(sizes, kept, found, strict=True):
        manifest = json.loads(max(dataset.glob("manifests/*.json")).read_text())
        state = sum(file["bytes"] for file in manifest["state"])
        window = sum(file["rows"] for file in manifest["state"] if file["table"] == "kept")
        best = {name: min(turn[name] for turn in turns) for name in first}
        figures = " | ".join(f"{best[name]:.1f} | {best[name] / first[name]:.2f}" for name in first)
        print(f"| {size:,} | {window:,} | {state / 1e6:.0f} | {figures} |")


if __name__ == "__main__":
    sys.exit(main())
