"""Killed at whatever moment, a run, a rollback or a gc leaves a whole snapshot, and the next run heals the rest."""

import datetime as dt
import os
import random
import signal
import time
from pathlib import Path

import pytest

from pipeline.commit import Dataset
from pipeline.retention import Retention
from pipeline.snapshots import collect, roll_back
from tests.faults.conftest import Corpus, fresh_copy
from tests.faults.harness import SCALE, assert_healed, ended, killed_at, read_whole, reader, run, steps_of, verb

pytestmark = pytest.mark.faults

LATER = dt.datetime.now(dt.UTC) + dt.timedelta(days=1000)
MOVED = "os.rename /data/*"  # the first step of the commit


def both(*corpora: Corpus) -> list[str]:
    """The articles of several inputs, each once."""
    return sorted({each for corpus in corpora for each in corpus.ids})


@pytest.mark.parametrize("how", ["", "--rebuild"])
def test_a_run_killed_at_each_named_step_of_staging_and_commit_is_healed_by_the_next(
    how: str, before: tuple[Corpus, Path], after: Corpus, out: Path, tmp_path: Path
) -> None:
    def work() -> int:
        return verb(["run", str(after.path), "--output", str(place), *how.split()])[0]

    ids = after.ids if how else both(before[0], after)

    place = fresh_copy(out, tmp_path / "first/out")
    steps = steps_of(place, work, tmp_path / "steps.txt")
    named = {name: number for number, name in reversed(list(enumerate(steps, 1)))}
    assert {MOVED, "os.rename /state/*", "os.link /manifests/#.json", "os.rename /current"} <= named.keys()
    staging = [number for number in named.values() if number < named[MOVED]]
    commit = [number for number in named.values() if number >= named[MOVED]]
    place = out
    with reader(place, before[0].ids):
        for step in staging[:: max(1, 200 // SCALE)]:
            assert killed_at(place, step, work) == -signal.SIGKILL, steps[step - 1]
            with Dataset(place).attempt():
                pass
            assert_healed(place, before[0].ids)
    for step in commit[:: max(1, 200 // SCALE)]:
        place = fresh_copy(out, tmp_path / f"{step}/out")
        with reader(place, before[0].ids, ids):
            assert killed_at(place, step, work) == -signal.SIGKILL, steps[step - 1]
            assert ended(run(after.path, place, how=how)) == 0
        assert_healed(place, ids)


def test_runs_that_add_killed_at_random_moments_lose_and_double_nothing(
    before: tuple[Corpus, Path], after: Corpus, third: Corpus, out: Path
) -> None:
    rng = random.Random(7)
    start = time.monotonic()
    assert ended(run(after.path, fresh_copy(out, out.with_name("timed")), how="")) == 0
    whole = time.monotonic() - start
    everything = both(before[0], after, third)
    kills = 0
    with reader(out, before[0].ids, both(before[0], after), both(before[0], third), everything):
        while kills < SCALE:
            child = run(rng.choice((after, third)).path, out, how="")
            time.sleep(rng.uniform(0, whole))  # the moment is the test
            os.kill(child, signal.SIGKILL)
            code = ended(child)
            assert code in {0, -signal.SIGKILL}
            kills += code != 0
        for corpus in (after, third):
            assert ended(run(corpus.path, out, how="")) == 0
    assert_healed(out, everything)


def test_runs_killed_at_random_moments_lose_and_double_nothing(
    before: tuple[Corpus, Path], after: Corpus, out: Path
) -> None:
    rng = random.Random(6)
    start = time.monotonic()
    assert ended(run(after.path, out)) == 0
    whole = time.monotonic() - start
    kills = 0
    with reader(out, before[0].ids, after.ids):
        while kills < SCALE:
            other = before[0] if read_whole(out) == after.ids else after
            child = run(other.path, out)
            time.sleep(rng.uniform(0, whole))  # the moment is the test
            os.kill(child, signal.SIGKILL)
            code = ended(child)
            assert code in {0, -signal.SIGKILL}
            kills += code != 0
            if kills % 20 == 0:
                assert ended(run(other.path, out)) == 0
                assert_healed(out, other.ids)
    assert ended(run(after.path, out)) == 0
    assert_healed(out, after.ids)


@pytest.mark.parametrize("work", ["rollback", "gc"])
def test_a_verb_killed_at_every_step_leaves_a_whole_snapshot_and_does_its_work_when_called_again(
    work: str, before: tuple[Corpus, Path], after: Corpus, out: Path, tmp_path: Path
) -> None:
    def act() -> int:
        if work == "gc":
            collect(place, Retention(1, 0, 0), LATER)
        elif read_whole(place) == after.ids:
            roll_back(place, 1)
        return 0

    assert ended(run(after.path, out)) == 0
    place = fresh_copy(out, tmp_path / "first/out")
    steps = steps_of(place, act, tmp_path / "steps.txt")
    assert len(steps) > 10
    for step in range(1, len(steps) + 1):
        place = fresh_copy(out, tmp_path / f"{step}/out")
        with reader(place, before[0].ids, after.ids):
            assert killed_at(place, step, act) == -signal.SIGKILL
            with Dataset(place).attempt():
                pass
            act()
        assert_healed(place, before[0].ids if work == "rollback" else after.ids)
