"""Killed again and again in mid-stream: whatever it was, every article is there once, none is rejected.

Articles come by a topic and by a feed. Killed are, at random, the follower, or the driver and a task manager, the
broker and the feed's server, each to be started again; what ends by itself is started again too, as a service manager
would. KILLS says how often; see `make engines`.
"""

import contextlib
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pyarrow.parquet as pq
import pytest

from tests.engines.broker import Broker
from tests.engines.conftest import COPYDESK, ROOT
from tests.engines.flinkcluster import Cluster, cluster, free_ports
from tests.engines.test_follow import article

pytestmark = pytest.mark.engines

KILLS = int(os.environ.get("KILLS", "4"))
_RECOVERY_SECONDS = 600  # a feed whose server was away rests for a minute or two; a stream begins anew
_CONFIG = """
[read.kafka]
timeout_seconds = 2
[read.fetch]
enabled = true
allow_private = true
robots = false
"""


class Press:
    """Two articles a second, by a topic and a feed in turn, and where they are served."""

    def __init__(self, folder: Path) -> None:
        self.broker = Broker(folder)
        self.folder = folder / "feed"
        self.folder.mkdir()
        (self.port,) = free_ports(1)
        self.topic = self.broker.make_topic("kills", partitions=3)
        self.sent: list[str] = []
        self._entries: list[str] = []
        self._producer = self.broker.producer(enable_idempotence=True)  # what it repeats is in the topic once
        self._publish()
        self.serve()

    @property
    def sources(self) -> list[str]:
        return [self.broker.uri(self.topic), f"feed+http://127.0.0.1:{self.port}/news.xml"]

    def serve(self) -> None:
        words = [sys.executable, "-m", "http.server", str(self.port), "--bind", "127.0.0.1", "-d", str(self.folder)]
        self.server = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def print_for(self, seconds: float) -> None:
        """Send articles for so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            number = len(self.sent)
            if number % 2:
                self._entries.append(_entry(number))
                self._publish()
                self.sent.append(f"entry-{number}")
            else:
                self._producer.produce(self.topic, json.dumps(article(number)), partition=number % 3)
                self._producer.poll(0)
                self.sent.append(str(number))
            time.sleep(0.5)

    def finish(self) -> None:
        """See that all of it can be had."""
        assert not self._producer.flush(60)

    def stop(self) -> None:
        self.server.kill()
        self.server.wait()
        self.broker.kill()

    def kill_broker(self) -> None:
        self.broker.kill()
        self.print_for(3)
        self.broker.start()

    def kill_server(self) -> None:
        self.server.kill()
        self.server.wait()
        self.print_for(3)
        self.serve()

    def _publish(self) -> None:
        new = self.folder / "new"
        items = "".join(self._entries)
        new.write_text(f'<rss version="2.0"><channel><title>News</title>{items}</channel></rss>')
        changed = 1_700_000_000 + len(self._entries)  # the server tells whole seconds
        os.utime(new, (changed, changed))
        new.rename(self.folder / "news.xml")


def _entry(number: int) -> str:
    about = article(number)
    fields = {"title": about["title"], "guid": f"entry-{number}", "description": about["text"]}
    return f"<item>{''.join(f'<{name}>{escape(value)}</{name}>' for name, value in fields.items())}</item>"


class Kept:
    """A command that is started again whenever it ended."""

    def __init__(self, words: list[str], log: Path) -> None:
        self.words, self.log, self.ended = words, log, 0
        self._start()

    def check(self) -> None:
        if self.process.poll() is not None:
            self.ended += 1
            self._start()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self._start()

    def _start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.words, stdout=log, stderr=log, cwd=ROOT)


@contextlib.contextmanager
def kept(words: list[str], log: Path) -> Iterator[Kept]:
    one = Kept(words, log)
    try:
        yield one
    finally:
        one.process.kill()
        one.process.wait()


@pytest.fixture
def press(tmp_path: Path) -> Iterator[Press]:
    one = Press(tmp_path)
    yield one
    one.stop()


def rows(out: Path, table: str) -> list[dict[str, Any]]:
    if not (out / "current").exists():
        return []
    found: list[dict[str, Any]] = pq.read_table(out / "current" / table, partitioning=None).to_pylist()
    return found


def times_there(out: Path) -> Counter[str]:
    return Counter(row["source_id"] for row in rows(out, "articles"))


def survive(press: Press, out: Path, command: Kept, victims: dict[str, Callable[[], None]]) -> None:
    """Kill at random while articles come, and wait until all are there."""
    rng, killed = random.Random(KILLS), Counter[str]()
    names = (list(victims) * KILLS)[:KILLS]  # each as often, in a random order
    rng.shuffle(names)
    for name in names:
        press.print_for(rng.uniform(2, 20))
        victims[name]()
        killed[name] += 1
        command.check()
        assert set(times_there(out).values()) <= {1}
    press.finish()
    deadline = time.monotonic() + _RECOVERY_SECONDS
    while times_there(out) != Counter(press.sent):
        command.check()
        missing = Counter(press.sent) - times_there(out)
        assert time.monotonic() < deadline, f"{killed}: missing {missing}\n{command.log.read_text()[-4000:]}"
        time.sleep(1)
    assert not [row for row in rows(out, "rejects") if row["source_id"]]  # that a feed was away may be said
    sys.stdout.write(f"killed {dict(killed)}, ended by itself {command.ended}, {len(press.sent)} articles\n")


def test_a_follower_that_is_killed_has_every_article_once(press: Press, tmp_path: Path) -> None:
    out, config = tmp_path / "out", tmp_path / "config.toml"
    config.write_text(_CONFIG)
    words = [*COPYDESK, "follow", *press.sources, "--output", str(out), "--every", "1s", "--config", str(config)]
    with kept(words, tmp_path / "log") as follower:
        victims = {"follower": follower.kill, "broker": press.kill_broker, "server": press.kill_server}
        survive(press, out, follower, victims)


def test_a_stream_on_flink_that_is_killed_has_every_article_once(press: Press, tmp_path: Path) -> None:
    out, config = tmp_path / "out", tmp_path / "config.toml"
    config.write_text(_CONFIG)
    settings = {"restart-strategy.fixed-delay.attempts": "1000"}
    with cluster(tmp_path / "flink", settings=settings) as flink:
        words = [*COPYDESK, "stream", *press.sources, "--output", str(out), "--every", "2s", "--lateness", "30s"]
        words += ["--config", str(config), *flink.flags(), "--parallelism=2", "--checkpointing_interval=5000"]
        with kept(words, tmp_path / "log") as driver:
            victims = {
                "driver": lambda: _kill_driver(driver, flink),
                "task manager": lambda: _kill_task_manager(flink),
                "broker": press.kill_broker,
                "server": press.kill_server,
            }
            survive(press, out, driver, victims)


def _kill_driver(driver: Kept, flink: Cluster) -> None:
    driver.process.kill()
    driver.process.wait()
    flink.mend()  # its workers were in it: the job cannot go on
    driver.check()
    driver.ended -= 1


def _kill_task_manager(flink: Cluster) -> None:
    flink.kill("taskmanager-0")
    flink.start_task_manager(0)
