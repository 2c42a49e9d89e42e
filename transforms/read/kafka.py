"""KafkaSource: a topic, as ranges of offsets that are new since the cursor.

The cursor is {"topic": the topic's id, "offsets": {partition: next offset}} and is committed with what came of the
messages before it. A poll reads no message: it asks where the partitions begin and end, so that a range read twice
holds the same messages. What is gone before it was read is refused by name, never passed over.
"""

import importlib.util
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from schemas.blocks import BLOCK_ROWS
from schemas.errors import RejectReason, UsageError
from transforms.read.inputs import InputFile, ReadOptions, Refused, WorkItem
from transforms.read.kafka_client import Complaints, KafkaOptions, answers, open_admin
from transforms.read.payloads import schema_of_file
from transforms.read.source import Cursor, Polled

SCHEME = "kafka://"
RANGE_MESSAGES = 8 * BLOCK_ROWS  # of one work item
_PORT = 9092
_NO_ID = {None, "", "AAAAAAAAAAAAAAAAAAAAAA"}  # of a topic's ids; the last is what librdkafka makes of none
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")


class Topic(NamedTuple):
    """A topic and where it is."""

    servers: str  # HOST:PORT, comma-separated, sorted
    name: str

    @property
    def uri(self) -> str:
        """Without whatever a user may not want to see in a log."""
        return f"{SCHEME}{self.servers}/{self.name}"

    def file(self, partition: int) -> InputFile:
        """What rejects and rows name as the file of a partition's messages; `partition_of` reads it."""
        return InputFile(f"{self.uri}#{partition}", 0)


class Log(NamedTuple):
    """What a topic holds now."""

    topic_id: str  # one of _NO_ID where a cluster is too old to give one
    bounds: Mapping[int, tuple[int, int]]  # partition → the first offset held, the one after the last committed


@dataclass(frozen=True)
class KafkaSource:
    """`kafka://HOST:PORT[,HOST:PORT]/TOPIC[?from=latest]`: all of a topic, or from now on."""

    topic: Topic
    options: KafkaOptions
    latest: bool = False  # begin at the end of the topic

    @classmethod
    def of(cls, uri: str, options: KafkaOptions) -> "KafkaSource":
        """Understand a URI.

        Raises:
          UsageError: it cannot be meant, its schema cannot be read, or the extra is not installed.
        """
        topic, query = parse_uri(uri)
        begin = query.pop("from", ["earliest"])[-1]
        if query or begin not in {"earliest", "latest"}:
            raise UsageError(f"{topic.uri}: only ?from=earliest and ?from=latest can be asked for")
        if importlib.util.find_spec("confluent_kafka") is None:
            raise UsageError(f"{topic.uri}: Kafka needs its client: pip install 'copydesk[kafka]'")
        if topic.name in options.avro_schemas:
            schema_of_file(options.avro_schemas[topic.name])
        return cls(topic, options, begin == "latest")

    @property
    def uri(self) -> str:
        """The topic's name in the manifest."""
        return self.topic.uri

    def poll(self, cursor: Cursor, spool: Path) -> Polled:  # noqa: ARG002 -- nothing is fetched before it is read
        """Ask for the offsets that are new.

        Raises:
          UsageError: there is no such topic, or it may not be read.
          SourceAway: the cluster does not answer.
        """
        return new_ranges(self.topic, cursor, self._log(), self.options.max_messages, latest=self.latest)

    def _log(self) -> Log:
        from confluent_kafka import IsolationLevel, TopicCollection, TopicPartition  # noqa: PLC0415 -- an extra
        from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]  # noqa: PLC0415 -- likewise

        said = Complaints()
        admin = open_admin(self.topic.servers, self.options, said)
        patience = self.options.timeout_seconds

        def serve() -> None:
            admin.poll(0)

        described = admin.describe_topics(TopicCollection([self.topic.name]), request_timeout=patience)
        (about,) = answers(self.uri, described.values(), self.options, said, serve)
        partitions = sorted(each.id for each in about.partitions)
        ends = []
        for spec in (OffsetSpec.latest(), OffsetSpec.earliest()):  # type: ignore[no-untyped-call]  # so that a first offset is never older than an end
            asked = {TopicPartition(self.topic.name, partition): spec for partition in partitions}
            found = admin.list_offsets(asked, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=patience)
            results = answers(self.uri, found.values(), self.options, said, serve)
            ends.append({at.partition: result.offset for at, result in zip(found, results, strict=True)})
        last, first = ends
        return Log(
            str(about.topic_id or ""), {each: (first[each], max(first[each], last[each])) for each in partitions}
        )


def parse_uri(uri: str) -> tuple[Topic, dict[str, list[str]]]:
    """Take a URI apart.

    Raises:
      UsageError: it names no server or no topic, or holds a password.
    """
    parts = urlsplit(uri)
    topic = parts.path.removeprefix("/")
    if "@" in parts.netloc:
        raise UsageError(
            f"{SCHEME}…@{parts.netloc.rpartition('@')[2]}{parts.path}: a URI is logged and kept: put user and password "
            "under [read.kafka.settings] as sasl.username and sasl.password"
        )
    servers = []
    for server in filter(None, parts.netloc.split(",")):
        found = re.fullmatch(r"([\w.-]+|\[[0-9a-fA-F:.]+\])(?::(\d{1,5}))?", server)
        if not found:
            raise UsageError(f"{uri}: {server!r} is not HOST or HOST:PORT")
        servers.append(f"{found[1].lower()}:{found[2] or _PORT}")
    if not servers or not _TOPIC.fullmatch(topic):
        raise UsageError(f"{uri}: expected {SCHEME}HOST:PORT[,HOST:PORT]/TOPIC")
    return Topic(",".join(sorted(set(servers))), topic), parse_qs(parts.query, keep_blank_values=True)


def partition_of(file: InputFile) -> tuple[Topic, int]:
    """The partition that `Topic.file` named."""
    uri, _, partition = file.uri.rpartition("#")
    return parse_uri(uri)[0], int(partition)


def new_ranges(topic: Topic, cursor: Cursor, log: Log, most: int, *, latest: bool = False) -> Polled:
    """What lies between a cursor and the end of a topic.

    Args:
      topic: whose.
      cursor: of the poll before; empty on the first.
      log: what the topic holds now.
      most: messages to take at most, shared among the partitions so that none waits for another.
      latest: a first poll takes nothing.
    """
    known = {int(partition): int(offset) for partition, offset in cursor.get("offsets", {}).items()}
    refused = []
    if log.topic_id not in _NO_ID and cursor.get("topic") not in {log.topic_id, *_NO_ID}:
        detail = (
            f"the topic was deleted and made anew: what the old one held from offsets {_listed(known)} on is lost; "
            "the new one is read from its beginning"
        )
        refused.append(Refused(topic.uri, RejectReason.UNREADABLE, detail))
        known = {}
    begun = {}
    for partition, (first, end) in log.bounds.items():
        unseen = 0 if cursor else end if latest else first  # of a partition that came later, all was to be read
        at = known.pop(partition, unseen)
        begun[partition] = min(max(at, first), end)
        if at != begun[partition]:
            detail = _lost(at, first) if at < first else _cut(at, end)
            refused.append(Refused(topic.file(partition).uri, RejectReason.UNREADABLE, detail))
    for partition, offset in known.items():
        detail = f"the partition is gone; it was read up to offset {offset}"
        refused.append(Refused(topic.file(partition).uri, RejectReason.UNREADABLE, detail))
    stops = _stops(begun, log, most)
    items = [item for partition, stop in stops.items() for item in _items(topic, partition, begun[partition], stop)]
    offsets = {str(partition): stop for partition, stop in stops.items()}
    begins = latest and not cursor
    return Polled(tuple(items), tuple(refused), {"topic": log.topic_id, "offsets": offsets}, begins)


def _lost(at: int, first: int) -> str:
    return (
        f"offsets {at} to {first - 1} were deleted before they were read: up to {first - at} messages are gone "
        "(the topic's retention is shorter than the time between two polls)"
    )


def _cut(at: int, end: int) -> str:
    return (
        f"the partition ends at offset {end} and had been read to {at}: the cluster lost its last {at - end} messages "
        f"after they were read; it is read on from {end}"
    )


def _stops(begun: Mapping[int, int], log: Log, most: int) -> dict[int, int]:
    """Where each partition's ranges end; those with little to give leave their share to the others."""
    left, stops = most, {}
    waiting = sorted(begun, key=lambda partition: (log.bounds[partition][1] - begun[partition], partition))
    for place, partition in enumerate(waiting):
        share = left // (len(waiting) - place)
        taken = min(log.bounds[partition][1] - begun[partition], share)
        stops[partition] = begun[partition] + taken
        left -= taken
    return dict(sorted(stops.items()))


def _items(topic: Topic, partition: int, start: int, stop: int) -> Iterator[WorkItem]:
    for at in range(start, stop, RANGE_MESSAGES):
        yield WorkItem("kafka", (topic.file(partition),), at, min(at + RANGE_MESSAGES, stop), at)


def _listed(offsets: Mapping[int, int]) -> str:
    return ", ".join(f"{partition}:{offset}" for partition, offset in sorted(offsets.items()))


def open_source(uri: str, options: ReadOptions) -> KafkaSource:
    """Open the source that a URI names, as `transforms.read.sources` asks for it.

    Raises:
      UsageError: as `KafkaSource.of`.
    """
    return KafkaSource.of(uri, options.kafka)
