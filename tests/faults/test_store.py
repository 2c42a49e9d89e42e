"""On an object store, too: killed before any request, or several machines at once, nothing is lost or half there."""

import datetime as dt
import functools
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from pipeline.retention import Retention
from pipeline.snapshots import collect, roll_back
from schemas.errors import CommitConflict
from tests.faults.conftest import Corpus
from tests.faults.harness import die, ended, fork, run, verb
from tests.pipeline.conftest import publish_at, staged
from tests.pipeline.test_remote import ONE, TWO, ids, keys, named, remote

pytestmark = pytest.mark.faults

LATER = dt.datetime.now(dt.UTC) + dt.timedelta(days=1000)


def test_commits_at_once_from_several_machines_are_all_there(prefix: Path, tmp_path: Path) -> None:
    def add(machine: int) -> int:
        os.environ["COPYDESK_CACHE"] = str(tmp_path / f"machine-{machine}")
        for turn in range(4):
            while not _lands(prefix, {f"{machine}-{turn}": ("c", "s")}):
                pass
        return 0

    children = [fork(functools.partial(add, machine)) for machine in range(3)]
    assert [ended(child) for child in children] == [0, 0, 0]
    assert ids(prefix) == [f"{machine}-{turn}" for machine in range(3) for turn in range(4)]
    assert remote(prefix).manifests.numbers() == list(range(1, 13))


def test_an_attempt_killed_before_any_request_leaves_a_whole_snapshot_and_is_cleared_by_gc(
    prefix: Path, tmp_path: Path
) -> None:
    publish_at(prefix, ONE)
    notes = tmp_path / "requests.txt"

    def act(before: Callable[[str], Any]) -> int:
        dataset = remote(prefix)
        requests = dataset._bucket._client.meta.events  # noqa: SLF001 -- where a request can be stopped
        requests.register("before-call.s3", lambda model, **_: before(model.name))
        with dataset.attempt() as attempt:
            dataset.commit(attempt, staged(attempt, TWO, removed=frozenset()))
        return 0

    def doomed(step: int) -> int:
        left = iter(range(step))
        return act(lambda _: die() if next(left) == step - 1 else None)

    def noted() -> int:
        with notes.open("w") as file:
            return act(lambda name: print(name, file=file))

    assert ended(fork(noted)) == 0
    steps = notes.read_text().splitlines()
    assert steps.count("PutObject") == 4  # data, state, manifest, pointer
    kept = ids(prefix)
    for step in range(1, len(steps) + 1):
        assert ended(fork(functools.partial(doomed, step))) == -signal.SIGKILL
        newest = remote(prefix).manifests.newest()
        with remote(prefix).attempt():
            pass  # what the next run begins with: it mends the pointer
        assert remote(prefix).shown() == newest
        assert len(ids(prefix)) == len(kept) + 2 * (newest - 2)
    committed = [at for at, name in enumerate(steps) if name == "PutObject"][2]
    newest = 2 + len(steps) - 1 - committed
    assert remote(prefix).manifests.newest() == newest
    assert len(keys(prefix)) > 2 * newest
    assert collect(prefix, Retention(1, 0, 0), LATER)["removed"] == list(range(1, newest))
    assert keys(prefix) == named(remote(prefix).manifests.read(newest))


@pytest.mark.parametrize("work", ["gc", "rollback"])
def test_a_verb_killed_before_any_request_leaves_a_whole_snapshot_and_does_its_work_when_called_again(
    prefix: Path, work: str
) -> None:
    def act() -> None:
        if work == "gc":
            collect(prefix, Retention(2, 0, 0), LATER)
        else:
            roll_back(prefix, remote(prefix).newest() - 1)

    def doomed(step: int) -> int:
        requests = remote(prefix)._bucket._client.meta.events  # noqa: SLF001 -- where a request can be stopped
        left = iter(range(step))
        requests.register("before-call.s3", lambda **_: die() if next(left, None) == step - 1 else None)
        act()
        return 0

    for labels in (ONE, TWO, ONE):
        publish_at(prefix, labels)
    code, step = -signal.SIGKILL, 0
    while code == -signal.SIGKILL:
        step += 1
        code = ended(fork(functools.partial(doomed, step)))
        assert ids(prefix) in [["a", "b"], ["b", "c"]]
        assert verb(["snapshots", str(prefix), "verify", str(remote(prefix).newest())])[0] == 0
    assert code == 0
    assert step > 5
    act()
    with remote(prefix).attempt():
        assert verb(["snapshots", str(prefix), "verify"])[0] == 0
    if work == "gc":
        numbers = remote(prefix).manifests.numbers()
        assert len(numbers) == 2
        assert keys(prefix) == set().union(*(named(remote(prefix).manifests.read(number)) for number in numbers))


def test_of_two_runs_at_once_on_different_machines_both_land(
    prefix: Path, before: tuple[Corpus, Path], after: Corpus, third: Corpus, tmp_path: Path
) -> None:
    def on(machine: str) -> None:
        os.environ["COPYDESK_CACHE"] = str(tmp_path / machine)

    assert ended(run(before[0].path, prefix)) == 0
    both = [run(each.path, prefix, before=functools.partial(on, name)) for each, name in ((after, "a"), (third, "b"))]
    assert [ended(child) for child in both] == [0, 0]
    assert remote(prefix).manifests.numbers() == [1, 2, 3]
    runs = {remote(prefix).manifests.read(number).run_id for number in (1, 2, 3)}
    assert len(runs) == 3
    assert ids(prefix) in [after.ids, third.ids]
    assert verb(["snapshots", str(prefix), "verify"])[0] == 0
    assert keys(prefix) == set().union(*(named(remote(prefix).manifests.read(number)) for number in (1, 2, 3)))


def _lands(prefix: Path, labels: Mapping[str, tuple[str, str | None]]) -> bool:
    """Add articles to what is there, as one run does; whether it came to that."""
    dataset = remote(prefix)
    with dataset.attempt() as attempt:
        change = staged(attempt, labels, removed=frozenset())
        try:
            dataset.commit(attempt, change, lambda _: change)
        except CommitConflict:
            return False
        return True
