"""Messages of a range of offsets → raw rows, a reject for each that cannot be used.

A range ends at its last offset whether or not a message stands there: aborted transactions, their markers and
compaction leave gaps. A message of one record is named by its partition and offset; the rows of an Arrow message by
their number in it, and the message's offset stands behind the partition.
"""

import datetime as dt
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from apache_beam.metrics.metric import Metrics

from schemas.errors import CopydeskError, Rejected, RejectReason
from transforms.read.inputs import InputFile, ReadOptions, WorkItem
from transforms.read.kafka import partition_of
from transforms.read.kafka_client import Complaints, KafkaOptions, away, open_consumer
from transforms.read.payloads import is_binary, payload_records
from transforms.read.records import Outcome
from transforms.read.rows import YEARS, raw_row, reject_row

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message, TopicPartition

_TAKEN = 1024  # messages taken from the client's queue at a time
_WAIT_SECONDS = 1.0  # for the next of them
_SAMPLE = 800  # bytes


class Received(NamedTuple):
    """A message as it came."""

    offset: int
    value: bytes | None  # None: a tombstone
    milliseconds: int  # since 1970, by the producer's clock or the broker's; -1: not known


class Gone(NamedTuple):
    """Offsets that were deleted between the poll and the reading."""

    first: int
    stop: int


def read_kafka(item: WorkItem, options: ReadOptions) -> Iterator[Outcome]:
    """Read the messages of a range.

    Raises:
      SourceAway: the cluster, or the schema registry, does not answer.
    """
    (file,) = item.files
    topic, _ = partition_of(file)
    tombstones = Metrics.counter("read", "tombstones")
    for message in messages(file, item.start, item.stop, options.kafka):
        if isinstance(message, Gone):
            detail = (
                f"offsets {message.first} to {message.stop - 1} were deleted before they were read: up to "
                f"{message.stop - message.first} messages are gone"
            )
            lost = Rejected(RejectReason.UNREADABLE, detail)
            yield Outcome(reject_row(file.uri, message.first, lost), rejected=True)
        elif message.value is None:
            tombstones.inc()
        else:
            yield from outcomes(message, message.value, file, topic.name, options)


def outcomes(message: Received, value: bytes, file: InputFile, topic: str, options: ReadOptions) -> Iterator[Outcome]:
    """Decode one message."""
    sample = value[:_SAMPLE].hex() if is_binary(value) else value[:_SAMPLE].decode("utf-8", "replace")
    moment = _moment(message.milliseconds)
    uri, position = file.uri, message.offset
    try:
        if len(value) > options.max_article_bytes:
            detail = f"{len(value)} bytes, over {options.max_article_bytes} (read.max_article_bytes)"
            raise Rejected(RejectReason.TOO_LARGE, detail)  # noqa: TRY301 -- one way out for every reject
        for number, record in payload_records(value, topic, options.kafka):
            if number is not None:
                uri, position = f"{file.uri}:{message.offset}", number
            yield _outcome(record, (uri, position), options, sample, moment)
    except Rejected as error:
        yield Outcome(reject_row(uri, position, error, sample), rejected=True)
    except CopydeskError:
        raise
    except Exception as error:  # noqa: BLE001 -- a bug on one message is reported with it, and the rest goes on
        failed = Rejected(RejectReason.FAILED, f"{type(error).__name__}: {error}")
        yield Outcome(reject_row(uri, position, failed, sample), rejected=True)


def messages(file: InputFile, start: int, stop: int, options: KafkaOptions) -> Iterator[Received | Gone]:
    """Messages whose offset is in [start, stop).

    Raises:
      SourceAway: the cluster does not answer, or refuses.
    """
    from confluent_kafka import KafkaError, TopicPartition  # noqa: PLC0415 -- an extra

    topic, partition = partition_of(file)
    complaints = Complaints()
    at = start
    with open_consumer(topic.servers, options, complaints) as consumer:
        consumer.assign([TopicPartition(topic.name, partition, at)])
        for message in _events(consumer, file, options, complaints):
            fault, offset = message.error(), int(message.offset() or 0)
            if (fault is None or fault.code() == KafkaError._PARTITION_EOF) and offset >= stop:  # noqa: SLF001 -- so librdkafka names what it raises itself
                return
            if fault is None:
                at = offset + 1
                yield Received(offset, message.value(), message.timestamp()[1])
            elif fault.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001 -- likewise
                gone = _gone(consumer, TopicPartition(topic.name, partition), at, stop, options)
                if gone.first < gone.stop:
                    yield gone
                at = gone.stop
                consumer.assign([TopicPartition(topic.name, partition, at)])
            elif fault.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 -- likewise
                raise away(file.uri, options, fault.str())
            if at >= stop:
                return


def _events(
    consumer: "Consumer", file: InputFile, options: KafkaOptions, complaints: Complaints
) -> Iterator["Message"]:
    """Messages and events as soon as there are any; `consume` alone would wait until it has all that it may take."""
    heard = time.monotonic()
    while True:
        first = consumer.poll(_WAIT_SECONDS)
        if first is not None:
            yield first
            yield from consumer.consume(_TAKEN, 0)
            heard = time.monotonic()  # whoever takes them may take long
        elif time.monotonic() - heard > options.timeout_seconds:
            raise away(file.uri, options, complaints.last)


def _gone(consumer: "Consumer", place: "TopicPartition", at: int, stop: int, options: KafkaOptions) -> Gone:
    """What of a range the log no longer holds; nothing where it holds all, or the cluster does not say."""
    from confluent_kafka import KafkaException  # noqa: PLC0415 -- an extra

    try:
        first, end = consumer.get_watermark_offsets(place, timeout=options.timeout_seconds, cached=False)
    except KafkaException:
        return Gone(at, at)
    if at < first:
        return Gone(at, min(first, stop))
    return Gone(at, stop if at > end else at)


def _outcome(
    record: object, place: tuple[str, int], options: ReadOptions, sample: str, moment: dt.datetime | None
) -> Outcome:
    try:
        if isinstance(record, Exception):
            raise Rejected(RejectReason.BAD_FIELD, str(record))  # noqa: TRY301 -- one way out for every reject
        if not isinstance(record, dict):
            kind = type(record).__name__
            raise Rejected(RejectReason.NOT_AN_OBJECT, f"a {kind}, not an object")  # noqa: TRY301 -- as above
        row = raw_row(record, *place, options.fields)
    except Rejected as error:
        name = record.get("id") if isinstance(record, dict) else None
        return Outcome(reject_row(*place, error, sample, None if name is None else str(name)), rejected=True)
    row["fetched_at"] = row["fetched_at"] or moment
    return Outcome(row)


def _moment(milliseconds: int) -> dt.datetime | None:
    """A message's time, where it can be one of a fetch."""
    try:
        moment = dt.datetime.fromtimestamp(milliseconds / 1000, dt.UTC)
    except (OverflowError, ValueError, OSError):
        return None
    return moment if YEARS[0] <= moment.year <= YEARS[1] else None
