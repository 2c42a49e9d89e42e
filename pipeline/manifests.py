"""Manifests: one JSON file a snapshot. A snapshot exists from the moment that its manifest does.

    OUT/manifests/000042.json            files, rows, checksums, contract, what it was made from, its parent

A manifest is created exclusively, under the number after its base: of two runs that began with the same snapshot one
creates it, the other is told. That is the compare-and-swap on which every commit rests. Manifests are never changed.
"""

import datetime as dt
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import orjson

from schemas.contract import CONTRACT_VERSION
from schemas.errors import CommitConflict, ContractMismatch
from schemas.files import DataFile

_LAYOUT = 2  # of the manifest itself; the first had neither `layout` nor `checksum`


@dataclass(frozen=True)
class Manifest:
    """One snapshot: its files, what it was made from and what it holds.

    A field added later needs a default: manifests written before lack it, and older readers pass over it.
    """

    snapshot: int
    parent: int
    run_id: str
    contract: str
    version: str
    config: str
    created: str
    inputs: Sequence[Sequence[Any]]
    summary: Mapping[str, int]
    files: Sequence[DataFile] = field(default_factory=list)
    state: Sequence[DataFile] = field(default_factory=list)
    thresholds: Mapping[str, Any] = field(default_factory=dict)  # options of match and copies, for `explain`
    cursors: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # how far each source was read, by its URI
    restores: int = 0  # the snapshot that a rollback brought back

    def rows(self, table: str) -> int:
        """Rows of a table."""
        return sum(file.rows for file in self.files if file.table == table)


class Manifests:
    """The manifests of a dataset, by number."""

    def __init__(self, root: Path) -> None:
        """Name the dataset's folder; nothing is touched."""
        self.root = root
        self.name = str(root)  # as messages say it
        self.folder = root / "manifests"

    def numbers(self) -> list[int]:
        """The snapshots that there are, oldest first, whether or not their manifests can be read."""
        return sorted(int(path.stem) for path in self.folder.glob("*.json") if path.stem.isdecimal())

    def newest(self) -> int:
        """The number of the newest snapshot; 0 when there is none."""
        return max(self.numbers(), default=0)

    def path(self, number: int) -> Path:
        """Where a manifest stands."""
        return self.folder / f"{number:06d}.json"

    def content(self, number: int) -> bytes:
        """A manifest as it stands there.

        Raises:
          OSError: it is gone, or cannot be read.
        """
        return self.path(number).read_bytes()

    def remove(self, numbers: Sequence[int]) -> None:
        """Remove manifests: from then on their snapshots do not exist."""
        for number in numbers:
            self.path(number).unlink()
        sync(self.folder)

    def made(self) -> dict[int, dt.datetime]:
        """When each snapshot whose manifest can be read was made."""
        return {manifest.snapshot: dt.datetime.fromisoformat(manifest.created) for manifest in self.readable()[0]}

    def read(self, number: int) -> Manifest:
        """One snapshot's manifest.

        Raises:
          ContractMismatch: it is damaged, gone, or of another major version; the message says what can be done.
        """
        path = f"{self.name}/manifests/{number:06d}.json"
        try:
            return decode(self.content(number))
        except ContractMismatch as error:
            raise ContractMismatch(f"{path}: {error}") from error
        except (ValueError, TypeError, KeyError, AttributeError, OSError) as error:
            raise ContractMismatch(f"{path}: cannot be read as a manifest ({error}): {self.remedy(number)}") from error

    def readable(self) -> tuple[list[Manifest], list[ContractMismatch]]:
        """All snapshots that can be read, oldest first; and for each of the others why not."""
        found, damaged = [], []
        for number in self.numbers():
            try:
                found.append(self.read(number))
            except ContractMismatch as error:
                damaged.append(error)
        return found, damaged

    def remedy(self, number: int) -> str:
        """What to do about a snapshot that is damaged."""
        for other in reversed(self.numbers()):
            if other != number and self._can_be_read(other):
                return f"restore it from a backup, or go back with `copydesk snapshots {self.name} rollback {other}`"
        return "restore it from a backup, or run into another OUT"

    def create(self, manifest: Manifest, draft: Path) -> None:
        """Create a manifest, exclusively: this is the moment of commit.

        Args:
          manifest: its number is the one after its base's.
          draft: a path on the same file system, where it is written first.

        Raises:
          CommitConflict: there is a snapshot of that number already.
          OSError: the disk refused it.
        """
        with draft.open("wb") as sink:
            sink.write(encode(manifest))
            sink.flush()
            os.fsync(sink.fileno())
        try:
            os.link(draft, self.path(manifest.snapshot))
        except FileExistsError as error:
            raise conflict(self.name, manifest.snapshot) from error
        sync(self.folder)

    def _can_be_read(self, number: int) -> bool:
        try:
            decode(self.content(number))
        except (ContractMismatch, ValueError, TypeError, KeyError, AttributeError, OSError):
            return False
        return True


def encode(manifest: Manifest) -> bytes:
    """A manifest as JSON that people can read, with a checksum over its fields."""
    record = {each.name: getattr(manifest, each.name) for each in fields(manifest)}
    record |= {name: [file._asdict() for file in record[name]] for name in ("files", "state")}
    record["layout"] = _LAYOUT
    record["checksum"] = _checksum(record)
    return orjson.dumps(record, option=orjson.OPT_INDENT_2)


def decode(content: bytes) -> Manifest:
    """Read a manifest; fields that a newer minor version added are passed over.

    Raises:
      ContractMismatch: it is of another major version, or of a layout not known here.
      ValueError, TypeError, KeyError, AttributeError: it is damaged.
    """
    record = orjson.loads(content)
    checksum, layout = record.pop("checksum", None), record.get("layout", 1)
    contract = str(record["contract"])
    if layout > _LAYOUT or contract.split(".", maxsplit=1)[0] != CONTRACT_VERSION.split(".")[0]:
        raise ContractMismatch(
            f"written under contract {contract} (layout {layout}) by Copydesk {record.get('version')}, this is "
            f"{CONTRACT_VERSION} (layout {_LAYOUT}): use the Copydesk that wrote it, or another OUT"
        )
    if (checksum is not None or layout > 1) and checksum != _checksum(record):
        raise ValueError("its checksum does not fit")
    files = {name: [_file(each) for each in record.get(name, [])] for name in ("files", "state")}
    known = {each.name for each in fields(Manifest)}
    return Manifest(**({name: value for name, value in record.items() if name in known} | files))


def is_newer(manifest: Manifest) -> bool:
    """Whether a later minor version wrote it, whose columns a run of this one would drop."""
    return _numbers(manifest.contract) > _numbers(CONTRACT_VERSION)


def conflict(name: str, number: int) -> CommitConflict:
    """The error of whoever comes second."""
    return CommitConflict(f"{name}: another run committed snapshot {number} while this one worked: run it again")


def sync(folder: Path) -> None:
    """See a folder's entries on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _checksum(record: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def _file(record: Mapping[str, Any]) -> DataFile:
    return DataFile(**{name: record[name] for name in DataFile._fields})


def _numbers(contract: str) -> tuple[int, ...]:
    return tuple(int(part) for part in contract.split("."))
