"""What a run changes of earlier runs' files: the rows that it must, in the files that hold them."""

import datetime as dt
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.blocks import store, store_new
from schemas.errors import ContractMismatch
from schemas.files import DataFile
from schemas.ids import format_id
from schemas.state import FILES, KEPT, Kept
from schemas.tables import STORIES
from schemas.window import DAY
from transforms.write.partitions import UNDATED
from transforms.write.upon import Edit, absorbed, changes_of, edited, edits, read_file

BEGIN = dt.datetime(2024, 5, 1, tzinfo=dt.UTC)


def kept_row(article: int, copy: int, story: int, day: int | None) -> dict[str, Any]:
    return dict.fromkeys(KEPT.names) | {
        "article_id": article,
        "identity": 0,
        "block": "b",
        "row": 0,
        "words": 5,
        "text": 0,
        "published": None if day is None else BEGIN + dt.timedelta(days=day),
        "seen": BEGIN + dt.timedelta(days=day or 0),
        "copy_id": copy,
        "representative": article,
        "story_id": story,
    }


def upon(tmp_path: Path, rows: list[dict[str, Any]], files: tuple[DataFile, ...] = ()) -> Kept:
    path = str(tmp_path / "kept.arrow")
    store(pa.Table.from_pylist(rows, schema=KEPT), path)
    listed = str(tmp_path / "files.arrow")
    store(pa.Table.from_pylist([file._asdict() for file in files], schema=FILES), listed)
    return Kept(articles=path, files=listed, run=2)


def labelled(rows: list[tuple[int, int, int, int | None]]) -> pa.Table:
    """Articles as `rows.article_order` gives them, as far as changes are concerned."""
    nothing = ("story_score", "rival", "rival_score", "format", "similarity")
    kinds = (pa.float32(), pa.int64(), pa.float32(), pa.uint8(), pa.float32())
    made = {
        "article_id": pa.array([row[0] for row in rows], pa.int64()),
        "copy_id": pa.array([row[1] for row in rows], pa.int64()),
        "story_id": pa.array([row[2] for row in rows], pa.int64()),
        "relation": pa.array([row[3] for row in rows], pa.int8()),
        "published": pa.array([BEGIN] * len(rows), pa.timestamp("us", "UTC")),
    }
    return pa.table(made | {name: pa.nulls(len(rows), kind) for name, kind in zip(nothing, kinds, strict=True)})


def micros(day: int) -> int:
    return int(BEGIN.timestamp()) * 1_000_000 + day * DAY


def test_only_groups_that_gained_or_lost_an_article_change(tmp_path: Path) -> None:
    kept = upon(tmp_path, [kept_row(1, 11, 21, 0), kept_row(2, 12, 22, 0), kept_row(3, 13, 23, 0)])
    order = labelled([(1, 11, 21, None), (2, 12, 21, None), (3, 13, 23, None), (4, 11, 21, 1)])
    found = changes_of(order, kept, micros(0))
    assert found.new.tolist() == [False, False, False, True]
    assert found.relabelled.tolist() == [False, True, False, False]
    assert found.copies.tolist() == [11, 12]
    assert found.stories.tolist() == [21, 22]
    assert not found.closing.size


def test_a_kept_article_is_written_again_when_it_is_something_else_to_its_copy(tmp_path: Path) -> None:
    kept = upon(tmp_path, [kept_row(1, 11, 21, 0), kept_row(2, 11, 21, 0)])
    found = changes_of(labelled([(1, 11, 21, None), (2, 11, 21, 1)]), kept, micros(0))
    assert found.relabelled.tolist() == [False, True]
    assert found.copies.tolist() == [11]
    assert not found.stories.size


@pytest.mark.parametrize(("then", "now"), [(None, 0.5), (0.25, 0.5), (0.5, None)])
def test_a_kept_article_is_written_again_when_its_score_to_the_representative_is_another(
    tmp_path: Path, then: float | None, now: float | None
) -> None:
    kept = upon(tmp_path, [kept_row(1, 11, 21, 0), kept_row(2, 11, 21, 0) | {"relation": 2, "similarity": then}])
    order = labelled([(1, 11, 21, None), (2, 11, 21, 2)])
    at = order.schema.get_field_index("similarity")
    found = changes_of(order.set_column(at, "similarity", pa.array([None, now], pa.float32())), kept, micros(0))
    assert found.relabelled.tolist() == [False, True]
    assert found.copies.tolist() == [11]


def test_stories_without_news_close_once_it_is_known_what_is_new(tmp_path: Path) -> None:
    rows = [kept_row(1, 11, 21, 0), kept_row(2, 12, 22, 40), kept_row(3, 13, 23, 10)]
    order = labelled([(1, 11, 21, None), (2, 12, 22, None), (3, 13, 23, None)])
    assert changes_of(order, upon(tmp_path, rows), micros(40)).closing.tolist() == [21]
    assert not changes_of(order, upon(tmp_path, rows), None).closing.size


def test_rows_are_found_in_the_partitions_of_their_first_article(tmp_path: Path) -> None:
    path = tmp_path / "stories.parquet"
    ids = [format_id(each) for each in (21, 22, 23)]
    made = {field.name: pa.nulls(3, field.type) for field in STORIES.schema}
    made |= {"story_id": pa.array(ids), "status": pa.array(["open"] * 3)}
    pq.write_table(pa.table(made), path)
    names = ("2024-05-01", "2024-04-01", "2024-01-01", "2024-05-02", UNDATED)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    files = tuple(DataFile("stories", name, 0, str(path), 3, 0, digest) for name in names)
    rows = [kept_row(1, 11, 21, 40), kept_row(2, 12, 21, 0), kept_row(3, 13, 22, 0), kept_row(4, 14, 23, 39)]
    kept = upon(tmp_path, rows, files)
    order = labelled([(1, 11, 21, None), (2, 12, 21, None), (3, 13, 22, None), (4, 14, 23, None), (9, 19, 21, None)])
    changes = changes_of(order, kept, micros(40))
    assert (changes.stories.tolist(), changes.closing.tolist()) == ([21], [22])
    edit = edits(order, changes, kept, str(tmp_path))["stories"]
    found = {file.partition: edited(file, edit) for file in files}
    assert found["2024-05-02"] is None
    assert found[UNDATED] is None
    assert found["2024-04-01"] is None
    for name in ("2024-05-01", "2024-01-01"):
        table = found[name]
        assert table is not None
        assert table.select(["story_id", "status"]).to_pylist() == [
            {"story_id": ids[1], "status": "closed"},
            {"story_id": ids[2], "status": "open"},
        ]


@pytest.mark.parametrize("damage", [lambda content: content[:-1] + b"?", lambda content: content[:9], None])
def test_rows_of_a_damaged_file_are_not_written_again_under_a_checksum_that_fits(
    tmp_path: Path, damage: Callable[[bytes], bytes] | None
) -> None:
    path = tmp_path / "articles.parquet"
    table = pa.Table.from_pylist([{"article_id": format_id(1)}], schema=pa.schema([("article_id", pa.string())]))
    pq.write_table(table, path)
    file = DataFile("articles", UNDATED, 0, str(path), 1, 0, hashlib.sha256(path.read_bytes()).hexdigest())
    assert read_file(file).num_rows == 1
    path.write_bytes(damage(path.read_bytes())) if damage else path.unlink()
    edit = Edit(store_new(pa.table({"article_id": [format_id(1)]}), str(tmp_path), "edit"), frozenset({UNDATED}))
    for read in (read_file, lambda file: edited(file, edit)):
        with pytest.raises(ContractMismatch, match=r"articles\.parquet: gone, cut short or changed .* verify"):
            read(file)


def test_a_row_is_written_again_only_as_often_as_its_file_doubles() -> None:
    files: list[DataFile] = []
    written, rng = 0, np.random.default_rng(1)
    for run in range(400):
        new = int(rng.integers(1, 40))
        taken = list(absorbed(files, new, 1 << 20, 1 << 30))
        rows = new + sum(file.rows for file in taken)
        written += rows
        files = [file for file in files if file not in taken]
        files.append(DataFile("articles", "2024-05-01", 0, f"{run:04}", rows, rows, ""))
    total = sum(file.rows for file in files)
    assert len(files) <= np.log2(total) + 1
    assert written <= total * np.log2(total)


def test_large_files_are_left_alone() -> None:
    file = DataFile("articles", "2024-05-01", 0, "a", 10, 1000, "")
    assert list(absorbed([file], 10, 20, 1000)) == [file]
    assert not list(absorbed([file], 10, 19, 1000))
    assert not list(absorbed([file], 10, 20, 999))
    assert not list(absorbed([file], 9, 20, 1000))
