"""Topics of a real broker: every message that was committed is read once, and what is gone is said."""

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.metrics.metric import MetricsFilter
from confluent_kafka import KafkaException

from pipeline.engine import new_pipeline, pipeline_options
from pipeline.failures import explained
from schemas.errors import RejectReason, SourceAway, UsageError
from tests.engines.broker import PASSWORD, Broker
from transforms.read.articles import ReadArticles, read_item
from transforms.read.inputs import ReadOptions, WorkItem
from transforms.read.kafka import RANGE_MESSAGES, KafkaSource
from transforms.read.kafka_client import KafkaOptions
from transforms.read.records import Outcome
from transforms.read.source import Cursor, Polled

pytestmark = pytest.mark.engines

QUICK = KafkaOptions(timeout_seconds=2)
_WAIT_SECONDS = 60


@pytest.fixture
def topic(request: pytest.FixtureRequest) -> str:
    """A name of the test's own."""
    return str(request.node.name).replace("[", "-").replace("]", "")


def article(number: int) -> dict[str, Any]:
    return {"id": str(number), "headline": f"Headline {number}", "text": f"Body of number {number}."}


def articles(start: int, stop: int) -> list[dict[str, Any]]:
    return [article(number) for number in range(start, stop)]


def poll(broker: Broker, topic: str, cursor: Cursor | None = None, options: KafkaOptions | None = None) -> Polled:
    source = KafkaSource.of(broker.uri(topic), options or KafkaOptions())
    return source.poll(cursor or {}, Path("unused"))


def read(polled: Polled, options: KafkaOptions | None = None) -> list[Outcome]:
    given = ReadOptions(kafka=options or KafkaOptions())
    return [outcome for item in polled.items for outcome in read_item(item, given)]


def ids(outcomes: list[Outcome]) -> list[str]:
    assert not [each.row for each in outcomes if each.rejected]
    return sorted((each.row["source_id"] for each in outcomes), key=int)


def numbers(start: int, stop: int) -> list[str]:
    return [str(number) for number in range(start, stop)]


def until(met: Callable[[], bool]) -> None:
    """Wait for something that the broker does in its own time."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_each_message_is_read_once_and_a_new_partition_is_found(broker: Broker, topic: str) -> None:
    broker.make_topic(topic, partitions=3)
    broker.send(topic, articles(0, 100), partitions=3)
    first = poll(broker, topic)
    again = poll(broker, topic)
    assert first == again
    assert ids(read(first)) == numbers(0, 100)
    assert poll(broker, topic, first.cursor) == Polled((), (), first.cursor)
    broker.grow_topic(topic, 4)
    broker.send(topic, articles(100, 140), partitions=4)
    second = poll(broker, topic, first.cursor)
    assert ids(read(second)) == numbers(100, 140)
    assert {item.files[0].uri for item in second.items} == {f"{broker.uri(topic)}#{each}" for each in range(4)}


def test_where_a_message_lay_and_when_it_came_is_known(broker: Broker, topic: str) -> None:
    broker.make_topic(topic)
    producer = broker.producer()
    producer.produce(topic, b'{"id": "a", "text": "One."}', timestamp=1_700_000_000_000)
    producer.produce(topic, b'{"id": "b", "text": "Two.", "fetched_at": "2024-05-01T00:00:00+00:00"}')
    assert not producer.flush(30)
    one, two = (outcome.row for outcome in read(poll(broker, topic)))
    assert (one["source_uri"], one["position"]) == (f"{broker.uri(topic)}#0", 0)
    assert one["fetched_at"].isoformat() == "2023-11-14T22:13:20+00:00"
    assert (two["position"], two["fetched_at"].isoformat()) == (1, "2024-05-01T00:00:00+00:00")


def test_what_a_transaction_took_back_is_not_read_and_its_marks_end_no_range_late(broker: Broker, topic: str) -> None:
    broker.make_topic(topic)
    producer = broker.producer(transactional_id=topic)
    producer.init_transactions(30)
    for number in range(20):
        producer.begin_transaction()
        producer.produce(topic, b'{"id": "%d", "text": "Body."}' % number)
        producer.flush(30)
        if number % 2:
            producer.abort_transaction()
        else:
            producer.commit_transaction()
    producer.begin_transaction()
    producer.produce(topic, b'{"id": "20", "text": "Body."}')
    assert not producer.flush(30)
    polled = poll(broker, topic)
    began = time.monotonic()
    assert ids(read(polled)) == [str(number) for number in range(0, 20, 2)]
    assert time.monotonic() - began < 10
    assert polled.cursor["offsets"] == {"0": 40}  # a mark behind each; the open one is not yet there
    producer.commit_transaction()
    until(lambda: bool(poll(broker, topic, polled.cursor).items))  # the mark is written after the answer
    assert ids(read(poll(broker, topic, polled.cursor))) == ["20"]


def test_a_range_of_marks_alone_ends(broker: Broker, topic: str) -> None:
    broker.make_topic(topic)
    producer = broker.producer(transactional_id=topic)
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic, b"never")
    producer.flush(30)
    producer.abort_transaction()
    until(lambda: bool(poll(broker, topic).items))  # the mark is written after the answer
    polled = poll(broker, topic)
    assert [(item.start, item.stop) for item in polled.items] == [(0, 2)]
    assert read(polled) == []


def test_a_compacted_topic_has_gaps_and_ends(broker: Broker, topic: str) -> None:
    broker.make_topic(
        topic,
        cleanup_policy="compact",
        max_compaction_lag_ms="100",
        min_cleanable_dirty_ratio="0.01",
        segment_ms="100",
        delete_retention_ms="0",
    )
    producer = broker.producer()

    def compacted() -> bool:
        for number in range(50):
            producer.produce(topic, b'{"id": "%d", "text": "Body."}' % number, key=f"{number % 5}")
            producer.flush(30)
        polled = poll(broker, topic)
        (end,) = polled.cursor["offsets"].values()
        return len(read(polled)) < end

    until(compacted)
    polled = poll(broker, topic)
    positions = [outcome.row["position"] for outcome in read(polled)]
    assert polled.refused == ()
    assert positions == sorted(set(positions))
    assert {str(number) for number in range(45, 50)} <= {outcome.row["source_id"] for outcome in read(polled)}


def test_messages_deleted_before_a_poll_are_counted(broker: Broker, topic: str) -> None:
    broker.make_topic(topic)
    broker.send(topic, articles(0, 10))
    first = poll(broker, topic)
    broker.send(topic, articles(10, 50))
    broker.delete_before(topic, 0, 30)
    second = poll(broker, topic, first.cursor)
    ((uri, reason, detail),) = second.refused
    assert (uri, reason) == (f"{broker.uri(topic)}#0", RejectReason.UNREADABLE)
    assert detail.startswith("offsets 10 to 29 were deleted before they were read: up to 20 messages are gone")
    assert ids(read(second)) == numbers(30, 50)
    assert poll(broker, topic, second.cursor).refused == ()


@pytest.mark.parametrize(("before", "left"), [(30, 20), (50, 0)])
def test_messages_deleted_between_poll_and_reading_are_counted(
    broker: Broker, topic: str, before: int, left: int
) -> None:
    broker.make_topic(topic)
    broker.send(topic, articles(0, 50))
    polled = poll(broker, topic)
    broker.delete_before(topic, 0, before)
    broker.send(topic, articles(50, 60))
    lost, *rest = read(polled)
    assert lost.rejected
    assert lost.row["detail"] == (
        f"offsets 0 to {before - 1} were deleted before they were read: up to {before} messages are gone"
    )
    assert ids(rest) == numbers(50 - left, 50)


def test_a_topic_made_anew_is_read_from_its_beginning_and_the_loss_is_said(broker: Broker, topic: str) -> None:
    broker.make_topic(topic)
    broker.send(topic, articles(0, 10))
    first = poll(broker, topic)
    broker.delete_topic(topic)
    with pytest.raises(UsageError, match="there is no such topic"):
        poll(broker, topic, first.cursor)

    def made() -> bool:
        try:
            broker.make_topic(topic)
        except KafkaException:
            return False  # the old one is still being deleted
        return True

    until(made)
    broker.send(topic, articles(0, 30))  # more than the old one had: offsets alone would tell nothing
    second = poll(broker, topic, first.cursor)
    assert [each.uri for each in second.refused] == [broker.uri(topic)]
    assert "deleted and made anew" in second.refused[0].detail
    assert "0:10" in second.refused[0].detail
    assert ids(read(second)) == numbers(0, 30)


def test_asking_for_a_topic_does_not_make_it(broker: Broker, topic: str) -> None:
    for _ in range(2):
        with pytest.raises(UsageError, match="there is no such topic"):
            poll(broker, topic)
    assert topic not in broker.admin.list_topics(timeout=30).topics


def test_from_latest_takes_what_comes_after_the_first_poll(broker: Broker, topic: str) -> None:
    broker.make_topic(topic)
    broker.send(topic, articles(0, 10))
    source = KafkaSource.of(broker.uri(topic) + "?from=latest", KafkaOptions())
    first = source.poll({}, Path("unused"))
    assert first.items == ()
    broker.send(topic, articles(10, 15))
    assert ids(read(source.poll(first.cursor, Path("unused")))) == numbers(10, 15)


def test_a_message_of_five_megabytes_is_read_and_one_over_the_cap_is_rejected(broker: Broker, topic: str) -> None:
    broker.make_topic(topic, max_message_bytes=str(20 << 20))
    producer = broker.producer(message_max_bytes=20 << 20)
    for number, size in enumerate((100, 5 << 20, 11 << 20, 100)):
        producer.produce(topic, b'{"id": "%d", "text": "%s"}' % (number, b"word " * (size // 5)))
    assert not producer.flush(60)
    outcomes = read(poll(broker, topic))
    assert [outcome.rejected for outcome in outcomes] == [False, False, True, False]
    assert (outcomes[2].row["reason"], outcomes[2].row["position"]) == ("too_large", 2)


def test_a_broker_that_is_killed_in_mid_range_and_comes_back_is_read_on(broker: Broker, topic: str) -> None:
    polled, some = _halfway(broker, topic)
    broker.kill()
    broker.start()
    (item,) = polled.items
    outcomes = [*itertools.islice(some, 10), *some]
    assert ids(outcomes) == numbers(0, item.stop)


def test_a_broker_that_stays_away_ends_a_range_in_an_error_and_the_range_can_be_read_again(
    broker: Broker, topic: str
) -> None:
    polled, some = _halfway(broker, topic, timeout_seconds=2)
    broker.kill()
    try:
        with pytest.raises(SourceAway, match=r"cannot be read now: .*refused"):
            list(some)
        with pytest.raises(SourceAway, match=r"cannot be read now: .*refused"):
            poll(broker, topic, options=QUICK)
        with pytest.raises(SourceAway, match=r"cannot be read now: .*refused"):
            read(polled, QUICK)
    finally:
        broker.start()
    assert ids(read(polled)) == numbers(0, 5000)


def test_one_hundred_thousand_messages_are_read_once_over_polls_that_are_bounded(broker: Broker, topic: str) -> None:
    broker.make_topic(topic, partitions=4)
    broker.send(topic, articles(0, 100_000), partitions=4)
    options = KafkaOptions(max_messages=30_000)
    cursor: Cursor = {}
    found: list[str] = []
    polls = 0
    while (polled := poll(broker, topic, cursor, options)).items:
        assert all(item.stop - item.start <= RANGE_MESSAGES for item in polled.items)
        found += ids(read(polled))
        cursor = polled.cursor
        polls += 1
    assert polls == 4
    assert sorted(found, key=int) == numbers(0, 100_000)


def test_a_password_comes_from_the_environment_and_is_in_no_message(
    broker: Broker, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker.make_topic(topic)
    broker.send(topic, articles(0, 3))
    settings = {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "desk",
        "sasl.password": "$DESK_PASSWORD",
    }
    options = KafkaOptions(settings=settings, timeout_seconds=3)
    source = KafkaSource.of(f"kafka://{broker.guarded_server}/{topic}", options)
    monkeypatch.setenv("DESK_PASSWORD", PASSWORD)
    assert ids(read(source.poll({}, Path("unused")), options)) == numbers(0, 3)
    monkeypatch.setenv("DESK_PASSWORD", "guessed wrong")
    with pytest.raises(SourceAway, match="Authentication failed") as refused:
        source.poll({}, Path("unused"))
    assert "guessed wrong" not in str(refused.value)


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_of_a_beam_runner_read_ranges_and_count_tombstones(broker: Broker, topic: str, workers: int) -> None:
    broker.make_topic(topic, partitions=2)
    broker.send(topic, [*articles(0, 500), None, b"{broken", None], partitions=2)
    polled = poll(broker, topic)
    graph = new_pipeline("DirectRunner", pipeline_options(workers, []))
    with graph:
        _read_in(graph, polled.items, KafkaOptions(), 500, 1)
    found = graph.result.metrics().query(MetricsFilter().with_name("tombstones"))
    assert sum(counter.result for counter in found["counters"]) == 2


@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_whose_broker_is_away_says_so(broker: Broker, topic: str, tmp_path: Path, workers: int) -> None:
    broker.make_topic(topic)
    broker.send(topic, articles(0, 10))
    polled = poll(broker, topic)
    gone = [
        item._replace(files=(item.files[0]._replace(uri=f"kafka://127.0.0.1:1/{topic}#0"),)) for item in polled.items
    ]
    graph = new_pipeline("DirectRunner", pipeline_options(workers, []))
    said = r"cannot be read now: .*refused.*run it again$"
    with pytest.raises(SourceAway, match=said), explained(tmp_path), graph:
        _read_in(graph, gone, KafkaOptions(timeout_seconds=1), 0, 0)


def _halfway(broker: Broker, topic: str, **options: Any) -> tuple[Polled, Iterator[Outcome]]:
    """A range of 5,000 messages of which ten were read, by a consumer that has fetched few more."""
    broker.make_topic(topic)
    broker.send(topic, [{**each, "text": "word " * 400} for each in articles(0, 5000)])
    little: Mapping[str, str] = {
        "queued.min.messages": "10",
        "fetch.message.max.bytes": "20000",
        "fetch.max.bytes": "20000",
        "message.max.bytes": "20000",
    }
    polled = poll(broker, topic)
    (item,) = polled.items
    some = read_item(item, ReadOptions(kafka=KafkaOptions(settings=little, **options)))
    assert [next(some).row["source_id"] for _ in range(10)] == numbers(0, 10)
    return polled, itertools.chain(
        (Outcome({"source_id": number}) for number in numbers(0, 10)),
        some,
    )


def _read_in(
    graph: beam.Pipeline, items: "list[WorkItem] | tuple[WorkItem, ...]", options: KafkaOptions, rows: int, rejects: int
) -> None:
    def check(tables: list[pa.Table], expected: int) -> None:
        assert sum(table.num_rows for table in tables) == expected

    read = graph | beam.Create(items) | ReadArticles(ReadOptions(kafka=options))
    for name, expected in (("raw", rows), ("rejects", rejects)):
        tables = read[name] | f"Gather {name}" >> beam.combiners.ToList()
        tables | f"Check {name}" >> beam.Map(check, expected)
