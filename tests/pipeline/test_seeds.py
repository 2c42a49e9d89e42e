"""The five seeds, at the shipped defaults: what a new user sees first."""

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline.cli import main

pytestmark = pytest.mark.whole

SEEDS = Path(__file__).resolve().parents[2] / "seeds"


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("seeds") / "out"
    assert main(["run", str(SEEDS), "--output", str(folder), "--json"]) == 0
    return folder


def rows(out: Path, table: str) -> dict[str, dict[str, Any]]:
    """Rows of the articles, by the number that the seed's name begins with."""
    return {row["source_id"][:3]: row for row in pq.read_table(out / "current" / table, partitioning=None).to_pylist()}


def groups(out: Path) -> set[frozenset[str]]:
    stories: dict[str, set[str]] = {}
    for name, row in rows(out, "articles").items():
        stories.setdefault(row["story_id"], set()).add(name)
    return {frozenset(each) for each in stories.values()}


def test_the_visit_is_one_story_and_each_call_its_own(out: Path) -> None:
    assert groups(out) == {frozenset({"001", "002", "003"}), frozenset({"000"}), frozenset({"004"})}


def test_nothing_is_a_copy_and_one_statement_is_quoted_by_two(out: Path) -> None:
    assert pq.read_table(out / "current/copies", partitioning=None).num_rows == 0
    (pair,) = pq.read_table(out / "current/pairs", partitioning=None).to_pylist()
    names = {row["article_id"]: name for name, row in rows(out, "articles").items()}
    assert {names[pair["left_id"]], names[pair["right_id"]]} == {"002", "003"}
    assert pair["relation"] == "quotes"
    assert pair["longest_run"] >= 25
    assert "White House" in pair["passages"][0]


def test_the_fields_of_the_independents_piece_stand_in_their_columns(out: Path) -> None:
    row = rows(out, "articles")["003"]
    lines = [line for line in (SEEDS / f"{row['source_id']}.txt").read_text().split("\n") if line]
    assert row["headline"] == lines[2]
    assert row["description"] == lines[3]
    assert row["authors"] == ["Thomas Kingsley"]
    assert row["date_published"] == dt.datetime(2022, 2, 7, 18, 15, tzinfo=dt.UTC)  # 13:15 EST
    assert row["outlet"] == "Independent"


def test_every_line_is_in_the_text_or_in_removed_with_its_rule(out: Path) -> None:
    removed: dict[str, list[dict[str, Any]]] = {}
    for line in pq.read_table(out / "current/removed", partitioning=None).to_pylist():
        removed.setdefault(line["article_id"], []).append(line)
    for row in rows(out, "articles").values():
        given = (SEEDS / f"{row['source_id']}.txt").read_text().split("\n")
        kept = row["text"].split("\n") + [line["text"] for line in removed[row["article_id"]]]
        assert sorted(kept) == sorted(line.strip() for line in given if line.strip())
        assert all(line["rule"] for line in removed[row["article_id"]])


def test_with_the_dates_given_the_stories_are_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    days = {"000": "2022-03-03", "001": "2022-02-08", "002": "2022-02-07", "003": "2022-02-07", "004": "2022-02-28"}
    metadata = tmp_path / "days.csv"
    files = {path.name[:3]: path.name for path in SEEDS.iterdir()}
    metadata.write_text("file,date_published\n" + "".join(f"{files[name]},{day}\n" for name, day in days.items()))
    metadata.write_text(metadata.read_text() + "nowhere.txt,2022-03-03\n")
    out = tmp_path / "out"
    assert main(["run", str(SEEDS), "--output", str(out), "--metadata", str(metadata), "--json"]) == 0
    assert groups(out) == {frozenset({"001", "002", "003"}), frozenset({"000"}), frozenset({"004"})}
    assert rows(out, "articles")["000"]["date_source"] == "metadata"
    assert "no input is called nowhere.txt" in capsys.readouterr().err
