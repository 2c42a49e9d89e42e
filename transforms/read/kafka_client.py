"""How a Kafka cluster is spoken to: what may be configured, clients of ours, and what their silence means.

Offsets live in the manifest alone. So no client joins a group or commits an offset, and all read only what
transactions have committed.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from schemas.errors import SourceAway, UsageError

if TYPE_CHECKING:
    import confluent_kafka
    import confluent_kafka.admin

_OURS: Mapping[str, Any] = {
    "group.id": "copydesk",  # librdkafka wants one; nothing is ever kept under it
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "enable.partition.eof": True,  # a range may end in markers of transactions, which are never shown
    "auto.offset.reset": "error",  # what retention took is said, not passed over
    "isolation.level": "read_committed",
    "allow.auto.create.topics": False,
    "max.poll.interval.ms": 86_400_000,  # the stages after reading may take their time
    "log_level": 2,  # what goes wrong is told by the callback
}
_PREFETCH: Mapping[str, Any] = {  # of one consumer, which reads one range; theirs to change
    "queued.min.messages": 2048,
    "queued.max.messages.kbytes": 16 << 10,
    "fetch.queue.backoff.ms": 10,  # a second by default, which is how long a drained queue then stands empty
}


@dataclass(frozen=True)
class KafkaOptions:
    """How topics are read: the servers' side, and what their messages hold."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    settings: Mapping[str, str] = field(
        default_factory=dict
    )  # librdkafka's; "$NAME" is an environment variable's value
    timeout_seconds: float = 30.0  # without any answer, before a cluster counts as away
    max_messages: int = 1_000_000  # of one poll, over all partitions; the next poll goes on from there
    avro_schemas: Mapping[str, str] = field(default_factory=dict)  # topic of bare Avro → file with its schema
    registry: str = ""  # URL of the schema registry, for Avro and JSON in its wire format
    registry_authorization: str = ""  # the header's value; "$NAME" is an environment variable's value

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        if self.timeout_seconds <= 0 or self.max_messages < 1:
            raise ValueError("timeout_seconds must be over 0 and max_messages 1 or more")
        ours = sorted({"bootstrap.servers", "metadata.broker.list", *_OURS} & set(self.settings))
        if ours:
            raise ValueError(f"settings: {ours[0]} is not yours to set: exactly-once reading rests on it")
        parts = urlsplit(self.registry)
        if self.registry and (parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc):
            raise ValueError("registry must be an http or https URL without a password: see registry_authorization")


class Complaints:
    """The last thing that a client said was wrong."""

    def __init__(self) -> None:
        self.last = ""

    def __call__(self, error: object) -> None:
        """Keep it; a client calls this."""
        self.last = str(getattr(error, "str", lambda: error)())


def resolved(value: str) -> str:
    """A setting as it stands, or the environment variable that it names.

    Raises:
      UsageError: there is no such variable.
    """
    if not value.startswith("$"):
        return value
    try:
        return os.environ[value[1:]]
    except KeyError:
        raise UsageError(f"[read.kafka]: {value} is not set in the environment") from None


def open_admin(servers: str, options: KafkaOptions, complaints: Complaints) -> "confluent_kafka.admin.AdminClient":
    """Make a client that asks about topics."""
    from confluent_kafka.admin import AdminClient  # noqa: PLC0415 -- an extra

    with _settings_explained():
        return AdminClient(_configuration(servers, options, complaints))


@contextmanager
def open_consumer(servers: str, options: KafkaOptions, complaints: Complaints) -> Iterator["confluent_kafka.Consumer"]:
    """Make a consumer that is assigned its partition by us, and close it after."""
    from confluent_kafka import Consumer  # noqa: PLC0415 -- an extra

    with _settings_explained():
        consumer = Consumer({**_PREFETCH, **_configuration(servers, options, complaints), **_OURS})
    try:
        yield consumer
    finally:
        consumer.close()


def away(uri: str, options: KafkaOptions, complaint: str) -> SourceAway:
    """What to raise when a cluster does not answer, or refuses; `complaint` is what the client says of it."""
    said = complaint or f"no answer within {options.timeout_seconds:g} s"
    return SourceAway(
        f"{uri}: cannot be read now: {said}; nothing was committed: "
        "see that the broker is up and [read.kafka.settings] fit it, and run it again"
    )


def answers(
    uri: str, futures: Iterable[Any], options: KafkaOptions, complaints: Complaints, serve: Callable[[], Any]
) -> list[Any]:
    """Results of an admin client's calls.

    Args:
      uri: what was asked about.
      futures: the calls, waited for in turn.
      options: how long they may take.
      complaints: the client's.
      serve: lets the client say what is wrong, through `complaints`.

    Raises:
      SourceAway: the cluster did not answer, or refused for now.
      UsageError: there is no such topic, or we may not ask.
    """
    from confluent_kafka import KafkaError, KafkaException  # noqa: PLC0415 -- an extra

    final = {
        KafkaError.UNKNOWN_TOPIC_OR_PART: "there is no such topic",
        KafkaError.TOPIC_EXCEPTION: "that is no name of a topic",
        KafkaError.TOPIC_AUTHORIZATION_FAILED: "the cluster does not let us read the topic",
    }
    try:
        return [future.result() for future in futures]
    except KafkaException as error:
        fault = error.args[0]
        if fault.code() in final:
            raise UsageError(f"{uri}: {final[fault.code()]}") from error
        serve()
        raise away(uri, options, complaints.last or fault.str()) from error


def _configuration(servers: str, options: KafkaOptions, complaints: Complaints) -> dict[str, Any]:
    given = {name: resolved(value) for name, value in options.settings.items()}
    return {**given, "bootstrap.servers": servers, "log_level": _OURS["log_level"], "error_cb": complaints}


@contextmanager
def _settings_explained() -> Iterator[None]:
    """Say of a setting that librdkafka refuses which it is, never its value."""
    from confluent_kafka import KafkaException  # noqa: PLC0415 -- an extra

    try:
        yield
    except KafkaException as error:
        raise UsageError(f"[read.kafka.settings]: {error.args[0].str()}") from error
