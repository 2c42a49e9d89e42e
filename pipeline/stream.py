"""Stream: one unbounded graph that asks sources, reads what they have, and commits it window by window.

    ticks → ask (keyed by source; its cursor is state) → read in parallel → windows of event time → commit (one key)

A commit is a run as `follow` makes it, over blocks that are read already: those of the window that asks for it and of
any later one, so that a stream whose windows are shorter than a commit does not fall behind. What makes it exactly once
is not the engine but the manifest, see `pipeline.steps`; what the engine keeps (checkpoints) saves reading again, no
more. The time of these windows is that of the ticks: it is the rhythm of commits. The time of articles is the dataset's
affair: one that comes late joins the copy and the story that its date belongs to.
"""

import contextlib
import functools
import logging
import pickle
import shutil
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.coders import PickleCoder
from apache_beam.transforms.trigger import AccumulationMode, AfterCount, AfterWatermark
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec
from apache_beam.transforms.window import FixedWindows, GlobalWindows
from rich.console import Console

from pipeline.committer import committer
from pipeline.config import Config
from pipeline.engine import interruptible, new_pipeline, pipeline_options
from pipeline.engines import Engine, canceller
from pipeline.failures import explained
from pipeline.places import dataset_at
from pipeline.polling import Asked, open_sources
from pipeline.run import Request, refused_table
from pipeline.steps import MOST_WAITING, Part, Position, accept, caught_up, packed, worth_waiting
from pipeline.ticks import Ticks
from schemas.blocks import store_new
from schemas.errors import EngineLost, SourceAway, UsageError
from transforms.read.articles import blocks_of, read_item
from transforms.read.inputs import STDIN, InputFile, Plan, ReadOptions, WorkItem
from transforms.read.source import Cursor, Source
from transforms.read.sources import source_of

_POLLS = 4  # of each source in a window
_LONGEST_TICK = 1.0  # seconds: a checkpoint waits for it
_ONE = "dataset"  # the key of all commits
_STEP = "step-"  # before the names of steps' folders
_LEFT = 3600.0  # seconds beyond its lateness after which a step's folder that nothing changed in is taken for left over
_NOTED = ".part"  # what read parts are noted in, beside their blocks
_TICKED = "ticked"  # is there once a job has moved
_FIRST_TICK = 90.0  # seconds that it may take to
_STARTS = 3  # of a job that does not
_LOOKS = 0.2  # seconds between two looks for it


@dataclass(frozen=True)
class Stream:
    """What a stream is asked to do."""

    sources: Sequence[str]
    output: Path
    config: Config
    runner: str
    beam_flags: Sequence[str] = ()
    every: float = 60.0  # seconds of a window
    lateness: float = 600.0  # seconds that a poll may take to be committed, before its source is asked again

    @property
    def tick(self) -> float:
        """Seconds from one tick to the next."""
        return min(self.every / _POLLS, _LONGEST_TICK)


def stream_until_stopped(stream: Stream, console: Console) -> None:
    """Run the graph on its engine until a signal, which cancels the job there.

    A job that gives no tick is begun again: Beam's Flink runner (2.62) now and then loses the one element that every
    job begins with, and all its tasks run on and do nothing.

    Raises:
      UsageError, EngineLost, StorageFailed: it cannot begin, or the engine failed it.
    """
    if Engine.of(stream.runner) is Engine.LOCAL:
        raise UsageError(f"--runner {stream.runner}: a stream needs PrismRunner or FlinkRunner; use `follow` without")
    if STDIN in stream.sources:
        raise UsageError("-: only `run` and `follow` read standard input")
    if not stream.every:
        raise UsageError("--every 0: a window has a length")
    opened = open_sources(stream.sources, stream.config.read, {}, following=True)
    uris = [source.uri for source in opened]
    empty = _new(stream)
    dataset = dataset_at(stream.output)
    with dataset.attempt() as attempt:
        dataset.base(attempt)  # refuses what cannot be added to
        console.print(f"streaming into {dataset.name}; Ctrl-C or SIGTERM ends it", soft_wrap=True, markup=False)
        try:
            with explained(dataset.root):
                for start in range(_STARTS):
                    if _ran(_new(stream) if start else empty, uris, stream, attempt.scratch):
                        return
        except KeyboardInterrupt:
            console.print(f"stopped: snapshot {dataset.newest()}")
            return
    raise EngineLost(f"the engine runs the job, and nothing moves: tried {_STARTS} times for {_FIRST_TICK:.0f} s")


def _new(stream: Stream) -> beam.Pipeline:
    return new_pipeline(stream.runner, pipeline_options(1, stream.beam_flags, stream.runner, streaming=True))


def _ran(empty: beam.Pipeline, uris: Sequence[str], stream: Stream, scratch: Path) -> bool:
    """Run the graph to its end; whether it ever moved, or else was cancelled."""
    cancel, ended, silent = canceller(stream.runner, empty), threading.Event(), threading.Event()

    def watch() -> None:
        deadline = time.monotonic() + _FIRST_TICK
        while not ended.wait(_LOOKS) and not Path(scratch, _TICKED).exists():
            if time.monotonic() > deadline:
                silent.set()
                if cancel:
                    cancel()
                return

    try:
        with interruptible(cancel), empty as pipeline:
            build_stream(pipeline, uris, stream, str(scratch))
            threading.Thread(target=watch, daemon=True).start()
    except Exception:
        if not silent.is_set():
            raise
    finally:
        ended.set()
    return not silent.is_set()


def build_stream(pipeline: beam.Pipeline, uris: Sequence[str], stream: Stream, scratch: str) -> beam.PCollection:
    """Wire a stream.

    Args:
      pipeline: an empty pipeline.
      uris: names of the sources, in the order of `stream.sources`.
      stream: what it is to do.
      scratch: a folder that driver and workers share, for what is read and not yet committed.
    """
    arguments = dict(zip(uris, stream.sources, strict=True))
    windows = {
        "trigger": AfterWatermark(late=AfterCount(1)),
        "allowed_lateness": stream.lateness,
        "accumulation_mode": AccumulationMode.DISCARDING,
    }
    return (
        pipeline
        | "Ticks" >> Ticks(stream.tick)
        | "Each source" >> beam.FlatMap(_with_each, tuple(arguments)).with_output_types(tuple[str, float])
        | "Ask" >> beam.ParDo(_Ask(stream, arguments, scratch))
        | "Spread" >> beam.Reshuffle()
        | "Read" >> beam.FlatMap(read_part, stream.config.read).with_output_types(tuple[str, Any])
        | "Windows" >> beam.WindowInto(FixedWindows(stream.every), **windows)
        | "Together" >> beam.GroupByKey()
        | "In turn" >> beam.WindowInto(GlobalWindows())
        | "Commit" >> beam.ParDo(_Commit(stream))
    )


def _with_each(tick: float, uris: Sequence[str]) -> Iterator[tuple[str, float]]:
    for uri in uris:
        yield uri, tick


class _Ask(beam.DoFn):  # type: ignore[misc]
    """(source, tick) → work items of what it has that is new, each with the part of the step that it will be."""

    POSITION = ReadModifyWriteStateSpec("position", PickleCoder())

    def __init__(self, stream: Stream, arguments: Mapping[str, str], scratch: str) -> None:
        self._stream, self._arguments, self._scratch = stream, arguments, scratch
        self._sources: dict[str, Source] = {}
        self._seen: tuple[int, Mapping[str, Cursor]] = (0, {})

    def process(
        self,
        element: tuple[str, float],
        state: Any = beam.DoFn.StateParam(POSITION),  # noqa: B008 -- Beam's way
    ) -> Iterator[tuple[WorkItem | None, Part]]:
        uri, tick = element
        if not self._sources:
            Path(self._scratch, _TICKED).touch()
        position, now = state.read(), time.time()
        if position and tick < position.asked + self._stream.every / _POLLS:
            return
        position = caught_up(position, self._committed().get(uri, {}), now, self._stream.lateness)
        if position.waiting < MOST_WAITING:
            source = self._sources.get(uri) or source_of(self._arguments[uri], self._stream.config.read)
            self._sources[uri] = source
            position, found = ask_for_step(source, position, self._scratch)
            position = position._replace(asked=max(position.asked, tick))  # later, if the clock was put back
            yield from found
        state.write(position)

    def _committed(self) -> Mapping[str, Cursor]:
        manifests = dataset_at(self._stream.output).manifests
        newest = manifests.newest()
        if newest != self._seen[0]:
            self._seen = newest, manifests.read(newest).cursors
        return self._seen[1]


def ask_for_step(
    source: Source, position: Position, scratch: str
) -> tuple[Position, list[tuple[WorkItem | None, Part]]]:
    """Ask a source once.

    Args:
      source: which.
      position: how far it was asked.
      scratch: where the step gets a folder.

    Returns:
      how far it is asked now, and the work items with the parts that they are to become.
    """
    folder = Path(scratch, f"{_STEP}{uuid.uuid4().hex}")
    folder.mkdir()
    try:
        polled = source.poll(position.cursor, folder)
    except SourceAway as error:
        logging.getLogger(__name__).warning("%s", error)
        folder.rmdir()
        return position._replace(asked=time.time()), []
    now = time.time()
    found = Asked(Plan(polled.items, polled.refused, ()), {}, polled.begins)
    if found.is_nothing:
        shutil.rmtree(folder)
        return position.after(polled.cursor, now, step=False), []
    refused = (_stored(refused_table(polled.refused), str(folder)),) if polled.refused else ()
    items: list[WorkItem | None] = [*polled.items] or [None]
    parts = [
        Part(source.uri, str(folder), n, len(items), position.last, packed(polled.cursor), now, () if n else refused)
        for n in range(len(items))
    ]
    return position.after(polled.cursor, now, step=True), list(zip(items, parts, strict=True))


def read_part(element: tuple[WorkItem | None, Part], options: ReadOptions) -> Iterator[tuple[str, Part]]:
    """Read a work item and store what it gives; nothing comes of one whose step was committed or dropped since."""
    item, part = element
    if not Path(part.folder).is_dir():
        return
    blocks = list(part.blocks)
    try:
        blocks += [_stored(table, part.folder) for table in blocks_of(read_item(item, options))] if item else []
    except SourceAway as error:  # the step stays without this part until its source is asked again
        logging.getLogger(__name__).warning("%s", error)
        return
    part = part._replace(blocks=tuple(blocks))
    _note(part)
    yield _ONE, part


def _note(part: Part) -> None:
    """Let a commit of an earlier window see it too."""
    hidden = Path(part.folder, f".{uuid.uuid4().hex}")
    hidden.write_bytes(pickle.dumps(part))
    hidden.rename(Path(part.folder, f"{part.number}{_NOTED}"))


def _noted(scratch: Path) -> Iterator[Part]:
    for path in scratch.glob(f"*/*{_NOTED}"):
        with contextlib.suppress(FileNotFoundError):  # another has just committed it
            yield pickle.loads(path.read_bytes())  # noqa: S301 -- of a worker of this stream


def _stored(table: pa.Table, folder: str) -> InputFile:
    stored = store_new(table, folder, "block")
    return InputFile(stored.path, stored.rows)


class _Commit(beam.DoFn):  # type: ignore[misc]
    """(one key, parts of a window) → snapshots; steps that miss something wait for it."""

    WAITING = ReadModifyWriteStateSpec("waiting", PickleCoder())

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def process(
        self,
        element: tuple[str, Iterable[Part]],
        state: Any = beam.DoFn.StateParam(WAITING),  # noqa: B008 -- Beam's way
    ) -> None:
        parts = [*(state.read() or ()), *element[1]]
        if parts:  # Flink tells of windows that expire, too
            state.write(commit_steps(parts, self._stream))


def commit_steps(parts: Sequence[Part], stream: Stream) -> tuple[Part, ...]:
    """Commit what can be, also of windows that are still to come; give those of the parts that have to wait.

    Raises:
      RuntimeError, WorkerLost: the run failed.
    """
    given = parts
    parts = list(dict.fromkeys(chain(given, *map(_noted, {Path(part.folder).parent for part in given}))))
    there = tuple(part for part in parts if all(Path(block.uri).exists() for block in part.blocks))
    if not there:
        return ()  # a commit before took it along
    asking = functools.partial(_asked, there)
    request = Request((), stream.output, stream.config, {}, sources=(), following={}, graceful=True, asking=asking)
    committed = committer().run(request)
    waiting = worth_waiting(accept(there, committed).waiting, committed, time.time(), stream.lateness)
    for folder in {part.folder for part in parts} - {part.folder for part in waiting}:
        shutil.rmtree(folder, ignore_errors=True)
    for scratch in {Path(part.folder).parent for part in given}:
        _clear(scratch, time.time() - stream.lateness - _LEFT)
    return tuple(part for part in waiting if part in given)


def _clear(scratch: Path, before: float) -> None:
    """Remove the folders of steps of which no part came here: their source did not answer, or a worker died."""
    for folder in scratch.glob(f"{_STEP}*"):
        with contextlib.suppress(FileNotFoundError):
            if folder.stat().st_mtime < before:
                shutil.rmtree(folder, ignore_errors=True)


def _asked(parts: Sequence[Part], committed: Mapping[str, Cursor]) -> Asked:
    return accept(parts, committed).asked
