"""A source gives what is new since its cursor, once; the registry knows who opens what."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from apache_beam.io.filesystem import BeamIOError, FileMetadata

from schemas.errors import RejectReason, SourceAway, UsageError
from transforms.read.articles import read_item
from transforms.read.files import SETTLE_SECONDS, FileSource
from transforms.read.inputs import ReadOptions, plan_inputs
from transforms.read.source import Cursor, Polled
from transforms.read.sources import SCHEMES, source_of
from transforms.read.stdin import StdinSource, spool_stdin

NOW = 1_700_000_000.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    given = tmp_path / "given"
    given.mkdir()
    return given


def put(folder: Path, name: str, text: str = "Words.", age: float = 60.0) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (NOW - age, NOW - age))
    return path


def watched(folder: Path | str, **options: Any) -> FileSource:
    return FileSource(str(folder), 1 << 20, now=lambda: NOW, **options)


def names(polled: Polled) -> list[str]:
    return sorted(Path(file.uri).name for item in polled.items for file in item.files)


def test_a_file_is_given_once_and_again_when_it_changes(folder: Path) -> None:
    source = watched(folder)
    put(folder, "a.txt")
    first = source.poll({}, folder)
    put(folder, "deep/b.html")
    second = source.poll(json.loads(json.dumps(first.cursor)), folder)
    assert (names(first), names(second), names(source.poll(second.cursor, folder))) == (["a.txt"], ["b.html"], [])
    put(folder, "a.txt", "Other words.")
    assert names(source.poll(second.cursor, folder)) == ["a.txt"]
    put(folder, "a.txt", age=30)
    assert names(source.poll(second.cursor, folder)) == ["a.txt"]


def test_a_poll_that_was_not_committed_is_polled_again(folder: Path) -> None:
    put(folder, "a.txt")
    assert watched(folder).poll({}, folder) == watched(folder).poll({}, folder)


def test_a_file_that_may_still_be_written_is_left_for_later(folder: Path) -> None:
    put(folder, "young.txt", age=SETTLE_SECONDS / 2)
    put(folder, "old.txt", age=SETTLE_SECONDS * 2)
    put(folder, "from-a-wrong-clock.txt", age=-3600)
    polled = watched(folder).poll({}, folder)
    assert names(polled) == ["from-a-wrong-clock.txt", "old.txt"]
    put(folder, "old.txt", "Being written anew", age=0)
    assert names(watched(folder).poll(polled.cursor, folder)) == []
    put(folder, "old.txt", "Being written anew, and done.", age=SETTLE_SECONDS)
    put(folder, "young.txt", age=SETTLE_SECONDS)
    assert names(watched(folder).poll(polled.cursor, folder)) == ["old.txt", "young.txt"]


def test_names_of_unfinished_files_are_left_alone(folder: Path) -> None:
    for name in (".a.txt", "_temporary/b.txt", "_SUCCESS", "c.jsonl.tmp", "d.html.PART", "e.txt~", "f.txt"):
        put(folder, name)
    polled = watched(folder).poll({}, folder)
    assert (names(polled), polled.refused) == (["f.txt"], ())


def test_folders_of_unfinished_files_are_left_alone_under_a_pattern_too(folder: Path) -> None:
    for name in ("day/a.txt", "_temporary/0/b.txt", "c.txt"):
        put(folder, name)
    assert names(watched(folder / "**" / "*.txt").poll({}, folder)) == ["a.txt", "c.txt"]
    assert names(watched(folder / "*" / "*" / "*.txt").poll({}, folder)) == []
    assert names(watched(folder / "_temporary" / "*" / "*.txt").poll({}, folder)) == ["b.txt"]  # named outright


def test_a_file_that_is_deleted_leaves_the_cursor(folder: Path) -> None:
    gone = put(folder, "a.txt")
    put(folder, "b.txt")
    source = watched(folder)
    cursor = source.poll({}, folder).cursor
    gone.unlink()
    assert [Path(uri).name for uri in source.poll(cursor, folder).cursor["files"]] == ["b.txt"]


def test_what_cannot_be_read_is_said_once(folder: Path) -> None:
    put(folder, "a.pdf")
    (folder / "dangling.txt").symlink_to("nowhere")
    source = watched(folder)
    first = source.poll({}, folder)
    assert {each.reason for each in first.refused} == {RejectReason.UNKNOWN_FORMAT, RejectReason.UNREADABLE}
    assert source.poll(first.cursor, folder) == Polled((), (), first.cursor)


def test_a_name_that_is_not_utf8_is_said_once_and_not_passed_over(folder: Path) -> None:
    (folder / os.fsdecode(b"caf\xe9.txt")).write_text("Words.")
    source = watched(folder)
    first = source.poll({}, folder)
    assert [each.reason for each in first.refused] == [RejectReason.UNREADABLE]
    assert source.poll(json.loads(json.dumps(first.cursor)), folder).refused == ()


def test_a_file_that_is_renamed_while_its_folder_is_listed_is_no_reject(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(folder, "b.txt")
    walked: list[Any] = [(str(folder), [], ["a.txt.tmp", "a.txt", "b.txt"])]
    monkeypatch.setattr(os, "walk", lambda *_, **__: walked)
    polled = watched(folder).poll({}, folder)
    assert (names(polled), polled.refused) == (["b.txt"], ())


def test_a_poll_takes_the_oldest_and_not_too_much(folder: Path) -> None:
    for age in range(10, 16):
        put(folder, f"{age}.txt", "x" * 100, age=age)
    source = watched(folder, most_bytes=250)
    cursor: Cursor = {}
    seen = []
    for _ in range(4):
        polled = source.poll(cursor, folder)
        cursor = polled.cursor
        seen.append(names(polled))
    assert seen == [["14.txt", "15.txt"], ["12.txt", "13.txt"], ["10.txt", "11.txt"], []]


def test_a_folder_must_be_there_but_a_pattern_or_prefix_may_fill_later(folder: Path) -> None:
    assert watched(folder / "*.txt").poll({}, folder) == Polled((), (), {"files": {}})
    with pytest.raises(UsageError, match="no such file"):
        watched(folder / "nowhere").poll({}, folder)


def test_a_prefix_is_listed_by_beams_file_system(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = [
        FileMetadata("store://bucket/in/a.jsonl", 7, NOW - 60),
        FileMetadata("store://bucket/in/_temporary/b.jsonl", 7, NOW - 60),
    ]
    found = SimpleNamespace(metadata_list=[])
    monkeypatch.setattr("transforms.read.inputs.FileSystems.match", lambda _: [found])
    source = watched("store://bucket/in")
    assert source.poll({}, folder) == Polled((), (), {"files": {}})
    found.metadata_list = stored
    assert source.poll({}, folder).cursor == {"files": {"store://bucket/in/a.jsonl": [7, NOW - 60]}}


def test_a_store_that_does_not_answer_is_a_source_that_is_away(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: Any) -> Any:
        raise BeamIOError("Match operation failed", {"store://bucket/in": ConnectionError("reset")})

    monkeypatch.setattr("transforms.read.inputs.FileSystems.match", fails)
    with pytest.raises(SourceAway, match="reset"):
        watched("store://bucket/in").poll({}, folder)


def test_a_watched_folder_is_named_by_its_whole_path(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    assert FileSource("given", 1).uri == FileSource(f"file://{folder}", 1).uri == str(folder)


Feed = Callable[[bytes], Any]


@pytest.fixture
def feed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Feed]:
    """Standard input is a pipe; this writes to it, and nothing more is to come once it is given nothing."""
    reader, writer = os.pipe()
    with os.fdopen(reader) as stdin, os.fdopen(writer, "wb", buffering=0) as sink:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield lambda data: (sink.write if data else lambda _: sink.close())(data)


def texts(polled: Polled) -> list[tuple[str, str]]:
    rows = [outcome.row for item in polled.items for outcome in read_item(item, ReadOptions())]
    return [(row["source_uri"], row["text"]) for row in rows]


def test_standard_input_is_read_to_its_end_for_a_run(tmp_path: Path, feed: Feed) -> None:
    feed(b'{"text": "One."}\n{"text": "Two."}')
    feed(b"")
    plan = plan_inputs(["-"], {}, stdin=spool_stdin(tmp_path))
    assert texts(Polled(plan.items, plan.refused, {})) == [("stdin", "One."), ("stdin", "Two.")]


def test_the_same_lines_make_the_same_run_and_others_do_not(tmp_path: Path) -> None:
    prints = []
    for name, line in (("a", b"{}\n"), ("b", b"{}\n"), ("c", b"[]\n")):
        reader, writer = os.pipe()
        os.write(writer, line)
        os.close(writer)
        (tmp_path / name).mkdir()
        with os.fdopen(reader) as stdin, pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stdin", stdin)
            prints.append(plan_inputs(["-"], {}, stdin=spool_stdin(tmp_path / name)).fingerprint)
    assert prints[0] == prints[1] != prints[2]


def test_a_poll_of_standard_input_takes_whole_lines_and_does_not_wait(tmp_path: Path, feed: Feed) -> None:
    source = StdinSource(1 << 20)
    assert source.poll({}, tmp_path).items == ()
    feed(b'{"text": "One."}\n{"text": ')
    first = source.poll({}, tmp_path)
    assert texts(first) == [("stdin", "One.")]
    feed(b'"Two."}\n{"text": "Three."}')
    feed(b"")
    last = source.poll(first.cursor, tmp_path)
    assert texts(last) == [("stdin", "Two."), ("stdin", "Three.")]
    assert list(last.cursor["readers"].values()) == [52]
    assert source.poll(last.cursor, tmp_path).items == ()


def test_lines_of_a_round_that_failed_are_given_again_with_what_came_since(tmp_path: Path, feed: Feed) -> None:
    source = StdinSource(1 << 20)
    before = source.poll({}, tmp_path).cursor
    feed(b'{"text": "One."}\n')
    assert texts(source.poll(before, tmp_path)) == [("stdin", "One.")]
    feed(b'{"text": "Two."}\n')
    again = source.poll(before, tmp_path)
    assert texts(again) == [("stdin", "One."), ("stdin", "Two.")]
    assert texts(source.poll(again.cursor, tmp_path)) == []


def test_lines_are_given_again_when_another_process_commits_its_own_first(
    tmp_path: Path, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = StdinSource(1 << 20), StdinSource(1 << 20)
    feed(b'{"text": "One."}\n')
    assert texts(ours.poll({}, tmp_path)) == [("stdin", "One.")]
    reader, writer = os.pipe()
    os.write(writer, b'{"text": "Two, of theirs."}\n')
    with os.fdopen(reader) as other, monkeypatch.context() as patch:
        patch.setattr(sys, "stdin", other)
        committed = theirs.poll({}, tmp_path).cursor
        again = ours.poll(committed, tmp_path)  # its run was overtaken and begins anew
        assert texts(again) == [("stdin", "One.")]
        os.close(writer)
        assert texts(theirs.poll(again.cursor, tmp_path)) == []
    assert texts(ours.poll(again.cursor, tmp_path)) == []


def test_the_cursor_of_standard_input_keeps_the_last_readers(tmp_path: Path, feed: Feed) -> None:
    cursor: Cursor = {}
    for number in range(20):
        feed(b"{}\n" * (number + 1))
        cursor = json.loads(json.dumps(StdinSource(1 << 20).poll(cursor, tmp_path).cursor))
    assert list(cursor["readers"].values()) == [3 * number for number in range(5, 21)]


def test_a_line_without_end_is_broken_rather_than_kept_in_memory(tmp_path: Path, feed: Feed) -> None:
    source = StdinSource(1 << 20, most_bytes=1000)
    for _ in range(3):
        feed(b"x" * 900)
    assert source.poll({}, tmp_path).cursor["readers"].popitem()[1] == 0  # one read
    feed(b"y" * 10)
    assert source.poll({}, tmp_path).cursor["readers"].popitem()[1] == 2700


def test_every_argument_has_its_source(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = SimpleNamespace(uri="opened")
    module = SimpleNamespace(open_source=lambda *_: opened)
    monkeypatch.setattr("importlib.import_module", lambda _: module)
    assert isinstance(source_of("-", ReadOptions()), StdinSource)
    for argument in (str(folder), "a-*.txt", "gs://bucket/prefix"):
        assert isinstance(source_of(argument, ReadOptions()), FileSource)
    for prefix in SCHEMES:
        assert source_of(f"{prefix}x", ReadOptions()).uri == "opened"


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: str) -> Any:
        raise ModuleNotFoundError(name="protego")

    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(UsageError, match=r"needs protego.*copydesk\[feeds\]"):
        source_of("feeds:list.opml", ReadOptions())


def test_what_is_known_of_a_file_goes_with_it(folder: Path) -> None:
    put(folder, "a.txt")
    known: Mapping[str, Any] = {"a.txt": {"outlet": "Example"}}
    source = source_of(str(folder), ReadOptions(), known)
    (item,) = source.poll({}, folder).items
    assert [outcome.row["outlet"] for outcome in read_item(item, ReadOptions())] == ["Example"]
