"""The snapshots of a dataset: what each holds, how two differ, the way back, and which may go.

History is never rewritten: a rollback is a new snapshot of old files. What is removed, is removed by `collect` alone.
"""

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.commit import Dataset
from pipeline.failures import explained
from pipeline.integrity import verify
from pipeline.manifests import Manifest
from pipeline.places import dataset_at
from pipeline.reading import no_snapshot
from pipeline.retention import Retention, expired
from schemas.errors import ContractMismatch, UsageError

Facts = dict[str, Any]

_IDS = ("article_id", "copy_id", "story_id")


def listed(root: Path) -> list[Facts]:
    """All snapshots, oldest first; of one whose manifest is damaged, what is wrong.

    Raises:
      UsageError: there is no dataset.
    """
    dataset = dataset_at(root)
    manifests, current = dataset.manifests, dataset.shown()
    if not manifests.numbers():
        raise no_snapshot(dataset.name)
    rows: list[Facts] = []
    for number in manifests.numbers():
        row: Facts = {"snapshot": number, "current": number == current}
        try:
            manifest = manifests.read(number)
        except ContractMismatch as error:
            rows.append(row | {"damaged": str(error)})
            continue
        row |= {"created": manifest.created, "run_id": manifest.run_id, "contract": manifest.contract}
        rows.append(row | {"restores": manifest.restores or None, **manifest.summary})
    return rows


def described(root: Path, number: int) -> Facts:
    """One snapshot: what it was made from, its tables with rows, files and bytes, and where its files are.

    Raises:
      UsageError: there is no such snapshot.
      ContractMismatch: its manifest is damaged.
    """
    dataset = dataset_at(root)
    manifest = _read(dataset, number)
    tables: dict[str, Facts] = {}
    for file in (*manifest.files, *(file._replace(table=f"state: {file.table}") for file in manifest.state)):
        table = tables.setdefault(file.table, {"rows": 0, "files": 0, "bytes": 0})
        table["rows"] += file.rows
        table["files"] += 1
        table["bytes"] += file.bytes
    names = ("snapshot", "parent", "restores", "created", "run_id", "contract", "version", "config")
    return {
        **{name: getattr(manifest, name) for name in names},
        "inputs": len(manifest.inputs),
        "summary": dict(manifest.summary),
        "tables": tables,
        "files": [f"{dataset.name}/{file.path}" for file in manifest.files],
    }


def difference(root: Path, before: int, after: int) -> Facts:
    """How many articles, copies and stories came, went or changed; only ids are read.

    An article changed when it is in another copy or story; a copy or story when its articles are others.

    Raises:
      UsageError: there is no such snapshot.
      ContractMismatch: a manifest or a file is damaged.
    """
    dataset = dataset_at(root)
    left, right = (_ids(dataset, _read(dataset, number)) for number in (before, after))
    both = left.join(right, "article_id", join_type="full outer", right_suffix="_after", coalesce_keys=True)
    old, new = both["copy_id"], both["copy_id_after"]
    gone, came = pc.is_null(new), pc.is_null(old)
    moved = pc.or_(_differ(old, new), _differ(both["story_id"], both["story_id_after"]))
    stayed = pc.invert(pc.or_(gone, came))
    facts: Facts = {
        "before": before,
        "after": after,
        "articles": {"added": _count(came), "removed": _count(gone), "changed": _count(pc.and_(moved, stayed))},
    }
    for name, key in (("copies", "copy_id"), ("stories", "story_id")):
        touched = both.filter(_differ(both[key], both[f"{key}_after"]))
        groups = [_groups(ids, key, least=2 if name == "copies" else 1) for ids in (left, right)]
        was, now = (set(each.to_pylist()) for each in groups)
        changed = {*touched[key].to_pylist(), *touched[f"{key}_after"].to_pylist()} & was & now
        facts[name] = {"added": len(now - was), "removed": len(was - now), "changed": len(changed)}
    return facts


def roll_back(root: Path, number: int) -> Manifest:
    """Make an old snapshot the newest, as a new one; what came between stays in the history.

    Raises:
      UsageError: there is no such snapshot, or it is the current one.
      ContractMismatch: it is damaged itself.
      CommitConflict, StorageFailed: as for a run.
    """
    dataset = dataset_at(root)
    if number == dataset.shown() == dataset.manifests.newest():
        raise UsageError(f"{dataset.name}: snapshot {number} is the current one")
    manifest = _read(dataset, number)
    problems = verify(root, number).problems
    if any(not problem.path.startswith("snapshots/") for problem in problems):
        raise ContractMismatch(f"{dataset.name}: snapshot {number} is damaged: {problems[0].path} {problems[0].what}")
    with explained(dataset.root):
        return dataset.restore(manifest)


def collect(root: Path, retention: Retention, now: dt.datetime | None = None, *, dry_run: bool = False) -> Facts:
    """Remove the snapshots that nothing holds, then the files that no snapshot names.

    A snapshot's manifest goes first: from then on it does not exist. What a death in between leaves, the next
    call removes. While a manifest is damaged no file is removed, since it may name it.

    Args:
      root: the dataset.
      retention: what stays. On an object store, where no lock tells of a run alive, the grace is an hour at least,
        and for files too.
      now: the time, with its zone; by default that of the dataset's clock.
      dry_run: only say what would go.

    Raises:
      UsageError: there is no dataset, or it cannot be written.
      ContractMismatch: the manifest of the current snapshot is damaged.
      StorageFailed: the disk refused.
    """
    dataset = dataset_at(root)
    current = dataset.shown()
    if not current:
        raise no_snapshot(dataset.name)
    dataset.manifests.read(current)
    manifests, now = dataset.manifests, now or dataset.now()
    retention = replace(retention, grace_hours=max(retention.grace_hours, dataset.least_grace))
    with explained(dataset.root), dataset.committing():
        going = expired(manifests.numbers(), manifests.made(), dataset.in_use(), retention, now)
        if dry_run:
            return {"removed": going, "dry_run": True}
        manifests.remove(going)
        dataset.drop_views()
        left, damaged = manifests.readable()
        named = {file.path for each in left for file in (*each.files, *each.state)}
        before = now - dt.timedelta(hours=retention.grace_hours)
        sizes = [] if damaged else list(dataset.sweep(named, before))
        return {"removed": going, "files": len(sizes), "bytes": sum(sizes), "dry_run": False}


def _read(dataset: Dataset, number: int) -> Manifest:
    if number not in dataset.manifests.numbers():
        raise UsageError(f"{dataset.name}: no snapshot {number}: `copydesk snapshots {dataset.name}` lists them")
    return dataset.manifests.read(number)


def _ids(dataset: Dataset, manifest: Manifest) -> pa.Table:
    """The ids of a snapshot's articles: _IDS."""
    files = [file for file in manifest.files if file.table == "articles"]
    dataset.fetch(files)
    paths = [dataset.root / file.path for file in files]
    try:
        tables = [pq.ParquetFile(path).read(columns=list(_IDS)).cast(_SCHEMA) for path in paths]
    except (OSError, pa.ArrowException) as error:
        raise ContractMismatch(f"{error}: `copydesk snapshots {dataset.name} verify` says what is damaged") from error
    return pa.concat_tables(tables) if tables else _SCHEMA.empty_table()


_SCHEMA = pa.schema([(name, pa.string()) for name in _IDS])


def _groups(ids: pa.Table, key: str, least: int) -> pa.ChunkedArray:
    """The values of a key that at least so many articles have."""
    counted = ids.group_by(key).aggregate([([], "count_all")])
    return counted.filter(pc.and_(pc.greater_equal(counted["count_all"], least), pc.is_valid(counted[key])))[key]


def _differ(old: pa.ChunkedArray, new: pa.ChunkedArray) -> pa.ChunkedArray:
    """Where two columns differ; a null differs from a value."""
    return pc.fill_null(pc.not_equal(old, new), pc.xor(pc.is_null(old), pc.is_null(new)))


def _count(mask: pa.ChunkedArray) -> int:
    return int(pc.sum(mask).as_py() or 0)
