"""One batch run: inputs → graph → committed snapshot."""

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

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
from pipeline.engines import canceller
from pipeline.failures import explained
from pipeline.graph import Folders, build
from pipeline.manifests import Manifest
from pipeline.metadata import Known, unmatched
from pipeline.reading import is_all_there, state_files
from schemas.blocks import REJECTED
from schemas.errors import CommitConflict, CopydeskError, RejectReason, TooManyRejects, UsageError
from schemas.files import DataFile
from schemas.ids import stable_hash
from schemas.state import EarlierRuns
from schemas.tables import CONTRACT_VERSION
from transforms.read.inputs import Plan, plan_inputs
from transforms.write.staging import FILE_LIST

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


@dataclass(frozen=True)
class Result:
    """What came of it."""

    manifest: Manifest
    repeated: bool  # the snapshot was there already: nothing was done
    unmatched: Sequence[str]  # rows of the metadata file that name no input
    unknown_outlets: Sequence[str] = ()  # those of [clean.outlets] that no article is of


def run(request: Request, watch: Callable[[Attempt], Any] | None = None) -> Result:
    """Run the batch pipeline and commit its tables as the next snapshot.

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
    empty = new_pipeline(request.runner, pipeline_options(request.workers, request.beam_flags, request.runner))
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
        if watch:
            watch(attempt)
        with explained(dataset.root):
            cancel = canceller(request.runner, empty)
            with interruptible(cancel), noticing_lost_workers(request.workers), empty as pipeline:
                folders = Folders(str(attempt.scratch), str(attempt.files), str(attempt.state), earlier)
                build(pipeline, plan.items, _refused(plan), request.config, folders)
            files = _staged_files(attempt.files)
            summary = _summary(attempt, files) | {"thinned_keys": _thinned_keys(pipeline)}
            _check_rejects(attempt, files, summary, request.config)
            unknown = _unknown_outlets(attempt, files, request.config)
            about = {
                "run_id": run_id,
                "version": version("copydesk"),
                "config": request.config.fingerprint(),
                "inputs": plan.fingerprint,
                "summary": summary,
                "thresholds": request.config.model_dump(mode="json", include={"match", "copies"}),
            }
            change = Change(files, _staged_files(attempt.state), fresh_state=request.fresh_memory, about=about)
            manifest = dataset.commit(attempt, change)
        return Result(manifest, repeated=False, unmatched=idle, unknown_outlets=unknown)


def _run_id(request: Request, plan: Plan) -> str:
    parts = [version("copydesk"), CONTRACT_VERSION, request.config.model_dump_json()]
    parts += [
        repr(each) for each in (plan.fingerprint, plan.refused, sorted((k, dict(v)) for k, v in request.known.items()))
    ]
    parts += ["fresh memory"] * request.fresh_memory
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


def _staged_files(folder: Path) -> list[DataFile]:
    path = folder / FILE_LIST
    if not path.exists():
        raise CopydeskError("the pipeline ended without a list of files: see the runner's log; nothing was committed")
    files = [DataFile(**file) for file in orjson.loads(path.read_bytes())]
    path.unlink()
    return files


def _summary(attempt: Attempt, files: Sequence[DataFile]) -> dict[str, int]:
    """The counts that a run prints; they go into the manifest."""
    kept, rejected = _rows(files, "articles"), _rows(files, "rejects")
    labels = [_column(attempt, file, "label") for file in files if file.table == "removed"]
    reasons = [_column(attempt, file, "reason") for file in files if file.table == "rejects"]
    return {
        "articles_read": kept + rejected,
        "articles_kept": kept,
        "rejected": rejected,
        "delivered_twice": sum(_count(column, RejectReason.DUPLICATE_INPUT) for column in reasons),
        "furniture_lines": sum(_count(column, "furniture") for column in labels),
        "other_lines": _rows(files, "removed") - sum(_count(column, "furniture") for column in labels),
        "copies": _rows(files, "copies"),
        "stories": _rows(files, "stories"),
        "pairs": _rows(files, "pairs"),
    }


def _thinned_keys(pipeline: beam.Pipeline) -> int:
    """Keys under too many articles to pair them all; see `transforms.match.candidates`."""
    found = pipeline.result.metrics().query(MetricsFilter().with_namespace("match").with_name("thinned_keys"))
    return sum(counter.result or 0 for counter in found["counters"])


def _check_rejects(attempt: Attempt, files: Sequence[DataFile], summary: Mapping[str, int], config: Config) -> None:
    """Abandon a run that refused too much.

    Raises:
      TooManyRejects: naming the most frequent reason and an example.
    """
    records = summary["articles_read"] - summary["delivered_twice"]
    refused = summary["rejected"] - summary["delivered_twice"]
    limits = config.rejects
    too_many = records >= limits.from_records and refused > limits.max_share * records
    if summary["articles_kept"] and not too_many:
        return
    tables = [pq.read_table(attempt.files / file.path) for file in files if file.table == "rejects"]
    rejects = pa.concat_tables(tables)
    if not rejects.num_rows:
        raise TooManyRejects("no articles in the input; nothing was committed")
    counts = sorted(
        pc.value_counts(rejects["reason"]).to_pylist(), key=lambda each: (-each["counts"], str(each["values"]))
    )
    example = next(row for row in rejects.to_pylist() if row["reason"] == counts[0]["values"])
    where = example["source_uri"] + (
        "" if example["source_position"] is None else f" record {example['source_position']}"
    )
    raise TooManyRejects(
        f"{refused} of {records} records were rejected, most as {example['reason']} ({counts[0]['counts']}), "
        f"for example {where}: {example['detail']}; nothing was committed (limits: [rejects] in the configuration)"
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


def _count(column: pa.ChunkedArray, value: str) -> int:
    return int(pc.sum(pc.equal(column, value)).as_py() or 0)
