"""Every record becomes a raw row or a reject with its reason and position; the others stand."""

import datetime as dt
import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.blocks import RAW, REJECTED
from schemas.errors import RejectReason
from transforms.read.articles import blocks_of, read_item
from transforms.read.inputs import ReadOptions, plan_inputs


def read(
    path: Path, options: ReadOptions | None = None, known: Mapping[str, Any] | None = None
) -> tuple[list[Any], list[Any]]:
    plan = plan_inputs([str(path)], known or {})
    rows: list[Any] = []
    rejects: list[Any] = []
    for item in plan.items:
        for table in blocks_of(read_item(item, options or ReadOptions())):
            (rejects if table.schema.equals(REJECTED) else rows).extend(table.to_pylist())
    return rows, rejects


def jsonl(path: Path, *lines: bytes | dict[str, Any]) -> Path:
    path.write_bytes(b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines))
    return path


def test_other_names_of_the_fields_are_understood(tmp_path: Path) -> None:
    record = {"id": 7, "title": " A \n headline ", "text": "Body.", "published_at": "2024-05-01", "author": "A. Writer"}
    ((row,), rejects) = read(jsonl(tmp_path / "a.jsonl", record))
    assert rejects == []
    assert (row["source_id"], row["headline"], row["date_published"]) == ("7", "A headline", "2024-05-01")
    assert row["authors"] == ["A. Writer"]
    assert not row["headline_inline"]


def test_a_headline_alone_is_an_article_and_html_serves_where_text_is_blank(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", {"title": "Only this", "text": ""}, {"text": " ", "html": "<p>Body.</p>"})
    (headline, page), rejects = read(path)
    assert rejects == []
    assert (headline["headline"], headline["text"], headline["html"]) == ("Only this", None, None)
    assert (page["text"], page["html"]) == (None, "<p>Body.</p>")


def test_a_configured_name_comes_before_ours(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", {"titel": "Mine", "title": "Not mine", "text": "Body."})
    ((row,), _) = read(path, ReadOptions(fields={"headline": "titel"}))
    assert row["headline"] == "Mine"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{broken", RejectReason.BAD_JSON),
        (b"[1, 2]", RejectReason.NOT_AN_OBJECT),
        (b'"text"', RejectReason.NOT_AN_OBJECT),
        (b'{"id": "x", "url": "https://a.example/1"}', RejectReason.MISSING_TEXT),
        (b'{"text": "   "}', RejectReason.MISSING_TEXT),
        (b'{"text": 5}', RejectReason.BAD_FIELD),
        (b'{"text": "t", "authors": {"a": 1}}', RejectReason.BAD_FIELD),
        (b'{"text": "t", "fetched_at": "yesterday"}', RejectReason.BAD_FIELD),
        (b'{"text": "caf\xe9"}', RejectReason.BAD_ENCODING),
        (b'{"text": "nul \\u0000"}', RejectReason.BAD_ENCODING),
        (b'{"text": "nul \0"}', RejectReason.BAD_ENCODING),
    ],
)
def test_a_bad_line_is_rejected_by_number_and_the_others_stand(
    tmp_path: Path, line: bytes, reason: RejectReason
) -> None:
    rows, rejects = read(jsonl(tmp_path / "a.jsonl", {"id": "1", "text": "One."}, line, {"id": "3", "text": "Three."}))
    assert [row["source_id"] for row in rows] == ["1", "3"]
    assert [(reject["position"], reject["reason"]) for reject in rejects] == [(1, reason)]
    assert rejects[0]["sample"]


def test_an_enormous_line_is_skipped_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with path.open("wb") as sink:
        sink.write(b'{"id": "1", "text": "One."}\n{"text": "')
        for _ in range(100):
            sink.write(b"x" * (1 << 20))
        sink.write(b'"}\n{"id": "3", "text": "Three."}\n')
    rows, rejects = read(path)
    assert [(row["source_id"], row["position"]) for row in rows] == [("1", 0), ("3", 2)]
    assert [(reject["position"], reject["reason"]) for reject in rejects] == [(1, RejectReason.TOO_LARGE)]


def test_a_record_without_end_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"id": "1", "text": "One."}\n' + b"x" * (8 << 20)))
    rows, rejects = read(path, ReadOptions(max_article_bytes=1 << 20, max_skipped_bytes=4 << 20))
    assert len(rows) == 1
    assert [(reject["position"], reject["reason"]) for reject in rejects] == [(1, RejectReason.TOO_LARGE)]


def test_records_before_a_truncation_stand(tmp_path: Path) -> None:
    lines = "".join(json.dumps({"id": str(n), "text": f"Text {n * 7919 % 1000003}."}) + "\n" for n in range(5000))
    whole = gzip.compress(lines.encode())
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(whole[: len(whole) // 2])
    rows, (reject,) = read(path)
    assert 0 < len(rows) < 5000
    assert (reject["reason"], reject["position"]) == (RejectReason.TRUNCATED, len(rows))


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.txt", "a.html", "a.parquet"])
def test_a_file_of_no_bytes_is_empty(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    rows, rejects = read(tmp_path / name)
    assert rows == []
    assert [(reject["reason"], reject["position"]) for reject in rejects] == [(RejectReason.EMPTY, None)]


def test_text_and_pages_are_one_article_a_file(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("Headline\n\nBody.")
    (tmp_path / "two.html").write_text("<p>Body.</p>")
    known = {"one.txt": {"outlet": "Example", "url": None, "date_published": "2024-01-02"}}
    rows, rejects = read(tmp_path, known=known)
    assert rejects == []
    assert [(row["source_id"], row["text"], row["html"], row["headline_inline"]) for row in rows] == [
        ("one", "Headline\n\nBody.", None, True),
        ("two", None, "<p>Body.</p>", False),
    ]
    assert (rows[0]["outlet"], rows[0]["date_published"]) == ("Example", "2024-01-02")


def test_parquet_rows_are_read_with_their_dates(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    when = dt.datetime(2024, 5, 1, 12, tzinfo=dt.UTC)
    columns = {"id": ["a", "b"], "text": ["Body.", None], "date": [when, when], "extra": [1, 2]}
    pq.write_table(pa.table(columns), path)
    (row,), (reject,) = read(path)
    assert row["date_published"] == when.isoformat()
    assert (reject["position"], reject["reason"], reject["source_id"]) == (1, RejectReason.MISSING_TEXT, "b")


def test_damaged_parquet_is_one_reject(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["Body."]}), path)
    path.write_bytes(path.read_bytes()[:-20])
    rows, (reject,) = read(path)
    assert rows == []
    assert reject["reason"] == RejectReason.TRUNCATED


def test_what_is_read_has_the_raw_schema(tmp_path: Path) -> None:
    plan = plan_inputs([str(jsonl(tmp_path / "a.jsonl", {"text": "Body."}))], {})
    (table,) = blocks_of(read_item(plan.items[0], ReadOptions()))
    assert table.schema.equals(RAW)


def test_a_byte_order_mark_costs_no_record(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"id": "1", "text": "One."}\r\n\r\n{"id": "2", "text": "Two."}\r\n')
    rows, rejects = read(path)
    assert ([row["source_id"] for row in rows], rejects) == (["1", "2"], [])


def test_a_file_of_blank_lines_is_empty(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("\n\n\n")
    assert [reject["reason"] for reject in read(tmp_path / "a.jsonl")[1]] == [RejectReason.EMPTY]


def test_an_empty_field_does_not_hide_its_other_name(tmp_path: Path) -> None:
    record = {
        "headline": "",
        "title": "Real",
        "date_published": "",
        "date": 1714550400.0,
        "text": "Body.",
        "authors": ["A", None],
    }
    ((row,), _) = read(jsonl(tmp_path / "a.jsonl", record))
    assert (row["headline"], row["date_published"], row["authors"]) == ("Real", "1714550400", ["A"])


def test_a_mapping_may_use_any_name_of_a_field_and_comes_first(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", {"nr": 9, "id": 1, "body": "B.", "text": "T."}, {"id": 2, "text": "T."})
    rows, _ = read(path, ReadOptions(fields={"id": "nr", "text": "body"}))
    assert [(row["source_id"], row["text"]) for row in rows] == [("9", "B."), ("2", "T.")]


def test_a_time_that_nobody_can_have_fetched_at_is_a_reject(tmp_path: Path) -> None:
    _, (reject,) = read(jsonl(tmp_path / "a.jsonl", {"text": "T.", "fetched_at": "0001-01-01T00:00:00+14:00"}))
    assert reject["reason"] == RejectReason.BAD_FIELD


def test_a_parquet_string_that_is_no_utf8_is_one_reject(tmp_path: Path) -> None:
    _, offsets, data = pa.array([b"One.", b"Cut \xe5\xb1", b"Two."]).buffers()  # readers of Parquet take it as it comes
    texts = pa.StringArray.from_buffers(3, offsets, data)
    pq.write_table(pa.table({"id": ["1", "2", "3"], "text": texts}), tmp_path / "a.parquet")
    rows, (reject,) = read(tmp_path / "a.parquet")
    assert [row["source_id"] for row in rows] == ["1", "3"]
    assert (reject["reason"], reject["position"]) == (RejectReason.BAD_FIELD, 1)


def test_half_a_surrogate_pair_is_one_reject(tmp_path: Path) -> None:
    halves = rb'{"id": "1", "text": "Half \ud800."}', rb'{"id": "\udc00", "text": "Half."}'
    rows, rejects = read(jsonl(tmp_path / "a.jsonl", *halves, {"id": "3", "text": "Whole \U0001f600."}))
    assert [row["text"] for row in rows] == ["Whole \U0001f600."]
    assert [(reject["reason"], reject["position"]) for reject in rejects] == [
        (RejectReason.BAD_JSON, 0),
        (RejectReason.BAD_JSON, 1),
    ]


def test_parquet_of_nanoseconds_is_read_and_other_columns_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    dates = pa.array([1714550400123456789, 1714550400123456789], pa.timestamp("ns", "UTC"))
    crawl = pa.array([2**62, 0], pa.timestamp("us"))
    pq.write_table(pa.table({"id": ["a", "b"], "text": ["Body.", "x" * 300], "date": dates, "crawl": crawl}), path)
    (row,), (reject,) = read(path, ReadOptions(max_article_bytes=200))
    assert row["date_published"].startswith("2024-05-01T08:00:00.123456")
    assert (reject["source_id"], reject["reason"]) == ("b", RejectReason.TOO_LARGE)


def test_a_parquet_row_that_python_cannot_hold_costs_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    dates = pa.array([2**62, 0], pa.timestamp("us"))
    pq.write_table(pa.table({"id": ["a", "b"], "text": ["One.", "Two."], "date": dates}), path)
    (row,), (reject,) = read(path)
    assert (row["source_id"], reject["position"], reject["reason"]) == ("b", 0, RejectReason.BAD_FIELD)
