"""Following a real topic: killed, cut off and given what is late, twice or out of order, it has every article once."""

import contextlib
import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.engines.broker import Broker
from tests.engines.conftest import COPYDESK

pytestmark = pytest.mark.engines

Record = dict[str, Any]
KILLS = int(os.environ.get("KILLS", "4"))
_WAIT_SECONDS = 300  # for a round: kernels may have to be compiled first
_WORDS = [f"{first}{last}" for first in ("bar", "dol", "fen", "gim", "kor", "lut") for last in ("an", "es", "il", "om")]


@pytest.fixture
def topic(request: pytest.FixtureRequest, broker: Broker) -> str:
    return broker.make_topic(str(request.node.name), partitions=3)


def article(number: int, day: int = 1) -> Record:
    rng = random.Random(number)
    text = ". ".join(" ".join(rng.choices(_WORDS, k=12)).capitalize() for _ in range(8))
    return {
        "id": str(number),
        "url": f"https://north.example/{number}",
        "outlet": "north.example",
        "title": " ".join(rng.choices(_WORDS, k=6)).capitalize(),
        "date": f"2024-05-{day:02}T08:00:00Z",
        "text": f"{text}.",
    }


def articles(start: int, stop: int) -> list[Record]:
    return [article(number) for number in range(start, stop)]


def rows(out: Path, table: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(out / "current" / table, partitioning=None).to_pylist()
    return found


def times_there(out: Path) -> Counter[str]:
    """How often each article is in `current`; of none before there is a snapshot."""
    return Counter(row["source_id"] for row in rows(out, "articles")) if (out / "current").exists() else Counter()


def once(numbers: range) -> Counter[str]:
    return Counter(map(str, numbers))


@contextlib.contextmanager
def following(*words: str | Path, every: str = "0.2s") -> Iterator["subprocess.Popen[str]"]:
    """A follower, for as long as the block runs; what it said goes to a file beside its output."""
    out = Path(words[-1])
    with out.with_suffix(".log").open("a") as log:
        command = [*COPYDESK, "follow", *map(str, words[:-1]), "--output", str(out), "--every", every]
        process = subprocess.Popen(command, stdout=log, stderr=log, text=True)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def wait_for(met: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    """Wait for what a follower does in its own time; it must live meanwhile."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while not met():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)


def stop(process: "subprocess.Popen[str]") -> None:
    """End it as a service manager would."""
    process.send_signal(signal.SIGTERM)
    assert process.wait(_WAIT_SECONDS) == 0


def snapshot(out: Path) -> Mapping[str, Any]:
    """The manifest of the newest snapshot."""
    found: Mapping[str, Any] = json.loads(max((out / "manifests").glob("*.json")).read_text())
    return found


def test_killed_at_random_moments_it_has_every_article_once(broker: Broker, topic: str, tmp_path: Path) -> None:
    out, rng, sent = tmp_path / "out", random.Random(7), 0
    for _ in range(KILLS // 2):
        with following(broker.uri(topic), out) as process:
            deadline = time.monotonic() + rng.uniform(4, 25)  # the moment is the test
            while time.monotonic() < deadline:
                broker.send(topic, articles(sent, sent + 2), partitions=3)
                sent += 2
                time.sleep(0.5)
            assert process.poll() is None
        assert set(times_there(out).values()) <= {1}
    with following(broker.uri(topic), out) as process:
        wait_for(lambda: len(times_there(out)) == sent, process)
        stop(process)
    assert times_there(out) == once(range(sent))
    assert not rows(out, "rejects")
    assert sum(snapshot(out)["cursors"][broker.uri(topic)]["offsets"].values()) == sent
    assert not list((out / "staging").iterdir())


def test_it_outlives_a_broker_that_is_killed_and_started_again(broker: Broker, topic: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    broker.send(topic, articles(0, 6), partitions=3)
    config = tmp_path / "config.toml"
    config.write_text("[read.kafka]\ntimeout_seconds = 2\n")
    with following(broker.uri(topic), "--config", config, out, every="8s") as process:
        wait_for(lambda: times_there(out) == once(range(6)), process)
        broker.kill()
        try:
            time.sleep(10)  # at least one round finds nobody
            assert process.poll() is None
        finally:
            broker.start()
        broker.send(topic, articles(6, 12), partitions=3)
        wait_for(lambda: times_there(out) == once(range(12)), process)
        stop(process)
    assert not rows(out, "rejects")
    assert "1 rounds failed" not in out.with_suffix(".log").read_text().splitlines()[-1]  # the last round went well


def test_late_repeated_and_out_of_order_articles_are_there_once_in_the_right_story(
    broker: Broker, topic: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    dated = [article(number, day) for number, day in enumerate((9, 3, 7, 1))]
    reprint = {**dated[0], "id": "reprint", "outlet": "south.example", "url": "https://south.example/1"}
    with following(broker.uri(topic), out) as process:
        broker.send(topic, dated, partitions=3)
        wait_for(lambda: len(times_there(out)) == 4, process)
        broker.send(topic, [article(4, 8), dated[1], reprint, dated[3], article(5, 2)], partitions=3)
        wait_for(lambda: len(times_there(out)) == 7, process)
        stop(process)
    assert set(times_there(out).values()) == {1}
    found = {row["source_id"]: row for row in rows(out, "articles")}
    assert found["reprint"]["copy_id"] == found["0"]["copy_id"]
    assert found["reprint"]["story_id"] == found["0"]["story_id"]
    assert Counter(row["reason"] for row in rows(out, "rejects")) == {"duplicate_input": 2}


def test_a_quiet_source_holds_up_no_other(broker: Broker, topic: str, tmp_path: Path) -> None:
    out, quiet = tmp_path / "out", broker.make_topic("quiet")
    broker.send(quiet, [article(100)])
    with following(broker.uri(quiet), broker.uri(topic), out) as process:
        wait_for(lambda: len(times_there(out)) == 1, process)
        for number in range(3):
            broker.send(topic, articles(number, number + 1))
            wait_for(lambda sent=number: len(times_there(out)) == sent + 2, process)  # type: ignore[misc]
        stop(process)
    assert times_there(out) == once(range(3)) + once(range(100, 101))
    assert snapshot(out)["cursors"].keys() == {broker.uri(quiet), broker.uri(topic)}
