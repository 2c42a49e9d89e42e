"""Engines outside of the process: what is missing is said, and nothing is fetched or waited for."""

from pathlib import Path

import grpc  # type: ignore[import-untyped]
import pytest

from pipeline.engine import new_pipeline, pipeline_options
from pipeline.engines import Engine, canceller
from pipeline.failures import explained
from schemas.errors import EngineLost, UsageError


@pytest.mark.parametrize(
    ("runner", "flags", "says"),
    [
        ("PrismRunner", ["--prism_location=/nowhere/prism"], "no Prism at /nowhere/prism"),
        ("prism", ["--prism_location=https://prism.example/prism.zip"], "no Prism at https"),
        ("FlinkRunner", [], "--job_endpoint"),
        ("FlinkRunner", ["--flink_job_server_jar=/nowhere/job-server.jar"], "does not download"),
        ("PortableRunner", [], "--job_endpoint"),
        ("PortableRunner", ["--job_endpoint=nowhere"], "HOST:PORT"),
    ],
)
def test_an_engine_that_the_flags_do_not_name_is_asked_for(runner: str, flags: list[str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        new_pipeline(runner, pipeline_options(1, flags, runner))


def test_prism_is_looked_for_on_the_path_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="no Prism on the PATH"):
        new_pipeline("PrismRunner", pipeline_options(1, [], "PrismRunner"))


def test_an_engine_that_does_not_answer_is_lost() -> None:
    options = pipeline_options(1, ["--job_endpoint=127.0.0.1:1"], "FlinkRunner")
    with pytest.raises(EngineLost, match=r"nobody answers at 127\.0\.0\.1:1"):
        new_pipeline("FlinkRunner", options)
    assert EngineLost("x").exit_code == 7


def test_flags_of_flink_are_known_for_flink_alone() -> None:
    assert pipeline_options(1, ["--checkpointing_interval=1000"], "FlinkRunner")
    with pytest.raises(UsageError, match="--checkpointing_interval"):
        pipeline_options(1, ["--checkpointing_interval=1000"], "PrismRunner")
    with pytest.raises(UsageError, match="--chekpointing_interval"):
        pipeline_options(1, ["--chekpointing_interval=1000"], "FlinkRunner")


def test_workers_are_the_engines_own() -> None:
    with pytest.raises(UsageError, match="--workers 2"):
        pipeline_options(2, [], "PrismRunner")


def test_names_of_runners_are_read_as_beam_reads_them() -> None:
    names = ["FnApiRunner", "prismrunner", "Flink", "apache_beam.runners.portability.flink_runner.FlinkRunner"]
    assert [Engine.of(name) for name in names] == [Engine.LOCAL, Engine.PRISM, Engine.FLINK, Engine.FLINK]


def test_only_a_job_elsewhere_needs_to_be_cancelled() -> None:
    assert canceller("FnApiRunner", new_pipeline("FnApiRunner", pipeline_options(1, []))) is None


def test_why_an_engine_failed_a_job_is_said_but_an_error_of_ours_is_shown_whole(tmp_path: Path) -> None:
    with pytest.raises(EngineLost, match=r"no slots"), explained(tmp_path):
        raise RuntimeError("Pipeline job_1 failed in state FAILED: org.flink.NoResource: no slots\n\tat x")
    ours = "Pipeline job_1 failed in state FAILED: Error received\nTraceback (most recent call last):\nKeyError: 1"
    with pytest.raises(RuntimeError, match="KeyError"), explained(tmp_path):
        raise RuntimeError(ours)


def test_a_job_server_that_breaks_off_is_a_lost_engine(tmp_path: Path) -> None:
    class Gone(grpc.RpcError):  # type: ignore[misc]
        def code(self) -> grpc.StatusCode:
            return grpc.StatusCode.UNAVAILABLE

    with pytest.raises(EngineLost, match="UNAVAILABLE"), explained(tmp_path):
        raise Gone
