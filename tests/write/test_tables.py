"""The tables that land: labels joined to articles, groups summed up, files equal byte for byte."""

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.blocks import (
    CATALOG,
    CLEAN,
    COPY_LABELS,
    PAIRS,
    REJECTED,
    SETTLED,
    STORY_LABELS,
    StoredTable,
    load,
    new_block,
    store,
    store_new,
)
from schemas.files import Counted, DataFile, Staged
from schemas.ids import format_id
from schemas.labels import FORMAT_CODES, RELATION_CODES, Format, Relation
from schemas.state import ALIASED, FILES, NOTHING_KEPT, Kept
from schemas.tables import ARTICLES, TABLES
from transforms.write import rows
from transforms.write.cards import store_cards
from transforms.write.parquet import write_parquet
from transforms.write.staging import FileTask, WriteOptions, plan_files, write_task

DAY = dt.datetime(2024, 5, 1, tzinfo=dt.UTC)
ROOM: dict[str, Any] = dict.fromkeys(CLEAN.names)


def clean_rows() -> list[dict[str, Any]]:
    """Articles 1 and 2 are copies; 3 is of their story; 4 is alone and undated."""
    specs = [
        (1, "b.example", DAY, "Wire story"),
        (2, "a.example", DAY + dt.timedelta(hours=2), "Wire story, shorter"),
        (3, None, DAY + dt.timedelta(days=1), "Own words"),
        (4, "a.example", None, "Elsewhere"),
    ]
    return [
        ROOM
        | {
            "article_id": number,
            "identity": 0,
            "source_uri": "memory",
            "position": number,
            "outlet": outlet,
            "headline": headline,
            "date_published": published,
            "text": f"First paragraph of {number}.\nSecond.",
            "captions": [],
            "credits": [],
            "removed": [
                {"line": line, "text": f"line {line}", "label": "furniture", "rule": "test"} for line in range(number)
            ],
            "words": 5,
        }
        for number, outlet, published, headline in specs
    ]


def stored(tmp_path: Path, order: list[int], cut: int) -> dict[str, StoredTable]:
    """All that the write stage is given, with the articles in `order`, in blocks of `cut`."""
    scratch = str(tmp_path)
    articles = [clean_rows()[at] for at in order]
    catalog = []
    for start in range(0, len(articles), cut):
        part = articles[start : start + cut]
        block = new_block(scratch, len(part))
        store(pa.Table.from_pylist(part, schema=CLEAN), block.part("articles"))
        store_cards(block)
        for row, article in enumerate(part):
            catalog.append(
                {name: article[name] for name in ("article_id", "identity", "outlet", "words")}
                | {
                    "block": block.base,
                    "row": row,
                    "published": article["date_published"],
                    "modified": article["date_published"],
                }
            )
    same = RELATION_CODES[Relation.ABRIDGED]
    copies = [
        (1, 11, 1, None, None, 0.5),
        (2, 11, 1, same, 0.75, 0.5),
        (3, 13, 3, None, None, None),
        (4, 14, 4, None, None, None),
    ]
    stories = [
        (11, 21, 0.25, True, 0, None, None, 0.5, ["Port Brenn"], ["flood"]),
        (13, 21, 0.75, False, FORMAT_CODES[Format.LIVE], 22, 0.125, 0.5, None, None),
        (14, 22, 1.0, True, 0, None, None, None, [], []),
    ]
    scored = new_block(scratch, 1)
    store(table([(1, 2, 0, 0.75, 0.5, 1.0, 0.5, 5, 5, ["First paragraph"])], PAIRS), scored.part("pairs"))
    reject = ("memory", 9, None, "read", "bad_json", "line 10", None)
    tables = {
        "aliases": ALIASED.empty_table(),
        "catalog": pa.Table.from_pylist(catalog, schema=CATALOG),
        "copies": table(copies, COPY_LABELS),
        "stories": table(stories, STORY_LABELS),
        "pairs": table([(1, 2, same, scored.base, 0)], SETTLED),
        "rejects": table([reject], REJECTED),
    }
    return {name: store_new(each, scratch, name) for name, each in tables.items()}


def table(tuples: list[tuple[Any, ...]], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist([dict(zip(schema.names, values, strict=True)) for values in tuples], schema=schema)


def written(tmp_path: Path, order: list[int], cut: int, options: WriteOptions | None = None) -> dict[str, list[Any]]:
    """Table → its rows, read back from the files; and every file's hash."""
    staging = tmp_path / "files"
    staging.mkdir(parents=True)
    given = stored(tmp_path, order, cut)
    found: dict[str, list[Any]] = {name: [] for name in TABLES} | {"hashes": []}
    for task in plan_files(b"", str(tmp_path), options or WriteOptions(), NOTHING_KEPT, **given):
        if isinstance(task, Counted):
            continue
        (file,) = (each.file for each in write_task(task, str(staging)) if isinstance(each, Staged))
        assert (staging / file.path).stat().st_size == file.bytes
        found[file.table] += pq.read_table(staging / file.path, partitioning=None).to_pylist()
        found["hashes"].append((file.table, file.partition, file.part, file.sha256))
    return found


def test_articles_carry_their_labels_in_order_of_publication(tmp_path: Path) -> None:
    articles = written(tmp_path, [2, 0, 3, 1], 3)["articles"]
    assert [article["article_id"] for article in articles] == [format_id(n) for n in (1, 2, 3, 4)]
    assert [article["copy_id"] for article in articles] == [format_id(n) for n in (11, 11, 13, 14)]
    assert [article["story_id"] for article in articles] == [format_id(n) for n in (21, 21, 21, 22)]
    assert [article["copy_relation"] for article in articles] == [None, "abridged", None, None]
    assert [article["removed_lines"] for article in articles] == [1, 2, 3, 4]


def test_only_shared_texts_are_copies(tmp_path: Path) -> None:
    (copy,) = written(tmp_path, [0, 1, 2, 3], 4)["copies"]
    assert (copy["copy_id"], copy["representative_id"], copy["headline"]) == (format_id(11), format_id(1), "Wire story")
    assert (copy["n_articles"], copy["outlets"], copy["first_outlet"]) == (2, ["a.example", "b.example"], "b.example")
    assert (copy["source"], copy["source_evidence"], copy["source_confidence"]) == ("b.example", "earliest", 1.0)
    assert [member["relation"] for member in copy["members"]] == [None, "abridged"]


def test_a_story_is_told_by_its_leading_copy(tmp_path: Path) -> None:
    first, second = written(tmp_path, [0, 1, 2, 3], 4)["stories"]
    assert (first["headline"], first["lead"]) == ("Wire story", "First paragraph of 1.")
    assert (first["n_articles"], first["n_copies"], first["cohesion"]) == (3, 2, 0.5)
    assert (first["first_published"], first["last_published"]) == (DAY, DAY + dt.timedelta(days=1))
    assert (second["n_articles"], second["first_published"]) == (1, None)


def test_a_story_says_what_it_is_about_and_when_something_new_was_reported(tmp_path: Path) -> None:
    first, second = written(tmp_path, [0, 1, 2, 3], 4)["stories"]
    assert (first["names"], first["terms"], first["weakest_link"]) == (["Port Brenn"], ["flood"], 0.5)
    assert first["last_new_published"] == DAY + dt.timedelta(days=1)
    assert first["timeline"] == [
        {"day": DAY.date(), "n_articles": 2, "n_new_texts": 1, "n_outlets": 2},
        {"day": DAY.date() + dt.timedelta(days=1), "n_articles": 1, "n_new_texts": 1, "n_outlets": 0},
    ]
    assert (second["last_new_published"], second["timeline"], second["weakest_link"]) == (None, [], None)


def test_a_story_without_news_for_a_month_is_closed_and_one_without_dates_has_no_status() -> None:
    day = 86_400_000_000
    assert [rows.status(last, 31 * day, 30 * day) for last in (0, day, None)] == ["closed", "open", None]


def test_an_article_names_its_runner_up_and_its_format(tmp_path: Path) -> None:
    articles = written(tmp_path, [0, 1, 2, 3], 4)["articles"]
    assert [article["format"] for article in articles] == [None, None, "live", None]
    assert [article["story_runner_up_id"] for article in articles] == [None, None, format_id(22), None]
    assert articles[2]["story_runner_up_score"] == 0.125


def test_removed_lines_are_in_order_of_article_and_line(tmp_path: Path) -> None:
    removed = written(tmp_path, [3, 2, 1, 0], 2)["removed"]
    assert [(line["article_id"], line["line"]) for line in removed] == [
        (format_id(n), at) for n in (1, 2, 3, 4) for at in range(n)
    ]


@pytest.mark.parametrize(("order", "cut"), [([3, 1, 0, 2], 1), ([2, 3, 1, 0], 3)])
def test_files_are_equal_byte_for_byte_whatever_the_order_and_the_blocks(
    tmp_path: Path, order: list[int], cut: int
) -> None:
    plain = written(tmp_path / "plain", [0, 1, 2, 3], 4)
    assert written(tmp_path / "other", order, cut)["hashes"] == plain["hashes"]


def test_small_files_hold_the_same_rows(tmp_path: Path) -> None:
    plain = written(tmp_path / "plain", [0, 1, 2, 3], 4)
    cut = written(tmp_path / "cut", [0, 1, 2, 3], 4, WriteOptions(max_rows=1))
    assert cut["articles"] == plain["articles"]
    assert len(cut["hashes"]) > len(plain["hashes"])


@pytest.mark.parametrize(("lines", "joins"), [(3, True), (4, False)])
def test_small_files_of_removed_lines_are_judged_by_lines_not_by_articles(
    tmp_path: Path, lines: int, joins: bool
) -> None:
    plain = {"article_id": format_id(9), "rule": "test", "outlet": None, "text": "x", "label": "furniture"}
    before = pa.Table.from_pylist([plain | {"line": line} for line in range(lines)], schema=TABLES["removed"].schema)
    written = write_parquet(before, TABLES["removed"], str(tmp_path / "old.parquet"))
    small = DataFile("removed", "2024-05-01", 0, str(tmp_path / "old.parquet"), lines, *written)
    listed = store(pa.Table.from_pylist([small._asdict()], schema=FILES), str(tmp_path / "files.arrow"))
    tasks = plan_files(b"", str(tmp_path), WriteOptions(), Kept(files=listed.path), **stored(tmp_path, [0, 1, 2, 3], 4))
    (task,) = (each for each in tasks if isinstance(each, FileTask) and each[:2] == ("removed", "2024-05-01"))
    (made,) = (each for each in write_task(task, str(tmp_path)) if isinstance(each, Staged))
    assert task.stop - task.start == 2  # articles, which lost three lines
    assert (made.file.rows, made.replaces) == ((3 + lines, (small.path,)) if joins else (3, ()))


def test_without_stories_their_columns_are_null(tmp_path: Path) -> None:
    given = stored(tmp_path, [0, 1, 2, 3], 4)
    given["stories"] = store_new(STORY_LABELS.empty_table(), str(tmp_path), "none")
    order = rows.article_order(*(load(given[name].path) for name in ("catalog", "copies", "stories")))
    assert order["story_id"].null_count == 4
    assert rows.story_rows(order, None, NOTHING_KEPT).num_rows == 0
    assert rows.copy_rows(order)["story_id"].null_count == 1


def test_an_article_without_a_label_stops_the_run(tmp_path: Path) -> None:
    given = stored(tmp_path, [0, 1, 2, 3], 4)
    catalog, copies, stories = (load(given[name].path) for name in ("catalog", "copies", "stories"))
    with pytest.raises(KeyError, match="lost a row"):
        rows.article_order(catalog, copies.slice(1), stories)


def test_parquet_settings_are_those_of_the_contract(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    values = {field.name: pa.nulls(3, field.type) for field in ARTICLES.schema}
    for name in ("article_id", "copy_id", "text", "source_uri"):
        values[name] = pa.array(["x", "y", "z"])
    for name in ("words", "removed_lines"):
        values[name] = pa.array(np.arange(3, dtype=np.int32))
    write_parquet(pa.table(values), ARTICLES, str(path))
    file = pq.ParquetFile(path)
    group = file.metadata.row_group(0)
    assert {group.column(n).compression for n in range(group.num_columns)} == {"ZSTD"}
    assert [(c.column_index, c.descending) for c in group.sorting_columns] == [(11, False), (6, False), (0, False)]
    assert group.column(0).has_column_index
    field = file.schema_arrow.field("article_id")
    assert field.metadata[b"PARQUET:field_id"] == b"1"
    assert field.metadata[b"description"].startswith(b"Id of the article")
    assert not field.nullable
