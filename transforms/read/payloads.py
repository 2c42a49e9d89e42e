"""What a message holds: JSON, Avro or an Arrow stream, told apart by its first bytes.

JSON needs no mark. Avro comes in the registry's wire format (a zero, the schema's id in four bytes, the datum) or
bare, on a topic that a schema is configured for. An Arrow IPC stream is one message of many rows.
"""

import functools
import http.client
import io
import struct
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any, NamedTuple

import fastavro
import orjson
import pyarrow as pa
from apache_beam.io.filesystems import FileSystems

from schemas.errors import Rejected, RejectReason, SourceAway, UsageError
from transforms.read.kafka_client import KafkaOptions, resolved
from transforms.read.records import batch_records, parse_json

_ARROW_MARK = b"\xff\xff\xff\xff"  # continuation of the encapsulated message format
_WIRE_MARK = b"\0"
_WIRE_BYTES = 5
_ARROW_ROWS = 64  # turned into Python values at a time
_SCHEMA_BYTES = 4 << 20
_REGISTRY_SECONDS = 30.0  # for an answer
_KNOWN_SECONDS = 600.0  # that a schema, or that there is none, is taken for true
_NOT_FOUND = 404


def payload_records(value: bytes, topic: str, options: KafkaOptions) -> Iterator[tuple[int | None, object]]:
    """The records of a message, as Python values; one that Python cannot hold is given as the error that it makes.

    Yields: the record's number among those of the message, or None where a message is one record; the record.

    Raises:
      Rejected: EMPTY, BAD_JSON, BAD_ENCODING, UNKNOWN_FORMAT, TRUNCATED (damaged Avro or Arrow), TOO_LARGE.
      SourceAway: the schema registry does not answer.
      UsageError: a schema, or the registry's address, is of no use.
    """
    if not value:
        raise Rejected(RejectReason.EMPTY, "a message of no bytes")
    if topic in options.avro_schemas:
        yield None, _avro(value, schema_of_file(options.avro_schemas[topic]))
    elif value.startswith(_ARROW_MARK):
        yield from enumerate(_arrow(value))
    elif value.startswith(_WIRE_MARK):
        yield None, _registered(value, options)
    else:
        yield None, parse_json(value, "the message")


def is_binary(value: bytes) -> bool:
    """Whether a sample of the message says more in hexadecimal digits."""
    return b"\0" in value or value.startswith(_ARROW_MARK)


def _registered(value: bytes, options: KafkaOptions) -> object:
    if not options.registry:
        detail = "begins with a zero, as in a schema registry's wire format: name it as [read.kafka] registry"
        raise Rejected(RejectReason.UNKNOWN_FORMAT, detail)
    if len(value) <= _WIRE_BYTES:
        raise Rejected(RejectReason.TRUNCATED, "ends before the datum")
    (number,) = struct.unpack_from(">I", value, 1)
    found = _registered_schema(
        options.registry, options.registry_authorization, number, int(time.time() // _KNOWN_SECONDS)
    )
    if isinstance(found, str):
        raise Rejected(RejectReason.UNKNOWN_FORMAT, f"schema {number}: {found}")
    datum = value[_WIRE_BYTES:]
    return _avro(datum, found.avro) if found.avro is not None else parse_json(datum, "the message")


def _avro(datum: bytes, schema: Any) -> object:
    """One datum, which must fill the message: one more or less is read by a schema that it was not written by."""
    source = io.BytesIO(datum)
    try:
        record = fastavro.schemaless_reader(source, schema, None)
    except Exception as error:
        detail = f"not of its Avro schema, or damaged: {type(error).__name__} at byte {source.tell()}: {error}"
        raise Rejected(RejectReason.TRUNCATED, detail) from error
    left = len(datum) - source.tell()
    if left:
        raise Rejected(RejectReason.TRUNCATED, f"not of its Avro schema, or damaged: {left} bytes are left over")
    return record


def _arrow(value: bytes) -> Iterator[object]:
    """Rows of an IPC stream; none where any part of it is damaged.

    What a stream says of itself is not believed: compressed buffers may say any size, and columns of nothing any
    number of rows. Kafka compresses its batches itself.
    """
    try:
        for message in pa.ipc.MessageReader.open_stream(pa.py_buffer(value)):
            if _is_compressed(message.metadata.to_pybytes()):
                detail = "an Arrow stream with compressed buffers: let the producer compress instead"
                raise Rejected(RejectReason.UNKNOWN_FORMAT, detail)
        with pa.ipc.open_stream(pa.py_buffer(value)) as reader:
            batches = list(reader)
            reader.schema.names  # noqa: B018 -- decodes them
        for batch in batches:
            batch.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise Rejected(RejectReason.TRUNCATED, f"a damaged Arrow stream: {error}") from error
    rows = sum(batch.num_rows for batch in batches)
    if not rows:
        raise Rejected(RejectReason.EMPTY, "an Arrow stream of no rows")
    if rows > len(value):
        raise Rejected(RejectReason.TOO_LARGE, f"says that it has {rows} rows in {len(value)} bytes")
    for batch in batches:
        for start in range(0, batch.num_rows, _ARROW_ROWS):
            yield from batch_records(batch.slice(start, _ARROW_ROWS))


def _is_compressed(metadata: bytes) -> bool:
    """Whether a message of an IPC stream has a BodyCompression.

    Source: Message.fbs of the Arrow format: Message.header is field 2, its type field 1; RecordBatch.compression is
    field 3; DictionaryBatch.data, a RecordBatch, field 1. Arrow has verified the flatbuffer when it gave the message.
    """
    (table,) = struct.unpack_from("<I", metadata)
    kind = _field(metadata, table, 1)
    batch = _field(metadata, table, 2)
    if not kind or not batch or metadata[kind] not in {2, 3}:
        return False
    batch = _followed(metadata, batch)
    if metadata[kind] == 2:  # noqa: PLR2004 -- MessageHeader.DictionaryBatch
        data = _field(metadata, batch, 1)
        if not data:
            return False
        batch = _followed(metadata, data)
    return bool(_field(metadata, batch, 3))


def _field(metadata: bytes, table: int, number: int) -> int:
    """Where a field of a flatbuffer's table is; 0 where it is not set."""
    vtable = table - struct.unpack_from("<i", metadata, table)[0]
    (size,) = struct.unpack_from("<H", metadata, vtable)
    slot = 4 + 2 * number
    offset = struct.unpack_from("<H", metadata, vtable + slot)[0] if slot < size else 0
    return table + offset if offset else 0


def _followed(metadata: bytes, at: int) -> int:
    return int(at + struct.unpack_from("<I", metadata, at)[0])


@functools.lru_cache(maxsize=64)
def schema_of_file(path: str) -> Any:
    """An Avro schema as fastavro has parsed it.

    Raises:
      UsageError: there is none in the file.
    """
    try:
        with FileSystems.open(path, "application/octet-stream", "uncompressed") as source:
            return fastavro.parse_schema(orjson.loads(source.read()))
    except (OSError, ValueError, fastavro.schema.SchemaParseException) as error:
        raise UsageError(f"{path}: no Avro schema: {error}") from error


@functools.lru_cache(maxsize=1024)
def _registered_schema(registry: str, authorization: str, number: int, _when: int) -> "_Registered | str":
    """Ask the registry for a schema, once in _KNOWN_SECONDS; or say why it is of no use."""
    place = f"{registry.rstrip('/')}/schemas/ids/{number}"
    request = urllib.request.Request(place)  # noqa: S310 -- http or https, as the options have seen
    if authorization:
        request.add_unredirected_header("Authorization", resolved(authorization))
    try:
        with urllib.request.urlopen(request, timeout=_REGISTRY_SECONDS) as answer:  # noqa: S310 -- likewise
            about = orjson.loads(answer.read(_SCHEMA_BYTES))
    except urllib.error.HTTPError as error:
        if error.code == _NOT_FOUND:
            return "the registry has none of that number"
        raise SourceAway(f"{place}: the schema registry answers {error.code} {error.reason}") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise SourceAway(f"{place}: the schema registry does not answer: {error}") from error
    kind = about.get("schemaType", "AVRO")
    if kind == "JSON":
        return _Registered(None)
    if kind != "AVRO":
        return f"is {kind}: we read AVRO and JSON"
    if about.get("references"):
        return "refers to other schemas, which we do not follow"
    try:
        return _Registered(fastavro.parse_schema(orjson.loads(about["schema"])))
    except (ValueError, KeyError, fastavro.schema.SchemaParseException) as error:
        return f"cannot be parsed: {type(error).__name__}: {error}"


class _Registered(NamedTuple):
    """A schema that messages can be read by."""

    avro: Any  # as fastavro has parsed it; None: they are JSON
