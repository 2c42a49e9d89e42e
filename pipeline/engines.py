"""Engines outside of this process: Prism, Flink behind Beam's job server, and whatever else speaks that protocol.

Nothing is fetched here. Beam would download Prism or a job server by itself when it finds none; Copydesk says what is
missing instead.
"""

import contextlib
import functools
import json
import logging
import shutil
import socket
import urllib.request
from collections.abc import Callable
from enum import Enum
from pathlib import Path

import apache_beam as beam
from apache_beam.options.pipeline_options import (
    FlinkRunnerOptions,
    GoogleCloudOptions,
    PipelineOptions,
    PortableOptions,
    PrismRunnerOptions,
)

from schemas.errors import EngineLost, UsageError

FLINK_FLAGS = frozenset(  # options of Flink's job server that Beam's Python side does not know (Beam 2.62 to 2.77)
    """
    allow_non_restored_state attached_mode auto_watermark_interval checkpoint_timeout_millis checkpointing_interval
    checkpointing_mode disable_metrics enable_stable_input_drain execution_mode_for_batch execution_retry_delay
    externalized_checkpoints_enabled fail_on_checkpointing_errors file_input_split_max_size_m_b
    finish_bundle_before_checkpointing force_unaligned_checkpoint_enabled job_check_interval_in_secs
    latency_tracking_interval max_bundle_size max_bundle_time_mills min_pause_between_checkpoints
    num_concurrent_checkpoints number_of_execution_retries object_reuse operator_chaining
    re_iterable_group_by_key_result report_checkpoint_duration retain_externalized_checkpoints_on_cancellation
    savepoint_path shutdown_sources_after_idle_ms state_backend state_backend_storage_path unaligned_checkpoint_enabled
    """.split()  # noqa: SIM905 -- thirty names read better so
)
_SECONDS = 10.0  # for an engine to accept a connection, or to answer
_CHOOSE = (
    "where its workers run: LOOPBACK (in this process: an engine on this machine), EXTERNAL with "
    "--environment_config=HOST:PORT (a worker pool) or DOCKER with an image that holds Copydesk; see docs/engines.md"
)


class Engine(Enum):
    """What a runner's name stands for."""

    LOCAL = "fnapi"  # and any that Beam runs inside of the driver
    PRISM = "prism"
    FLINK = "flink"
    PORTABLE = "portable"

    @classmethod
    def of(cls, runner: str) -> "Engine":
        """Read a runner's name as Beam does, in any case, with or without `Runner`."""
        name = runner.lower().rpartition(".")[2].removesuffix("runner")
        return next((each for each in cls if each.value == name), cls.LOCAL)


def located(runner: str, options: PipelineOptions) -> None:
    """See that the engine is where the options say, and let Beam look nowhere else.

    Raises:
      UsageError: the options do not say it.
      EngineLost: nobody answers there.
    """
    engine, portable = Engine.of(runner), options.view_as(PortableOptions)
    if engine is Engine.LOCAL:
        return
    if portable.job_endpoint:
        _answering(runner, portable.job_endpoint)
    elif engine is Engine.PRISM:
        _find_prism(runner, options.view_as(PrismRunnerOptions))
    elif engine is Engine.FLINK:
        _find_job_server(runner, options.view_as(FlinkRunnerOptions))
    else:
        raise UsageError(f"--runner {runner}: needs `-- --job_endpoint=HOST:PORT`, the address of its job server")
    if engine is not Engine.PRISM and not portable.environment_type:
        raise UsageError(f"--runner {runner}: needs `-- --environment_type=`, {_CHOOSE}")


def canceller(runner: str, pipeline: beam.Pipeline) -> Callable[[], None] | None:
    """What ends a pipeline's job on its engine; none for a runner that is this process.

    Flink's job server forgets a cancelled job but leaves it running on a remote cluster (seen with Beam 2.62), so the
    cluster itself is told too.
    """
    if Engine.of(runner) is Engine.LOCAL:
        return None

    def cancel() -> None:
        with contextlib.suppress(Exception):
            if pipeline.result is not None:
                pipeline.result.cancel()
        options = pipeline.options
        master, name = options.view_as(FlinkRunnerOptions).flink_master, options.view_as(GoogleCloudOptions).job_name
        if name and not master.startswith("["):
            _cancel_on_flink(master if master.startswith(("http://", "https://")) else f"http://{master}", name)

    return cancel


def _find_prism(runner: str, options: PrismRunnerOptions) -> None:
    found = options.prism_location or shutil.which("prism")
    if not found or not Path(found).is_file():
        raise UsageError(
            f"--runner {runner}: no Prism {f'at {found}' if found else 'on the PATH'}: build it by `go install "
            f"github.com/apache/beam/sdks/v2/go/cmd/prism@v{beam.__version__}` and name it by "
            "`-- --prism_location=FILE`; Copydesk does not download it"
        )
    options.prism_location = found
    options.prism_log_level = "error"
    logging.getLogger("apache_beam.utils.subprocess_server").setLevel(logging.ERROR)  # it warns that it starts


def _find_job_server(runner: str, options: FlinkRunnerOptions) -> None:
    jar = options.flink_job_server_jar
    if not jar or not Path(jar).is_file():
        raise UsageError(
            f"--runner {runner}: needs `-- --job_endpoint=HOST:PORT`, the address of Beam's job server for Flink, or "
            "`-- --flink_master=HOST:PORT --flink_job_server_jar=FILE` to start one; Copydesk does not download it"
        )
    if not options.flink_master.startswith("["):
        _answering(runner, options.flink_master.rpartition("//")[2].rstrip("/"))


def _answering(runner: str, endpoint: str) -> None:
    host, _, port = endpoint.rpartition(":")
    if not host or not port.isdigit():
        raise UsageError(f"--runner {runner}: {endpoint}: not an address of the form HOST:PORT")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_SECONDS).close()
    except OSError as error:
        raise EngineLost(f"--runner {runner}: nobody answers at {endpoint} ({error})") from error


def _cancel_on_flink(master: str, name: str) -> None:
    opened = functools.partial(urllib.request.urlopen, timeout=_SECONDS)
    with opened(f"{master}/jobs/overview") as answer:
        jobs = json.load(answer)["jobs"]
    for job in jobs:
        if job["name"] == name and job["state"] not in {"FINISHED", "FAILED", "CANCELED"}:
            address = f"{master}/jobs/{job['jid']}?mode=cancel"
            opened(urllib.request.Request(address, method="PATCH")).close()  # noqa: S310 -- likewise
