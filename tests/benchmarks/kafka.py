"""Messages a CPU-second from a broker on this machine to raw blocks, beside the same records in a JSONL file.

    python tests/benchmarks/kafka.py [--messages 100000] [--bytes 2500]

CPU time is that of the reading process with the client's threads, not the broker's. Each way is run in turns, the best
of three counts. Memory is that of a new process that reads it all.
"""

import argparse
import functools
import multiprocessing
import random
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import orjson

from tests.engines.broker import Broker
from transforms.read.articles import blocks_of, read_item
from transforms.read.inputs import InputFile, ReadOptions, WorkItem
from transforms.read.kafka import KafkaSource
from transforms.read.kafka_client import KafkaOptions
from transforms.read.messages import Received, messages, outcomes

_ROUNDS = 3
_RANGES = (1024, 8192)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--bytes", type=int, default=2500)
    asked = parser.parse_args()
    values = made(asked.messages, asked.bytes)
    size = sum(map(len, values)) / 1e6
    print(f"{len(values)} messages of {size * 1e6 / len(values):.0f} bytes, one partition")
    with tempfile.TemporaryDirectory() as folder:
        broker = Broker(Path(folder))
        try:
            file = Path(folder) / "bench.jsonl"
            file.write_bytes(b"\n".join(values))
            broker.make_topic("bench")
            broker.send("bench", values)
            options = ReadOptions(kafka=KafkaOptions(max_messages=1 << 40))
            (first, *_), *_ = polled = KafkaSource.of(broker.uri("bench"), options.kafka).poll({}, Path(folder))
            whole = replace_range(first, 0, len(values))
            ways: dict[str, Callable[[], int]] = {
                "a JSONL file": lambda: rows_of([WorkItem("jsonl", (InputFile(str(file), 0),))], options),
                "decoding alone": lambda: decoded(values, whole.files[0], options),
                "fetching alone": lambda: sum(1 for _ in messages(whole.files[0], 0, len(values), options.kafka)),
            }
            for length in _RANGES:
                items = [
                    replace_range(first, at, min(at + length, len(values))) for at in range(0, len(values), length)
                ]
                ways[f"read_item, ranges of {length}"] = functools.partial(rows_of, items, options)
            assert polled.refused == ()
            best = measured(ways, len(values))
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                before, after = pool.submit(peak_of, [whole], options).result()
        finally:
            broker.kill()
    for name, (cpu, wall) in best.items():
        print(f"{name:28} {len(values) / cpu:9.0f} messages, {size / cpu:6.1f} MB a CPU-second; {wall:6.2f} s")
    print(f"peak memory of reading {after:.0f} MiB, {before:.0f} of them before it began")


def made(count: int, size: int) -> list[bytes]:
    """Articles of invented words, as JSON."""
    rng = random.Random(1)
    words = [bytes(rng.choices(b"abdegiklmnorstu", k=rng.randint(2, 9))).decode() for _ in range(5000)]
    return [
        orjson.dumps(
            {
                "id": str(number),
                "url": f"https://north.example/{number}",
                "outlet": "north.example",
                "title": " ".join(rng.choices(words, k=9)),
                "date": "2024-05-01T08:00:00Z",
                "text": " ".join(rng.choices(words, k=size // 7)),
            }
        )
        for number in range(count)
    ]


def decoded(values: list[bytes], file: InputFile, options: ReadOptions) -> int:
    found = (
        outcome
        for number, value in enumerate(values)
        for outcome in outcomes(Received(number, value, 0), value, file, "bench", options)
    )
    return sum(table.num_rows for table in blocks_of(found))


def rows_of(items: list[WorkItem], options: ReadOptions) -> int:
    return sum(table.num_rows for item in items for table in blocks_of(read_item(item, options)))


def peak_of(items: list[WorkItem], options: ReadOptions) -> tuple[float, float]:
    """MiB of this process before, and at most while, it reads them; `ru_maxrss` would be the parent's."""
    before = status("VmRSS")
    rows_of(items, options)
    return before, status("VmHWM")


def status(name: str) -> float:
    """MiB, as Linux says."""
    (line,) = [each for each in Path("/proc/self/status").read_text().splitlines() if each.startswith(name)]
    return int(line.split()[1]) / 1024


def replace_range(item: WorkItem, start: int, stop: int) -> WorkItem:
    return item._replace(start=start, stop=stop, first=start)


def measured(ways: dict[str, Callable[[], int]], expected: int) -> dict[str, tuple[float, float]]:
    """CPU and wall seconds of each, the round with the least CPU."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(_ROUNDS):
        for name, way in ways.items():
            cpu, wall = time.process_time(), time.perf_counter()
            assert way() == expected
            found[name].append((time.process_time() - cpu, time.perf_counter() - wall))
    return {name: min(each) for name, each in found.items()}


if __name__ == "__main__":
    main()
