"""The same articles on FnApiRunner, Prism and Flink: what each run costs, and whether every file is the same.

    python -m tests.engines.compare INPUT [--folder DIR] [--parallelism 2]

Datasets and the cluster's logs stay in DIR. CPU is the driver's with its children: workers are threads of the driver;
Flink's own processes are not in it. Exit 1 if an engine fails or a file differs.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.engines.conftest import COPYDESK, ROOT, files
from tests.engines.fetch_flink import fetch as fetch_flink
from tests.engines.fetch_prism import fetch as fetch_prism
from tests.engines.flinkcluster import cluster


def main() -> int:
    """Run all three, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("given", type=Path)
    parser.add_argument("--folder", type=Path, default=Path("engines-compared"))
    parser.add_argument("--parallelism", type=int, default=2)
    asked = parser.parse_args()
    expected: dict[tuple[str, str, int], str] = {}
    same = True
    folder = asked.folder.resolve()
    for name, flags in _engines(folder, asked.parallelism):
        out = folder / name
        words = [*COPYDESK, "run", str(asked.given), "--output", str(out), "--json", *flags]
        begun = time.monotonic()
        with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL) as run:
            _, status, used = os.wait4(run.pid, 0)
            run.returncode = os.waitstatus_to_exitcode(status)
        found = files(out) if run.returncode == 0 else {}
        expected = expected or found
        differ = sum(found.get(key) != expected.get(key) for key in found.keys() | expected.keys())
        same = same and run.returncode == 0 and differ == 0
        wall, cpu = time.monotonic() - begun, used.ru_utime + used.ru_stime
        sys.stdout.write(f"{name:12} exit {run.returncode}  {wall:7.1f} s  {cpu:7.1f} CPU-s  ")
        sys.stdout.write(f"{used.ru_maxrss / 1024:6.0f} MiB  {len(found)} files, {differ} differ\n")
        sys.stdout.flush()
    return 0 if same else 1


def _engines(folder: Path, parallelism: int) -> Iterator[tuple[str, list[str]]]:
    """Names and flags, each engine running while its name is out."""
    yield "FnApiRunner", []
    yield "Prism", ["--runner", "PrismRunner", "--", f"--prism_location={fetch_prism()}"]
    fetch_flink()
    with cluster(folder / "cluster") as flink:
        yield "Flink", [*flink.flags(), f"--parallelism={parallelism}"]


if __name__ == "__main__":
    sys.exit(main())
