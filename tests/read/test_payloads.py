"""Messages become rows, or a reject that says why; what a message says of itself is not believed."""

import datetime as dt
import io
import json
import struct
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fastavro
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import RejectReason, SourceAway, UsageError
from transforms.read import payloads
from transforms.read.inputs import InputFile, ReadOptions
from transforms.read.kafka_client import KafkaOptions
from transforms.read.messages import Received, outcomes
from transforms.read.payloads import schema_of_file
from transforms.read.records import Outcome

SCHEMA = {
    "type": "record",
    "name": "Article",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "title", "type": ["null", "string"]},
        {"name": "text", "type": "string"},
        {"name": "published_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    ],
}
RECORD = {
    "id": "7",
    "title": "A headline",
    "text": "A body of some words.",
    "published_at": dt.datetime(2024, 5, 1, 8, tzinfo=dt.UTC),
}
URI = "kafka://a.example:9092/desk#3"
_LIES = st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=8)


def received(value: bytes, options: ReadOptions | None = None, milliseconds: int = -1) -> list[Outcome]:
    message = Received(41, value, milliseconds)
    return list(outcomes(message, value, InputFile(URI, 0), "desk", options or ReadOptions()))


def reason_of(value: bytes, options: ReadOptions | None = None) -> str:
    (outcome,) = received(value, options)
    assert outcome.rejected
    assert (outcome.row["source_uri"], outcome.row["position"]) == (URI, 41)
    return str(outcome.row["reason"])


def datum() -> bytes:
    sink = io.BytesIO()
    fastavro.schemaless_writer(sink, SCHEMA, RECORD)
    return sink.getvalue()


def stream(table: pa.Table, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def table(rows: int = 3) -> pa.Table:
    return pa.table(
        {
            "id": [str(number) for number in range(rows)],
            "title": pa.array(["One headline"] * rows).dictionary_encode(),
            "text": [f"Body of number {number}." for number in range(rows)],
        }
    )


@pytest.fixture
def bare(tmp_path: Path) -> ReadOptions:
    path = tmp_path / "article.avsc"
    path.write_text(json.dumps(SCHEMA))
    return ReadOptions(kafka=KafkaOptions(avro_schemas={"desk": str(path)}))


@pytest.fixture
def registry() -> Iterator[tuple[ReadOptions, dict[int, tuple[int, dict[str, Any]]], list[str]]]:
    """A schema registry: what it answers by id, and the Authorization of each request."""
    answers: dict[int, tuple[int, dict[str, Any]]] = {}
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(str(self.headers["Authorization"]))
            status, body = answers.get(int(self.path.removeprefix("/schemas/ids/")), (404, {}))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        options = KafkaOptions(registry=f"http://127.0.0.1:{server.server_port}", registry_authorization="Bearer abc")
        yield ReadOptions(kafka=options), answers, asked
        server.shutdown()


def test_json_is_a_row_and_the_time_of_its_message_that_of_its_fetch() -> None:
    (outcome,) = received(b'{"id": 7, "title": "A headline"}', milliseconds=1_700_000_000_123)
    assert not outcome.rejected
    assert (outcome.row["source_uri"], outcome.row["position"]) == (URI, 41)
    assert outcome.row["fetched_at"] == dt.datetime(2023, 11, 14, 22, 13, 20, 123_000, tzinfo=dt.UTC)


@pytest.mark.parametrize("milliseconds", [-1, 0, 1 << 62, -(1 << 62)])
def test_a_time_that_nothing_was_fetched_at_is_not_taken(milliseconds: int) -> None:
    (outcome,) = received(b'{"title": "A headline"}', milliseconds=milliseconds)
    assert outcome.row["fetched_at"] is None


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", RejectReason.EMPTY),
        (b"{broken", RejectReason.BAD_JSON),
        (b"[1, 2]", RejectReason.NOT_AN_OBJECT),
        (b'{"text": "caf\xe9"}', RejectReason.BAD_ENCODING),
        (b'{"url": "https://a.example"}', RejectReason.MISSING_TEXT),
        (b'{"text": 5}', RejectReason.BAD_FIELD),
        (b'{"text": "' + b"word " * 40 + b'"}', RejectReason.TOO_LARGE),
        (b"\0\0\0\0\7datum", RejectReason.UNKNOWN_FORMAT),
        (b"\xff\xff\xff\xff", RejectReason.TRUNCATED),
        (b"\xff\xff\xff\xff\x10\0\0\0" + bytes(16), RejectReason.TRUNCATED),
    ],
)
def test_a_message_that_cannot_be_used_is_rejected_by_its_offset(value: bytes, reason: RejectReason) -> None:
    assert reason_of(value, ReadOptions(max_article_bytes=100)) == reason


def test_a_reject_shows_a_sample_and_the_id() -> None:
    (outcome,) = received(b'{"id": "x7", "text": 5}')
    assert (outcome.row["sample"], outcome.row["source_id"]) == ('{"id": "x7", "text": 5}', "x7")
    (binary,) = received(b"\0\0\0\0\7datum")
    assert binary.row["sample"] == "0000000007646174756d"


def test_bare_avro_is_read_by_the_schema_of_its_topic(bare: ReadOptions) -> None:
    (outcome,) = received(datum(), bare)
    assert (outcome.row["source_id"], outcome.row["headline"], outcome.row["text"]) == (
        "7",
        "A headline",
        "A body of some words.",
    )
    assert outcome.row["date_published"] == "2024-05-01T08:00:00+00:00"


@pytest.mark.parametrize("damaged", [datum()[:-9], datum() + b"\0", b"\x01" + datum(), bytes(3)])
def test_avro_that_its_schema_does_not_fill_is_rejected(bare: ReadOptions, damaged: bytes) -> None:
    assert reason_of(damaged, bare) == RejectReason.TRUNCATED


def test_a_file_that_holds_no_schema_is_named(tmp_path: Path) -> None:
    path = tmp_path / "article.avsc"
    path.write_text('{"type": "recod"}')
    with pytest.raises(UsageError, match=r"article\.avsc: no Avro schema"):
        schema_of_file(str(path))


def test_the_registry_is_asked_once_for_a_schema(registry: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    options, answers, asked = registry
    monkeypatch.setattr(payloads, "time", SimpleNamespace(time=lambda: 0.0))
    answers[7] = (200, {"schema": json.dumps(SCHEMA)})
    answers[8] = (200, {"schema": "{}", "schemaType": "JSON"})
    for _ in range(3):
        (avro,) = received(b"\0" + struct.pack(">I", 7) + datum(), options)
        (plain,) = received(b"\0" + struct.pack(">I", 8) + b'{"title": "A headline"}', options)
        assert avro.row["headline"] == plain.row["headline"] == "A headline"
    assert asked == ["Bearer abc"] * 2


def test_a_schema_that_is_registered_later_is_found_in_time(registry: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    options, answers, asked = registry
    message = b"\0" + struct.pack(">I", 9) + datum()
    monkeypatch.setattr(payloads, "time", SimpleNamespace(time=lambda: 0.0))
    assert [reason_of(message, options) for _ in range(2)] == [RejectReason.UNKNOWN_FORMAT] * 2
    answers[9] = (200, {"schema": json.dumps(SCHEMA)})
    monkeypatch.setattr(payloads, "time", SimpleNamespace(time=lambda: 600.0))
    (outcome,) = received(message, options)
    assert outcome.row["headline"] == "A headline"
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "has none of that number"),
        ({"schema": "", "schemaType": "PROTOBUF"}, "is PROTOBUF"),
        ({"schema": json.dumps(SCHEMA), "references": [{"name": "x"}]}, "refers to other schemas"),
        ({"schema": "{broken"}, "cannot be parsed"),
        ({}, "cannot be parsed"),
    ],
)
def test_a_message_whose_schema_is_of_no_use_is_rejected(registry: Any, answer: Any, said: str) -> None:
    options, answers, _ = registry
    if answer is not None:
        answers[7] = (200, answer)
    (outcome,) = received(b"\0\0\0\0\7datum", options)
    assert outcome.row["reason"] == RejectReason.UNKNOWN_FORMAT
    assert said in outcome.row["detail"]


def test_a_registry_that_fails_ends_the_reading_and_rejects_nothing(registry: Any) -> None:
    options, answers, _ = registry
    answers[7] = (503, {})
    with pytest.raises(SourceAway, match="answers 503"):
        received(b"\0\0\0\0\7datum", options)
    away = ReadOptions(kafka=KafkaOptions(registry="http://127.0.0.1:1"))
    with pytest.raises(SourceAway, match="does not answer"):
        received(b"\0\0\0\0\7datum", away)


def test_the_rows_of_an_arrow_stream_are_named_by_their_number_in_it() -> None:
    found = received(stream(table(200)))
    assert [outcome.row["source_id"] for outcome in found] == [str(number) for number in range(200)]
    assert {outcome.row["headline"] for outcome in found} == {"One headline"}
    assert [outcome.row["position"] for outcome in found] == list(range(200))
    assert {outcome.row["source_uri"] for outcome in found} == {f"{URI}:41"}


def test_one_row_that_cannot_be_used_leaves_the_others() -> None:
    two = pa.table({"id": ["1", "2"], "text": ["Body.", ""], "date": pa.array([0, 1 << 62], pa.timestamp("s"))})
    good, bad = received(stream(two.set_column(2, "date", pa.array([0, 1], pa.timestamp("s")))))
    assert (good.rejected, bad.rejected, bad.row["reason"], bad.row["position"]) == (False, True, "missing_text", 1)
    good, bad = received(stream(two))
    assert (good.rejected, bad.rejected, bad.row["reason"], bad.row["position"]) == (False, True, "bad_field", 1)


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_compressed_buffers_are_refused_before_they_are_opened(codec: str) -> None:
    bomb = pa.table({"text": ["word " * 1_000_000]})
    assert reason_of(stream(bomb, compression=codec)) == RejectReason.UNKNOWN_FORMAT
    hidden = pa.table({"title": pa.array(["word " * 1_000_000]).dictionary_encode()})
    assert reason_of(stream(hidden, compression=codec)) == RejectReason.UNKNOWN_FORMAT


def test_rows_of_nothing_are_not_counted_out() -> None:
    nothing = pa.RecordBatch.from_arrays([pa.Array.from_buffers(pa.null(), 1 << 40, [None])], ["text"])
    assert reason_of(stream(pa.Table.from_batches([nothing]), allow_64bit=True)) == RejectReason.TOO_LARGE
    assert reason_of(stream(table(0))) == RejectReason.EMPTY


@given(lies=_LIES)
def test_no_damage_to_a_stream_does_more_than_reject(lies: list[tuple[int, int]]) -> None:
    value = bytearray(stream(table()))
    for at, byte in lies:
        value[at % len(value)] = byte
    assert all(outcome.rejected or outcome.row["text"] or outcome.row["headline"] for outcome in received(bytes(value)))


@given(lies=_LIES, value=st.binary(max_size=60))
def test_no_damage_to_a_datum_does_more_than_reject(
    tmp_path_factory: pytest.TempPathFactory, lies: list[tuple[int, int]], value: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.avsc"
    if not path.exists():
        path.write_text(json.dumps(SCHEMA))
    options = ReadOptions(kafka=KafkaOptions(avro_schemas={"desk": str(path)}))
    damaged = bytearray(datum())
    for at, byte in lies:
        damaged[at % len(damaged)] = byte
    for each in (bytes(damaged), value):
        (outcome,) = received(each, options)
        assert not outcome.rejected or outcome.row["reason"] != RejectReason.FAILED
