"""Snapshots can be listed, compared, gone back to, dropped and checked; what readers see is never touched."""

import datetime as dt
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.cli import main
from pipeline.commit import Dataset
from pipeline.manifests import Manifest
from pipeline.reading import is_all_there
from pipeline.retention import Retention, expired
from pipeline.snapshots import collect, difference, roll_back
from schemas.errors import ContractMismatch, UsageError
from tests.pipeline.conftest import staged

Publish = Callable[[Mapping[str, tuple[str, str | None]]], Manifest]
NOW = dt.datetime(2024, 6, 1, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
LATER = dt.datetime.now(dt.UTC) + 1000 * DAY
ONE = {"a": ("c1", "s1"), "b": ("c1", "s1"), "c": ("c2", "s2")}


def ids(out: Path) -> list[str]:
    found: list[str] = pq.read_table(out / "current/articles", partitioning=None)["article_id"].to_pylist()
    return found


def snapshots(out: Path) -> list[int]:
    return Dataset(out).manifests.numbers()


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("after", "articles", "copies", "stories"),
    [
        (ONE, (0, 0, 0), (0, 0, 0), (0, 0, 0)),
        ({**ONE, "d": ("c1", "s1")}, (1, 0, 0), (0, 0, 1), (0, 0, 1)),
        ({**ONE, "d": ("c3", "s3")}, (1, 0, 0), (0, 0, 0), (1, 0, 0)),
        ({"a": ("c1", "s1"), "b": ("c9", "s1"), "c": ("c2", "s2")}, (0, 0, 1), (0, 1, 0), (0, 0, 0)),
        ({"a": ("c1", "s1"), "b": ("c1", "s1"), "c": ("c2", "s1")}, (0, 0, 1), (0, 0, 0), (0, 1, 1)),
        ({"a": ("c1", None), "b": ("c1", None), "c": ("c2", None)}, (0, 0, 3), (0, 0, 0), (0, 2, 0)),
        ({"c": ("c2", "s2")}, (0, 2, 0), (0, 1, 0), (0, 1, 0)),
        ({}, (0, 3, 0), (0, 1, 0), (0, 2, 0)),
    ],
)
def test_a_difference_counts_what_came_went_and_changed(
    publish: Publish,
    out: Path,
    after: Mapping[str, tuple[str, str | None]],
    articles: tuple[int, ...],
    copies: tuple[int, ...],
    stories: tuple[int, ...],
) -> None:
    publish(ONE)
    publish(after)
    facts = difference(out, 1, 2)
    assert [tuple(facts[name].values()) for name in ("articles", "copies", "stories")] == [articles, copies, stories]


def test_a_rollback_is_a_new_snapshot_of_the_old_files(publish: Publish, out: Path) -> None:
    publish(ONE)
    publish({"z": ("c", "s")})
    assert roll_back(out, 1).snapshot == 3
    assert ids(out) == ["a", "b", "c"]
    assert snapshots(out) == [1, 2, 3]
    with pytest.raises(UsageError, match="is the current one"):
        roll_back(out, 3)
    with pytest.raises(UsageError, match="no snapshot 9"):
        roll_back(out, 9)


def test_a_rollback_passes_over_a_damaged_newest_manifest_and_refuses_a_damaged_goal(
    publish: Publish, out: Path
) -> None:
    first = publish(ONE)
    publish({"z": ("c", "s")})
    flip(Dataset(out).manifests.path(2))
    assert roll_back(out, 1).snapshot == 3
    flip(out / first.files[0].path)
    publish({"z": ("c", "s")})
    with pytest.raises(ContractMismatch, match="snapshot 1 is damaged"):
        roll_back(out, 1)


def test_gc_drops_what_nothing_holds_and_the_files_that_no_snapshot_names(publish: Publish, out: Path) -> None:
    for name in "abc":
        publish({name: ("c", "s")})
    roll_back(out, 1)
    (out / "data/orphan").mkdir()
    (out / "data/orphan/x").write_bytes(b"12345")
    facts = collect(out, Retention(keep=1, days=0, grace_hours=0), LATER)
    assert (facts["removed"], facts["files"]) == ([1, 2, 3], 5)
    assert ids(out) == ["a"]
    assert len(list((out / "data").rglob("*.parquet"))) == len(list((out / "state").rglob("*.parquet"))) == 1
    assert main(["snapshots", str(out), "verify"]) == 0


def test_gc_leaves_a_snapshot_that_a_live_run_began_with(publish: Publish, out: Path) -> None:
    publish(ONE)
    with Dataset(out).attempt():
        publish({"z": ("c", "s")})
        assert collect(out, Retention(1, 0, 0), LATER)["removed"] == []
    assert collect(out, Retention(1, 0, 0), LATER)["removed"] == [1]


def test_gc_removes_no_file_while_a_manifest_is_damaged(publish: Publish, out: Path) -> None:
    for name in "abc":
        publish({name: ("c", "s")})
    flip(Dataset(out).manifests.path(2))
    assert collect(out, Retention(2, 0, 0), LATER)["files"] == 0
    assert snapshots(out) == [2, 3]
    assert collect(out, Retention(1, 0, 0), LATER)["files"] == 4


def test_gc_finishes_one_that_died(publish: Publish, out: Path) -> None:
    publish(ONE)
    publish({"z": ("c", "s")})
    Dataset(out).manifests.path(1).unlink()
    collect(out, Retention(), LATER)
    assert [path.name for path in (out / "snapshots").iterdir()] == ["000002"]
    assert len(list((out / "data").iterdir())) == 1


def test_a_dry_run_of_gc_only_says(publish: Publish, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    publish(ONE)
    publish({"z": ("c", "s")})
    assert main(["snapshots", str(out), "gc", "--keep", "1", "--days", "0", "--grace", "0", "--dry-run"]) == 0
    assert capsys.readouterr().out == "000001 would be removed\n"
    assert snapshots(out) == [1, 2]


@pytest.mark.parametrize(
    ("retention", "gone"),
    [
        (Retention(keep=1, days=0, grace_hours=0), [1, 2, 3, 4]),
        (Retention(keep=3, days=0, grace_hours=0), [1, 2]),
        (Retention(keep=1, days=2.5, grace_hours=0), [1, 2]),  # 3 was made two days ago
        (Retention(keep=1, days=0, grace_hours=25), [1, 2]),  # 3 and 4 were current until a day ago
        (Retention(), []),
    ],
)
def test_what_one_line_of_the_retention_holds_stays(retention: Retention, gone: list[int]) -> None:
    made = {number: NOW - (5 - number) * DAY for number in range(1, 6)}
    made[5] = NOW - DAY
    assert expired([1, 2, 3, 4, 5], made, set(), retention, NOW) == gone
    assert expired([1, 2, 3, 4, 5], made, {1, 2, 3, 4}, retention, NOW) == []


def test_a_clock_set_back_keeps_more_and_one_set_forward_leaves_the_newest() -> None:
    made = {1: NOW, 2: NOW - 900 * DAY, 3: NOW}
    assert expired([1, 2, 3], made, set(), Retention(1, 1, 1), NOW - 1000 * DAY) == []
    assert expired([1, 2, 3], made, set(), Retention(2, 1, 1), NOW + 9000 * DAY) == [1]


@pytest.mark.parametrize("words", [["--keep", "0"], ["--days", "-1"], ["--grace", "-1"]])
def test_a_retention_that_cannot_be_meant_is_refused(words: list[str], publish: Publish, out: Path) -> None:
    publish(ONE)
    assert main(["snapshots", str(out), "gc", *words]) == 2


def test_verify_names_each_damaged_file_and_the_way_back(
    publish: Publish, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(ONE)
    second, third = publish(ONE), publish(ONE)
    assert main(["snapshots", str(out), "verify"]) == 0
    assert "6 files of 3 snapshots are as they were written" in capsys.readouterr().out
    flip(out / second.files[0].path)
    (out / second.state[0].path).unlink()
    with (out / third.files[0].path).open("r+b") as file:
        file.truncate(100)
    (out / "snapshots/000003" / third.files[0].link).unlink()
    assert main(["snapshots", str(out), "verify"]) == 4
    shown = capsys.readouterr()
    for what in (
        f"000002  {second.files[0].path}: changed since it was written",
        f"000002  {second.state[0].path}: is gone",
        f"000003  {third.files[0].path}: cut short or grown: 100 bytes",
        f"000003  snapshots/000003/{third.files[0].link}: is gone",
    ):
        assert what in shown.out
    assert "4 of its files damaged" in shown.err
    assert f"copydesk snapshots {out} rollback 1" in shown.err
    assert not is_all_there(out, third)
    assert main(["snapshots", str(out), "verify", "1"]) == 0


def test_the_list_tells_what_each_snapshot_holds_not_what_its_run_added(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = Dataset(out)
    with dataset.attempt() as attempt:
        change = staged(attempt, ONE)
        about = {**change.about, "summary": {**change.about["summary"], "articles": 7}}
        dataset.commit(attempt, replace(change, about=about))
    assert main(["snapshots", str(out)]) == 0
    assert " 7 articles, " in capsys.readouterr().out


def test_a_snapshot_restored_by_copying_is_whole(publish: Publish, out: Path, tmp_path: Path) -> None:
    publish(ONE)
    shutil.copytree(out, tmp_path / "copy", symlinks=True)
    assert main(["snapshots", str(tmp_path / "copy"), "verify"]) == 0


def test_the_verbs_say_what_they_did(publish: Publish, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    publish(ONE)
    publish({"z": ("c", "s")})
    for words in ([], ["list"], ["show", "1"], ["diff", "1", "2"], ["rollback", "1"], ["gc"], ["verify"]):
        assert main(["snapshots", str(out), *words]) == 0
        assert capsys.readouterr().out
        if words != ["rollback", "1"]:
            assert main(["snapshots", str(out), *words, "--json"]) == 0
            assert json.loads(capsys.readouterr().out)
    flip(Dataset(out).manifests.path(2))
    assert main(["snapshots", str(out)]) == 0
    assert "000002  damaged" in capsys.readouterr().out
    assert main(["snapshots", str(out), "nonsense"]) == 2
    assert main(["snapshots", str(out / "nowhere")]) == 2
