"""The doctor says of each check whether it holds, and what to do where it does not."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from pipeline import doctor
from pipeline.cli import main
from pipeline.manifests import Manifest

Publish = Callable[[Mapping[str, tuple[str, str | None]]], Manifest]


def failed(out: Path) -> dict[str, str]:
    return {finding.check: finding.says for finding in doctor.examine(out) if not finding.passed}


def test_a_place_that_is_fit_passes_every_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", str(tmp_path / "new/out"), "--json"]) == 0
    found = {finding["check"]: finding["says"] for finding in json.loads(capsys.readouterr().out)}
    assert found["dataset"].endswith("none yet")
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_dataset_fails_with_the_way_back(
    publish: Publish, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish({"a": ("c", "s")})
    second = publish({"b": ("c", "s")})
    (out / second.files[0].path).write_bytes(b"")
    assert main(["doctor", str(out)]) == 1
    shown = capsys.readouterr().out
    assert f"FAIL  dataset           {second.files[0].path}: cut short" in shown
    assert "rollback 1" in shown


def test_a_place_that_no_run_would_take_fails(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert "holds 'notes.txt'" in failed(tmp_path)["dataset"]
    assert "is not a folder" in failed(tmp_path / "notes.txt")["dataset"]


def _links_twice(*_: Any) -> None:
    return None


def _no_links(*_: Any) -> None:
    raise OSError(95, "Operation not supported")


@pytest.mark.parametrize(
    ("owner", "name", "value", "check", "says"),
    [
        (sys, "version_info", (3, 10, 1), "python", "3.10.1, not"),
        (doctor, "version", lambda name: "0.1" if name == "numpy" else "2.77.0", "libraries", "numpy 0.1, not"),
        (doctor, "_LEAST_BYTES", 1 << 60, "disk", "make room"),
        (doctor, "_LEAST_BYTES", 1 << 60, "memory", "use a larger machine"),
        (doctor, "DEFAULT_RUNNER", "NoSuchRunner", "runner", "NoSuchRunner"),
        (os, "link", _links_twice, "file system", "creates a link twice"),
        (os, "link", _no_links, "file system", "not supported"),
    ],
)
def test_what_is_unfit_is_named(
    owner: object, name: str, value: object, check: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as changed:
        changed.setattr(owner, name, value)
        assert says in failed(tmp_path).get(check, "nothing failed")


def test_folders_on_different_file_systems_are_named(tmp_path: Path) -> None:
    elsewhere = Path("/dev/shm")  # noqa: S108 -- only looked at
    if not elsewhere.is_dir() or elsewhere.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs a second file system, and /dev/shm is none here")
    (tmp_path / "staging").symlink_to(elsewhere)
    assert "different file systems" in failed(tmp_path)["file system"]


@pytest.mark.whole
def test_where_compiled_code_cannot_be_kept_the_doctor_says_so_and_a_run_does_too(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    nowhere = {**os.environ, "PYTHONPATH": str(root), "NUMBA_CACHE_LOCATOR_CLASSES": "IPythonCacheLocator"}
    found = []
    for words in (["doctor", str(tmp_path)], ["run", str(root / "seeds"), "--output", str(tmp_path / "out")]):
        command = [sys.executable, "-m", "pipeline", *words]
        found.append(subprocess.run(command, check=False, capture_output=True, text=True, env=nowhere))
    assert [done.returncode for done in found] == [1, 2]
    assert "FAIL  compiled kernels" in found[0].stdout
    assert found[1].stderr == "copydesk: nowhere to keep compiled code: set NUMBA_CACHE_DIR to a folder\n"
