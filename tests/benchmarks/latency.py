"""Following or streaming a Kafka topic: from an article in it to a row in `current`, and what a core gets through.

    python -m tests.benchmarks.latency [--seconds 180] [--per-second 4] [--every 1s] [--waiting 20000] [--round 4000]
    python -m tests.benchmarks.latency --stream prism|flink
    python -m tests.benchmarks.latency --part trickle --seconds 3600 --per-second 2 --every 20s --samples FILE
                                       --a-day 240 --window 3

First a trickle: latency of every article, how long rounds take, and what the process and its children (Prism and the
workers, not a Flink cluster) hold after the first quarter and at the end; with `--samples` also once a minute, as JSON
lines in FILE. Then a topic where all messages wait: articles a CPU-second of the same processes, their start included;
of Flink also how large its checkpoints were and how long each took.
Articles are of invented words, 2,500 bytes, of 40 outlets and so many `--days` up to today; or, with `--a-day`, in the
order of their dates and so many a day, so that the older ones leave the window while it follows. Prints one JSON line
for each part.
"""

import argparse
import contextlib
import datetime as dt
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow.parquet as pq

from pipeline.engine import descendants
from tests.benchmarks.kafka import made
from tests.engines.broker import Broker
from tests.engines.streamed import engine

_BYTES = 2500
_LOOKS = 0.05  # seconds between two looks at `current`
_SAMPLES = 60.0  # seconds between two lines of --samples
_TICKS = os.sysconf("SC_CLK_TCK")


class Reader:
    """What a reader of a dataset sees, and when it was there first."""

    def __init__(self, out: Path) -> None:
        self.out, self.seen, self.snapshots, self._last = out, dict[str, float](), list[float](), ""
        self._read: set[int] = set()  # inodes: most files stay from one snapshot to the next

    def look(self) -> bool:
        """See whether there is a new snapshot, and what is new in it."""
        current = self.out / "current"
        name = str(current.readlink()) if current.is_symlink() else ""
        if name == self._last:
            return False
        now = time.time()
        self._last = name
        self.snapshots.append(now)
        files = {file.stat().st_ino: file for file in (self.out / name / "articles").rglob("*.parquet")}
        for file in (files[each] for each in files.keys() - self._read):
            for each in pq.read_table(file, columns=["source_id"], partitioning=None)["source_id"].to_pylist():
                self.seen.setdefault(each, now)
        self._read = set(files)
        return True


def articles(count: int, asked: argparse.Namespace) -> Iterator[bytes]:
    """Invented articles of several outlets and of the last days."""
    today = dt.datetime.now(dt.UTC).date()
    for number, value in enumerate(made(count, _BYTES)):
        row = orjson.loads(value)
        outlet = f"outlet{number % 40}.example"
        row |= {"outlet": outlet, "url": f"https://{outlet}/{number}"}
        age = (count - number) // asked.a_day if asked.a_day else number * 7 % asked.days
        row["date"] = f"{today - dt.timedelta(age)}T00:00:00Z"
        yield orjson.dumps(row)


@contextlib.contextmanager
def following(
    uri: str, out: Path, every: str, config: Path, on: str | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """A follower in a process of its own, or a stream on an engine."""
    words = [sys.executable, "-m", "pipeline", "stream" if on else "follow", uri, "--output", str(out)]
    words += ["--every", every, "--config", str(config)]
    with contextlib.ExitStack() as held_open:
        flags = held_open.enter_context(engine(on, engine_folder(out))) if on else []
        log = held_open.enter_context(out.with_suffix(".log").open("wb"))
        process = held_open.enter_context(subprocess.Popen([*words, *flags], stdout=log, stderr=log))
        try:
            yield process
        finally:
            process.terminate()  # a stream ends its job
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(30)
            process.kill()


def held(process: "subprocess.Popen[bytes]") -> dict[str, Any]:
    """What a process and its children hold, as Linux says."""
    each = [held_by(number) for number in (process.pid, *descendants(process.pid))]
    return {name: round(sum(one[name] for one in each), 2) for name in each[0]}


def held_by(number: int) -> dict[str, float]:
    """CPU seconds, MiB (resident; of them, without and with a file behind them) and open files."""
    folder = Path(f"/proc/{number}")
    times = (folder / "stat").read_text().rpartition(")")[2].split()
    status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
    return {
        "cpu_seconds": (int(times[11]) + int(times[12])) / _TICKS,
        "rss_mib": round(int(status["VmRSS"].split()[0]) / 1024),
        "anon_mib": round(int(status["RssAnon"].split()[0]) / 1024),
        "mapped_mib": round(int(status["RssFile"].split()[0]) / 1024),
        "threads": int(status["Threads"]),
        "open_files": len(list((folder / "fd").iterdir())),
    }


def trickle(broker: Broker, work: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """Send a few articles a second, and see when each can be read."""
    count = int(asked.seconds * asked.per_second)
    values, sent = list(articles(count + 1, asked)), dict[str, float]()
    topic = broker.make_topic("trickle")
    producer = broker.producer()
    reader = Reader(work / "trickle")

    def send(value: bytes) -> None:
        sent[orjson.loads(value)["id"]] = time.time()
        producer.produce(topic, value)
        producer.poll(0)

    def steadily() -> None:
        began = time.monotonic()
        for number, value in enumerate(values[1:]):
            time.sleep(max(0.0, began + number / asked.per_second - time.monotonic()))
            send(value)

    config = config_of(work, 4000, asked.window)
    with following(broker.uri(topic), reader.out, asked.every, config, asked.stream) as process:
        send(values[0])
        until(reader, 1, process)  # it has started, and has its kernels
        threading.Thread(target=steadily, daemon=True).start()
        begun, quarter = held(process), dict[str, Any]()
        started = time.time()
        if asked.samples:
            threading.Thread(target=sample, args=(process, reader, asked.samples), daemon=True).start()
        while len(reader.seen) <= count:
            until(reader, len(reader.seen) + 1, process)
            if not quarter and time.time() - started > asked.seconds / 4:
                quarter = held(process)
        end = held(process)
    latency = np.array([reader.seen[each] - at for each, at in list(sent.items())[1:]])
    rounds = np.diff(reader.snapshots)
    p50, p99 = np.percentile(latency, [50, 99])
    return {
        "part": "trickle",
        "articles": count,
        "latency_p50": round(float(p50), 2),
        "latency_p99": round(float(p99), 2),
        "latency_max": round(float(latency.max()), 2),
        "snapshots": len(reader.snapshots) - 1,
        "between_snapshots_p50": round(float(np.median(rounds)), 2),
        "cpu_seconds_a_round": round((end["cpu_seconds"] - begun["cpu_seconds"]) / len(rounds), 2),
        "begin": begun,
        "quarter": quarter,
        "end": end,
    }


def sample(process: "subprocess.Popen[bytes]", reader: Reader, path: Path) -> None:
    """Note what a process holds, until it ends."""
    with path.open("w") as lines:
        while process.poll() is None:
            at = {"at": round(time.time()), "articles": len(reader.seen), "snapshots": len(reader.snapshots)}
            print(json.dumps(at | held(process)), file=lines, flush=True)
            time.sleep(_SAMPLES)


def saturated(broker: Broker, work: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """Read a topic where much waits, in rounds of a bounded size."""
    topic, reader = broker.make_topic("waiting"), Reader(work / "waiting")
    producer = broker.producer()
    for number, value in enumerate(articles(asked.waiting, asked)):
        producer.produce(topic, value)
        if number % 10_000 == 0:
            producer.flush()  # it holds no more than 100,000
    assert not producer.flush(60)
    began = time.monotonic()
    config = config_of(work, asked.round, asked.window)
    every = asked.every if asked.stream else "0s"
    with following(broker.uri(topic), reader.out, every, config, asked.stream) as process:
        until(reader, asked.waiting, process)
        end = held(process)
    return {
        "part": "waiting",
        "articles": asked.waiting,
        "rounds": len(reader.snapshots),
        "seconds": round(time.monotonic() - began, 1),
        "articles_a_cpu_second": round(asked.waiting / end["cpu_seconds"]),
        "end": end,
    } | (checkpoints(engine_folder(reader.out)) if asked.stream == "flink" else {})


def checkpoints(folder: Path) -> dict[str, Any]:
    """What Flink's log says of its checkpoints."""
    log = (folder / "cluster" / "jobmanager.log").read_text()
    done = np.array(
        re.findall(r"Completed checkpoint \d+ .*\((\d+) bytes, checkpointDuration=(\d+) ms", log), dtype=int
    )
    names = ("bytes", "milliseconds")
    most = {f"checkpoint_{name}_max": int(column.max()) for name, column in zip(names, done.T, strict=True)}
    half = {f"checkpoint_{name}_p50": int(np.median(column)) for name, column in zip(names, done.T, strict=True)}
    return {"checkpoints": len(done), "checkpoint_bytes_last": int(done[-1, 0])} | half | most


def engine_folder(out: Path) -> Path:
    return out.with_suffix(".engine")


def until(reader: Reader, count: int, process: "subprocess.Popen[bytes]") -> None:
    """Look until so many articles are there."""
    while len(reader.seen) < count:
        if not reader.look():
            time.sleep(_LOOKS)
        if process.poll() is not None:
            sys.exit(f"it ended with {process.returncode}: {reader.out.with_suffix('.log').read_text()[-2000:]}")


def config_of(work: Path, most: int, window: int) -> Path:
    path = work / "config.toml"
    path.write_text(f"[read.kafka]\nmax_messages = {most}\n[kept]\nwindow_days = {window}\n", encoding="utf-8")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("trickle", "waiting"))
    parser.add_argument("--stream", choices=("prism", "flink"), help="by `stream` on an engine")
    parser.add_argument("--samples", type=Path)
    parser.add_argument("--days", type=int, default=2)
    parser.add_argument("--a-day", type=int, default=0)
    parser.add_argument("--window", type=int, default=30, help="days that an article stays open")
    parser.add_argument("--seconds", type=float, default=180)
    parser.add_argument("--per-second", type=float, default=4)
    parser.add_argument("--every", default="1s")
    parser.add_argument("--waiting", type=int, default=20_000)
    parser.add_argument("--round", type=int, default=4000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        broker = Broker(Path(folder))
        try:
            parts = {"trickle": trickle, "waiting": saturated}
            for part in [parts[asked.part]] if asked.part else parts.values():
                figures = part(broker, Path(folder), asked)
                print(json.dumps(figures | {"load": round(os.getloadavg()[0], 1)}), flush=True)
        finally:
            broker.kill()


if __name__ == "__main__":
    main()
