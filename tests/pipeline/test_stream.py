"""The driver of a stream: a job that does not move is begun again."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import pytest
from rich.console import Console

from pipeline import stream as streaming
from pipeline.config import Config
from pipeline.stream import Stream, stream_until_stopped
from schemas.errors import EngineLost


class Job:
    """Stands for a pipeline whose job does nothing until it is cancelled; or that moves, and ends or fails."""

    def __init__(self, *, moves: bool, fails: str = "") -> None:
        self.moves, self.fails, self.cancelled, self.scratch = moves, fails, threading.Event(), Path()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.moves:
            (self.scratch / "ticked").touch()
        else:
            assert self.cancelled.wait(30)
            self.fails = "Pipeline x failed in state CANCELLED"
        if self.fails:
            raise RuntimeError(self.fails)


@pytest.fixture
def stream_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    def go(*jobs: Job) -> None:
        left = list(jobs)

        def build(job: Job, _uris: Any, _stream: Stream, scratch: str) -> None:
            job.scratch = Path(scratch)

        monkeypatch.setattr(streaming, "_FIRST_TICK", 0.01)
        monkeypatch.setattr(streaming, "_LOOKS", 0.001)
        monkeypatch.setattr(streaming, "_new", lambda _: left.pop(0))
        monkeypatch.setattr(streaming, "canceller", lambda _, job: job.cancelled.set)
        monkeypatch.setattr(streaming, "build_stream", build)
        (tmp_path / "in").mkdir()
        stream = Stream([str(tmp_path / "in")], tmp_path / "out", Config(), "FlinkRunner")
        stream_until_stopped(stream, Console(quiet=True))

    return go


def test_a_job_that_does_not_move_is_cancelled_and_begun_again(stream_over: Callable[..., None]) -> None:
    jobs = [Job(moves=False), Job(moves=True)]
    stream_over(*jobs)
    assert [job.cancelled.is_set() for job in jobs] == [True, False]


def test_an_engine_on_which_no_job_moves_is_named(stream_over: Callable[..., None]) -> None:
    with pytest.raises(EngineLost, match="nothing moves: tried 3 times"):
        stream_over(*(Job(moves=False) for _ in range(3)))


def test_what_fails_while_it_moves_is_told(stream_over: Callable[..., None]) -> None:
    with pytest.raises(EngineLost, match="failed the job"):
        stream_over(Job(moves=True, fails="Pipeline x failed in state FAILED: no slots"))
