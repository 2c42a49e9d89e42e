"""A Kafka broker of one node, for a test: started on free ports, killed, started again, stopped."""

import contextlib
import json
import socket
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic  # type: ignore[attr-defined]

from tests.engines.fetch_kafka import fetch

PASSWORD = "open sesame"  # noqa: S105 -- of a broker that lives as long as its tests
_START_SECONDS = 240
_JAAS = f'org.apache.kafka.common.security.plain.PlainLoginModule required user_desk="{PASSWORD}";'


class Broker:
    """One node, broker and controller (KRaft); a plain listener, and one that asks for a password."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = _free_ports(3)
        self._classes = f"{fetch()}/*"
        self._properties = folder / "server.properties"
        self._properties.write_text("".join(f"{name}={value}\n" for name, value in self._settings().items()))
        self._java("kafka.tools.StorageTool", "format", "-t", "A" * 22, "-c", str(self._properties)).wait(60)
        self._process: subprocess.Popen[bytes] | None = None
        self.admin = AdminClient({"bootstrap.servers": self.server, "log_level": 2})
        self.start()

    @property
    def server(self) -> str:
        return f"127.0.0.1:{self._ports[0]}"

    @property
    def guarded_server(self) -> str:
        """Where user `desk` says PASSWORD."""
        return f"127.0.0.1:{self._ports[1]}"

    def uri(self, topic: str) -> str:
        return f"kafka://{self.server}/{topic}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._process = self._java("kafka.Kafka", str(self._properties))
        self.admin.list_topics(timeout=_START_SECONDS)

    def kill(self) -> None:
        """End it as a power failure would."""
        if self._process:
            self._process.kill()
            self._process.wait(30)

    def make_topic(self, name: str, partitions: int = 1, **settings: str) -> str:
        config = {key.replace("_", "."): value for key, value in settings.items()}
        _done(self.admin.create_topics([NewTopic(name, partitions, 1, config=config)]))
        return name

    def grow_topic(self, name: str, partitions: int) -> None:
        _done(self.admin.create_partitions([NewPartitions(name, partitions)]))

    def delete_topic(self, name: str) -> None:
        _done(self.admin.delete_topics([name]))

    def delete_before(self, name: str, partition: int, offset: int) -> None:
        """Do what retention does, now."""
        _done(self.admin.delete_records([TopicPartition(name, partition, offset)]))

    def producer(self, **settings: Any) -> Producer:
        config = {key.replace("_", "."): value for key, value in settings.items()}
        return Producer({"bootstrap.servers": self.server, "log_level": 2, "linger.ms": 5, **config})

    def send(self, topic: str, records: Iterable[Mapping[str, Any] | bytes | None], partitions: int = 1) -> None:
        """Append JSON, bytes or tombstones, to the partitions in turn."""
        producer = self.producer()
        for number, record in enumerate(records):
            value = json.dumps(record) if isinstance(record, Mapping) else record
            producer.produce(topic, value, key=str(number), partition=number % partitions)
            producer.poll(0)
        assert not producer.flush(30)

    def _java(self, *arguments: str) -> subprocess.Popen[bytes]:
        with (self._folder / "broker.log").open("ab") as log:
            command = ["java", "-Xmx384m", "-XX:TieredStopAtLevel=1", "-cp", self._classes, *arguments]
            return subprocess.Popen(command, stdout=log, stderr=log)

    def _settings(self) -> dict[str, object]:
        plain, guarded, controller = (f"127.0.0.1:{port}" for port in self._ports)
        return {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@{controller}",
            "listeners": f"PLAINTEXT://{plain},GUARDED://{guarded},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{plain},GUARDED://{guarded}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,GUARDED:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT",
            "listener.name.guarded.sasl.enabled.mechanisms": "PLAIN",
            "listener.name.guarded.plain.sasl.jaas.config": _JAAS,
            "controller.listener.names": "CONTROLLER",
            "log.dirs": self._folder / "logs",
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 1,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "transaction.state.log.num.partitions": 1,
            "auto.create.topics.enable": "true",  # so that a test sees whether we create what we only ask for
            "log.cleaner.backoff.ms": 100,
            "log.initial.task.delay.ms": 100,
        }


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]


def _done(futures: Mapping[Any, Any]) -> None:
    for future in futures.values():
        future.result(30)
