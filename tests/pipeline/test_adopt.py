"""What the tables tell of a dataset's articles, where the state does not."""

import hashlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.adopt import read_columns, seen_rows
from schemas.files import DataFile
from schemas.tables import TABLES
from transforms.clean.addresses import canonical_url, identity_of
from transforms.clean.kept import clean_rows

PAGE = "https://www.paper.example/a/?utm_source=feed"
WHEN = pa.timestamp("us", "UTC")


def articles(rows: list[dict[str, Any]]) -> pa.Table:
    """Rows of the table articles that say what matters; the number becomes the id."""
    plain = {"text": "A line.", "source_uri": "in.jsonl", "words": 2, "url": PAGE}
    made = [plain | row | {"article_id": f"{row['article_id']:016x}"} for row in rows]
    schema = pa.schema([field.with_nullable(True) for field in TABLES["articles"].schema])
    return pa.Table.from_pylist(made, schema=schema)


def test_versions_stay_in_the_order_in_which_they_came_whatever_their_dates() -> None:
    rows = [{"article_id": 7, "version": 1, "date_published": 9}, {"article_id": 5, "version": 2, "date_published": 3}]
    known = seen_rows(articles(rows), pa.array([70, 70]).to_numpy()).to_pylist()
    assert [(row["article_id"], row["version"]) for row in known] == [(7, 1), (5, 2)]


def test_articles_of_a_contract_without_versions_come_first_by_their_dates() -> None:
    rows = [
        {"article_id": 4, "version": 3, "date_published": 1},
        {"article_id": 5, "date_published": 9},
        {"article_id": 6, "date_published": 2},
        {"article_id": 8, "date_published": 2},
    ]
    known = seen_rows(articles(rows), pa.array([70, 70, 70, 80]).to_numpy())
    assert known["version"].to_pylist() == [3, 2, 1, 1]


def test_a_page_is_the_same_page_however_its_address_is_written() -> None:
    assert clean_rows(articles([{"article_id": 1}]))["identity"].to_pylist() == [identity_of(canonical_url(PAGE))]


def test_columns_that_an_older_contract_lacked_are_null(tmp_path: Path) -> None:
    path = tmp_path / "old.parquet"
    pq.write_table(pa.table({"article_id": ["0" * 16], "url": [PAGE]}), path)
    file = DataFile("articles", "2024-01-01", 0, str(path), 1, 0, hashlib.sha256(path.read_bytes()).hexdigest())
    assert read_columns([file], ["url", "version"]).to_pylist() == [{"url": PAGE, "version": None}]
