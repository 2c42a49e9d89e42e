"""`copydesk run` on real engines: what FnApiRunner makes of some articles, Prism and Flink make of them too."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines.conftest import COPYDESK, ROOT, copydesk, files
from tests.engines.flinkcluster import Cluster, free_ports, listens, until

pytestmark = pytest.mark.engines


def committed(out: Path) -> list[Path]:
    return list((out / "manifests").glob("*.json"))


@contextlib.contextmanager
def running(given: Path, out: Path, flags: list[str]) -> Iterator["subprocess.Popen[str]"]:
    """A run whose articles are parsed, so that its job is well under way."""
    words = [*COPYDESK, "run", str(given), "--output", str(out), "--json", *flags]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as run:
        try:
            until(lambda: any(out.glob("staging/**/*.parsed.arrow")), "parsed articles", lambda: run.poll() is None)
            yield run
        finally:
            run.kill()


def test_prism_writes_the_same_files(prism: Path, articles: Path, expected: Path, tmp_path: Path) -> None:
    run = copydesk(articles, tmp_path / "out", ["--runner", "PrismRunner", "--", f"--prism_location={prism}"])
    assert run.returncode == 0, run.stderr
    assert files(tmp_path / "out") == files(expected)


def test_flink_writes_the_same_files_on_two_task_managers(
    flink: Cluster, articles: Path, expected: Path, tmp_path: Path
) -> None:
    run = copydesk(articles, tmp_path / "out", [*flink.flags(), "--parallelism=4"])
    assert run.returncode == 0, run.stderr
    assert files(tmp_path / "out") == files(expected)
    assert len(flink.used()) == 2


def test_workers_that_have_only_the_wheel_write_the_same_files(
    flink: Cluster, articles: Path, expected: Path, tmp_path: Path
) -> None:
    wheel = tmp_path / "wheel"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--target", str(wheel)]
    subprocess.run([*pip, str(ROOT)], check=True, cwd=tmp_path)
    (port,) = free_ports(1)
    paths = {"PYTHONPATH": str(wheel), "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    pool = [sys.executable, "-m", "apache_beam.runners.worker.worker_pool_main", f"--service_port={port}"]
    with (
        (tmp_path / "pool.log").open("w") as log,
        subprocess.Popen(
            pool, cwd=tmp_path, env=environment | paths, stdout=log, stderr=log, start_new_session=True
        ) as workers,
    ):
        try:
            until(lambda: listens(port), "the worker pool")
            flags = flink.flags("--environment_type=EXTERNAL", f"--environment_config=localhost:{port}")
            run = copydesk(articles, tmp_path / "out", flags)
        finally:
            os.killpg(workers.pid, signal.SIGKILL)
    assert run.returncode == 0, run.stderr
    assert files(tmp_path / "out") == files(expected)
    assert list((wheel / "transforms").rglob("*.pyc"))  # they ran what lies there


def test_an_interrupt_cancels_the_job_on_the_cluster(flink: Cluster, articles: Path, tmp_path: Path) -> None:
    with running(articles, tmp_path / "out", flink.flags()) as run:
        run.send_signal(signal.SIGINT)
        assert run.wait(timeout=60) == 130
    until(lambda: not flink.running(), "the end of the job")
    assert not committed(tmp_path / "out")


def test_an_interrupt_ends_prism_too(prism: Path, articles: Path, tmp_path: Path) -> None:
    flags = ["--runner", "PrismRunner", "--", f"--prism_location={prism}"]
    with running(articles, tmp_path / "out", flags) as run:
        run.send_signal(signal.SIGTERM)
        assert run.wait(timeout=60) == 130
        left = subprocess.run(["pgrep", "-P", str(run.pid)], check=False, capture_output=True, text=True).stdout
    assert left == ""
    assert not committed(tmp_path / "out")


def test_a_killed_task_manager_costs_a_retry_or_the_run_but_no_article(
    flink: Cluster, articles: Path, expected: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with running(articles, out, [*flink.flags(), "--parallelism=2"]) as run:
        flink.kill("taskmanager-0")
        _, said = run.communicate(timeout=200)
    assert run.returncode in {0, 7}, said
    if run.returncode == 7:
        assert "nothing was committed" in said
        assert not committed(out)
        flink.mend()
        assert copydesk(articles, out, flink.flags()).returncode == 0
    assert files(out) == files(expected)


def test_a_job_server_that_dies_ends_the_run_with_a_message(flink: Cluster, articles: Path, tmp_path: Path) -> None:
    with running(articles, tmp_path / "out", flink.flags()) as run:
        flink.kill("jobserver")
        _, said = run.communicate(timeout=200)
    assert run.returncode == 7, said
    assert said.splitlines()[-1].startswith("copydesk: the engine's job server broke off")
    assert not committed(tmp_path / "out")
