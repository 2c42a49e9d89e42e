"""A snapshot appears whole or not at all, whoever dies or comes second."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.commit import Attempt, Dataset, Manifest, open_dataset
from schemas.errors import CommitConflict, ContractMismatch, UsageError
from schemas.files import DataFile

ABOUT: dict[str, Any] = {"run_id": "r", "version": "0", "config": "c", "inputs": [], "summary": {}}


def stage(attempt: Attempt, content: bytes) -> list[DataFile]:
    (attempt.files / "a.parquet").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    return [DataFile("articles", "2024-01-01", 0, "a.parquet", 1, len(content), digest)]


def commit(dataset: Dataset, content: bytes) -> Manifest:
    with dataset.attempt() as attempt:
        return dataset.commit(attempt, stage(attempt, content), **ABOUT)


def seen(dataset: Dataset) -> bytes:
    return (dataset.current / "articles/date=2024-01-01/part-00000.parquet").read_bytes()


def test_snapshots_follow_each_other_and_the_old_ones_stay(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path / "out")
    assert commit(dataset, b"one").snapshot == 1
    old = dataset.current.resolve()
    assert commit(dataset, b"two").parent == 1
    assert seen(dataset) == b"two"
    assert (old / "articles/date=2024-01-01/part-00000.parquet").read_bytes() == b"one"
    assert [manifest.snapshot for manifest in dataset.manifests()] == [1, 2]
    assert dataset.current.readlink() == Path("snapshots/000002")


def test_an_attempt_leaves_nothing_behind(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path / "out")
    commit(dataset, b"one")
    with pytest.raises(RuntimeError, match="dies"), dataset.attempt():
        raise RuntimeError("dies")
    assert list((tmp_path / "out/staging").iterdir()) == []
    assert seen(dataset) == b"one"


def test_of_two_runs_at_once_the_second_to_commit_is_told(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path / "out")
    with dataset.attempt() as slow:
        files = stage(slow, b"slow")
        commit(dataset, b"fast")
        with pytest.raises(CommitConflict, match="run it again"):
            dataset.commit(slow, files, **ABOUT)
    assert seen(dataset) == b"fast"
    assert len(list((tmp_path / "out/data").iterdir())) == 1


def test_a_live_attempt_is_left_alone_by_another_run(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path / "out")
    with dataset.attempt() as first:
        with dataset.attempt():
            assert first.files.exists()
        assert first.files.exists()


def test_what_a_dead_run_left_is_cleared_away(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path / "out")
    commit(dataset, b"one")
    for leftover in ("staging/dead/files", "data/dead", "snapshots/.000002-dead"):
        (tmp_path / "out" / leftover).mkdir(parents=True)
    with dataset.attempt():
        assert not (tmp_path / "out/staging/dead").exists()
        assert not (tmp_path / "out/data/dead").exists()
        assert not (tmp_path / "out/snapshots/.000002-dead").exists()
    assert seen(dataset) == b"one"


@pytest.mark.parametrize("step", ["_publish", "_swap"])
def test_a_commit_that_died_after_its_manifest_is_finished(
    tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = Dataset(tmp_path / "out")
    commit(dataset, b"one")

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(Dataset, step, die)
        with pytest.raises(KeyboardInterrupt):
            commit(dataset, b"two")
    assert seen(dataset) == b"one"
    with dataset.attempt():
        assert seen(dataset) == b"two"


def test_a_commit_that_died_before_its_manifest_never_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = Dataset(tmp_path / "out")
    commit(dataset, b"one")

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(Dataset, "_create", die)
        with pytest.raises(KeyboardInterrupt):
            commit(dataset, b"two")
    with dataset.attempt():
        assert len(list((tmp_path / "out/data").iterdir())) == 1
    assert commit(dataset, b"three").snapshot == 2


def test_a_full_disk_leaves_the_snapshot_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = Dataset(tmp_path / "out")
    commit(dataset, b"one")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(Dataset, "_create", full)
        with pytest.raises(OSError, match="No space"):
            commit(dataset, b"two")
    assert seen(dataset) == b"one"
    assert len(list((tmp_path / "out/data").iterdir())) == 1


def test_a_file_damaged_before_the_commit_is_noticed(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path / "out")
    with dataset.attempt() as attempt:
        files = stage(attempt, b"one")
        (attempt.files / "a.parquet").write_bytes(b"bit")
        with pytest.raises(OSError, match="damaged"):
            dataset.commit(attempt, files, **ABOUT)
    assert dataset.latest() is None


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.doc").touch()
    with pytest.raises(UsageError, match=r"thesis\.doc"), Dataset(tmp_path).attempt():
        pass
    with pytest.raises(UsageError, match="not a folder"), Dataset(tmp_path / "thesis.doc").attempt():
        pass


def test_a_dataset_of_another_major_contract_is_refused(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path / "out")
    commit(dataset, b"one")
    path = tmp_path / "out/manifests/000001.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"contract": "9.0"}))
    with pytest.raises(ContractMismatch, match=r"contract 9\.0"):
        open_dataset(tmp_path / "out")
    path.write_text(path.read_text()[:-20])
    with pytest.raises(ContractMismatch, match="cannot be read"):
        dataset.latest()


def test_a_dataset_that_is_not_there_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="copydesk run"):
        open_dataset(tmp_path)
