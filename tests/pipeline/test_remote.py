"""A dataset on an object store: whole or not there, whoever comes second, whatever dies, is cut or does not answer."""

import datetime as dt
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pyarrow.fs
import pyarrow.parquet as pq
import pytest

from pipeline.cli import main
from pipeline.manifests import Manifest
from pipeline.objects import Bucket
from pipeline.places import dataset_at, folder_of
from pipeline.remote import RemoteDataset
from pipeline.retention import Retention
from pipeline.snapshots import collect, difference, roll_back
from schemas.errors import CommitConflict, ContractMismatch, NotShown, StorageFailed, UsageError
from tests.pipeline.conftest import publish_at, staged

ONE = {"a": ("c1", "s1"), "b": ("c1", "s1")}
TWO = {"b": ("c2", "s1"), "c": ("c2", "s2")}
LATER = dt.datetime.now(dt.UTC) + dt.timedelta(days=1000)


def remote(prefix: Path) -> RemoteDataset:
    dataset = dataset_at(prefix)
    assert isinstance(dataset, RemoteDataset)
    return dataset


def bucket(prefix: Path) -> Bucket:
    return Bucket(remote(prefix).name)


def keys(prefix: Path) -> set[str]:
    return {entry.key for kind in ("data", "state", "staging") for entry in bucket(prefix).entries(kind)}


def named(manifest: Manifest) -> set[str]:
    return {file.path for file in (*manifest.files, *manifest.state)}


def ids(prefix: Path) -> list[str]:
    """As a reader sees them who knows the store alone: the pointer, the manifest, the files."""
    store = bucket(prefix)
    pointer = json.loads(store.read("current.json")[0])
    manifest = json.loads(store.read(pointer["manifest"])[0])
    place = str(prefix).removeprefix("s3:/")
    paths = [f"{place}/{file['path']}" for file in manifest["files"] if file["table"] == "articles"]
    server = pyarrow.fs.S3FileSystem(endpoint_override=store.endpoint, allow_bucket_creation=False)
    found = ds.dataset(paths, filesystem=server).to_table(columns=["article_id"])
    return sorted(found["article_id"].to_pylist())


def elsewhere(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """From now on, be another machine."""
    monkeypatch.setenv("COPYDESK_CACHE", str(folder))


def test_a_snapshot_is_what_the_newest_manifest_names(prefix: Path) -> None:
    first, second = publish_at(prefix, ONE), publish_at(prefix, TWO)
    assert (first.snapshot, second.snapshot) == (1, 2)
    assert remote(prefix).manifests.numbers() == [1, 2]
    assert keys(prefix) == named(first) | named(second)
    assert ids(prefix) == ["b", "c"]


def test_the_verbs_of_snapshots_work_as_on_a_disk(
    prefix: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    first = publish_at(prefix, ONE)
    publish_at(prefix, TWO)
    elsewhere(monkeypatch, tmp_path / "reader")
    place = str(prefix).replace(":/", "://")
    assert main(["snapshots", place]) == 0
    assert [line[:8] for line in capsys.readouterr().out.splitlines()] == ["  000001", "* 000002"]
    assert main(["snapshots", place, "show", "1", "--files"]) == 0
    assert capsys.readouterr().out.splitlines() == [f"{place}/{first.files[0].path}"]
    assert difference(prefix, 1, 2)["articles"] == {"added": 1, "removed": 1, "changed": 1}
    assert roll_back(prefix, 1).snapshot == 3
    assert ids(prefix) == ["a", "b"]
    assert main(["snapshots", place, "verify"]) == 0
    assert "4 files of 3 snapshots" in capsys.readouterr().out
    assert pq.read_table(folder_of(prefix) / "current/articles", partitioning=None).num_rows == 2


def test_who_comes_second_is_told_and_leaves_nothing(
    prefix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_at(prefix, ONE)
    slow = remote(prefix)
    with slow.attempt() as attempt:
        change = staged(attempt, TWO)
        elsewhere(monkeypatch, tmp_path / "other")
        publish_at(prefix, {"z": ("c", "s")})
        before = keys(prefix)
        with pytest.raises(CommitConflict, match="another run committed snapshot 2"):
            slow.commit(attempt, change)
    assert ids(prefix) == ["z"]
    assert keys(prefix) == before


def test_who_comes_second_in_the_very_put_is_told_by_the_store(
    prefix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = remote(prefix)
    with slow.attempt() as attempt:
        change = staged(attempt, ONE)
        monkeypatch.setattr(slow, "newest", lambda: 0)  # it looked before the other one's put
        elsewhere(monkeypatch, tmp_path / "other")
        publish_at(prefix, TWO)
        with pytest.raises(CommitConflict):
            slow.commit(attempt, change)
    assert ids(prefix) == ["b", "c"]


def test_gc_leaves_young_files_and_young_numbers_to_runs_on_other_machines(prefix: Path) -> None:
    publish_at(prefix, ONE)
    publish_at(prefix, TWO)
    bucket(prefix).create("data/running/part", b"not yet in a manifest")
    assert collect(prefix, Retention(1, 0, 0))["removed"] == []
    assert "data/running/part" in keys(prefix)
    facts = collect(prefix, Retention(1, 0, 0), LATER)
    assert (facts["removed"], facts["files"]) == ([1], 3)
    assert keys(prefix) == named(remote(prefix).manifests.read(2))


@pytest.mark.parametrize("content", [b"", b"cut"])
def test_an_object_that_was_cut_or_is_gone_is_found_and_named(
    prefix: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    content: bytes,
) -> None:
    first, second = publish_at(prefix, ONE), publish_at(prefix, TWO)
    sick = second.state[0].path
    bucket(prefix).delete([sick])
    if content:
        bucket(prefix).create(sick, content)
    place = str(prefix).replace(":/", "://")
    assert main(["snapshots", place, "verify"]) == 4
    said = capsys.readouterr()
    assert f"000002  {sick}: {'cut short' if content else 'is gone'}" in said.out
    assert f"copydesk snapshots {place} rollback 1" in said.err
    elsewhere(monkeypatch, tmp_path / "other")
    dataset = remote(prefix)
    with dataset.attempt() as attempt:
        dataset.fetch(first.state)
        with pytest.raises(ContractMismatch, match=sick):
            dataset.fetch(dataset.manifests.read(attempt.base).state)


def test_a_damaged_manifest_is_named_and_gone_back_from(prefix: Path, capsys: pytest.CaptureFixture[str]) -> None:
    publish_at(prefix, ONE)
    publish_at(prefix, TWO)
    bucket(prefix).delete(["manifests/000002.json"])
    bucket(prefix).create("manifests/000002.json", b'{"contract": "1.1"')
    with remote(prefix).attempt() as attempt, pytest.raises(ContractMismatch, match="rollback 1"):
        remote(prefix).base(attempt)
    assert main(["snapshots", str(prefix), "verify"]) == 4
    assert "manifests/000002.json" in capsys.readouterr().out
    assert roll_back(prefix, 1).snapshot == 3
    assert ids(prefix) == ["a", "b"]


def test_what_was_fetched_and_then_damaged_here_is_fetched_again(prefix: Path) -> None:
    file = publish_at(prefix, ONE).files[0]
    dataset = remote(prefix)
    path = dataset.root / file.path
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"?")
    dataset.fetch([file])
    assert path.read_bytes() == whole


def test_what_no_snapshot_needs_leaves_this_machine_in_time(prefix: Path) -> None:
    first, second = publish_at(prefix, ONE), publish_at(prefix, TWO)
    root = remote(prefix).root
    with remote(prefix).attempt():
        assert (root / first.files[0].path).exists()  # somebody may be reading it
    for file in (*first.files, *second.files):
        os.utime(root / file.path, (0, 0))
    with remote(prefix).attempt():
        assert not (root / first.files[0].path).exists()
        assert (root / second.files[0].path).exists()


@pytest.mark.parametrize("pointer", [None, b"{", b'{"snapshot": 1}', b'{"snapshot": 2}'])
def test_a_pointer_that_is_gone_damaged_or_behind_is_mended_by_the_next_run(
    prefix: Path, pointer: bytes | None
) -> None:
    publish_at(prefix, ONE)
    publish_at(prefix, TWO)
    bucket(prefix).delete(["current.json"])
    if pointer:
        bucket(prefix).create("current.json", pointer)
    health = main(["snapshots", str(prefix), "verify"])
    assert health == (0 if pointer == b'{"snapshot": 2}' else 4)
    with remote(prefix).attempt() as attempt:
        assert attempt.base == 2
    assert remote(prefix).shown() == 2


def test_a_pointer_never_goes_back(prefix: Path) -> None:
    publish_at(prefix, ONE)
    publish_at(prefix, TWO)
    remote(prefix)._point(1)  # noqa: SLF001 -- a slow run that committed before
    assert remote(prefix).shown() == 2


def test_a_commit_that_cannot_swap_the_pointer_says_that_it_is_committed(
    prefix: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_at(prefix, ONE)

    def fail(*_: object) -> None:
        raise StorageFailed("the store went away")

    with monkeypatch.context() as broken:
        broken.setattr(Bucket, "swap", fail)
        with pytest.raises(NotShown, match="snapshot 2 is committed"):
            publish_at(prefix, TWO)
    assert ids(prefix) == ["a", "b"]
    with remote(prefix).attempt():
        assert ids(prefix) == ["b", "c"]


def test_a_put_whose_answer_was_lost_is_known_for_ones_own(prefix: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put = Bucket._put  # noqa: SLF001 -- what a client does that tries again

    def twice(store: Bucket, key: str, content: bytes, **condition: str) -> None:
        put(store, key, content, **condition)
        put(store, key, content, **condition)

    monkeypatch.setattr(Bucket, "_put", twice)
    bucket(prefix).create("manifests/000001.json", b"mine")
    with pytest.raises(FileExistsError):
        bucket(prefix).create("manifests/000001.json", b"theirs")
    assert bucket(prefix).read("manifests/000001.json")[0] == b"mine"


def test_a_store_that_lets_an_object_be_created_twice_is_refused(prefix: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put = Bucket._put  # noqa: SLF001 -- a store that ignores the condition

    def heedless(store: Bucket, key: str, content: bytes, **_: str) -> None:
        put(store, key, content)

    monkeypatch.setattr(Bucket, "_put", heedless)
    with pytest.raises(UsageError, match="heeds no conditions"):
        publish_at(prefix, ONE)
    assert remote(prefix).manifests.numbers() == []


def test_a_store_that_cannot_be_used_says_what_to_do(
    prefix: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(place: str, code: int) -> str:
        assert main(["snapshots", place, "list"]) == code
        return capsys.readouterr().err

    assert "no snapshot there" in said(str(prefix), 2)
    assert "name a bucket and a prefix" in said("s3://news", 2)
    assert "NoSuchBucket" in said("s3://nobodys-bucket/daily", 2)
    assert "s3://bucket/prefix" in said("gs://news/daily", 2)
    with monkeypatch.context() as silent:
        silent.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        assert "cannot be reached" in said(str(prefix), 6)
    with monkeypatch.context() as bare:
        bare.setitem(sys.modules, "boto3", None)
        bare.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:10")  # asks for another client
        assert "install copydesk[s3]" in said(str(prefix), 2)


@pytest.mark.whole
def test_runs_on_a_store_give_what_runs_on_a_disk_give(
    prefix: Path,
    tmp_path: Path,
    records: list[dict[str, Any]],
    write_jsonl: Callable[[Path, list[dict[str, Any]]], Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    place = str(prefix).replace(":/", "://")
    hashes: dict[str, list[list[str]]] = {}
    inputs = [write_jsonl(tmp_path / f"{n}.jsonl", records[n : n + 10]) for n in (0, 5)]
    for output in (place, str(tmp_path / "out")):
        for given in [inputs[0], inputs[0], inputs[1]]:
            assert main(["run", str(given), "--output", output, "--json"]) == 0
        dataset = dataset_at(Path(output))
        manifests = [dataset.manifests.read(number) for number in dataset.manifests.numbers()]
        hashes[output] = [sorted(file.sha256 for file in (*each.files, *each.state)) for each in manifests]
    assert len(hashes[place]) == 2
    assert hashes[place] == hashes[str(tmp_path / "out")]
    capsys.readouterr()
    assert main(["run", str(inputs[1]), "--output", place]) == 0
    assert f"copydesk snapshots {place} show 2 --files" in capsys.readouterr().out
    for words in (["outlets", place], ["explain", "line", place, "newsletter"], ["doctor", place]):
        assert main(words) == 0, capsys.readouterr()


@pytest.mark.whole
def test_inputs_on_a_store_are_read(
    prefix: Path,
    tmp_path: Path,
    records: list[dict[str, Any]],
    write_jsonl: Callable[[Path, list[dict[str, Any]]], Path],
) -> None:
    given = write_jsonl(tmp_path / "articles.jsonl", records[:5])
    bucket(prefix).create("inbox/articles.jsonl", given.read_bytes())
    assert main(["run", f"{prefix}/inbox/*.jsonl".replace(":/", "://"), "--output", str(tmp_path / "out")]) == 0
    assert dataset_at(tmp_path / "out").manifests.read(1).summary["articles_kept"] == 5
