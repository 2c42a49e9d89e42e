"""Runs that add to what a dataset holds: what changes, what stays, and that all tables keep telling the same story."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline.cli import main
from pipeline.reading import open_dataset
from schemas.state import BLOCK_PARTS, block_table

pytestmark = pytest.mark.whole

Record = dict[str, Any]


def rows(out: Path, table: str) -> list[Record]:
    found: list[Record] = pq.read_table(out / "current" / table, partitioning=None).to_pylist()
    return found


def run(out: Path, given: list[Record], *flags: str) -> int:
    path = out.parent / f"{len(list(out.parent.glob('*.jsonl')))}.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in given), encoding="utf-8")
    return main(["run", str(path), "--output", str(out), "--json", *flags])


def groups(out: Path, kind: str) -> list[list[str]]:
    """Articles of each copy or story, by their names at the source."""
    found = defaultdict(list)
    for row in rows(out, "articles"):
        found[row[f"{kind}_id"]].append(row["source_id"])
    return sorted(sorted(group) for group in found.values())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("incremental")


@pytest.fixture(scope="module")
def once(folder: Path, records: list[Record]) -> Path:
    """All articles in one run."""
    assert run(folder / "once", records) == 0
    return folder / "once"


@pytest.fixture(scope="module")
def thrice(folder: Path, records: list[Record]) -> tuple[Path, list[dict[str, Record]]]:
    """The same in three runs, each copy torn apart, with what was kept after each; some are delivered again."""
    out, history = folder / "thrice", []
    parts = [records[0::3], records[1::3] + records[0:6:3], records[2::3]]
    for part in parts:
        assert run(out, part) == 0
        history.append({row["source_id"]: row for row in rows(out, "articles")})
    return out, history


def test_three_runs_end_in_the_copies_of_one(once: Path, thrice: tuple[Path, list[dict[str, Record]]]) -> None:
    assert groups(thrice[0], "copy") == groups(once, "copy")
    assert any(len(group) > 1 for group in groups(once, "copy"))


def test_every_record_is_an_article_once(once: Path, thrice: tuple[Path, list[dict[str, Record]]]) -> None:
    ids = [row["article_id"] for row in rows(thrice[0], "articles")]
    assert sorted(ids) == sorted(row["article_id"] for row in rows(once, "articles"))
    assert [row["reason"] for row in rows(thrice[0], "rejects")] == ["duplicate_input"] * 2


def test_what_a_later_run_finds_of_an_article_is_what_one_run_would_say(
    once: Path, thrice: tuple[Path, list[dict[str, Record]]]
) -> None:
    texts = {row["source_id"]: (row["headline"], row["date_published"], row["url"]) for row in rows(once, "articles")}
    for row in rows(thrice[0], "articles"):
        assert (row["headline"], row["date_published"], row["url"]) == texts[row["source_id"]]


def test_the_tables_agree_after_the_last_run(thrice: tuple[Path, list[dict[str, Record]]]) -> None:
    out = thrice[0]
    members, stories, relations = defaultdict(set), defaultdict(set), {}
    for row in rows(out, "articles"):
        members[row["copy_id"]].add(row["article_id"])
        stories[row["story_id"]].add(row["article_id"])
        relations[row["article_id"]] = row["copy_relation"]
    shared = {copy: ids for copy, ids in members.items() if len(ids) > 1}
    copies = rows(out, "copies")
    assert {row["copy_id"]: {each["article_id"] for each in row["members"]} for row in copies} == shared
    assert all(relations[each["article_id"]] == each["relation"] for row in copies for each in row["members"])
    found = {row["story_id"]: row["n_articles"] for row in rows(out, "stories")}
    assert len(found) == len(rows(out, "stories"))
    assert found == {story: len(ids) for story, ids in stories.items()}
    for row in copies:
        assert row["story_id"] in {
            article["story_id"] for article in rows(out, "articles") if article["copy_id"] == row["copy_id"]
        }


def test_ids_stay(thrice: tuple[Path, list[dict[str, Record]]], capsys: pytest.CaptureFixture[str]) -> None:
    out, history = thrice
    live = {row["copy_id"] for row in history[-1].values()}
    for snapshot in history:
        for name, row in snapshot.items():
            capsys.readouterr()
            assert main(["resolve", str(out), row["copy_id"]]) == 0
            assert capsys.readouterr().out.strip() in live
            assert history[-1][name]["copy_id"] == row["copy_id"]
    assert main(["resolve", str(out), "0" * 16]) == 2


def test_a_story_that_grew_has_a_higher_version(thrice: tuple[Path, list[dict[str, Record]]]) -> None:
    out, history = thrice
    grown = {row["story_id"] for row in history[0].values()} & {
        row["story_id"] for name, row in history[-1].items() if name not in history[1]
    }
    versions = {row["story_id"]: row["version"] for row in rows(out, "stories")}
    assert grown
    assert all(versions[story] > 1 for story in grown)
    assert min(versions.values()) == 1


def test_the_state_and_every_file_are_as_the_manifest_says(thrice: tuple[Path, list[dict[str, Record]]]) -> None:
    assert main(["snapshots", str(thrice[0]), "verify"]) == 0
    tables = {"links", "kept", "seen", "similar", "outlet_articles", "outlet_lines", *map(block_table, BLOCK_PARTS)}
    assert {file.table for file in open_dataset(thrice[0]).state} == tables


def test_what_was_all_delivered_before_changes_no_table_but_the_rejects(folder: Path, records: list[Record]) -> None:
    out = folder / "again"
    assert run(out, records[:12]) == 0
    before = {file for file in open_dataset(out).files if file.table != "rejects"}
    assert run(out, records[:12]) == 0
    after = {file for file in open_dataset(out).files if file.table != "rejects"}
    assert before == after
    assert len(rows(out, "rejects")) == 12


def test_a_rebuild_puts_its_inputs_in_the_place_of_all(folder: Path, records: list[Record]) -> None:
    out = folder / "rebuilt"
    assert run(out, records[:12]) == 0
    first = {file.path for file in open_dataset(out).state if not file.table.startswith("outlet_")}
    assert run(out, records[12:20], "--rebuild") == 0
    assert {row["source_id"] for row in rows(out, "articles")} == {record["id"] for record in records[12:20]}
    assert not {file.path for file in open_dataset(out).state if file.path.startswith("state/")} & first


def test_a_rebuild_of_all_inputs_keeps_the_ids_and_says_how_it_differs(
    folder: Path, records: list[Record], capsys: pytest.CaptureFixture[str]
) -> None:
    out = folder / "anew"
    assert run(out, records[:12]) == 0
    assert run(out, records[12:20]) == 0
    before = {row["article_id"]: row["copy_id"] for row in rows(out, "articles")}
    aliases = rows(out, "aliases")
    capsys.readouterr()
    assert run(out, records[:16] + records[18:22], "--rebuild") == 0
    summary = json.loads(capsys.readouterr().out)
    after = {row["article_id"]: row["copy_id"] for row in rows(out, "articles")}
    assert (summary["no_longer_there"], summary["not_there_before"]) == (2, 2)
    assert summary["other_copy"] == sum(before[each] != after[each] for each in before.keys() & after.keys())
    assert sum(before[each] == after[each] for each in before.keys() & after.keys()) > 15
    assert {row["alias_id"] for row in aliases} <= {row["alias_id"] for row in rows(out, "aliases")}
    assert main(["snapshots", str(out), "verify"]) == 0
