"""One run: inputs → graph → committed snapshot.

On a dataset that holds something the run adds to it: new articles are compared with each other and with the kept ones,
and only files in which a row changes are written again.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.change import Change
from pipeline.commit import Attempt, Dataset
from pipeline.config import Config
from pipeline.engine import DEFAULT_RUNNER, interruptible, new_pipeline, noticing_lost_workers, pipeline_options
from pipeline.engines import canceller
from pipeline.failures import explained
from pipeline.graph import Folders, build
from pipeline.kept import OF_OUTLETS, beginning, keep, leaving, memory_files
from pipeline.listing import (
    check_links,
    check_rejects,
    counted,
    numbered,
    read_listing,
    replaced_files,
    summary_of,
    unknown_outlets,
)
from pipeline.manifests import Manifest
from pipeline.metadata import Known, unmatched
from pipeline.places import dataset_at
from pipeline.polling import Asked, ask, open_sources, reads_stdin
from pipeline.rebuild import differences, left_behind, published_labels
from schemas.blocks import REJECTED, load
from schemas.contract import CONTRACT_VERSION
from schemas.errors import CommitConflict, ConfigError, ContractMismatch
from schemas.ids import stable_hash
from schemas.spared import SPARED
from schemas.state import EarlierRuns
from schemas.tables import ALIASES, ARTICLES, STORIES
from transforms.read.inputs import Plan, Refused
from transforms.read.source import Cursor, Source
from transforms.read.stdin import spool_stdin
from transforms.read.warc import PASSED_OVER

_TRIES = 3  # of a run that others overtake


@dataclass(frozen=True)
class Request:
    """What a run is asked to do."""

    inputs: Sequence[str]
    output: Path
    config: Config
    known: Mapping[str, Known]  # the metadata file, see `pipeline.metadata`
    runner: str = DEFAULT_RUNNER
    workers: int = 1
    beam_flags: Sequence[str] = ()
    fresh_memory: bool = False  # begin without what earlier runs learned of the outlets
    rebuild: bool = False  # put these inputs alone in the place of what the dataset holds
    sources: Sequence[Source] | None = None  # of the inputs, already open; they may remember what they were asked
    following: Mapping[str, Cursor] | None = None  # one round of many: how far they were read
    upon: Mapping[str, Cursor] = field(default_factory=dict)  # the cursors that were committed then
    asking: Callable[[Mapping[str, Cursor]], Asked] | None = None  # committed cursors → what was read already
    graceful: bool = False  # signals are somebody else's: let the run end


@dataclass(frozen=True)
class Result:
    """What came of it."""

    manifest: Manifest | None  # the newest snapshot; None: there is none, and nothing was read
    repeated: bool  # nothing was done: it was there already, or there is nothing new
    unmatched: Sequence[str]  # rows of the metadata file that name no input
    unknown_outlets: Sequence[str] = ()  # those of [clean.outlets] that no article is of
    cursors: Mapping[str, Cursor] | None = None  # how far each source was read
    away: Sequence[str] = ()  # what is said of sources that do not answer


def run(request: Request, watch: Callable[[Attempt], Any] | None = None) -> Result:
    """Run the pipeline and commit its tables as the next snapshot.

    The same inputs under the same configuration as the newest snapshot's are not run again. A run that another one
    overtook begins again from what that one committed, because what it learned of the outlets is its base.

    Args:
      request: what to do.
      watch: called with the attempt once its folders are there, to show progress.

    Raises:
      UsageError, TooManyRejects, CommitConflict, ContractMismatch, StorageFailed, WorkerLost: see `schemas.errors`.
    """
    if request.sources is None:
        opened = open_sources(request.inputs, request.config.read, request.known, following=False)
        request = replace(request, sources=opened)
    with _spooled(request) as stdin:
        for _ in range(_TRIES - 1):
            with contextlib.suppress(CommitConflict):
                return _run_once(request, watch, stdin)
        return _run_once(request, watch, stdin)


@contextlib.contextmanager
def _spooled(request: Request) -> Iterator[Path | None]:
    """Standard input as a file of the dataset's, if it is read: a run that begins again cannot read it twice."""
    if request.following is not None or not reads_stdin(request.inputs):
        yield None
        return
    dataset = dataset_at(request.output)
    with dataset.attempt() as attempt:
        with explained(dataset.root):
            stdin = spool_stdin(attempt.scratch)
        yield stdin


def _run_once(request: Request, watch: Callable[[Attempt], Any] | None, stdin: Path | None) -> Result:
    empty = new_pipeline(request.runner, pipeline_options(request.workers, request.beam_flags, request.runner))
    dataset = dataset_at(request.output)
    with dataset.attempt() as attempt:
        base = dataset.base(attempt)
        with explained(dataset.root):
            asked = _asked(request, base, attempt, stdin)
        plan = asked.plan
        idle = unmatched(request.known, (uri for uri, *_ in plan.fingerprint))
        result = Result(base, repeated=True, unmatched=idle, cursors=asked.cursors, away=asked.away)
        run_id = _run_id(request, plan)
        if asked.is_nothing and (base or request.following is not None):
            return result
        if base and base.run_id == run_id and dataset.is_whole(base):
            return result
        if base and not request.rebuild:
            _refuse_damaged(dataset, base)
            _refuse_to_drop_stories(dataset, base, request.config)
        earlier = EarlierRuns(run=attempt.base + 1)
        kept = beginning(attempt.base + 1, request.config)
        if watch:
            watch(attempt)
        with explained(dataset.root):
            if base:
                _fetch(dataset, base, request)
                if not request.fresh_memory:
                    earlier = earlier._replace(files=memory_files(dataset.root, base))
                how = {"fresh": request.fresh_memory, "rebuild": request.rebuild}
                kept = keep(dataset.root, base, request.config, attempt.scratch, **how)
            signals = contextlib.nullcontext() if request.graceful else interruptible(canceller(request.runner, empty))
            with signals, noticing_lost_workers(request.workers), empty as pipeline:
                folders = Folders(str(attempt.scratch), str(attempt.files), str(attempt.state), earlier, kept)
                build(pipeline, plan.items, refused_table(plan.refused), request.config, folders)
            found, left = read_listing(attempt.files), read_listing(attempt.state).staged
            check_links(found, left)
            gone: frozenset[str] = frozenset()
            if base:
                gone = left_behind(base) if request.rebuild else replaced_files(dataset.root, found.staged)
            staying = [file for file in base.files if file.path not in gone] if base else []
            files = numbered([each.file for each in found.staged], staying)
            summary = summary_of(found, [*staying, *files])
            summary |= {
                "thinned_keys": counted(pipeline, "match", "thinned_keys"),  # too many articles to pair them all
                "spared": sum(counted(pipeline, stage, SPARED) for stage in ("match", "cluster", "write")),
                "passed_over": counted(pipeline, "read", PASSED_OVER),
            }
            if request.following is None and (plan.items or not asked.begins):
                check_rejects(found, summary, request.config, adding=bool(kept.files))
            if base and kept.labels:
                labels = published_labels(attempt.files, files)
                summary |= differences(load(kept.labels), labels, base.rows("articles"))
            about = {
                "run_id": run_id,
                "version": version("copydesk"),
                "config": request.config.fingerprint(),
                "inputs": plan.fingerprint,
                "cursors": asked.cursors,
                "summary": summary,
                "thresholds": request.config.model_dump(mode="json", include={"match", "copies"}),
            }
            unknown = unknown_outlets(attempt, files, request.config)
            state = [each.file for each in left if each.file.path]
            gone |= leaving(dataset.root, base, kept, left) if base else frozenset()
            change = Change(files, state, gone, fresh_state=request.fresh_memory, about=about)
            manifest = dataset.commit(attempt, change)
        return replace(result, manifest=manifest, repeated=False, unknown_outlets=unknown)


def _asked(request: Request, base: Manifest | None, attempt: Attempt, stdin: Path | None) -> Asked:
    committed = base.cursors if base and not request.rebuild else {}
    ahead = {  # of what is committed; not where that has changed: by another run, or by one that then failed
        uri: cursor for uri, cursor in (request.following or {}).items() if committed.get(uri) == request.upon.get(uri)
    }
    if request.asking:
        return request.asking(committed)
    return ask(
        request.inputs,
        request.sources or (),
        {**committed, **ahead},
        request.config.read,
        request.known,
        attempt.scratch / "spool",
        following=request.following is not None,
        stdin=stdin,
    )


def _fetch(dataset: Dataset, base: Manifest, request: Request) -> None:
    """Have the files of a snapshot at hand that a run may read: which it writes again is known late.

    Raises:
      ContractMismatch: one is gone or damaged; not those that a run without memory or a rebuild does without.
    """
    state = [] if request.fresh_memory else base.state
    if not request.rebuild:
        dataset.fetch([*state, *base.files])
        return
    dataset.fetch([file for file in state if file.table in OF_OUTLETS])
    files = [file for file in base.files if file.table in {ALIASES.name, ARTICLES.name}]
    try:
        dataset.fetch(files)
    except ContractMismatch:  # `keep` says what is lost, and refuses to do without aliases
        for file in files:
            with contextlib.suppress(ContractMismatch):
                dataset.fetch([file])


def _refuse_damaged(dataset: Dataset, base: Manifest) -> None:
    """See that the tables that a run would list again are there, before any work; state is verified where it is read.

    Raises:
      ContractMismatch: a file is gone or cut short.
    """
    if not dataset.is_whole(replace(base, state=[])):
        raise ContractMismatch(
            f"{dataset.name}: files of snapshot {base.snapshot} are gone or cut short: "
            f"`copydesk snapshots {dataset.name} verify` names them and the way back; "
            "--rebuild makes a dataset of its inputs alone"
        )


def _refuse_to_drop_stories(dataset: Dataset, base: Manifest, config: Config) -> None:
    """See that no published story would go without an alias, and take its id with it.

    Raises:
      ConfigError: stories are switched off for a dataset that has some.
    """
    if base.rows(STORIES.name) and not config.stories.enabled:
        raise ConfigError(
            f"{dataset.name}: has stories, whose ids are to stay, and stories.enabled is false: leave it true, use "
            "another OUT, or make the dataset anew without stories by --rebuild"
        )


def _run_id(request: Request, plan: Plan) -> str:
    parts = [version("copydesk"), CONTRACT_VERSION, request.config.model_dump_json()]
    parts += [
        repr(each) for each in (plan.fingerprint, plan.refused, sorted((k, dict(v)) for k, v in request.known.items()))
    ]
    parts += ["fresh memory"] * request.fresh_memory + ["rebuild"] * request.rebuild
    return f"{stable_hash('run', *parts):016x}"


def refused_table(refused: Iterable[Refused]) -> pa.Table:
    """Inputs that cannot be planned → REJECTED."""
    rows = [
        {"source_uri": uri, "stage": "read", "reason": str(reason), "detail": detail} for uri, reason, detail in refused
    ]
    return pa.Table.from_pylist(rows, schema=REJECTED)
