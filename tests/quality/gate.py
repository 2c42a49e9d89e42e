"""The quality gate: every figure against its floor.

    python -m tests.quality.gate SHARED [--only seeds,neardup] [--raise] [--lower NAME=VALUE …]

Floors stand in floors.json beside this file with a fingerprint of the data they were measured on. `--raise` lifts
floors to the figures just measured, less a margin for noise; a floor is only ever lowered by naming it and its value.
Exit status: 0 all hold, 1 one is broken, 2 the data is not the one the floors were measured on.
"""

import argparse
import json
import multiprocessing
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from tests.quality import copies, measure, pool
from tests.quality.measure import Figures

MEASURES = {**measure.MEASURES, **pool.MEASURES, **copies.MEASURES}
WHEN_NAMED = {"scale"}  # takes some minutes and 3 GB of memory
FLOORS = Path(__file__).with_name("floors.json")
LOWER_IS_BETTER = (
    *("wrong_lines", "files_wrong", "leakW", "dirty", "empty", "biggest_over_merge", "missing", "different.joined"),
    *("largest_story", *(f"{relation}.taken_for_copies" for relation in ("quotes", "furniture", "event"))),
)
MARGIN = 0.002
TOGETHER = 2  # each takes a core and up to 3 GB


def main() -> int:
    """Measure, compare, print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path, help="the folder with data/ and eval/")
    parser.add_argument("--only", default="", help=f"comma-separated, of {', '.join(MEASURES)}; scale only when named")
    parser.add_argument("--raise", dest="lift", action="store_true", help="lift floors to what was measured")
    parser.add_argument(
        "--lower", action="append", default=[], metavar="NAME=VALUE", help="lower one floor, on purpose"
    )
    arguments = parser.parse_args()
    if not (arguments.shared / "data").is_dir():
        print(f"quality: skipped, the labelled data is not here ({arguments.shared}/data)")
        return 0
    record: dict[str, Any] = json.loads(FLOORS.read_text()) if FLOORS.exists() else {"data": "", "floors": {}}
    found = measure.fingerprint(arguments.shared)
    if record["data"] not in {"", found} and not arguments.lift:
        print(f"quality: the data ({found}) is not the one the floors were measured on ({record['data']})")
        return 2
    figures = measured(arguments.shared, filter(None, arguments.only.split(",")))
    floors: Figures = record["floors"]
    floors |= {name: float(value) for name, value in (each.split("=") for each in arguments.lower)}
    broken = show(figures, floors)
    if arguments.lift:
        floors |= {name: lifted(name, value, floors.get(name)) for name, value in figures.items()}
    if arguments.lift or arguments.lower:
        FLOORS.write_text(json.dumps({"data": found, "floors": dict(sorted(floors.items()))}, indent=1) + "\n")
    return int(broken > 0)


def measured(shared: Path, only: Iterable[str] = ()) -> Figures:
    """Measure what is named, or everything that does not have to be named; two at a time."""
    chosen = list(only) or [name for name in MEASURES if name not in WHEN_NAMED]
    with ProcessPoolExecutor(TOGETHER, multiprocessing.get_context("spawn")) as pool:
        tasks = [pool.submit(measure_one, name, shared.resolve()) for name in chosen]
        return {figure: value for task in tasks for figure, value in task.result().items()}


def measure_one(name: str, shared: Path) -> Figures:
    """One of MEASURES, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="copydesk-quality-") as folder:
        return MEASURES[name](shared, Path(folder))


def show(figures: Figures, floors: Figures) -> int:
    """Print the table; give the number of broken floors."""
    broken = 0
    for name, value in sorted(figures.items()):
        floor = floors.get(name)
        holds = floor is None or (value <= floor if lower_is_better(name) else value >= floor)
        broken += not holds
        least = "-" if floor is None else f"{floor:.4f}"
        print(f"{'ok    ' if holds else 'BROKEN'} {name:<34} {value:9.4f}  floor {least}")
    print(f"{len(figures) - broken} passed, {broken} failed")
    return broken


def lifted(name: str, value: float, floor: float | None) -> float:
    """The stricter of the old floor and the figure less the margin."""
    margin = 0.0 if value == int(value) else MARGIN
    new = round(value + margin if lower_is_better(name) else value - margin, 4)
    if floor is None:
        return new
    return min(new, floor) if lower_is_better(name) else max(new, floor)


def lower_is_better(name: str) -> bool:
    """Whether a figure counts what went wrong."""
    return name.endswith(LOWER_IS_BETTER)


if __name__ == "__main__":
    sys.exit(main())
