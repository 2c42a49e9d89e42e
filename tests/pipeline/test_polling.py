"""What a run is to read: sources that do not answer, beginnings that must be kept."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from pipeline.config import Config
from pipeline.polling import Asked, ask, open_sources
from pipeline.reading import open_dataset
from pipeline.run import Request, run
from schemas.errors import SourceAway
from transforms.read.files import FileSource
from transforms.read.inputs import InputFile, ReadOptions, WorkItem
from transforms.read.source import Cursor, Polled
from transforms.read.stdin import StdinSource


class One:
    """A source with one item a poll; or with what it is told."""

    def __init__(self, uri: str, polled: Polled | None = None) -> None:
        self.uri, self.polled = uri, polled

    def poll(self, cursor: Cursor, _spool: Path) -> Polled:
        at = cursor.get("at", 0)
        item = WorkItem("jsonl", (InputFile(f"{self.uri}/{at}", 1),))
        return self.polled or Polled((item,), (), {"at": at + 1})


class Away(One):
    """A source that does not answer."""

    def poll(self, _cursor: Cursor, _spool: Path) -> Polled:
        raise SourceAway(f"{self.uri}: not now")


def asked(
    sources: list[One], spool: Path, cursors: Mapping[str, Cursor] = MappingProxyType({}), *, following: bool = True
) -> Asked:
    return ask([], sources, cursors, ReadOptions(), {}, spool, following=following)


def test_whoever_follows_does_without_a_source_that_is_away(tmp_path: Path) -> None:
    found = asked([Away("a"), One("b")], tmp_path, {"a": {"at": 3}, "b": {"at": 5}})
    assert [item.files[0].uri for item in found.plan.items] == ["b/5"]
    assert found.cursors == {"a": {"at": 3}, "b": {"at": 6}}
    assert found.away == ("a: not now",)


def test_when_no_source_answers_the_first_says_why(tmp_path: Path) -> None:
    with pytest.raises(SourceAway, match="a: not now"):
        asked([Away("a"), Away("b")], tmp_path)


def test_a_run_that_has_no_second_time_wants_every_source(tmp_path: Path) -> None:
    with pytest.raises(SourceAway, match="b: not now"):
        asked([One("a", Polled((), (), {})), Away("b")], tmp_path, following=False)


@pytest.mark.whole
def test_a_beginning_is_committed_though_nothing_was_found(out: Path) -> None:
    source = One("topic", Polled((), (), {"at": 40}, begins=True))
    request = Request([], out, Config(), {}, sources=[source])
    begun = run(request)
    assert not begun.repeated
    assert open_dataset(out).cursors == {"topic": {"at": 40}}
    source.polled = Polled((), (), {"at": 40})
    assert run(request).repeated
    assert open_dataset(out).snapshot == 1


@pytest.mark.whole
def test_a_beginning_is_committed_upon_what_is_there(out: Path) -> None:
    run(Request([], out, Config(), {}, sources=[One("old", Polled((), (), {"at": 1}, begins=True))]))
    assert not run(
        Request([], out, Config(), {}, sources=[One("new", Polled((), (), {"at": 2}, begins=True))])
    ).repeated
    assert open_dataset(out).cursors == {"old": {"at": 1}, "new": {"at": 2}}


def test_an_argument_given_twice_is_one_source() -> None:
    opened = open_sources(["-", "a.jsonl", "-"], ReadOptions(), {}, following=True)
    assert [type(each) for each in opened] == [StdinSource, FileSource]
