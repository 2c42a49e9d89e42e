"""The Beam runner: a named one, with options that are checked.

`DirectRunner` picks among three engines that differ in semantics and tries to download one of them, so Copydesk
names its engine: FnApiRunner unless told otherwise. What lies outside of this process is `pipeline.engines`' part.
"""

import argparse
import contextlib
import logging
import os
import shlex
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import apache_beam as beam
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions
from apache_beam.portability.api import beam_provision_api_pb2
from apache_beam.runners.portability.fn_api_runner.fn_runner import ExtendedProvisionInfo, FnApiRunner
from apache_beam.transforms.environments import SubprocessSDKEnvironment

from pipeline.engines import FLINK_FLAGS, Engine, located
from pipeline.quicker import make_beam_quicker
from schemas.errors import INTERRUPTED, UsageError, WorkerLost

DEFAULT_RUNNER = "FnApiRunner"
_GRACE_SECONDS = 5.0  # for Beam to notice that its workers are gone
_LOST_SECONDS = 20.0  # within which Beam itself notices that a worker died, if it ever does
_WORKER = "pipeline.worker"
_PROCESSES = "multi_processing"
_FIXED = ("--no_save_main_session",)
_KEPT = "--environment_cache_millis=60000"  # one worker for all stages: Flink starts one anew for each otherwise
_PATIENT = "--job_server_timeout=315360000"  # else Beam breaks off a job on Prism that takes over five minutes
_LOCAL = ("--default_sdk_harness_log_level=WARNING",)  # Flink's job server knows no such level


class _Options(PipelineOptions):  # type: ignore[misc]
    """Beam's options, each view of them made once.

    Beam looks at them through a new parser at every step, a fifth of a small run; views share one store of values.
    """

    def view_as(self, cls: type[PipelineOptions]) -> PipelineOptions:
        """Look at the options of one class."""
        views = self.__dict__.setdefault("_views", {})
        if cls not in views:
            views[cls] = super().view_as(cls)
        return views[cls]


def pipeline_options(
    workers: int, flags: Sequence[str], runner: str = DEFAULT_RUNNER, *, streaming: bool = False
) -> PipelineOptions:
    """Beam's options, for `workers` processes on this machine.

    Raises:
      UsageError: a flag that no Beam option class knows, nor Flink; Beam itself would drop it with a warning. Or
        several workers for a runner that has its own.
    """
    ours = [flag for flag in flags if flag.split("=")[0] in {"--runner", "--streaming", "--direct_num_workers"}]
    if ours:
        raise UsageError(f"{ours[0]}: not behind `--`; Copydesk has --runner and --workers, and a run is a batch")
    engine = Engine.of(runner)
    of_flink = FLINK_FLAGS if engine in {Engine.FLINK, Engine.PORTABLE} else frozenset[str]()
    unknown = [flag for flag in _unknown(flags) if flag.removeprefix("--").split("=")[0] not in of_flink]
    if unknown:
        raise UsageError(f"{unknown[0]}: no such Beam option; see `--help` of the Beam runner")
    if engine is not Engine.LOCAL:
        if workers > 1:
            raise UsageError(f"--workers {workers}: not with --runner {runner}, whose workers are the engine's")
        told = ["--streaming"] if streaming else []
        told += [] if engine is Engine.FLINK else [_PATIENT]
        return _Options([*_FIXED, _KEPT, *told, f"--job_name=copydesk-{uuid.uuid4().hex}", *flags])
    local = [] if workers == 1 else [f"--direct_num_workers={workers}", f"--direct_running_mode={_PROCESSES}"]
    return _Options([*_FIXED, *_LOCAL, *local, *flags])


def new_pipeline(runner: str, options: PipelineOptions) -> beam.Pipeline:
    """An empty pipeline on a runner.

    Raises:
      UsageError: Beam knows no such runner, or not where it is.
      EngineLost: nobody answers there.
    """
    located(runner, options)
    make_beam_quicker()
    logging.getLogger("apache_beam").setLevel(logging.WARNING)
    ours = runner == DEFAULT_RUNNER and options.view_as(DirectOptions).direct_running_mode == _PROCESSES
    try:
        return beam.Pipeline(runner=_company(options) if ours else runner, options=options)
    except (ValueError, ImportError, AttributeError) as error:
        raise UsageError(f"--runner {runner}: {error}") from error


def _company(options: PipelineOptions) -> FnApiRunner:
    """The runner with processes of ours, told the options: Beam itself starts its workers with none of them."""
    told = beam_provision_api_pb2.ProvisionInfo(retrieval_token="none")  # noqa: S106 -- nothing is retrieved
    values = options.get_all_options(drop_default=True).items()
    told.pipeline_options.update({k: str(v) if type(v) in {int, float} else v for k, v in values})  # else 2 becomes 2.0
    options.view_as(DirectOptions).direct_running_mode = _WORKER  # else it overrides the environment
    command = f"{shlex.quote(sys.executable)} -m {_WORKER}"
    environment = SubprocessSDKEnvironment.from_command_string(command)
    return FnApiRunner(default_environment=environment, provision_info=ExtendedProvisionInfo(told))


@contextlib.contextmanager
def interruptible(cancel: Callable[[], None] | None = None) -> Iterator[None]:
    """Let SIGINT and SIGTERM end a run even while Beam waits for workers that got no signal.

    Worker processes are killed first, or, where the run is a job of an engine, once that is cancelled. Whoever waits
    for them then comes back, with whatever error Beam makes of it; or else the process ends itself after a grace. What
    it leaves in staging the next run clears away.

    Args:
      cancel: ends the job on its engine.

    Raises:
      KeyboardInterrupt: a signal came.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread gets signals
        return
    watchdog = threading.Timer(_GRACE_SECONDS, os._exit, (INTERRUPTED,))
    watchdog.daemon = True

    def stop(_signal: int, _frame: object) -> None:
        if cancel is None:
            kill_workers()
        if not watchdog.is_alive():
            watchdog.start()
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        if not watchdog.is_alive():
            raise
        if cancel is not None:
            with contextlib.suppress(Exception):
                cancel()
            kill_workers()
        raise KeyboardInterrupt from error
    finally:
        watchdog.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def noticing_lost_workers(workers: int) -> Iterator[None]:
    """End the process when one of its worker processes died and Beam waits for it for good.

    Beam notices most deaths within seconds, but not every one: measured, it waits on for a worker that dies before it
    has said that it is there, and now and then for one that dies between two bundles.
    """
    done = threading.Event()

    def watch() -> None:
        complete = time.monotonic()  # when all workers were last seen, or none yet
        begun = False
        while not done.wait(1.0):
            alive = sdk_workers(os.getpid())
            begun = begun or bool(alive)
            if not begun or len(alive) >= workers:
                complete = time.monotonic()
            elif time.monotonic() - complete > _LOST_SECONDS:
                kill_workers()
                os.write(2, f"copydesk: {WorkerLost()}\n".encode())
                os._exit(WorkerLost.exit_code)

    thread = threading.Thread(target=watch, daemon=True)
    if workers > 1:
        thread.start()
    try:
        yield
    finally:
        done.set()


def kill_workers() -> None:
    """Kill every process that this one started."""
    for child in descendants(os.getpid()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


def sdk_workers(driver: int) -> set[int]:
    """The worker processes that Beam started for a driver."""
    found = set()
    for child in descendants(driver):
        with contextlib.suppress(OSError):
            if _WORKER.encode() in Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0"):
                found.add(child)
    return found


def descendants(process: int) -> list[int]:
    """Children of a process and theirs, by Linux's /proc; none where there is no such thing."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{process}/task").iterdir():
            children = [int(child) for child in (task / "children").read_text().split()]
            found += children + [each for child in children for each in descendants(child)]
    return found


def _unknown(flags: Sequence[str]) -> list[str]:
    parser = argparse.ArgumentParser(
        add_help=False, allow_abbrev=False, exit_on_error=False, conflict_handler="resolve"
    )
    for each in _option_classes(PipelineOptions):
        declare = vars(each).get("_add_argparse_args")  # the hook by which Beam's option classes declare their flags
        if declare:
            declare.__get__(None, each)(parser)
    try:
        _, unknown = parser.parse_known_args(list(flags))
    except (argparse.ArgumentError, SystemExit) as error:
        raise UsageError(f"Beam options: {error}") from error
    return unknown


def _option_classes(base: type) -> Iterator[type]:
    classes: Iterable[type] = base.__subclasses__()
    for each in classes:
        yield each
        yield from _option_classes(each)
