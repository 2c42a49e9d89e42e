"""The dataset on disk: snapshots that appear whole or not at all.

    OUT/current -> snapshots/000042      what every reader opens
    OUT/snapshots/000042/<table>/date=…/part-00000.parquet      hard links into data/
    OUT/manifests/000042.json            the snapshot: it exists from the moment this file does
    OUT/data/<attempt>/                  the files of one run
    OUT/state/<attempt>/                 what it left for later runs to know, listed in the same manifest
    OUT/staging/<attempt>/               work in progress; removed when its owner is gone

A commit moves the staged files to data/, links them, creates the manifest exclusively and swaps `current`.
Whoever opens the dataset next finishes a commit that died between the manifest and the swap.
"""

import contextlib
import datetime as dt
import fcntl
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from schemas.errors import CommitConflict, ContractMismatch, UsageError
from schemas.files import DataFile
from schemas.tables import CONTRACT_VERSION, TABLES

_HASH_CHUNK = 1 << 20


@dataclass(frozen=True)
class Manifest:
    """One snapshot: its files, what it was made from and what it holds."""

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

    def rows(self, table: str) -> int:
        """Rows of a table."""
        return sum(file.rows for file in self.files if file.table == table)


@dataclass(frozen=True)
class Attempt:
    """One run's place to work; the lock in it is held for as long as the run lives."""

    name: str
    folder: Path
    parent: int

    @property
    def files(self) -> Path:
        """Where staged Parquet files go."""
        return self.folder / "files"

    @property
    def state(self) -> Path:
        """Where staged files of the state go."""
        return self.folder / "state"

    @property
    def scratch(self) -> Path:
        """Where blocks wait between stages."""
        return self.folder / "scratch"


class Dataset:
    """A folder of snapshots."""

    def __init__(self, root: Path) -> None:
        """Name the folder; nothing is touched yet."""
        self.root = root

    @property
    def current(self) -> Path:
        """The link that readers open."""
        return self.root / "current"

    def manifests(self) -> list[Manifest]:
        """All snapshots, oldest first.

        Raises:
          ContractMismatch: one was written by another major version, or is damaged.
        """
        return [self._read(path) for path in self._manifest_paths()]

    def latest(self) -> Manifest | None:
        """The newest snapshot, if there is one."""
        paths = self._manifest_paths()
        return self._read(paths[-1]) if paths else None

    @contextlib.contextmanager
    def attempt(self) -> Iterator[Attempt]:
        """Begin a run: finish what a dead one left, then give a folder of one's own; it is gone afterwards.

        Raises:
          UsageError: the folder cannot be written, or is something else than a dataset.
        """
        self._prepare()
        name = uuid.uuid4().hex
        folder = self.root / "staging" / name
        with contextlib.ExitStack() as held:
            with self._committing():
                self._heal()
                parent = self._newest()
                try:
                    (folder / "files").mkdir(parents=True)
                    (folder / "state").mkdir()
                    (folder / "scratch").mkdir()
                    lock = held.enter_context((folder / "lock").open("wb"))
                except OSError as error:
                    raise UsageError(f"{folder}: cannot be written: {error.strerror}") from error
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            try:
                yield Attempt(name, folder, parent)
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    def commit(
        self,
        attempt: Attempt,
        files: Sequence[DataFile],
        state: Sequence[DataFile] = (),
        *,
        fresh_state: bool = False,
        **about: Any,
    ) -> Manifest:
        """Make the staged files the next snapshot.

        Args:
          attempt: the run's own.
          files: what `transforms.write` listed.
          state: likewise; the parent's state files of other tables and partitions are listed again,
          fresh_state: unless this says that the state begins anew.
          about: the manifest's fields `run_id, version, config, inputs, summary, thresholds`.

        Raises:
          CommitConflict: another run committed since this one began.
          OSError: the disk is full or gone; the dataset stays as it was.
        """
        for folder, staged in ((attempt.files, files), (attempt.state, state)):
            for file in staged:
                _verify(folder / file.path, file.sha256)
        data, kept = self.root / "data" / attempt.name, self.root / "state" / attempt.name
        moved = [file._replace(path=f"data/{attempt.name}/{file.path}") for file in files]
        earlier = [] if fresh_state else self._state_of(attempt.parent)
        known = {(file.table, file.partition, file.part): file for file in earlier}
        known |= {
            (file.table, file.partition, file.part): file._replace(path=f"state/{attempt.name}/{file.path}")
            for file in state
        }
        manifest = Manifest(
            snapshot=attempt.parent + 1,
            parent=attempt.parent,
            contract=CONTRACT_VERSION,
            created=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            files=moved,
            state=[known[name] for name in sorted(known)],
            **about,
        )
        attempt.files.rename(data)
        try:
            if state:
                attempt.state.rename(kept)
                _sync(kept.parent)
            _sync(data.parent)
            with self._committing():
                view = self._link(manifest)
                self._create(manifest, attempt.folder)
                self._publish(view, manifest.snapshot)
        except (OSError, CommitConflict):
            if self._newest() != manifest.snapshot or self._read(self._path(manifest.snapshot)).files != moved:
                shutil.rmtree(data, ignore_errors=True)
                shutil.rmtree(kept, ignore_errors=True)
            raise
        return manifest

    def _prepare(self) -> None:
        known = {"current", "snapshots", "manifests", "data", "state", "staging"}
        if self.root.exists() and not self.root.is_dir():
            raise UsageError(f"{self.root}: is not a folder")
        strangers = sorted(p.name for p in self.root.iterdir() if p.name not in known) if self.root.exists() else []
        if strangers and not (self.root / "manifests").exists():
            raise UsageError(
                f"{self.root}: holds {strangers[0]!r} and is no Copydesk dataset: choose an empty or new folder"
            )
        try:
            for name in ("snapshots", "manifests", "data", "state", "staging"):
                (self.root / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{self.root}: cannot be written: {error.strerror}") from error

    def _heal(self) -> None:
        """Finish the newest commit if it stopped half-way; clear away what dead runs left."""
        live: set[str] = set()
        for folder in (self.root / "staging").iterdir():
            if _is_owned(folder):
                live.add(folder.name)
            else:
                shutil.rmtree(folder, ignore_errors=True)
        newest = self._newest()
        if newest:
            target = self.root / "snapshots" / f"{newest:06d}"
            if not target.exists():
                self._publish(self._link(self._read(self._path(newest))), newest)
            elif not self.current.exists() or self.current.resolve() != target.resolve():
                self._swap(newest)
        self._clear(live)
        for left in (self.root / "snapshots").glob(".*"):
            if left.is_symlink():
                left.unlink()
            else:
                shutil.rmtree(left, ignore_errors=True)

    def _clear(self, live: set[str]) -> None:
        """Remove files that belong to no snapshot and to no run that is alive."""
        used = {file.path.rpartition("/")[0] for each in self.manifests() for file in (*each.files, *each.state)}
        for kind in ("data", "state"):
            for folder in (self.root / kind).iterdir():
                if f"{kind}/{folder.name}" not in used and folder.name not in live:
                    shutil.rmtree(folder, ignore_errors=True)

    def _link(self, manifest: Manifest) -> Path:
        """Build a snapshot's folder under a hidden name."""
        view = self.root / "snapshots" / f".{manifest.snapshot:06d}-{uuid.uuid4().hex}"
        for file in manifest.files:
            target = view / file.link
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(self.root / file.path, target)
        for folder, _, _ in os.walk(view):
            _sync(Path(folder))
        return view

    def _create(self, manifest: Manifest, staging: Path) -> None:
        """Create the manifest, exclusively: this is the moment of commit."""
        draft = staging / "manifest.json"
        with draft.open("w", encoding="utf-8") as sink:
            fields = asdict(manifest)
            fields |= {name: [file._asdict() for file in fields[name]] for name in ("files", "state")}
            json.dump(fields, sink, indent=1, ensure_ascii=False)
            sink.flush()
            os.fsync(sink.fileno())
        path = self._path(manifest.snapshot)
        try:
            os.link(draft, path)
        except FileExistsError as error:
            message = (
                f"{self.root}: another run committed snapshot {manifest.snapshot} while this one worked: run it again"
            )
            raise CommitConflict(message) from error
        _sync(path.parent)

    def _publish(self, view: Path, number: int) -> None:
        view.rename(self.root / "snapshots" / f"{number:06d}")
        _sync(self.root / "snapshots")
        self._swap(number)

    def _swap(self, number: int) -> None:
        """Point `current` at a snapshot, in one step."""
        link = self.root / "snapshots" / f".current-{uuid.uuid4().hex}"
        link.symlink_to(f"snapshots/{number:06d}")
        link.replace(self.current)
        _sync(self.root)

    def _state_of(self, snapshot: int) -> Sequence[DataFile]:
        return self._read(self._path(snapshot)).state if snapshot else []

    def _newest(self) -> int:
        paths = self._manifest_paths()
        return int(paths[-1].stem) if paths else 0

    def _manifest_paths(self) -> list[Path]:
        return sorted((self.root / "manifests").glob("[0-9]*.json"))

    def _path(self, number: int) -> Path:
        return self.root / "manifests" / f"{number:06d}.json"

    def _read(self, path: Path) -> Manifest:
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
            files = {name: [DataFile(**file) for file in fields.get(name, [])] for name in ("files", "state")}
            manifest = Manifest(**(fields | files))
        except (ValueError, TypeError, KeyError, OSError) as error:
            raise ContractMismatch(
                f"{path}: cannot be read as a manifest ({error}): restore it or remove the dataset"
            ) from error
        if manifest.contract.split(".")[0] != CONTRACT_VERSION.split(".")[0]:
            message = f"{path}: written under contract {manifest.contract}, this is {CONTRACT_VERSION}: use another OUT"
            raise ContractMismatch(message)
        return manifest

    @contextlib.contextmanager
    def _committing(self) -> Iterator[None]:
        """One process at a time changes what is visible."""
        with (self.root / "manifests" / ".lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def open_dataset(root: Path) -> tuple[Dataset, Manifest]:
    """A dataset and its newest snapshot, for reading.

    Raises:
      UsageError: there is none.
    """
    dataset = Dataset(root)
    manifest = dataset.latest()
    if manifest is None or not dataset.current.exists():
        raise UsageError(f"{root}: no snapshot there: make one with `copydesk run INPUT --output {root}`")
    return dataset, manifest


def state_files(root: Path, manifest: Manifest, table: str | None = None) -> list[tuple[DataFile, Path]]:
    """A snapshot's state files, of one table or all, each seen to be what its writer left.

    Raises:
      ContractMismatch: one is gone or damaged.
    """
    found = [(file, root / file.path) for file in manifest.state if table in {None, file.table}]
    for file, path in found:
        try:
            _verify(path, file.sha256)
        except OSError as error:
            raise ContractMismatch(
                f"{path}: gone, cut short or changed since it was written: restore it, "
                "or run with --fresh-memory to begin without what earlier runs learned"
            ) from error
    return found


def table_folder(root: Path, table: str) -> Path:
    """Where a table of the current snapshot lies, with links resolved so that a commit in between does no harm."""
    if table not in TABLES:
        raise UsageError(f"{table}: no such table; there are {', '.join(TABLES)}")
    return (root / "current").resolve() / table


def _verify(path: Path, sha256: str) -> None:
    """See that a staged file is what its writer said.

    Raises:
      OSError: it is gone or damaged.
    """
    digest = hashlib.sha256()
    with path.open("rb") as source:
        while data := source.read(_HASH_CHUNK):
            digest.update(data)
    if digest.hexdigest() != sha256:
        raise OSError(f"{path}: damaged between writing and commit: run again, and check the disk")


def _is_owned(folder: Path) -> bool:
    """Whether the run that works in a staging folder is alive."""
    try:
        with (folder / "lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def _sync(folder: Path) -> None:
    """See a folder's entries on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
