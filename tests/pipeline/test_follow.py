"""Following: rounds that go on from what was committed, survive what fails, and end when asked to."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from pipeline import follow as following
from pipeline.cli import main
from pipeline.config import Config
from pipeline.follow import Rhythm, follow, follow_until_stopped, seconds_of
from pipeline.places import dataset_at
from pipeline.reading import open_dataset
from pipeline.run import Request, Result
from pipeline.status import Status, describe
from schemas.errors import ContractMismatch, StorageFailed, UsageError
from tests.pipeline.conftest import staged
from transforms.read.source import Cursor, Polled

Record = dict[str, Any]


class Runs:
    """Stands for `run`: does what it is told in turn, and remembers what it was asked."""

    def __init__(self, *outcomes: Exception | None) -> None:
        self.outcomes, self.asked = list(outcomes), list[Request]()

    def __call__(self, request: Request) -> Result:
        self.asked.append(request)
        outcome = self.outcomes.pop(0)
        if outcome:
            raise outcome
        return Result(None, repeated=True, unmatched=[], cursors={"a": {"at": len(self.asked)}})


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., tuple[Runs, Status]]:
    def go(*outcomes: Exception | None, most_failures: int = 5) -> tuple[Runs, Status]:
        runs, status = Runs(*outcomes), Status()
        monkeypatch.setattr(following, "run", runs)
        request = Request([str(tmp_path)], tmp_path / "out", Config(), {})
        follow(request, Rhythm(0.0, len(outcomes), most_failures), status, threading.Event())
        return runs, status

    return go


def test_each_round_goes_on_from_what_the_last_one_read(rounds: Callable[..., tuple[Runs, Status]]) -> None:
    runs, status = rounds(None, None, None)
    assert [request.following for request in runs.asked] == [{}, {"a": {"at": 1}}, {"a": {"at": 2}}]
    assert all(request.graceful and request.sources is runs.asked[0].sources for request in runs.asked)
    assert (status.round, status.failures, status.problem) == (3, 0, "")


def test_a_round_that_fails_is_tried_again_from_where_it_began(rounds: Callable[..., tuple[Runs, Status]]) -> None:
    runs, status = rounds(None, StorageFailed("full"), None)
    assert runs.asked[2].following == runs.asked[1].following == {"a": {"at": 1}}
    assert (status.failed, status.failures) == (1, 0)


class Asked:
    """A source without news that learns from each poll; remembers from where it was asked."""

    uri = "quiet"

    def __init__(self) -> None:
        self.cursors: list[Cursor] = []

    def poll(self, cursor: Cursor, _spool: Path) -> Polled:
        self.cursors.append(dict(cursor))
        return Polled((), (), {"at": cursor.get("at", 0), "etag": len(self.cursors)})


def test_what_idle_rounds_learned_holds_until_another_commit_moves_the_cursor(
    monkeypatch: pytest.MonkeyPatch, out: Path
) -> None:
    """It may be another's, a rollback, or one of ours that was committed and then could not be shown."""
    source, done = Asked(), threading.Event()
    monkeypatch.setattr(following, "open_sources", lambda *_, **__: [source])

    def watch(status: Status) -> None:
        if status.round == 2 and not status.working:
            dataset = dataset_at(out)
            with dataset.attempt() as attempt:
                change = staged(attempt, {"a": ("c", None)})
                dataset.commit(attempt, replace(change, about={**change.about, "cursors": {"quiet": {"at": 9}}}))

    follow(Request([], out, Config(), {}), Rhythm(0.0, 4), Status(), done, watch)
    assert source.cursors == [{}, {"at": 0, "etag": 1}, {"at": 9}, {"at": 9, "etag": 3}]


def test_too_many_failures_in_a_row_end_it(rounds: Callable[..., tuple[Runs, Status]]) -> None:
    with pytest.raises(StorageFailed, match="second"):
        rounds(StorageFailed("first"), StorageFailed("second"), None, most_failures=2)


@pytest.mark.parametrize("error", [UsageError("no topic"), ContractMismatch("damaged")])
def test_what_waiting_does_not_mend_ends_it_at_once(
    rounds: Callable[..., tuple[Runs, Status]], error: Exception
) -> None:
    with pytest.raises(type(error)):
        rounds(error, None)


def test_nothing_is_begun_once_it_is_told_to_stop(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    runs, stop = Runs(None), threading.Event()
    monkeypatch.setattr(following, "run", runs)
    stop.set()
    follow(Request([str(tmp_path)], tmp_path / "out", Config(), {}), Rhythm(60.0), Status(), stop)
    assert not runs.asked


def test_the_line_says_how_it_goes() -> None:
    status = Status(round=3, snapshot=2, articles=1200, rejected=4, failures=1, problem="disk full")
    assert describe(status) == (
        "round 3, snapshot 2, 1,200 articles added, 4 rejected, 1 rounds failed: disk full, waiting"
    )
    status = Status(round=3, snapshot=2, away=("topic: refused",))
    assert describe(status) == "round 3, snapshot 2, 0 articles added, does not answer: topic: refused, waiting"


def test_what_goes_wrong_is_in_the_log_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    away = Result(None, repeated=True, unmatched=[], cursors={}, away=["topic: see [read.kafka.settings]"])
    rounds: list[Result | Exception] = [away, away, StorageFailed("full"), replace(away, away=[]), away]
    outcomes = iter(rounds)

    def run(_: Request) -> Result:
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(following, "run", run)
    written = io.StringIO()
    request = Request([str(tmp_path)], tmp_path / "out", Config(), {})
    follow_until_stopped(request, Rhythm(0.0, 5), Console(file=written), None)
    assert written.getvalue().splitlines() == [
        "round 1: topic: see [read.kafka.settings]",
        "round 3: full",
        "round 5: topic: see [read.kafka.settings]",
        "stopped: round 5, snapshot 0, 0 articles added, does not answer: topic: see [read.kafka.settings], waiting",
    ]


def test_it_is_unhealthy_when_rounds_keep_failing_or_one_never_ends() -> None:
    status = Status(last_success=1000.0)
    assert status.is_healthy(60.0, 1500.0)
    assert not status.is_healthy(60.0, 1601.0)
    assert not Status(last_success=1000.0, failures=3).is_healthy(60.0, 1001.0)


@pytest.mark.parametrize(("text", "seconds"), [("60s", 60.0), ("5m", 300.0), ("1h", 3600.0), ("0.5", 0.5)])
def test_lengths_of_time_are_understood(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-1s", "1d", "nan", "500ms", "1hm"])
def test_other_lengths_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--every"):
        seconds_of(text)


def test_metrics_and_health_are_served() -> None:
    health = pytest.importorskip("pipeline.health", reason="needs the extra metrics")
    status = Status(round=2, articles=7)
    with health.served(status, 60.0, "127.0.0.1:0") as port:
        text = fetched(port, "/metrics")[1]
        assert "copydesk_articles_total 7.0" in text
        assert "copydesk_rounds_total 2.0" in text
        assert fetched(port, "/healthz") == (200, "ok\n")
        status.failures, status.problem, status.away = 3, "disk full", ("topic: refused",)
        assert "copydesk_sources_away 1.0" in fetched(port, "/metrics")[1]
        assert fetched(port, "/healthz") == (503, "no round succeeds: disk full\n")
        assert fetched(port, "/else")[0] == 404
        with pytest.raises(UsageError, match=str(port)), health.served(status, 60.0, str(port)):
            pass


def test_a_client_that_asks_for_nothing_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    health = pytest.importorskip("pipeline.health", reason="needs the extra metrics")
    monkeypatch.setattr(health, "_SECONDS", 0.05)
    with (
        health.served(Status(), 60.0, "127.0.0.1:0") as port,
        socket.create_connection(("127.0.0.1", port), timeout=10) as silent,
    ):
        assert silent.recv(1) == b""


def fetched(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def put(folder: Path, name: str, records: list[Record]) -> None:
    """Move a file in, long enough ago to be whole."""
    folder.mkdir(exist_ok=True)
    path = folder / f".{name}"
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    os.utime(path, (time.time() - 60, time.time() - 60))
    path.rename(folder / name)


def names(out: Path) -> list[str]:
    return sorted(row["source_id"] for row in pq.read_table(out / "current/articles", partitioning=None).to_pylist())


@pytest.mark.whole
def test_a_folder_is_followed_from_where_the_last_follower_stopped(tmp_path: Path, records: list[Record]) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    put(folder, "a.jsonl", records[:6])
    assert main(["follow", str(folder), "--output", str(out), "--every", "0s", "--rounds", "2"]) == 0
    assert open_dataset(out).snapshot == 1
    put(folder, "b.jsonl", records[6:9])
    assert main(["follow", str(folder), "--output", str(out), "--every", "0s", "--rounds", "1"]) == 0
    assert open_dataset(out).snapshot == 2
    assert names(out) == sorted(record["id"] for record in records[:9])
    assert not pq.read_table(out / "current/rejects", partitioning=None).num_rows
    assert main(["follow", str(folder), "--output", str(out), "--every", "0s", "--rounds", "1"]) == 0
    assert open_dataset(out).snapshot == 2


@pytest.mark.whole
def test_a_first_signal_lets_the_round_end_and_a_kill_loses_nothing(tmp_path: Path, records: list[Record]) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    put(folder, "a.jsonl", records[:6])
    words = [sys.executable, "-m", "pipeline", "follow", str(folder), "--output", str(out), "--every", "0.1s"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        wait_for(lambda: any((out / "staging").glob("*/scratch/*")), process)
        process.kill()
    assert not (out / "current").exists()
    dead = set((out / "staging").iterdir())
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        wait_for(lambda: any(p.parents[1] not in dead for p in (out / "staging").glob("*/scratch/*")), process)
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=300)
    assert process.returncode == 0, told
    assert names(out) == sorted(record["id"] for record in records[:6])
    assert "stopped: round 1" in told


def wait_for(reached: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait until something is there; the process must live meanwhile."""
    for _ in range(3000):
        if reached():
            return
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        threading.Event().wait(0.1)
    pytest.fail("it was never reached")
