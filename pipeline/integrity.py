"""Whether every file of a dataset is what its writer left: presence, size, checksum, rows."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.commit import Dataset
from pipeline.manifests import Manifest
from pipeline.places import dataset_at
from pipeline.reading import check
from schemas.blocks import open_batches
from schemas.errors import ContractMismatch, UsageError
from schemas.files import DataFile


class Problem(NamedTuple):
    """One thing that is wrong."""

    snapshot: int
    path: str  # relative to the dataset
    what: str


class Health(NamedTuple):
    """What a check found."""

    snapshots: int
    files: int  # distinct ones that were read
    problems: list[Problem]


def verify(root: Path, number: int | None = None) -> Health:
    """Read every file of one snapshot, or of all.

    Raises:
      UsageError: there is no such snapshot.
    """
    dataset = dataset_at(root)
    manifests = dataset.manifests
    there = manifests.numbers()
    wanted = [number] if number is not None else there
    if not wanted or not set(wanted) <= set(there):
        raise UsageError(f"{dataset.name}: no snapshot {number or ''}: there are {there or 'none'}")
    problems: list[Problem] = []
    seen: dict[str, str] = {}  # path → what is wrong with it, or nothing
    for each in wanted:
        try:
            manifest = manifests.read(each)
        except ContractMismatch as error:
            problems.append(Problem(each, f"manifests/{each:06d}.json", str(error)))
            continue
        problems += [Problem(each, path, what) for path, what in _damages(dataset, manifest, seen)]
    if number is None and dataset.shown() != there[-1]:
        problems.append(Problem(there[-1], dataset.pointer, "does not show the newest snapshot; the next run swaps it"))
    return Health(len(wanted), len(seen), problems)


def advice(root: Path, problems: Sequence[Problem]) -> str:
    """What to do about what is wrong."""
    sick = {problem.snapshot for problem in problems}
    dataset = dataset_at(root)
    newest = dataset.manifests.newest()
    verb = f"copydesk snapshots {dataset.name}"
    if newest not in sick:
        return f"snapshot {newest}, which readers see, is whole; `{verb} gc` drops old ones in time"
    if all(problem.path == dataset.pointer for problem in problems):
        return "the next run mends it"
    whole = [number for number in dataset.manifests.numbers() if number not in sick]
    if whole:
        return f"restore the files from a backup, or go back with `{verb} rollback {whole[-1]}`"
    if all(problem.path.startswith("state/") for problem in problems):
        return "restore the files from a backup, or run with --fresh-memory to begin without what earlier runs learned"
    anew = "run into" if any(problem.path.startswith("manifests/") for problem in problems) else "--rebuild it, or use"
    return f"restore the files from a backup, or {anew} another OUT"


def _damages(dataset: Dataset, manifest: Manifest, seen: dict[str, str]) -> Iterator[tuple[str, str]]:
    for file in (*manifest.files, *manifest.state):
        if file.path not in seen:
            seen[file.path] = _damage(dataset.at_hand(file), file)
        if seen[file.path]:
            yield file.path, seen[file.path]
    for link, file in dataset.links(manifest):
        what = _link_damage(dataset.root / link, dataset.root / file.path, file)
        if what:
            yield str(link), what


def _damage(opened: AbstractContextManager[Path], file: DataFile) -> str:
    """What is wrong with a file; nothing if it is as it was written."""
    try:
        with opened as path:
            return _difference(path, file)
    except FileNotFoundError:
        return "is gone"


def _difference(path: Path, file: DataFile) -> str:
    try:
        check(path, file)
        rows = _rows(path)
    except FileNotFoundError:
        raise
    except (OSError, pa.ArrowException) as error:
        return str(error).removeprefix(f"{path}: ")
    return "" if rows == file.rows else f"has {rows} rows, not the {file.rows} that were written"


def _rows(path: Path) -> int:
    if path.suffix == ".arrow":
        return int(open_batches(str(path)).read_all().num_rows)
    return int(pq.read_metadata(path).num_rows)


def _link_damage(link: Path, target: Path, file: DataFile) -> str:
    """What is wrong with a file as readers open it; one that is no link any more is read."""
    if not link.exists():
        return "is gone"
    return "" if target.exists() and link.samefile(target) else _difference(link, file)
