"""One run: inputs → graph → committed snapshot.

On a dataset that holds something the run adds to it: new articles are compared with each other and with the kept ones,
and only files in which a row changes are written again.
"""

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import apache_beam as beam
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from apache_beam.metrics.metric import MetricsFilter

from pipeline.change import Change
from pipeline.commit import Attempt, Dataset
from pipeline.config import Config
from pipeline.engine import DEFAULT_RUNNER, interruptible, new_pipeline, noticing_lost_workers, pipeline_options
from pipeline.failures import explained
from pipeline.graph import Folders, build
from pipeline.kept import keep
from pipeline.manifests import Manifest
from pipeline.metadata import Known, unmatched
from pipeline.reading import is_all_there, state_files
from schemas.blocks import REJECTED
from schemas.errors import CommitConflict, CopydeskError, RejectReason, TooManyRejects, UsageError
from schemas.files import DataFile, Staged
from schemas.ids import stable_hash
from schemas.state import EarlierRuns, Kept
from schemas.tables import CONTRACT_VERSION
from transforms.read.inputs import Plan, plan_inputs
from transforms.write.partitions import UNDATED
from transforms.write.staging import FILE_LIST, REJECTED_AS

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


@dataclass(frozen=True)
class Result:
    """What came of it."""

    manifest: Manifest
    repeated: bool  # the snapshot was there already: nothing was done
    unmatched: Sequence[str]  # rows of the metadata file that name no input
    unknown_outlets: Sequence[str] = ()  # those of [clean.outlets] that no article is of


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
    for _ in range(_TRIES - 1):
        with contextlib.suppress(CommitConflict):
            return _run_once(request, watch)
    return _run_once(request, watch)


def _run_once(request: Request, watch: Callable[[Attempt], Any] | None) -> Result:
    empty = new_pipeline(request.runner, pipeline_options(request.workers, request.beam_flags))
    plan = plan_inputs(request.inputs, request.known, request.config.read.split_bytes)
    idle = unmatched(request.known, (uri for uri, *_ in plan.fingerprint))
    run_id = _run_id(request, plan)
    dataset = Dataset(_local_folder(request.output))
    with dataset.attempt() as attempt:
        base = dataset.base(attempt)
        if base and base.run_id == run_id and is_all_there(dataset.root, base):
            return Result(base, repeated=True, unmatched=idle)
        earlier = EarlierRuns(run=attempt.base + 1)
        if base and not request.fresh_memory:
            known = state_files(dataset.root, base)
            earlier = earlier._replace(files=tuple((f.table, int(f.partition), str(path)) for f, path in known))
        kept = Kept(run=attempt.base + 1)
        if watch:
            watch(attempt)
        with explained(dataset.root):
            if base and not request.rebuild:
                kept = keep(
                    dataset.root,
                    base,
                    request.config.kept.window_days,
                    attempt.scratch,
                    with_links=not request.fresh_memory,
                )
            with interruptible(), noticing_lost_workers(request.workers), empty as pipeline:
                folders = Folders(str(attempt.scratch), str(attempt.files), str(attempt.state), earlier, kept)
                build(pipeline, plan.items, _refused(plan), request.config, folders)
            found = _listing(attempt.files)
            removed = replaced_files(dataset.root, found.staged) if kept.files else None
            files = numbered([each.file for each in found.staged], _staying(base, removed))
            summary = _summary(found, [*_staying(base, removed), *files]) | {"thinned_keys": _thinned_keys(pipeline)}
            _check_rejects(found, summary, request.config, adding=removed is not None)
            unknown = _unknown_outlets(attempt, files, request.config)
            about = {
                "run_id": run_id,
                "version": version("copydesk"),
                "config": request.config.fingerprint(),
                "inputs": plan.fingerprint,
                "summary": summary,
                "thresholds": request.config.model_dump(mode="json", include={"match", "copies"}),
            }
            state = _listing(attempt.state).staged
            gone = None if removed is None else removed | replaced_files(dataset.root, state)
            change = Change(files, [each.file for each in state], gone, fresh_state=request.fresh_memory, about=about)
            manifest = dataset.commit(attempt, change)
        return Result(manifest, repeated=False, unmatched=idle, unknown_outlets=unknown)


def _run_id(request: Request, plan: Plan) -> str:
    parts = [version("copydesk"), CONTRACT_VERSION, request.config.model_dump_json()]
    parts += [
        repr(each) for each in (plan.fingerprint, plan.refused, sorted((k, dict(v)) for k, v in request.known.items()))
    ]
    parts += ["fresh memory"] * request.fresh_memory + ["rebuild"] * request.rebuild
    return f"{stable_hash('run', *parts):016x}"


def _local_folder(output: Path) -> Path:
    if "://" in str(output) or ":/" in str(output):
        raise UsageError(f"{output}: snapshots can only be committed to a local or mounted folder")
    return Path(os.path.normpath(output.absolute()))


def _refused(plan: Plan) -> pa.Table:
    rows = [
        {"source_uri": uri, "stage": "read", "reason": str(reason), "detail": detail}
        for uri, reason, detail in plan.refused
    ]
    return pa.Table.from_pylist(rows, schema=REJECTED)


def replaced_files(root: Path, staged: Sequence[Staged]) -> frozenset[str]:
    """The files of the base whose place is taken, as its manifest calls them."""
    return frozenset(Path(path).relative_to(root).as_posix() for each in staged for path in each.replaces)


def numbered(staged: Sequence[DataFile], others: Sequence[DataFile]) -> list[DataFile]:
    """Staged files with the parts of each partition counted from 0; without those of no rows that are not needed.

    A table needs one file in a partition that is a date, even without rows: see `partition_slices`.

    Args:
      staged: as they were written.
      others: files that stay beside them.
    """
    dated = {file.table for file in (*(file for file in staged if file.rows), *others) if file.partition != UNDATED}
    parts = Counter[tuple[str, str]]()
    kept = []
    for file in sorted(staged):
        if file.rows or file.table not in dated:
            kept.append(file._replace(part=parts[file.table, file.partition]))
            parts[file.table, file.partition] += 1
    return kept


def _staying(base: Manifest | None, removed: AbstractSet[str] | None) -> list[DataFile]:
    """The base's files that stay; `removed` is None where none do."""
    return [file for file in base.files if file.path not in removed] if base and removed is not None else []


class _Listing(NamedTuple):
    """What workers wrote and counted."""

    staged: list[Staged]
    counts: Mapping[str, tuple[int, str]]  # and an example

    def total(self, name: str) -> int:
        return self.counts.get(name, (0, ""))[0]


def _listing(folder: Path) -> _Listing:
    path = folder / FILE_LIST
    if not path.exists():
        raise CopydeskError("the pipeline ended without a list of files: see the runner's log; nothing was committed")
    listed = orjson.loads(path.read_bytes())
    path.unlink()
    staged = [Staged(DataFile(**file), tuple(replaces)) for file, replaces in listed["files"]]
    return _Listing(staged, {name: tuple(each) for name, each in listed["counts"].items()})


def _summary(found: _Listing, after: Sequence[DataFile]) -> dict[str, int]:
    """The counts that a run prints; they go into the manifest."""
    kept, rejected = found.total("new_articles"), found.total("new_rejects")
    counts = {
        "articles_read": kept + rejected,
        "articles_kept": kept,
        "rejected": rejected,
        "delivered_twice": found.total(REJECTED_AS + RejectReason.DUPLICATE_INPUT),
        "furniture_lines": found.total("furniture_lines"),
        "other_lines": found.total("other_lines"),
    }
    return counts | {name: _rows(after, name) for name in ("articles", "copies", "stories", "pairs")}


def _thinned_keys(pipeline: beam.Pipeline) -> int:
    """Keys under too many articles to pair them all; see `transforms.match.candidates`."""
    found = pipeline.result.metrics().query(MetricsFilter().with_namespace("match").with_name("thinned_keys"))
    return sum(counter.result for counter in found["counters"])


def _check_rejects(found: _Listing, summary: Mapping[str, int], config: Config, *, adding: bool) -> None:
    """Abandon a run that refused too much.

    Raises:
      TooManyRejects: naming the most frequent reason and an example.
    """
    records = summary["articles_read"] - summary["delivered_twice"]
    refused = summary["rejected"] - summary["delivered_twice"]
    limits = config.rejects
    too_many = records >= limits.from_records and refused > limits.max_share * records
    if (summary["articles_kept"] or (adding and summary["delivered_twice"] and not refused)) and not too_many:
        return
    reasons = {
        name.removeprefix(REJECTED_AS): each for name, each in found.counts.items() if name.startswith(REJECTED_AS)
    }
    if not reasons:
        raise TooManyRejects("no articles in the input; nothing was committed")
    reason, (count, example) = min(reasons.items(), key=lambda each: (-each[1][0], each[0]))
    raise TooManyRejects(
        f"{refused} of {records} records were rejected, most as {reason} ({count}), for example {example}; "
        "nothing was committed (limits: [rejects] in the configuration)"
    )


def _unknown_outlets(attempt: Attempt, files: Sequence[DataFile], config: Config) -> list[str]:
    """Outlets that the configuration has rules for and no article is of: misspelt, or without news today."""
    if not config.clean.outlets:
        return []
    columns = [_column(attempt, file, "outlet") for file in files if file.table == "articles"]
    return sorted(set(config.clean.outlets).difference(*(pc.unique(column).to_pylist() for column in columns)))


def _rows(files: Sequence[DataFile], table: str) -> int:
    return sum(file.rows for file in files if file.table == table)


def _column(attempt: Attempt, file: DataFile, name: str) -> pa.ChunkedArray:
    return pq.read_table(attempt.files / file.path, columns=[name])[name]
