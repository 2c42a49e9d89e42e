"""Follow: sources asked again and again, and what they have added by small runs, each committed with how far it read.

How far each source was read stands in the manifest of what came of it: after a kill the sources are asked from there,
so nothing is lost or read twice. A poll that found nothing commits nothing; what it learned (an ETag, say) is kept in
memory for the next. A source that does not answer waits for the next round; the round fails only if none answers.
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from types import FrameType

import pyarrow as pa
from rich.console import Console
from rich.markup import escape

from pipeline.engine import kill_workers
from pipeline.polling import open_sources
from pipeline.run import Request, Result, run
from pipeline.status import Status, describe
from schemas.errors import INTERRUPTED, CommitConflict, SourceAway, StorageFailed, UsageError, WorkerLost

_TRANSIENT = (CommitConflict, SourceAway, StorageFailed, WorkerLost, OSError)  # what the next round may not meet again


@dataclass(frozen=True)
class Rhythm:
    """How often the sources are asked."""

    every: float = 60.0  # seconds from the beginning of one round to that of the next
    rounds: int | None = None  # and no more; None: until a signal
    most_failures: int = 5  # rounds in a row that may fail before whoever started the process has to see to it


def follow(
    request: Request,
    rhythm: Rhythm,
    status: Status,
    stop: threading.Event,
    watch: Callable[[Status], None] = lambda _: None,
) -> None:
    """Ask the sources of a request in a rhythm, until told to stop; a round that has begun is finished.

    Args:
      request: what a round does; `request.following` and `upon` are set here.
      rhythm: how often.
      status: kept up to date.
      stop: set by whoever wants an end.
      watch: called whenever the status changed.

    Raises:
      UsageError, ContractMismatch: nothing that waiting helps.
      CommitConflict, StorageFailed, WorkerLost, OSError: too many rounds in a row failed by one.
    """
    opened = open_sources(request.inputs, request.config.read, request.known, following=True)
    request = replace(request, sources=opened, following={}, graceful=True)
    pa.set_memory_pool(
        pa.system_memory_pool()
    )  # Arrow's own keeps a part of what each thread had, and Beam starts many
    while not stop.is_set() and status.round != rhythm.rounds:
        began = time.monotonic()
        status.round += 1
        status.working = True
        watch(status)
        try:
            result = run(request)
        except _TRANSIENT as error:
            status.failures += 1
            status.failed += 1
            status.problem = str(error)
            if status.failures >= rhythm.most_failures:
                raise
        else:
            upon = result.manifest.cursors if result.manifest else {}
            request = replace(request, following=result.cursors, upon=upon)
            _count(status, result)
        pa.default_memory_pool().release_unused()
        status.working = False
        status.last_seconds = time.monotonic() - began
        watch(status)
        if status.round != rhythm.rounds:
            stop.wait(max(0.0, rhythm.every - status.last_seconds))


@contextlib.contextmanager
def stopping(stop: threading.Event) -> Iterator[None]:
    """Let a first SIGINT or SIGTERM ask for an end after the round, a second one end the process at once."""

    def ask(_signal: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            kill_workers()
            os._exit(INTERRUPTED)
        stop.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _count(status: Status, result: Result) -> None:
    status.failures, status.problem, status.last_success = 0, "", time.time()
    status.away = tuple(result.away)
    if result.manifest:
        status.snapshot = result.manifest.snapshot
        if not result.repeated:
            status.articles += result.manifest.summary["articles_kept"]
            status.rejected += result.manifest.summary["rejected"]


def follow_until_stopped(request: Request, rhythm: Rhythm, console: Console, metrics: str | None) -> None:
    """Follow with a live line on a console, and pages for others if asked for, until a signal.

    Raises:
      UsageError: the address of the pages cannot be had; and as `follow`.
    """
    stop, status = threading.Event(), Status()
    with contextlib.ExitStack() as held:
        held.enter_context(stopping(stop))
        if metrics is not None:
            from pipeline.health import served  # noqa: PLC0415 -- its library is an extra

            port = held.enter_context(served(status, rhythm.every, metrics))
            console.print(f"/metrics and /healthz on port {port}")
        line = held.enter_context(console.status("starting"))
        told: list[str] = []

        def tell(now: Status) -> None:
            line.update(escape(describe(now)))  # on a terminal; a log has what went wrong, once
            troubles = [now.problem] * bool(now.failures) + list(now.away)
            for each in troubles:
                if each not in told:
                    console.print(f"round {now.round}: {escape(each)}", soft_wrap=True, highlight=False)
            told[:] = troubles

        follow(request, rhythm, status, stop, tell)
    console.print(f"stopped: {escape(describe(status))}", soft_wrap=True, highlight=False)


def seconds_of(text: str, option: str = "--every") -> float:
    """A length of time: a number with s, m or h, or bare seconds.

    Raises:
      UsageError: it is none.
    """
    unit = text[-1:] if text.endswith(("s", "m", "h")) else ""
    try:
        seconds = float(text.removesuffix(unit)) * {"m": 60, "h": 3600}.get(unit, 1)
    except ValueError as error:
        raise UsageError(f"{option} {text}: write 60s, 5m or 1h") from error
    if not 0 <= seconds <= threading.TIMEOUT_MAX:
        raise UsageError(f"{option} {text}: write 60s, 5m or 1h")
    return seconds
