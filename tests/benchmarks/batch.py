"""Articles per CPU-second and peak memory of whole `copydesk run` processes, in one table and one JSON.

    python tests/benchmarks/batch.py SHARED [--rows 12000] [--json FILE]

Each row of the table is a process of its own, measured by the operating system (user and system time of the process
and its children, largest resident set). The first run warms the compiled code. Machines differ and drift, so the table
begins with a yardstick: `datasketch.MinHash.update` over the same articles, one core, in the same minutes; compare
ratios to it.
"""

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from datasketch import MinHash

YARDSTICK = 300  # articles
COMMAND = Path(sys.executable).with_name("copydesk")
CASES = {
    "everything": "",
    "without stories": "[stories]\nenabled = false\n",
}


def main() -> int:
    """Measure every case once after a warm-up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path)
    parser.add_argument("--rows", type=int, default=12_000)
    parser.add_argument("--json", type=Path, help="write the table here too")
    arguments = parser.parse_args()
    source = arguments.shared / "data/neardup/dev.jsonl.gz"
    if not source.exists():
        print(f"bench: skipped, the articles are not here ({source})")
        return 0
    with tempfile.TemporaryDirectory(prefix="copydesk-bench-") as name:
        folder = Path(name)
        given = write_articles(source, folder / "articles.jsonl", arguments.rows)
        few = write_articles(source, folder / "few.jsonl", 200)
        timed(folder, few, "")
        table = [yardstick(given)]
        table += [{"case": "start-up (200 articles)", "articles": 200, **timed(folder, few, "")}]
        table += [
            {"case": case, "articles": arguments.rows, **timed(folder, given, config)} for case, config in CASES.items()
        ]
    print(f"{'case':<26}{'articles':>9}{'CPU s':>9}{'wall s':>9}{'articles/CPU-s':>16}{'peak MiB':>10}")
    for row in table:
        rate = row["articles"] / row["cpu"]
        print(
            f"{row['case']:<26}{row['articles']:>9}{row['cpu']:>9.2f}{row['wall']:>9.2f}{rate:>16.0f}{row['peak_mib']:>10.0f}"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(table, indent=1) + "\n")
    return 0


def yardstick(given: Path) -> dict[str, Any]:
    """Sign some of the articles by `MinHash.update` on each word 5-gram, 256 permutations."""
    with given.open(encoding="utf-8") as lines:
        texts = [json.loads(line)["text"].lower().split() for line in islice(lines, YARDSTICK)]
    began, wall = time.process_time(), time.perf_counter()
    for words in texts:
        signature = MinHash(num_perm=256, seed=1)
        for at in range(len(words) - 4):
            signature.update(" ".join(words[at : at + 5]).encode())
    spent = {"cpu": time.process_time() - began, "wall": time.perf_counter() - wall, "peak_mib": 0.0}
    return {"case": "yardstick: datasketch", "articles": len(texts), **spent}


def write_articles(source: Path, target: Path, rows: int) -> Path:
    """The first `rows` articles, repeated under new ids where there are fewer."""
    with gzip.open(source, "rt", encoding="utf-8") as lines, target.open("w", encoding="utf-8") as sink:
        for number, line in enumerate(islice(cycle(list(lines)), rows)):
            record = json.loads(line)
            sink.write(json.dumps(record | {"id": f"{record['id']}-{number}"}) + "\n")
    return target


def timed(folder: Path, given: Path, config: str) -> dict[str, Any]:
    """Run once into a new dataset; CPU and wall seconds, peak memory of the largest process."""
    settings = folder / "config.toml"
    settings.write_text(config)
    with tempfile.TemporaryDirectory(dir=folder) as out:
        words = [str(COMMAND), "run", str(given), "--output", f"{out}/out", "--config", str(settings), "--json"]
        with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
            began = os.times().elapsed
            message = process.stderr.read() if process.stderr else b""
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"copydesk run failed:\n{message.decode()[-2000:]}")
    wall = os.times().elapsed - began
    return {"cpu": usage.ru_utime + usage.ru_stime, "wall": wall, "peak_mib": usage.ru_maxrss / 1024}


if __name__ == "__main__":
    sys.exit(main())
