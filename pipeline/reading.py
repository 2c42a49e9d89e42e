"""What readers of a dataset open: the snapshot that `current` shows, its tables and its state."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import xxhash

from pipeline.manifests import Manifest, Manifests
from schemas.errors import ContractMismatch, UsageError
from schemas.files import DataFile
from schemas.tables import TABLES

_HASH_CHUNK = 1 << 20
_HASHES: dict[str, Callable[[], Any]] = {"": hashlib.sha256, "xxh3": xxhash.xxh3_128}  # by what a checksum begins with


def shown(root: Path) -> int:
    """The number of the snapshot that `current` shows; 0 when there is none."""
    try:
        return int((root / "current").readlink().name)
    except (OSError, ValueError):
        return 0


def open_dataset(root: Path) -> Manifest:
    """The snapshot that readers see.

    Raises:
      UsageError: there is none.
      ContractMismatch: its manifest is damaged, or was written by another major version.
    """
    number = shown(root)
    if not number or not (root / "current").exists():
        raise no_snapshot(str(root))
    return Manifests(root).read(number)


def no_snapshot(name: str) -> UsageError:
    """The error of whoever looks for what was never made."""
    return UsageError(f"{name}: no snapshot there: make one with `copydesk run INPUT --output {name}`")


def state_files(root: Path, manifest: Manifest, table: str | None = None) -> list[tuple[DataFile, Path]]:
    """A snapshot's state files, of one table or all, each seen to be what its writer left.

    Raises:
      ContractMismatch: one is gone or damaged.
    """
    found = [(file, root / file.path) for file in manifest.state if table in {None, file.table}]
    for file, path in found:
        try:
            check(path, file)
        except OSError as error:
            raise ContractMismatch(
                f"{error}: {Manifests(root).remedy(manifest.snapshot)}, "
                "or run with --fresh-memory to begin without what earlier runs learned"
            ) from error
    return found


def table_folder(root: Path, table: str) -> Path:
    """Where a table of the current snapshot lies, with links resolved so that a commit in between does no harm."""
    if table not in TABLES:
        raise UsageError(f"{table}: no such table; there are {', '.join(TABLES)}")
    return (root / "current").resolve() / table


def read_rows(
    root: Path, table: str, columns: Sequence[str] | None = None, where: ds.Expression | None = None
) -> pa.Table:
    """Rows of a table of the current snapshot; columns and tables that an older contract lacked are empty.

    Raises:
      ContractMismatch: a file is damaged.
    """
    if not table_folder(root, table).exists():
        return TABLES[table].schema.empty_table().select(columns or TABLES[table].schema.names)
    try:
        files = ds.dataset(table_folder(root, table), schema=TABLES[table].schema, format="parquet")
        return files.to_table(columns=None if columns is None else list(columns), filter=where)
    except (OSError, pa.ArrowException) as error:
        raise ContractMismatch(f"{error}: `copydesk snapshots OUT verify` says what is damaged") from error


def is_all_there(root: Path, manifest: Manifest) -> bool:
    """Whether every file of a snapshot has its size, in its place and among the links; `verify` looks closer."""
    view = root / "snapshots" / f"{manifest.snapshot:06d}"
    places = [(f"{root}/{file.path}", file.bytes) for file in (*manifest.files, *manifest.state)]
    places += [(f"{view}/{file.link}", file.bytes) for file in manifest.files]
    try:
        return all(Path(path).stat().st_size == size for path, size in places)
    except OSError:
        return False


def check(path: Path, file: DataFile) -> None:
    """See that a file is what its writer left.

    Raises:
      OSError: it is gone, cut short or changed, or its checksum cannot be read here; the message says which.
    """
    size = path.stat().st_size
    if size != file.bytes:
        raise OSError(f"{path}: cut short or grown: {size} bytes, not the {file.bytes} that were written")
    kind, _, wanted = file.sha256.rpartition(":")
    if kind not in _HASHES:
        raise OSError(f"{path}: its checksum is of a kind unknown here, {kind}: a newer Copydesk wrote it")
    if _digest(path, _HASHES[kind]()) != wanted:
        raise OSError(f"{path}: changed since it was written: its checksum does not fit")


def _digest(path: Path, digest: Any) -> str:
    with path.open("rb") as source:
        while data := source.read(_HASH_CHUNK):
            digest.update(data)
    return digest.hexdigest()
