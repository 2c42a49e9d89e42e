"""What a run is to read: its files as they are, and what its sources have that no run before has committed."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import orjson

from pipeline.metadata import Known
from schemas.errors import RejectReason
from transforms.read.inputs import STDIN, Plan, ReadOptions, Refused, WorkItem, plan_inputs
from transforms.read.source import Cursor, Polled, Source
from transforms.read.sources import is_read_once, source_of

_TOGETHER = 16  # sources that are asked at a time: they mostly wait
_POLLS = 1000  # of one source in one run, before the rest is left to the next


class Asked(NamedTuple):
    """What there is to read, and how far each source was read by it."""

    plan: Plan
    cursors: Mapping[str, Cursor]  # by the source's URI; of sources that this run did not ask, too

    @property
    def is_nothing(self) -> bool:
        """Whether there is nothing new, and nothing to say but that."""
        return not self.plan.items and all(each.reason == RejectReason.EMPTY for each in self.plan.refused)


def open_sources(
    inputs: Sequence[str], options: ReadOptions, known: Mapping[str, Known], *, following: bool
) -> list[Source]:
    """Open the sources among the arguments of a command; when following, all of them are.

    Raises:
      UsageError: one cannot be meant, or its extra is not installed.
    """
    return [source_of(each, options, known) for each in inputs if following or not is_read_once(each)]


def ask(  # noqa: PLR0913, PLR0917 -- what a request holds
    inputs: Sequence[str],
    sources: Sequence[Source],
    cursors: Mapping[str, Cursor],
    options: ReadOptions,
    known: Mapping[str, Known],
    spool: Path,
    *,
    following: bool,
    stdin: Path | None = None,
) -> Asked:
    """Ask every source for what is new, and plan all files.

    Args:
      inputs: arguments of a command.
      sources: as `open_sources` opened them.
      cursors: by URI, how far they were read.
      options: how inputs are read.
      known: what a metadata file says, by URI or by file name.
      spool: an empty folder for what has to be fetched.
      following: there will be another time: ask once, and take no file as it is.
      stdin: what `-` stands for.

    Raises:
      UsageError, SourceAway: an input does not exist, a source cannot be asked.
    """
    files = [] if following else [each for each in inputs if is_read_once(each)]
    plan = plan_inputs(files, known, options.split_bytes, stdin) if files else Plan((), (), ())
    with ThreadPoolExecutor(_TOGETHER) as pool:
        folders = [spool / str(number) for number in range(len(sources))]
        tasks = [
            pool.submit(_asked, source, cursors.get(source.uri, {}), folder, following=following)
            for source, folder in zip(sources, folders, strict=True)
        ]
        found = [task.result() for task in tasks]
    after = dict(cursors) | {source.uri: polled.cursor for source, polled in zip(sources, found, strict=True)}
    for source, polled in zip(sources, found, strict=True):
        step = orjson.dumps([cursors.get(source.uri, {}), polled.cursor], option=orjson.OPT_SORT_KEYS).decode()
        plan = Plan(
            (*plan.items, *polled.items),
            (*plan.refused, *polled.refused),
            (*plan.fingerprint, (f"{source.uri} {step}", len(polled.items), 0.0)),
        )
    return Asked(plan, after)


def _asked(source: Source, cursor: Cursor, folder: Path, *, following: bool) -> Polled:
    """Ask once, or until there is no more."""
    items: list[WorkItem] = []
    refused: list[Refused] = []
    for number in range(1 if following else _POLLS):
        spool = folder / str(number)
        spool.mkdir(parents=True)
        polled = source.poll(cursor, spool)
        items += polled.items
        refused += polled.refused
        cursor = polled.cursor
        if not polled.items:
            break
    return Polled(tuple(items), tuple(refused), cursor)


def reads_stdin(inputs: Sequence[str]) -> bool:
    """Whether standard input is among the arguments."""
    return STDIN in inputs
