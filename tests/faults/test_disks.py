"""A disk that is full or read-only costs the run, never the dataset; the exit code and the message say so."""

import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import Corpus, fresh_copy
from tests.faults.harness import SCALE, assert_healed, ended, read_whole, reader, run

pytestmark = pytest.mark.faults

NOBODY = 65534
SIZES = sorted({*range(100, 2900, max(100, 8000 // SCALE)), 2900})  # KiB beside the dataset; a run takes some 2,500


def mount(*words: str) -> bool:
    """Whether the system lets us mount."""
    return subprocess.run(["mount", *words], check=False, capture_output=True).returncode == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    if not mount("-t", "tmpfs", "-o", "size=64m", "tmpfs", str(place)):
        pytest.skip("mounting a small disk needs root, and a container that may mount")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_full_disk_commits_nothing_or_all_and_the_next_run_with_room_heals(
    before: tuple[Corpus, Path], after: Corpus, out: Path, small_disk: Path
) -> None:
    codes = []
    said = small_disk.parent / "stderr.txt"
    for size in SIZES:
        place = fresh_copy(out, small_disk / "out")
        used = shutil.disk_usage(small_disk).used // 1024
        assert mount("-o", f"remount,size={used + size}k", str(small_disk))
        with reader(place, before[0].ids, after.ids):
            codes.append(ended(run(after.path, place, said)))
            assert codes[-1] in {0, 6}, said.read_text()
            if codes[-1] == 6:
                assert "No space left on device" in said.read_text()
                committed = "is committed" in said.read_text()
                assert committed or "nothing was committed" in said.read_text()
                assert committed == (place / "manifests/000002.json").exists()
            assert mount("-o", "remount,size=64m", str(small_disk))
            assert ended(run(after.path, place)) == 0
        assert_healed(place, after.ids)
        shutil.rmtree(place)
    assert {0, 6} == set(codes)


def test_a_file_size_limit_is_told_like_a_full_disk(
    before: tuple[Corpus, Path], after: Corpus, out: Path, tmp_path: Path
) -> None:
    for limit in (1_000, 4_000, 20_000):
        child = run(
            after.path,
            out,
            tmp_path / "stderr.txt",
            before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),  # noqa: B023 -- called at once
        )
        assert ended(child) == 6
        assert "File too large" in (tmp_path / "stderr.txt").read_text()
        assert read_whole(out) == before[0].ids
    assert ended(run(after.path, out)) == 0
    assert_healed(out, after.ids)


def test_a_read_only_disk_is_told_before_any_work(
    before: tuple[Corpus, Path], after: Corpus, out: Path, small_disk: Path, tmp_path: Path
) -> None:
    place = fresh_copy(out, small_disk / "out")
    assert mount("-o", "remount,ro", str(small_disk))
    assert ended(run(after.path, place, tmp_path / "stderr.txt")) == 2
    assert "cannot be written: Read-only file system" in (tmp_path / "stderr.txt").read_text()
    assert read_whole(place) == before[0].ids


def test_a_dataset_without_the_right_to_write_is_told_before_any_work(
    before: tuple[Corpus, Path], after: Corpus, tmp_path: Path
) -> None:
    for folder in (*reversed(tmp_path.parents[:2]), tmp_path):
        folder.chmod(0o755)
    given = shutil.copy(after.path, tmp_path / "given.jsonl")
    out = fresh_copy(before[1], tmp_path / "out")
    for folder in (out / "manifests", out / "staging"):
        folder.chmod(0o555)

    def be_nobody() -> None:
        if os.geteuid() == 0:  # whom no right holds back
            os.setuid(NOBODY)

    child = run(Path(given), out, tmp_path / "stderr.txt", before=be_nobody)
    assert ended(child) == 2
    assert "cannot be written: Permission denied" in (tmp_path / "stderr.txt").read_text()
    assert read_whole(out) == before[0].ids
