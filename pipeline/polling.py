"""What a run is to read: its files as they are, and what its sources have that no run before has committed."""

import glob
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import orjson

from pipeline.metadata import Known
from pipeline.places import dataset_at
from schemas.errors import RejectReason, SourceAway, UsageError
from transforms.read.inputs import STDIN, Plan, ReadOptions, Refused, WorkItem, plan_inputs
from transforms.read.source import Cursor, Polled, Source
from transforms.read.sources import is_read_once, source_of

_TOGETHER = 16  # sources that are asked at a time: they mostly wait
_POLLS = 1000  # of one source in one run, before the rest is left to the next


class Asked(NamedTuple):
    """What there is to read, and how far each source was read by it."""

    plan: Plan
    cursors: Mapping[str, Cursor]  # by the source's URI; of sources that this run did not ask, too
    begins: bool = False  # one of the cursors must not get lost, though nothing may have been found
    away: tuple[str, ...] = ()  # what is said of sources that do not answer

    @property
    def is_nothing(self) -> bool:
        """Whether there is nothing new, and nothing to say but that."""
        nothing = not self.plan.items and all(each.reason == RejectReason.EMPTY for each in self.plan.refused)
        return nothing and not self.begins


def open_sources(
    inputs: Sequence[str], options: ReadOptions, known: Mapping[str, Known], *, following: bool
) -> list[Source]:
    """Open the sources among the arguments of a command; when following, all of them are.

    Raises:
      UsageError: one cannot be meant, or its extra is not installed.
    """
    asked = dict.fromkeys(inputs)  # of standard input given twice one would have the lines that the other lacks
    return [source_of(each, options, known) for each in asked if following or not is_read_once(each)]


def refuse_own(inputs: Sequence[str], output: Path) -> None:
    """See that no run will read what runs on its dataset wrote.

    Raises:
      UsageError: OUT lies in an input, where it is not hidden, or an input in OUT; or an input has no name.
    """
    if "" in inputs:
        raise UsageError("an INPUT is empty: is a variable of the shell not set?")
    dataset = dataset_at(output)
    out = Path(os.path.realpath(dataset.root))
    for argument in filter(is_read_once, inputs):
        local = argument.removeprefix("file://")
        if "://" in local:
            if f"{dataset.name}/".startswith(f"{local.rstrip('/')}/"):
                raise _holding(argument, output)
            continue
        found = [local] if os.path.lexists(local) else glob.glob(local, recursive=True)  # noqa: PTH207 -- any pattern
        folders = {os.path.realpath(each) for each in found if os.path.isdir(each)}  # noqa: PTH112 -- of many files
        if any(_holds(Path(folder), out) for folder in folders):
            raise _holding(argument, output)
        folders |= {os.path.realpath(folder) for folder in {os.path.dirname(each) for each in found} - folders}  # noqa: PTH120 -- likewise
        if any(Path(folder).is_relative_to(out) for folder in folders):
            raise UsageError(f"{argument}: lies in OUT, {output}: a run does not read what runs on OUT wrote")


def _holds(folder: Path, out: Path) -> bool:
    """Whether who reads a folder comes upon OUT: what is hidden is passed over."""
    return out.is_relative_to(folder) and not any(part.startswith(".") for part in out.relative_to(folder).parts)


def _holding(argument: str, output: Path) -> UsageError:
    return UsageError(f"{argument}: holds OUT, {output}: choose an OUT beside it, or name what is to be read")


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
      following: there will be another time: ask once, take no file as it is, and do without sources that are away.
      stdin: what `-` stands for.

    Raises:
      UsageError: an input does not exist, a source cannot be asked.
      SourceAway: a source does not answer; when following, none does.
    """
    files = [] if following else [each for each in inputs if is_read_once(each)]
    plan = plan_inputs(files, known, options.split_bytes, stdin) if files else Plan((), (), ())
    with ThreadPoolExecutor(_TOGETHER) as pool:
        folders = [spool / str(number) for number in range(len(sources))]
        tasks = [
            pool.submit(_asked, source, cursors.get(source.uri, {}), folder, following=following)
            for source, folder in zip(sources, folders, strict=True)
        ]
    found: dict[str, Polled] = {}
    away: list[SourceAway] = []
    for source, task in zip(sources, tasks, strict=True):
        try:
            found[source.uri] = task.result()
        except SourceAway as error:
            away.append(error)
    if away and (not following or not found):
        raise away[0]
    for uri, polled in found.items():
        step = orjson.dumps([cursors.get(uri, {}), polled.cursor], option=orjson.OPT_SORT_KEYS).decode()
        plan = Plan(
            (*plan.items, *polled.items),
            (*plan.refused, *polled.refused),
            (*plan.fingerprint, (f"{uri} {step}", len(polled.items), 0.0)),
        )
    after = dict(cursors) | {uri: polled.cursor for uri, polled in found.items()}
    begins = any(polled.begins for polled in found.values())
    return Asked(plan, after, begins, tuple(str(each) for each in away))


def _asked(source: Source, cursor: Cursor, folder: Path, *, following: bool) -> Polled:
    """Ask once, or until there is no more."""
    items: list[WorkItem] = []
    refused: list[Refused] = []
    begins = False
    for number in range(1 if following else _POLLS):
        spool = folder / str(number)
        spool.mkdir(parents=True)
        polled = source.poll(cursor, spool)
        items += polled.items
        refused += polled.refused
        begins = begins or polled.begins
        cursor = polled.cursor
        if not polled.items:
            break
    return Polled(tuple(items), tuple(refused), cursor, begins)


def reads_stdin(inputs: Sequence[str]) -> bool:
    """Whether standard input is among the arguments."""
    return STDIN in inputs
