"""Steps: committed whole, once, in the order of their cursors, however often and in whatever order they come."""

import itertools
import json
import os
import random
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from apache_beam.io.restriction_trackers import OffsetRange
from apache_beam.io.watermark_estimators import ManualWatermarkEstimator
from apache_beam.utils.timestamp import Timestamp

from pipeline import stream as streams
from pipeline.cli import main
from pipeline.committer import committer
from pipeline.config import Config
from pipeline.run import Request, run
from pipeline.steps import Part, Position, accept, caught_up, key_of, packed, worth_waiting
from pipeline.stream import Stream, _Ask, ask_for_step, commit_steps, read_part
from pipeline.ticks import _Tick
from schemas.blocks import RAW, REJECTED, open_batches
from schemas.errors import RejectReason, SourceAway
from transforms.read.inputs import InputFile, ReadOptions, Refused, WorkItem
from transforms.read.source import Cursor, Polled

START: Cursor = {}


def at(number: int) -> Cursor:
    return {"offset": number}


def step(before: Cursor, after: Cursor, parts: int = 1, uri: str = "a", given: float = 0.0) -> list[Part]:
    folder = f"{uri}-{key_of(before)}-{key_of(after)}"
    return [
        Part(uri, folder, n, parts, key_of(before), packed(after), given, (InputFile(f"{folder}/{n}", 1),))
        for n in range(parts)
    ]


def taken(parts: list[Part], committed: Mapping[str, Cursor]) -> list[str]:
    return [part.blocks[0].uri for part in accept(parts, committed).parts]


def test_steps_that_follow_each_other_are_taken_together_in_whatever_order_they_come() -> None:
    parts = [*step(START, at(1), 2), *step(at(1), at(2)), *step(at(2), at(5), 3)]
    expected = [part.blocks[0].uri for part in parts]
    for seed in range(20):
        mixed = [*parts, *parts[:3]]
        random.Random(seed).shuffle(mixed)
        accepted = accept(mixed, {})
        assert [part.blocks[0].uri for part in accepted.parts] == expected
        assert accepted.asked.cursors == {"a": at(5)}
        assert accepted.waiting == ()


def test_a_step_without_all_its_parts_waits_and_so_do_those_after_it() -> None:
    first, second = step(START, at(1), 2), step(at(1), at(2))
    accepted = accept([first[1], *second], {})
    assert accepted.parts == ()
    assert accepted.asked.is_nothing
    assert set(accepted.waiting) == {first[1], *second}
    assert taken([first[0], *accepted.waiting], {}) == [part.blocks[0].uri for part in (*first, *second)]


def test_a_step_that_held_no_record_is_committed_too_so_that_those_after_it_can_be() -> None:
    (part,) = step(START, at(1))
    accepted = accept([part._replace(blocks=())], {})  # markers of transactions, tombstones
    assert accepted.asked.cursors == {"a": at(1)}
    assert not accepted.asked.is_nothing


def test_a_step_that_is_committed_already_is_not_taken_again() -> None:
    parts = [*step(START, at(1)), *step(at(1), at(2))]
    assert taken(parts, {"a": at(1)}) == [parts[1].blocks[0].uri]
    assert taken(parts, {"a": at(2)}) == []


def test_of_two_steps_from_one_cursor_one_is_taken() -> None:
    short, long = step(START, at(1)), step(START, at(3))
    assert len(taken([*short, *long], {})) == 1


def test_sources_do_not_wait_for_each_other() -> None:
    accepted = accept([*step(at(7), at(8)), *step(START, at(1), uri="b")], {"c": at(4)})
    assert accepted.asked.cursors == {"b": at(1), "c": at(4)}


def test_the_same_steps_are_the_same_run() -> None:
    parts = [*step(START, at(1)), *step(at(1), at(2))]
    assert accept(parts, {}).asked.plan.fingerprint == accept(parts[::-1], {}).asked.plan.fingerprint


def test_steps_wait_until_they_are_old_or_led_to_what_is_committed() -> None:
    old, done, new = step(at(3), at(4), given=10.0), step(at(1), at(2), given=95.0), step(at(2), at(3), given=95.0)
    before = step(START, at(1), given=95.0)
    assert worth_waiting([*old, *before, *done, *new], {"a": at(2)}, 100.0, 50.0) == (*new,)


def test_a_source_begins_where_the_manifest_is() -> None:
    position = caught_up(None, at(3), 100.0, 50.0)
    assert (position.cursor, position.last, position.waiting) == (at(3), key_of(at(3)), 0)


def test_committed_steps_leave_the_chain() -> None:
    position = caught_up(None, START, 100.0, 50.0)
    for number in (1, 2, 3):
        position = position.after(at(number), 100.0 + number, step=True)
    position = caught_up(position, at(2), 110.0, 50.0)
    assert (position.cursor, position.waiting) == (at(3), 1)


def test_what_a_poll_without_news_learned_is_kept_and_the_next_step_goes_on_from_the_last() -> None:
    position = caught_up(None, START, 100.0, 50.0).after({"etag": "x"}, 101.0, step=False)
    assert (position.cursor, position.last, position.asked) == ({"etag": "x"}, key_of(START), 101.0)
    assert caught_up(position, START, 102.0, 50.0) == position


@pytest.mark.parametrize(
    ("committed", "now"), [(at(9), 101.0), (START, 200.0)], ids=["another's commit", "a step that is lost"]
)
def test_a_source_whose_steps_cannot_be_committed_is_asked_from_the_manifest(committed: Cursor, now: float) -> None:
    position = caught_up(None, START, 100.0, 50.0).after(at(1), 100.0, step=True)
    position = caught_up(position, committed, now, 50.0)
    assert (position.cursor, position.last, position.waiting) == (committed, key_of(committed), 0)


def test_whatever_is_lost_and_repeated_every_record_is_committed_once() -> None:
    """A source of 60 records, a clock, an engine that loses, repeats, delays and goes back to checkpoints."""
    for seed in range(20):
        rng = random.Random(seed)
        committed: dict[str, Cursor] = {}
        records: list[int] = []
        position: Position | None = None
        under_way: list[tuple[Part, range]] = []
        waiting: dict[Part, range] = {}
        checkpoint: Any = (position, list(under_way), dict(waiting))
        for now in itertools.count():
            if committed.get("a") == at(60):
                break
            assert now < 5000
            position = caught_up(position, committed.get("a", START), now, 40.0)
            begin = position.cursor.get("offset", 0)
            end = min(begin + rng.randrange(6), 60)
            if end > begin:
                parts = rng.randrange(1, 4)
                made = [
                    Part("a", f"{now}-{rng.random()}", n, parts, position.last, packed(at(end)), now, ())
                    for n in range(parts)
                ]
                under_way += [(part, range(begin + part.number, end, parts)) for part in made]
            position = position.after(at(end), now, step=end > begin)
            arriving = [each for each in under_way if rng.random() < 0.5]
            under_way = [each for each in under_way if each not in arriving or rng.random() < 0.2]
            waiting |= {part: found for part, found in arriving if rng.random() < 0.9}
            accepted = accept(waiting, committed)
            records += [record for part in accepted.parts for record in waiting[part]]
            committed = dict(accepted.asked.cursors)
            left = worth_waiting(accepted.waiting, committed, now, 40.0)
            waiting = {part: waiting[part] for part in left}
            if rng.random() < 0.1:
                checkpoint = (position, list(under_way), dict(waiting))
            elif rng.random() < 0.1:
                position, under_way, waiting = checkpoint[0], list(checkpoint[1]), dict(checkpoint[2])
        assert sorted(records) == list(range(60)), seed


class Given:
    """A source that gives what it is told."""

    uri = "given"

    def __init__(self, polled: Polled | None) -> None:
        self._polled = polled

    def poll(self, _cursor: Cursor, _spool: Path) -> Polled:
        if self._polled is None:
            raise SourceAway("not now")
        return self._polled


def test_a_poll_without_news_and_a_source_that_is_away_leave_nothing_behind(tmp_path: Path) -> None:
    position = caught_up(None, START, 100.0, 50.0)
    for polled, cursor in ((Polled((), (), at(1)), at(1)), (None, START)):
        found, steps = ask_for_step(Given(polled), position, str(tmp_path))
        assert (found.cursor, found.waiting, steps) == (cursor, 0, [])
        assert list(tmp_path.iterdir()) == []


def test_what_is_refused_and_what_is_read_become_blocks_of_one_step(tmp_path: Path) -> None:
    given = tmp_path / "in.jsonl"
    given.write_text('{"id": "1", "text": "Body."}\n{"id": "2", "text": 5}\n')
    item = WorkItem("jsonl", (InputFile(str(given), given.stat().st_size),))
    polled = Polled((item, item), (Refused("x", RejectReason.UNREADABLE, "gone"),), at(1))
    _, found = ask_for_step(Given(polled), caught_up(None, START, 0.0, 1.0), str(tmp_path))
    parts = [part for each in found for _, part in read_part(each, ReadOptions())]
    assert [(part.number, part.parts) for part in parts] == [(0, 2), (1, 2)]
    tables = [[open_batches(block.uri).read_all() for block in part.blocks] for part in parts]
    assert [[table.schema.names for table in each] for each in tables] == [
        [REJECTED.names, RAW.names, REJECTED.names],
        [RAW.names, REJECTED.names],
    ]
    for part in parts:
        Path(part.folder).rename(tmp_path / "gone") if part.number == 0 else None
    assert list(read_part(found[1], ReadOptions())) == []  # its step was committed meanwhile


class Memory:
    """A cell of an engine's state."""

    def __init__(self) -> None:
        self.value: Any = None

    def read(self) -> Any:
        return self.value

    def write(self, value: Any) -> None:
        self.value = value


def test_the_clock_of_a_stream_goes_on_when_the_machines_is_put_back() -> None:
    given, later = [], Timestamp(time.time() + 3600.0)
    watermark = ManualWatermarkEstimator(later)
    for number in range(1, 4):
        tracker = SimpleNamespace(
            current_restriction=lambda at=number: OffsetRange(at, 10), try_claim=lambda _: True, defer_remainder=list
        )
        given += [each.value - float(later) for each in _Tick(0.01).process(b"", tracker, watermark)]
    assert given == pytest.approx([0.01, 0.02, 0.03], abs=1e-4)


def test_a_source_is_asked_in_its_rhythm_when_the_clock_was_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Cursor] = []

    def poll(cursor: Cursor, _spool: Path) -> Polled:
        asked.append(cursor)
        return Polled((), (), at(1))

    monkeypatch.setattr(streams, "source_of", lambda *_: SimpleNamespace(uri="given", poll=poll))
    ask = _Ask(Stream(["given"], tmp_path / "out", Config(), "PrismRunner", every=40.0), {"given": ""}, str(tmp_path))
    state, ahead = Memory(), time.time() + 3600.0
    for second in range(25):
        assert list(ask.process(("given", ahead + second), state)) == []
    assert len(asked) == 3


def test_what_steps_left_that_never_came_to_a_commit_is_cleared_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = WorkItem("kafka", (InputFile("kafka://a.example:9092/topic#0", 0),))
    position = caught_up(None, START, 0.0, 1.0)
    monkeypatch.setattr("transforms.read.articles.read_kafka", lambda *_: Given(None).poll({}, tmp_path))
    (_, lost), (_, young) = (
        ask_for_step(Given(Polled((item,), (), at(1))), position, str(tmp_path))[1][0] for _ in "ab"
    )
    assert list(read_part((item, lost), ReadOptions())) == list(read_part((item, young), ReadOptions())) == []
    os.utime(lost.folder, (time.time() - 4300.0, time.time() - 4300.0))
    _, ((_, part),) = ask_for_step(Given(Polled((), (), at(1), begins=True)), position, str(tmp_path))
    monkeypatch.setattr(streams, "committer", lambda: SimpleNamespace(run=lambda _: {"given": at(1)}))
    assert commit_steps([part], Stream(["given"], tmp_path / "out", Config(), "PrismRunner")) == ()
    assert [str(path) for path in tmp_path.glob("step-*")] == [young.folder]


@pytest.fixture
def _committer_ends() -> Iterator[None]:
    """What carries out commits ends with this process, which goes on."""
    yield
    committer()._process.communicate()  # noqa: SLF001 -- a worker that ends closes its pipes
    committer.cache_clear()


@pytest.mark.whole
@pytest.mark.usefixtures("_committer_ends")
def test_a_commit_makes_what_a_run_makes_and_repeated_does_nothing(
    tmp_path: Path, records: list[dict[str, Any]], write_jsonl: Any
) -> None:
    given = write_jsonl(tmp_path / "in.jsonl", records)
    run(Request([str(given)], tmp_path / "expected", Config(), {}))
    stream = Stream([str(given)], tmp_path / "out", Config(), "PrismRunner")
    item = WorkItem("jsonl", (InputFile(str(given), given.stat().st_size),))
    _, found = ask_for_step(Given(Polled((item,), (), at(1))), caught_up(None, START, 0.0, 1.0), str(tmp_path))
    (part,) = [part for each in found for _, part in read_part(each, ReadOptions())]
    early: dict[str, Any] = {
        "folder": str(tmp_path / "early"),
        "before": key_of(at(2)),
        "after": packed(at(3)),
        "given": time.time(),
    }
    lost = part._replace(**early, blocks=())
    for _ in range(2):
        assert commit_steps([part, lost], stream) == (lost,)
    assert [path.name for path in (tmp_path / "out" / "manifests").glob("*.json")] == ["000001.json"]
    assert not Path(part.folder).exists()
    tables = [sorted((tmp_path / out / "current").glob("articles/*/*.parquet")) for out in ("expected", "out")]
    assert [path.read_bytes() for path in tables[0]] == [path.read_bytes() for path in tables[1]]


@pytest.mark.whole
@pytest.mark.usefixtures("_committer_ends")
def test_a_commit_takes_along_what_later_windows_have_read(
    tmp_path: Path, records: list[dict[str, Any]], write_jsonl: Any
) -> None:
    stream = Stream(["given"], tmp_path / "out", Config(), "PrismRunner")
    position, parts = caught_up(None, START, 0.0, 1.0), []
    for number in (1, 2):
        given = write_jsonl(tmp_path / f"in{number}.jsonl", records[number::2])
        item = WorkItem("jsonl", (InputFile(str(given), given.stat().st_size),))
        position, (found,) = ask_for_step(Given(Polled((item,), (), at(number))), position, str(tmp_path))
        parts += [part for _, part in read_part(found, ReadOptions())]
    for part in parts:
        assert commit_steps([part], stream) == ()
    (manifest,) = (tmp_path / "out" / "manifests").glob("*.json")
    assert json.loads(manifest.read_text())["cursors"] == {"given": at(2)}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["x", "--runner", "FnApiRunner"], "use `follow`"),
        (["-", "--runner", "PrismRunner"], "standard input"),
        (["x", "--runner", "PrismRunner", "--every", "0"], "--every 0"),
        (["x", "--runner", "PrismRunner", "--lateness", "soon"], "--lateness soon"),
    ],
)
def test_what_cannot_be_streamed_is_refused(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["stream", *words, "--output", str(tmp_path / "out")]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
