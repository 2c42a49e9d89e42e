"""Snapshots published as Iceberg tables: the same rows, each snapshot once, whatever died in between."""

import dataclasses
import datetime as dt
import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import iceberg
from pipeline.change import Change
from pipeline.cli import main
from pipeline.commit import Dataset
from pipeline.iceberg import publish
from pipeline.manifests import Manifest
from pipeline.places import dataset_at
from pipeline.retention import Retention
from pipeline.snapshots import collect, roll_back
from schemas.errors import NotShown, UsageError
from schemas.files import DataFile
from schemas.tables import TABLES

catalog = pytest.importorskip("pyiceberg.catalog", reason="pyiceberg is not installed: pip install copydesk[iceberg]")
exceptions = pytest.importorskip("pyiceberg.exceptions", reason="as above")

Record = dict[str, Any]
Write = Callable[[Path, list[Record]], Path]


@pytest.fixture(autouse=True)
def _no_catalogue_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYICEBERG_HOME", str(tmp_path))


def table(out: Path, name: str) -> Any:
    place = f"sqlite:///{out}/iceberg/catalog.db"
    return catalog.load_catalog("copydesk", type="sql", uri=place).load_table(f"news.{name}")


def numbers(out: Path, name: str = "articles") -> list[str]:
    """The numbers of our snapshots that a table has, in the order in which they were published."""
    return [each.summary["copydesk.snapshot"] for each in table(out, name).snapshots()]


def ids(out: Path) -> list[str]:
    return sorted(table(out, "articles").scan().to_arrow()["article_id"].to_pylist())


def current(out: Path) -> list[str]:
    return sorted(pq.read_table(out / "current/articles", partitioning=None)["article_id"].to_pylist())


def article(name: str) -> Record:
    """An article that has what it must have."""
    filled = {pa.string(): "x", pa.int32(): 1, pa.float32(): 0.5, pa.bool_(): True}
    needed = {field.name: filled[field.type] for field in TABLES["articles"].schema if not field.nullable}
    return needed | {"article_id": name, "keywords": ["a", "b"]}


def add(out: Path, names: str, removed: set[str] | None = None) -> Manifest:
    """Commit a snapshot with a file of articles more; without `removed`, with no other files."""
    dataset = dataset_at(out)
    with dataset.attempt() as attempt:
        path = attempt.files / "a.parquet"
        pq.write_table(pa.Table.from_pylist(list(map(article, names)), schema=TABLES["articles"].schema), path)
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        file = DataFile("articles", "2024-01-01", 0, path.name, len(names), len(content), digest)
        about = {"run_id": f"run of {names}", "version": "0", "config": "c", "inputs": [], "summary": {}}
        return dataset.commit(attempt, Change([file], (), removed, about=about))


def test_an_iceberg_table_holds_what_the_snapshot_holds(out: Path) -> None:
    first = add(out, "ab")
    assert publish(Dataset(out), "news") == len(TABLES)
    assert ids(out) == current(out) == ["a", "b"]
    add(out, "cd", removed=set())
    assert publish(Dataset(out), "news") == len(TABLES)
    assert ids(out) == current(out) == ["a", "b", "c", "d"]
    add(out, "e", removed={first.files[0].path})
    publish(Dataset(out), "news")
    assert ids(out) == current(out) == ["c", "d", "e"]
    snapshots = table(out, "articles").snapshots()
    assert numbers(out) == ["1", "2", "3"]  # what came and what went is one Iceberg snapshot
    assert [each.summary["copydesk.run-id"] for each in snapshots] == ["run of ab", "run of cd", "run of e"]


def test_fields_have_the_ids_of_the_contract(out: Path) -> None:
    add(out, "a")
    publish(Dataset(out), "news")
    for name, ours in TABLES.items():
        fields = table(out, name).schema().fields
        assert [(each.field_id, each.name) for each in fields] == [(each.field_id, each.name) for each in ours.columns]
    found = table(out, "articles").scan(selected_fields=("keywords",)).to_arrow()
    assert found["keywords"].to_pylist() == [["a", "b"]]


def test_a_snapshot_is_published_once(out: Path) -> None:
    add(out, "ab")
    publish(Dataset(out), "news")
    assert publish(Dataset(out), "news") == 0
    assert numbers(out) == ["1"]


@pytest.mark.parametrize("done", [0, 3])
def test_what_a_death_between_commit_and_publishing_left_out_is_made_up_for(
    out: Path, monkeypatch: pytest.MonkeyPatch, done: int
) -> None:
    add(out, "a")
    publish(Dataset(out), "news")
    add(out, "b", removed=set())
    count = iter(range(done + 1))
    publish_one = iceberg._publish_one  # noqa: SLF001 -- the step that dies

    def dies(*given: Any) -> None:
        if next(count) == done:
            raise OSError("the machine is gone")
        publish_one(*given)

    with monkeypatch.context() as dying:
        dying.setattr(iceberg, "_publish_one", dies)
        with pytest.raises(NotShown, match="makes up for it"):
            publish(Dataset(out), "news")
    add(out, "c", removed=set())
    publish(Dataset(out), "news")
    assert ids(out) == ["a", "b", "c"]
    assert all(numbers(out, name) == ["1", "2", "3"] for name in TABLES)


def test_who_publishes_the_same_at_the_same_time_adds_nothing(out: Path) -> None:
    add(out, "ab")
    dataset, manifest = Dataset(out), Dataset(out).manifests.read(1)
    known = iceberg._catalogue(dataset)  # noqa: SLF001 -- two that saw the same table
    known.create_namespace("news")
    both = [iceberg._table(known, "news.articles", TABLES["articles"]) for _ in range(2)]  # noqa: SLF001
    iceberg._publish_one(both[0], dataset, manifest, "articles")  # noqa: SLF001
    with pytest.raises(exceptions.CommitFailedException):
        iceberg._publish_one(both[1], dataset, manifest, "articles")  # noqa: SLF001
    assert ids(out) == ["a", "b"]


def test_a_table_of_an_older_contract_gets_the_new_columns(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = TABLES["articles"]
    older = dataclasses.replace(ours, columns=ours.columns[:-1])
    with monkeypatch.context() as old:
        old.setitem(TABLES, "articles", older)
        add(out, "a")
        publish(Dataset(out), "news")
    add(out, "b", removed=set())
    publish(Dataset(out), "news")
    assert ids(out) == ["a", "b"]
    assert table(out, "articles").schema().fields[-1].name == ours.columns[-1].name


def test_a_rollback_and_a_gc_leave_tables_that_can_be_read_at_every_snapshot(out: Path) -> None:
    add(out, "a")
    publish(Dataset(out), "news")
    add(out, "b")
    roll_back(out, 1)
    publish(Dataset(out), "news")
    assert ids(out) == ["a"]
    assert numbers(out) == ["1", "2", "3"]
    add(out, "c")
    later = dt.datetime.now(dt.UTC) + dt.timedelta(days=1000)
    assert collect(out, Retention(2, 0, 0), later)["removed"] == [1, 2]
    publish(Dataset(out), "news")
    assert numbers(out) == ["3", "4"]
    read = table(out, "articles")
    assert [read.scan(snapshot_id=each.snapshot_id).to_arrow().num_rows for each in read.snapshots()] == [1, 1]


def test_a_damaged_snapshot_in_between_is_passed_over(out: Path) -> None:
    add(out, "a")
    publish(Dataset(out), "news")
    add(out, "b", removed=set())
    add(out, "c", removed=set())
    Dataset(out).manifests.path(2).write_text("{")
    publish(Dataset(out), "news")
    assert (numbers(out), ids(out)) == (["1", "3"], ["a", "b", "c"])


def test_another_datasets_tables_are_left_alone(out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYICEBERG_CATALOG__COPYDESK__URI", f"sqlite:///{tmp_path}/shared.db")
    monkeypatch.setenv("PYICEBERG_CATALOG__COPYDESK__WAREHOUSE", f"file://{tmp_path}")
    add(out, "a")
    add(out, "b")
    publish(Dataset(out), "news")
    add(tmp_path / "other", "z")
    with pytest.raises(UsageError, match="of another dataset"):
        publish(Dataset(tmp_path / "other"), "news")
    assert publish(Dataset(tmp_path / "other"), "more") == len(TABLES)


def test_a_dataset_on_an_object_store_is_published_to_a_catalogue_of_the_user(
    prefix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(prefix, "ab")
    with pytest.raises(UsageError, match="needs a catalogue"):
        publish(dataset_at(prefix), "news")
    monkeypatch.setenv("PYICEBERG_CATALOG__COPYDESK__URI", f"sqlite:///{tmp_path}/shared.db")
    monkeypatch.setenv("PYICEBERG_CATALOG__COPYDESK__WAREHOUSE", f"file://{tmp_path}")
    monkeypatch.setenv("PYICEBERG_CATALOG__COPYDESK__S3__ENDPOINT", os.environ["AWS_ENDPOINT_URL"])
    publish(dataset_at(prefix), "news")
    found = iceberg._catalogue(dataset_at(prefix)).load_table("news.articles").scan().to_arrow()  # noqa: SLF001
    assert sorted(found["article_id"].to_pylist()) == ["a", "b"]


def test_what_is_missing_is_said(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(out, "a")
    monkeypatch.setitem(sys.modules, "pyiceberg.catalog", None)
    with pytest.raises(UsageError, match=r"install copydesk\[iceberg\]"):
        publish(Dataset(out), "news")


@pytest.mark.whole
def test_a_run_publishes_its_tables_and_a_repeated_one_what_was_not(
    tmp_path: Path, records: list[Record], write_jsonl: Write
) -> None:
    out = tmp_path / "out"
    words = ["run", str(write_jsonl(tmp_path / "articles.jsonl", records[:20])), "--output", str(out)]
    assert main(words) == 0
    assert main([*words, "--iceberg", "news"]) == 0
    assert main([*words, "--iceberg", "news"]) == 0
    for name, ours in TABLES.items():
        found = table(out, name).scan().to_arrow()
        files = [out / file.path for file in Dataset(out).manifests.read(1).files if file.table == name]
        whole = pa.concat_tables([pq.ParquetFile(file).read() for file in files])
        keys = [(key, "ascending") for key in ours.sort]
        assert found.sort_by(keys).to_pylist() == whole.sort_by(keys).to_pylist()
        assert numbers(out, name) == ["1"]
    connection = table(out, "articles").scan().to_duckdb("articles")
    assert connection.execute("SELECT count(*), count(DISTINCT article_id) FROM articles").fetchone() == (20, 20)
