"""The recipes of `docs/scheduling.md` do what they say: each of their commands runs, each exit code has an answer."""

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas import errors
from schemas.errors import INTERRUPTED, CommitConflict, CopydeskError, SourceAway, WorkerLost

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "docs/deploy"
BIN = Path(sys.executable).parent
RETRIED = {CommitConflict.exit_code, WorkerLost.exit_code, SourceAway.exit_code}
WANT_A_PERSON = {
    error.exit_code for error in vars(errors).values() if isinstance(error, type) and issubclass(error, CopydeskError)
} - RETRIED


@pytest.fixture
def places(tmp_path: Path) -> dict[str, str]:
    """What stands in the recipes → what stands for it here."""
    (tmp_path / "news").mkdir()
    for number in range(3):
        (tmp_path / f"news/{number}.txt").write_text(
            f"Ferry {number}\n\nThe ferry was late on day {number}, they said.\n"
        )
    return {
        "/opt/copydesk/bin": str(BIN),
        "/var/spool/news": str(tmp_path / "news"),
        "%S/copydesk/out": str(tmp_path / "out"),
        "/var/lib/copydesk/out": str(tmp_path / "out"),
        "/var/cache/copydesk": os.environ.get("NUMBA_CACHE_DIR", ""),
    }


def recipe(name: str, places: dict[str, str]) -> str:
    """A recipe with the places of this machine."""
    text = (DEPLOY / name).read_text()
    for place, here in places.items():
        text = text.replace(place, here)
    return text


def unit(name: str) -> dict[str, list[str]]:
    """Settings of a unit of systemd; one that is repeated has several values."""
    found: dict[str, list[str]] = {}
    for line in (DEPLOY / name).read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def runs(command: list[str], **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **settings}
    return subprocess.run(command, check=False, capture_output=True, text=True, env=environment)


def cron_lines(text: str) -> tuple[dict[str, str], list[str]]:
    """Variables of a crontab, and its commands."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    settings = dict(line.split("=", 1) for line in lines if re.match(r"\w+=", line))
    return settings, [line.split(None, 5)[5] for line in lines if not re.match(r"\w+=", line)]


@pytest.mark.whole
def test_the_crontab_runs_and_looks_after_a_dataset_and_says_nothing_while_it_is_well(places: dict[str, str]) -> None:
    settings, (run, nightly) = cron_lines(recipe("crontab", places))
    assert "%" not in run + nightly, "cron takes it for the end of the line"
    for command in (run, nightly):
        done = runs(["/bin/sh", "-c", command], **settings)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    out = Path(settings["OUT"])
    assert (out / "current/articles").is_dir()
    next(out.glob("data/**/*.parquet")).write_bytes(b"")
    broken = runs(["/bin/sh", "-c", nightly], **settings)
    assert broken.returncode == 1
    assert "FAIL  dataset" in broken.stdout
    with (out.parent / "out.lock").open() as lock:
        held = runs(["flock", str(lock.name), "/bin/sh", "-c", run], **settings)
    assert (held.returncode, held.stdout, held.stderr) == (0, "", "")


@pytest.mark.whole
def test_the_services_of_systemd_run_one_after_the_other(places: dict[str, str]) -> None:
    for name in ("copydesk.service", "copydesk-nightly.service"):
        for command in unit(name)["ExecStart"]:
            for place, here in places.items():
                command = command.replace(place, here)  # noqa: PLW2901 -- it is the same command
            done = runs(shlex.split(command))
            assert done.returncode == 0, done.stderr


def test_systemd_finds_nothing_wrong_with_its_units(places: dict[str, str], tmp_path: Path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("needs systemd-analyze, of a Linux with systemd")
    units = sorted(path.name for path in DEPLOY.iterdir() if path.suffix in {".service", ".timer"})
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/copydesk").symlink_to("/bin/true")
    for name in units:
        (tmp_path / name).write_text(recipe(name, {**places, "/opt/copydesk/bin": str(tmp_path / "bin")}))
    done = runs(["systemd-analyze", "verify", "--man=no", *(str(tmp_path / name) for name in units)])
    assert done.returncode == 0, done.stderr
    assert str(tmp_path) not in done.stderr, done.stderr


def test_each_exit_code_is_retried_or_told_to_a_person() -> None:
    service = unit("copydesk.service")
    assert service["Restart"] == ["on-failure"]
    assert {int(code) for code in service["RestartPreventExitStatus"][0].split()} == WANT_A_PERSON
    assert service["SuccessExitStatus"] == [str(INTERRUPTED)]
    assert "OnFailure" in service
    assert constants(dag())["NEED_A_PERSON"] == WANT_A_PERSON
    for code in (*WANT_A_PERSON, *RETRIED, INTERRUPTED):
        assert f"| {code} |" in (ROOT / "docs/scheduling.md").read_text()


def dag(places: dict[str, str] | None = None) -> ast.Module:
    return ast.parse(recipe("copydesk_dag.py", places or {}))


def constants(module: ast.Module) -> dict[str, Any]:
    """The values that a module gives names to."""
    found: dict[str, Any] = {}
    for node in module.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = ast.literal_eval(node.value)
    return found


def tasks(module: ast.Module) -> Iterator[tuple[str, dict[str, Any]]]:
    """Class and arguments of each task, as far as they are constants or made of them."""
    names = constants(module)
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and any(word.arg == "task_id" for word in node.keywords):
            assert isinstance(node.func, ast.Name)
            words = [word for word in node.keywords if word.arg not in {"retry_delay", "execution_timeout"}]
            yield node.func.id, {str(word.arg): eval(ast.unparse(word.value), {}, names) for word in words}  # noqa: S307 -- it is our own recipe


@pytest.mark.whole
def test_the_commands_that_airflow_makes_of_its_tasks_run(places: dict[str, str]) -> None:
    run = dict(tasks(dag(places)))["CopydeskRun"]
    assert list(run["pipeline_options"])[-1] == "", "what the operator adds has to come behind the `--`"
    # The operator's own rule: apache-airflow-providers-apache-beam 6.3.1, `BeamHook` and `beam_options_to_args`.
    options = {**run["pipeline_options"], "labels": ["airflow-version=v3-3-2"]}
    flags = [
        flag
        for name, value in options.items()
        for flag in (
            [f"--{name}"]
            if value is True
            else [f"--{name}={each}" for each in (value if isinstance(value, list) else [value])]
        )
    ]
    command = [run["py_interpreter"], *run["py_options"], run["py_file"], f"--runner={run['runner']}", *flags]
    assert command[-2:] == ["--", "--labels=airflow-version=v3-3-2"]
    done = runs(command)
    assert done.returncode == 0, done.stderr
    assert '"articles_kept": 3' in done.stdout
    assert done.stderr == "", "workers are as quiet as the driver"
    bash = [arguments["bash_command"] for kind, arguments in tasks(dag(places)) if kind == "BashOperator"]
    assert len(bash) == 2
    for line in bash:
        assert runs(["/bin/sh", "-c", line]).returncode == 0


def test_the_container_is_built_of_what_is_pinned_and_is_nobody_in_particular() -> None:
    steps = re.sub(r"\\\n\s*", "", (DEPLOY / "Containerfile").read_text())
    said = [line.split(None, 1) for line in steps.splitlines() if line and not line.startswith("#")]
    (base,) = [words for step, words in said if step == "FROM"]
    assert re.search(r":\d+\.\d+-", base)
    installs = [words for step, words in said if step == "RUN" and "pip install" in words]
    assert all("--require-hashes -r requirements.lock" in words or "--no-deps" in words for words in installs)
    for source in [words.split()[:-1] for step, words in said if step == "COPY"]:
        assert all((ROOT / name).exists() for name in source)
    assert [words for step, words in said if step == "USER"] == ["copydesk"]
    assert ["ENTRYPOINT", '["copydesk"]'] in said


def test_the_timers_start_services_that_are_there() -> None:
    for path in DEPLOY.glob("*.timer"):
        assert path.with_suffix(".service").exists()
        assert "OnCalendar" in unit(path.name)
    for path in DEPLOY.iterdir():
        assert path.name in (ROOT / "docs/scheduling.md").read_text(), path.name
