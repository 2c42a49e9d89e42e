"""The snapshots of a dataset: what each holds, how two differ, the way back, and which may go.

History is never rewritten: a rollback is a new snapshot of old files. What is removed, is removed by `collect` alone.
"""

import datetime as dt
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.commit import Dataset, live_bases
from pipeline.failures import explained
from pipeline.integrity import verify
from pipeline.manifests import Manifest, Manifests, sync
from pipeline.reading import open_dataset, shown
from pipeline.retention import Retention, expired
from schemas.errors import ContractMismatch, UsageError

Facts = dict[str, Any]

_IDS = ("article_id", "copy_id", "story_id")


def listed(root: Path) -> list[Facts]:
    """All snapshots, oldest first; of one whose manifest is damaged, what is wrong.

    Raises:
      UsageError: there is no dataset.
    """
    manifests, current = Manifests(root), shown(root)
    if not manifests.numbers():
        open_dataset(root)
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
    """One snapshot: what it was made from, and its tables with rows, files and bytes.

    Raises:
      UsageError: there is no such snapshot.
      ContractMismatch: its manifest is damaged.
    """
    manifest = _read(root, number)
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
    }


def difference(root: Path, before: int, after: int) -> Facts:
    """How many articles, copies and stories came, went or changed; only ids are read.

    An article changed when it is in another copy or story; a copy or story when its articles are others.

    Raises:
      UsageError: there is no such snapshot.
      ContractMismatch: a manifest or a file is damaged.
    """
    left, right = (_ids(root, _read(root, number)) for number in (before, after))
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
    if number == shown(root) == Manifests(root).newest():
        raise UsageError(f"{root}: snapshot {number} is the current one")
    manifest = _read(root, number)
    problems = verify(root, number).problems
    if any(not problem.path.startswith("snapshots/") for problem in problems):
        raise ContractMismatch(f"{root}: snapshot {number} is damaged: {problems[0].path} {problems[0].what}")
    with explained(root):
        return Dataset(root).restore(manifest)


def collect(root: Path, retention: Retention, now: dt.datetime, *, dry_run: bool = False) -> Facts:
    """Remove the snapshots that nothing holds, then the files that no snapshot names.

    A snapshot's manifest goes first: from then on it does not exist. What a death in between leaves, the next
    call removes. While a manifest is damaged no file is removed, since it may name it.

    Args:
      root: the dataset's folder.
      retention: what stays.
      now: the time, with its zone.
      dry_run: only say what would go.

    Raises:
      UsageError: there is no dataset, or it cannot be written.
      ContractMismatch: the manifest of the current snapshot is damaged.
      StorageFailed: the disk refused.
    """
    open_dataset(root)
    dataset = Dataset(root)
    with explained(root), dataset.committing():
        going = _expired(root, retention, now)
        if dry_run:
            return {"removed": going, "files": 0, "bytes": 0, "dry_run": True}
        for number in going:
            dataset.manifests.path(number).unlink()
        sync(dataset.manifests.folder)
        there = set(dataset.manifests.numbers())
        for view in (root / "snapshots").iterdir():
            if view.name.isdecimal() and int(view.name) not in {*there, shown(root)}:
                hidden = view.rename(view.with_name(f".gone-{view.name}"))
                shutil.rmtree(hidden)
        sizes = list(_sweep(root))
        return {"removed": going, "files": len(sizes), "bytes": sum(sizes), "dry_run": False}


def _expired(root: Path, retention: Retention, now: dt.datetime) -> list[int]:
    manifests = Manifests(root)
    made = {manifest.snapshot: dt.datetime.fromisoformat(manifest.created) for manifest in manifests.readable()[0]}
    return expired(manifests.numbers(), made, {shown(root), *live_bases(root)}, retention, now)


def _sweep(root: Path) -> Iterator[int]:
    """Remove the files that no snapshot names; give their sizes."""
    manifests, damaged = Manifests(root).readable()
    if damaged:
        return
    named = {file.path for each in manifests for file in (*each.files, *each.state)}
    for kind in ("data", "state"):
        for folder in filter(Path.is_dir, (root / kind).iterdir()):
            for file in folder.iterdir():
                if f"{kind}/{folder.name}/{file.name}" not in named:
                    yield file.stat().st_size
                    file.unlink()
            if not any(folder.iterdir()):
                folder.rmdir()


def _read(root: Path, number: int) -> Manifest:
    manifests = Manifests(root)
    if number not in manifests.numbers():
        raise UsageError(f"{root}: no snapshot {number}: `copydesk snapshots {root}` lists them")
    return manifests.read(number)


def _ids(root: Path, manifest: Manifest) -> pa.Table:
    """The ids of a snapshot's articles: _IDS."""
    paths: Sequence[Path] = [root / file.path for file in manifest.files if file.table == "articles"]
    try:
        tables = [pq.ParquetFile(path).read(columns=list(_IDS)).cast(_SCHEMA) for path in paths]
    except (OSError, pa.ArrowException) as error:
        raise ContractMismatch(f"{error}: `copydesk snapshots {root} verify` says what is damaged") from error
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
