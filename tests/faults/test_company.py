"""Runs beside each other, workers that die, a clock that jumps."""

import datetime as dt
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.engine import sdk_workers
from tests.faults.conftest import Corpus, fresh_copy
from tests.faults.harness import SCALE, assert_healed, ended, read_whole, reader, run, verb

pytestmark = pytest.mark.faults


def test_of_two_runs_that_add_at_once_nothing_is_lost(
    before: tuple[Corpus, Path], after: Corpus, third: Corpus, tmp_path: Path
) -> None:
    everything = sorted({*before[0].ids, *after.ids, *third.ids})
    for pair in range(max(2, SCALE // 8)):
        out = fresh_copy(before[1], tmp_path / f"{pair}/out")
        some = [sorted({*before[0].ids, *corpus.ids}) for corpus in (after, third)]
        with reader(out, before[0].ids, *some, everything):
            children = [run(each.path, out, tmp_path / each.path.parent.name, how="") for each in (after, third)]
            assert [ended(child) for child in children] == [0, 0]
        assert_healed(out, everything)


def test_of_two_runs_at_once_both_land_or_one_is_told(
    before: tuple[Corpus, Path], after: Corpus, third: Corpus, out: Path, tmp_path: Path
) -> None:
    corpora = (before[0], after, third)
    codes: list[int] = []
    pairs = max(3, SCALE // 4)
    with reader(out, *(corpus.ids for corpus in corpora)):
        for _ in range(pairs):
            others = [corpus for corpus in corpora if corpus.ids != read_whole(out)]  # so that both have work to do
            both = [run(each.path, out, tmp_path / each.path.parent.name) for each in others]
            codes += [ended(child) for child in both]
            assert read_whole(out) in [corpus.ids for corpus in others]
    assert set(codes) <= {0, 5}
    assert len(list((out / "manifests").glob("0*.json"))) == 1 + codes.count(0)
    assert codes.count(0) > pairs
    assert_healed(out, read_whole(out))


@pytest.mark.parametrize("moment", ["", "parsed", "tokens", ".parquet"])
def test_a_worker_that_dies_ends_the_run_and_the_next_one_heals(
    moment: str, before: tuple[Corpus, Path], after: Corpus, out: Path, tmp_path: Path
) -> None:
    said = tmp_path / "stderr.txt"
    words = [
        sys.executable,
        "-m",
        "pipeline",
        "run",
        str(after.path),
        "--output",
        str(out),
        "--workers",
        "2",
        "--rebuild",
    ]
    with said.open("w") as stderr, reader(out, before[0].ids, after.ids):
        with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=stderr) as driver:
            workers: list[int] = []
            while driver.poll() is None and not workers:
                if not moment or _has_file(out / "staging", moment):
                    workers = sorted(sdk_workers(driver.pid))
                time.sleep(0.02)
            os.kill(workers[-1], signal.SIGKILL)
            try:
                assert driver.wait(timeout=120) == 7, said.read_text()
            finally:
                driver.kill()
        assert (
            "a worker of the Beam runner died or cannot be reached; nothing was committed: run it again"
            in said.read_text()
        )
        assert read_whole(out) == before[0].ids
        assert ended(run(after.path, out)) == 0
    assert_healed(out, after.ids)


def _has_file(folder: Path, kind: str) -> bool:
    return any(kind in name for _, _, names in os.walk(folder) for name in names)


def test_a_clock_that_jumps_changes_neither_order_nor_content(
    before: tuple[Corpus, Path], after: Corpus, out: Path
) -> None:
    real = time.time

    for seed in range(max(2, SCALE // 20)):

        def jump(seed: int = seed) -> None:
            rng = random.Random(seed)

            class Clock(dt.datetime):
                @classmethod
                def now(cls, tz: dt.tzinfo | None = None) -> dt.datetime:  # type: ignore[override]
                    return dt.datetime.fromtimestamp(real() + rng.uniform(-1e9, 1e9), tz)

            time.time = lambda: real() + rng.uniform(-1e9, 1e9)
            dt.datetime = Clock  # type: ignore[misc]

        corpus = (after, before[0])[seed % 2]
        with reader(out, before[0].ids, after.ids):
            assert ended(run(corpus.path, out, before=jump)) == 0
        assert_healed(out, corpus.ids)
        assert int((out / "current").readlink().name) == seed + 2
    code, said = verb(["snapshots", str(out), "gc", "--keep", "2", "--days", "0", "--grace", "0", "--json"])
    assert code == 0
    assert set(json.loads(said)["removed"]) <= set(range(1, seed + 1))
    assert_healed(out, corpus.ids)
