"""A snapshot appears whole or not at all, whoever dies or comes second."""

import hashlib
import multiprocessing
from pathlib import Path
from typing import Any

import pytest

from pipeline.change import Change
from pipeline.commit import Attempt, Dataset
from pipeline.manifests import Manifest, Manifests
from pipeline.views import Views
from schemas.errors import CommitConflict, ContractMismatch, NotShown, UsageError
from schemas.files import DataFile

ABOUT: dict[str, Any] = {"run_id": "r", "version": "0", "config": "c", "inputs": [], "summary": {}}


def staged(folder: Path, table: str, content: bytes, partition: str = "2024-01-01") -> DataFile:
    name = f"{table}-{partition}.parquet"
    (folder / name).write_bytes(content)
    return DataFile(table, partition, 0, name, 1, len(content), hashlib.sha256(content).hexdigest())


def change(attempt: Attempt, content: bytes, **how: Any) -> Change:
    return Change([staged(attempt.files, "articles", content)], about=ABOUT, **how)


def commit(dataset: Dataset, content: bytes, **how: Any) -> Manifest:
    with dataset.attempt() as attempt:
        return dataset.commit(attempt, change(attempt, content, **how))


def seen(dataset: Dataset, part: int = 0) -> bytes:
    return (dataset.current / f"articles/date=2024-01-01/part-{part:05d}.parquet").read_bytes()


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return Dataset(tmp_path / "out")


def test_snapshots_follow_each_other_and_the_old_ones_stay(dataset: Dataset) -> None:
    assert commit(dataset, b"one").snapshot == 1
    old = dataset.current.resolve()
    assert commit(dataset, b"two").parent == 1
    assert seen(dataset) == b"two"
    assert (old / "articles/date=2024-01-01/part-00000.parquet").read_bytes() == b"one"
    assert dataset.manifests.numbers() == [1, 2]
    assert dataset.current.readlink() == Path("snapshots/000002")


def test_what_is_added_is_numbered_on_and_what_is_removed_is_listed_no_more(dataset: Dataset) -> None:
    commit(dataset, b"one")
    second = commit(dataset, b"two", removed=frozenset())
    assert (seen(dataset, 0), seen(dataset, 1)) == (b"one", b"two")
    third = commit(dataset, b"three", removed={second.files[0].path})
    assert (third.rows("articles"), seen(dataset, 1), seen(dataset, 2)) == (2, b"two", b"three")
    assert commit(dataset, b"four").rows("articles") == 1


def test_state_of_other_buckets_is_listed_again_until_it_begins_anew(dataset: Dataset) -> None:
    def learn(bucket: str, **how: Any) -> list[tuple[str, str]]:
        with dataset.attempt() as attempt:
            learned = [staged(attempt.state, "outlet_lines", b"learned", bucket)]
            manifest = dataset.commit(attempt, Change(state=learned, about=ABOUT, **how))
        return [(file.partition, file.path.split("/")[1]) for file in manifest.state]

    (first,) = learn("00")
    assert first in learn("01")
    assert first not in learn("00")
    assert len(learn("02", fresh_state=True)) == 1


def test_an_attempt_leaves_nothing_behind(dataset: Dataset) -> None:
    commit(dataset, b"one")
    with pytest.raises(RuntimeError, match="dies"), dataset.attempt():
        raise RuntimeError("dies")
    assert list((dataset.root / "staging").iterdir()) == []
    assert seen(dataset) == b"one"


def test_of_two_runs_at_once_the_second_to_commit_is_told(dataset: Dataset) -> None:
    with dataset.attempt() as slow:
        late = change(slow, b"slow")
        commit(dataset, b"fast")
        with pytest.raises(CommitConflict, match="run it again"):
            dataset.commit(slow, late)
    assert seen(dataset) == b"fast"
    assert len(list((dataset.root / "data").iterdir())) == 1


def test_a_run_that_can_follow_the_other_lands_on_top_of_it(dataset: Dataset) -> None:
    bases = []
    with dataset.attempt() as slow:
        late = change(slow, b"slow", removed=frozenset())
        commit(dataset, b"fast")

        def rebase(newest: Manifest) -> Change:
            bases.append(newest.snapshot)
            return late

        assert dataset.commit(slow, late, rebase).parent == 1
    assert bases == [1]
    assert (seen(dataset, 0), seen(dataset, 1)) == (b"fast", b"slow")


def test_a_run_that_is_always_overtaken_is_told_in_the_end(dataset: Dataset) -> None:
    with dataset.attempt() as slow:
        late = change(slow, b"slow", removed=frozenset())
        commit(dataset, b"fast")

        def rebase(_: Manifest) -> Change:
            commit(dataset, b"fast")
            return late

        with pytest.raises(CommitConflict):
            dataset.commit(slow, late, rebase)
    assert (dataset.newest(), seen(dataset)) == (6, b"fast")


def _add(root: Path, content: bytes, barrier: Any) -> None:
    with Dataset(root).attempt() as attempt:
        mine = change(attempt, content, removed=frozenset())
        barrier.wait()
        Dataset(root).commit(attempt, mine, lambda _: mine)


@pytest.mark.parametrize("pairs", [5, pytest.param(50, marks=pytest.mark.faults)])
def test_of_pairs_of_processes_at_once_nothing_is_lost(dataset: Dataset, pairs: int) -> None:
    fork = multiprocessing.get_context("fork")
    commit(dataset, b"0")
    for pair in range(pairs):
        barrier = fork.Barrier(2)
        both = [fork.Process(target=_add, args=(dataset.root, f"{pair} {n}".encode(), barrier)) for n in range(2)]
        for process in both:
            process.start()
        for process in both:
            process.join()
        assert [process.exitcode for process in both] == [0, 0]
    manifest = dataset.manifests.read(dataset.newest())
    assert (manifest.snapshot, manifest.rows("articles")) == (1 + 2 * pairs, 1 + 2 * pairs)
    found = sorted(path.read_text() for path in dataset.current.rglob("*.parquet"))
    assert found == sorted(["0", *(f"{pair} {n}" for pair in range(pairs) for n in range(2))])


def _claim(root: Path, manifest: Manifest, name: str, barrier: Any) -> None:
    barrier.wait()
    try:
        Manifests(root).create(manifest, root / name)
    except CommitConflict:
        raise SystemExit(5) from None


def test_a_manifest_is_created_once_even_without_a_lock(dataset: Dataset) -> None:
    fork = multiprocessing.get_context("fork")
    first = commit(dataset, b"one")
    for number in range(2, 7):
        barrier = fork.Barrier(2)
        manifest = Manifest(**(vars(first) | {"snapshot": number, "parent": number - 1}))
        both = [fork.Process(target=_claim, args=(dataset.root, manifest, f"{n}", barrier)) for n in range(2)]
        for process in both:
            process.start()
        for process in both:
            process.join()
        assert sorted(process.exitcode or 0 for process in both) == [0, 5]
        assert dataset.manifests.read(number) == manifest


def test_a_live_attempt_is_left_alone_by_another_run(dataset: Dataset) -> None:
    with dataset.attempt() as first:
        with dataset.attempt():
            assert first.files.exists()
        assert first.files.exists()


def test_what_a_dead_run_left_is_cleared_away(dataset: Dataset) -> None:
    commit(dataset, b"one")
    for leftover in ("staging/dead/files", "data/dead", "snapshots/.000002-dead"):
        (dataset.root / leftover).mkdir(parents=True)
    with dataset.attempt():
        assert not (dataset.root / "staging/dead").exists()
        assert not (dataset.root / "data/dead").exists()
        assert not (dataset.root / "snapshots/.000002-dead").exists()
    assert seen(dataset) == b"one"


def _break(monkeypatch: pytest.MonkeyPatch, owner: type, step: str, error: BaseException) -> None:
    def broken(*_: object) -> None:
        raise error

    monkeypatch.setattr(owner, step, broken)


@pytest.mark.parametrize("step", ["show", "swap"])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_a_commit_that_failed_after_its_manifest_says_so_and_is_finished_by_the_next(
    dataset: Dataset, step: str, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(dataset, b"one")
    with monkeypatch.context() as broken:
        _break(broken, Views, step, error)
        with pytest.raises(NotShown, match="snapshot 2 is committed"):
            commit(dataset, b"two")
    assert seen(dataset) == b"one"
    with dataset.attempt():
        assert seen(dataset) == b"two"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_a_commit_that_failed_before_its_manifest_never_was(
    dataset: Dataset, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(dataset, b"one")
    with monkeypatch.context() as broken:
        _break(broken, Manifests, "create", error)
        with pytest.raises(type(error)):
            commit(dataset, b"two")
    assert seen(dataset) == b"one"
    assert len(list((dataset.root / "data").iterdir())) == 1
    assert len(list((dataset.root / "snapshots").iterdir())) == 1
    assert commit(dataset, b"three").snapshot == 2


def test_a_file_damaged_before_the_commit_is_noticed(dataset: Dataset) -> None:
    with dataset.attempt() as attempt:
        late = change(attempt, b"one")
        (attempt.files / late.files[0].path).write_bytes(b"bit")
        with pytest.raises(OSError, match="checksum does not fit"):
            dataset.commit(attempt, late)
    assert dataset.newest() == 0


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.doc").touch()
    with pytest.raises(UsageError, match=r"thesis\.doc"), Dataset(tmp_path).attempt():
        pass
    with pytest.raises(UsageError, match="not a folder"), Dataset(tmp_path / "thesis.doc").attempt():
        pass


def test_a_lost_manifest_is_missed_and_its_number_is_not_used_again(dataset: Dataset) -> None:
    first, _ = commit(dataset, b"one"), commit(dataset, b"two")
    dataset.manifests.path(2).unlink()
    with dataset.attempt() as attempt, pytest.raises(ContractMismatch, match="rollback 1"):
        dataset.base(attempt)
    assert dataset.restore(first).snapshot == 3
    assert seen(dataset) == b"one"


def test_a_commit_that_cannot_be_finished_says_how_to_go_back(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = commit(dataset, b"one")
    with monkeypatch.context() as broken:
        _break(broken, Views, "show", OSError(5, "Input/output error"))
        with pytest.raises(NotShown):
            commit(dataset, b"two")
    (dataset.root / dataset.manifests.read(2).files[0].path).unlink()
    with dataset.attempt() as attempt, pytest.raises(ContractMismatch, match="rollback 1"):
        dataset.base(attempt)
    assert dataset.restore(first).snapshot == 3
    assert seen(dataset) == b"one"
