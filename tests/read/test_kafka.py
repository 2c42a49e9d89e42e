"""Which ranges a poll gives, by what the cursor and the log say; no broker is needed."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config import Config
from schemas.errors import UsageError
from transforms.read.kafka import RANGE_MESSAGES, KafkaSource, Log, Topic, new_ranges, parse_uri, partition_of
from transforms.read.kafka_client import KafkaOptions, resolved
from transforms.read.source import Polled

DESK = Topic("a.example:9092", "desk")
_COUNTS = st.integers(0, 30_000)


def taken(polled: Polled) -> dict[int, list[range]]:
    found: dict[int, list[range]] = {}
    for item in polled.items:
        found.setdefault(partition_of(item.files[0])[1], []).append(range(item.start, item.stop))
    return found


def test_servers_are_sorted_and_given_their_port_so_that_one_topic_has_one_name() -> None:
    one, query = parse_uri("kafka://b.example:9093,A.example/desk?from=latest")
    other, _ = parse_uri("kafka://a.example:9092,b.example:9093,a.example/desk")
    assert one == other
    assert one.uri == "kafka://a.example:9092,b.example:9093/desk"
    assert query == {"from": ["latest"]}
    assert partition_of(one.file(12)) == (one, 12)


@pytest.mark.parametrize(
    "uri",
    [
        "kafka://",
        "kafka:///desk",
        "kafka://a.example",
        "kafka://a.example/",
        "kafka://a.example/two/topics",
        "kafka://a.example:port/desk",
        "kafka://a.example/desk?group=mine",
        "kafka://a.example/desk?from=yesterday",
    ],
)
def test_a_uri_that_cannot_be_meant_is_refused(uri: str) -> None:
    with pytest.raises(UsageError, match="kafka://"):
        KafkaSource.of(uri, KafkaOptions())


def test_a_password_in_a_uri_is_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError, match=r"sasl\.password") as refused:
        KafkaSource.of("kafka://desk:secret@a.example/desk", KafkaOptions())
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "options",
    [
        {"settings": {"group.id": "mine"}},
        {"settings": {"isolation.level": "read_uncommitted"}},
        {"timeout_seconds": 0},
        {"max_messages": 0},
        {"registry": "file:///etc/passwd"},
        {"registry": "https://user:secret@registry.example"},
    ],
)
def test_options_that_would_break_exactly_once_or_leak_a_password_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"registry|settings|timeout_seconds"):
        KafkaOptions(**options)


def test_the_configuration_file_holds_them() -> None:
    given_options = {"kafka": {"settings": {"security.protocol": "SSL"}, "max_messages": 5}}
    assert Config.model_validate({"read": given_options}).read.kafka.max_messages == 5


def test_a_setting_may_name_an_environment_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESK_PASSWORD", "open sesame")
    assert resolved("$DESK_PASSWORD") == "open sesame"
    assert resolved("plain") == "plain"
    with pytest.raises(UsageError, match=r"\$NO_SUCH is not set"):
        resolved("$NO_SUCH")


@given(
    bounds=st.dictionaries(st.integers(0, 5), st.tuples(_COUNTS, _COUNTS), max_size=4),
    most=st.integers(1, 50_000),
    known=st.dictionaries(st.integers(0, 5), _COUNTS, max_size=4),
)
def test_polls_take_each_offset_once_and_say_what_is_gone(
    bounds: dict[int, tuple[int, int]], most: int, known: dict[int, int]
) -> None:
    log = Log("id", {partition: (first, first + held) for partition, (first, held) in bounds.items()})
    cursor: Any = {"topic": "id", "offsets": {str(partition): offset for partition, offset in known.items()}}
    gone = {each.uri for each in new_ranges(DESK, cursor, log, most).refused}
    expected = {DESK.file(each).uri for each in known.keys() - bounds.keys()}
    found: dict[int, list[int]] = {}
    for _ in range(200):
        polled = new_ranges(DESK, cursor, log, most)
        pieces = taken(polled)
        assert sum(len(piece) for each in pieces.values() for piece in each) <= most
        assert all(0 < len(piece) <= RANGE_MESSAGES for each in pieces.values() for piece in each)
        for partition, each in pieces.items():
            found.setdefault(partition, []).extend(offset for piece in each for offset in piece)
        if polled.cursor == cursor:
            break
        cursor = polled.cursor
        most = max(most, 20_000)
    for partition, (first, end) in log.bounds.items():
        at = known.get(partition, 0)
        assert found.get(partition, []) == list(range(min(max(at, first), end), end))
        if not first <= at <= end:
            expected.add(DESK.file(partition).uri)
    assert gone == expected


def test_a_first_poll_begins_where_the_log_does_and_misses_nothing() -> None:
    polled = new_ranges(DESK, {}, Log("id", {0: (70, 100)}), 1000)
    assert polled.refused == ()
    assert taken(polled) == {0: [range(70, 100)]}


def test_from_latest_begins_at_the_end_but_a_partition_that_comes_later_is_read_whole() -> None:
    first = new_ranges(DESK, {}, Log("id", {0: (0, 100)}), 1000, latest=True)
    assert first.begins
    assert not new_ranges(DESK, first.cursor, Log("id", {0: (0, 100)}), 1000, latest=True).begins
    assert not new_ranges(DESK, {}, Log("id", {0: (0, 0)}), 1000).begins
    assert (first.items, first.cursor["offsets"]) == ((), {"0": 100})
    second = new_ranges(DESK, first.cursor, Log("id", {0: (0, 110), 1: (0, 10)}), 1000, latest=True)
    assert taken(second) == {0: [range(100, 110)], 1: [range(10)]}


def test_a_busy_partition_does_not_keep_the_others_waiting() -> None:
    polled = new_ranges(DESK, {}, Log("id", {0: (0, 1_000_000), 1: (0, 10), 2: (0, 400)}), 1000)
    assert polled.cursor["offsets"] == {"0": 590, "1": 10, "2": 400}


def test_a_partition_that_lost_its_end_is_read_on_from_there() -> None:
    cursor = {"topic": "id", "offsets": {"0": 100}}
    polled = new_ranges(DESK, cursor, Log("id", {0: (0, 80)}), 1000)
    assert "lost its last 20 messages" in polled.refused[0].detail
    assert (polled.items, polled.cursor["offsets"]) == ((), {"0": 80})


def test_a_topic_made_anew_is_known_by_its_id_though_it_grew_past_the_cursor() -> None:
    polled = new_ranges(DESK, {"topic": "old", "offsets": {"0": 10}}, Log("new", {0: (0, 30)}), 1000)
    assert "made anew" in polled.refused[0].detail
    assert taken(polled) == {0: [range(30)]}


@pytest.mark.parametrize("none", ["A" * 22, ""], ids=["as librdkafka says it", "not at all"])
def test_a_cluster_that_begins_to_give_ids_or_stops_makes_no_topic_anew(none: str) -> None:
    for before, now in ((none, "new"), ("old", none)):
        polled = new_ranges(DESK, {"topic": before, "offsets": {"0": 10}}, Log(now, {0: (0, 30)}), 1000)
        assert polled.refused == ()
        assert taken(polled) == {0: [range(10, 30)]}
