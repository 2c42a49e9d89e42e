"""The dataset on disk: snapshots that appear whole or not at all.

    OUT/current -> snapshots/000042      what every reader opens
    OUT/snapshots/000042/<table>/date=…/part-00000.parquet      hard links into data/
    OUT/manifests/000042.json            the snapshot: it exists from the moment this file does
    OUT/data/<attempt>/                  the files of one run
    OUT/state/<attempt>/                 what it left for later runs to know, listed in the same manifest
    OUT/staging/<attempt>/               work in progress; removed when its owner is gone

A commit moves the staged files to data/, links them under a hidden name, creates the manifest exclusively, shows the
links under the snapshot's number and swaps `current`. Whoever opens the dataset next finishes a commit that died
between the manifest and the swap, and clears away what died before it.
"""

import contextlib
import datetime as dt
import errno
import fcntl
import shutil
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.change import Change, files_after, state_after
from pipeline.manifests import Manifest, Manifests, conflict, is_newer, sync
from pipeline.reading import check, is_all_there, shown
from pipeline.views import Views
from schemas.contract import CONTRACT_VERSION
from schemas.errors import CommitConflict, ContractMismatch, CopydeskError, NotShown, StorageFailed, UsageError
from schemas.files import DataFile

_DRAFT = "manifest.json"
_REBASES = 5  # how often a run that can follow the others is overtaken before it gives up


@dataclass(frozen=True)
class Attempt:
    """One run's place to work; the lock in it is held for as long as the run lives."""

    name: str
    folder: Path
    base: int  # the newest snapshot when the run began; 0: none

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


Rebase = Callable[[Manifest], Change]  # the newest snapshot → the same work done upon it


class Dataset:
    """A folder of snapshots; `remote` has the same on an object store."""

    pointer = "current"  # what is swapped when a snapshot is shown
    least_grace = 0.0  # hours that a gc leaves to runs alive; here locks tell of them

    def __init__(self, root: Path) -> None:
        """Name the folder; nothing is touched yet."""
        self.root = root
        self.name = str(root)  # as messages say it
        self.manifests = Manifests(root)
        self.views = Views(root)

    @property
    def current(self) -> Path:
        """The link that readers open."""
        return self.root / "current"

    def base(self, attempt: Attempt) -> Manifest | None:
        """The snapshot that a run begins with, if there is one.

        Raises:
          ContractMismatch: it is damaged, or a newer Copydesk wrote it.
        """
        if not attempt.base:
            return None
        manifest = self.manifests.read(attempt.base)
        if not self._is_shown(attempt.base):
            raise ContractMismatch(
                f"{self.name}: snapshot {attempt.base} is committed but files of it are gone: "
                f"{self.manifests.remedy(attempt.base)}"
            )
        if is_newer(manifest):
            raise ContractMismatch(
                f"{self.name}: can be read but not added to: written under contract {manifest.contract} by Copydesk "
                f"{manifest.version}, this is {CONTRACT_VERSION}: upgrade Copydesk, or use another OUT"
            )
        return manifest

    def newest(self) -> int:
        """The number of the newest snapshot, even if its manifest was lost; 0: there is none."""
        return max(self.manifests.newest(), shown(self.root))

    def shown(self) -> int:
        """The number of the snapshot that readers see; 0: none."""
        return shown(self.root)

    def now(self) -> dt.datetime:
        """The clock by which snapshots are dated."""
        return dt.datetime.now(dt.UTC)

    def probe(self) -> str:
        """See that a snapshot's number can be taken once; gives what was seen."""
        return "a folder: the file system is all there is"

    def fetch(self, files: Sequence[DataFile]) -> None:
        """See that files of a snapshot are on this machine, below `root`: here they are."""

    def mirror(self, tables: Collection[str] | None = None) -> Path:  # noqa: ARG002 -- all are there
        """A folder of this machine where tables of the current snapshot can be read."""
        return self.root

    def is_whole(self, manifest: Manifest) -> bool:
        """Whether every file of a snapshot is there, at its size."""
        return is_all_there(self.root, manifest)

    @contextlib.contextmanager
    def at_hand(self, file: DataFile) -> Iterator[Path]:
        """A file as it is now, for as long as the block runs."""
        yield self.root / file.path

    def links(self, manifest: Manifest) -> Iterator[tuple[Path, DataFile]]:
        """The files of a snapshot as readers open them."""
        for file in manifest.files:
            yield Path("snapshots", f"{manifest.snapshot:06d}", file.link), file

    def in_use(self) -> set[int]:
        """The snapshots that readers see or runs alive began with."""
        return {shown(self.root), *live_bases(self.root)}

    def drop_views(self) -> None:
        """Remove the folders of snapshots that are no more."""
        there = {*self.manifests.numbers(), shown(self.root)}
        for view in self.views.folder.iterdir():
            if view.name.isdecimal() and int(view.name) not in there:
                shutil.rmtree(view.rename(view.with_name(f".gone-{view.name}")))

    def sweep(self, named: Collection[str], before: dt.datetime) -> Iterator[int]:  # noqa: ARG002 -- locks tell it
        """Remove the files that no snapshot names; give their sizes."""
        for kind in ("data", "state"):
            for folder in filter(Path.is_dir, (self.root / kind).iterdir()):
                for file in folder.iterdir():
                    if f"{kind}/{folder.name}/{file.name}" not in named:
                        yield file.stat().st_size
                        file.unlink()
                if not any(folder.iterdir()):
                    folder.rmdir()

    @contextlib.contextmanager
    def attempt(self) -> Iterator[Attempt]:
        """Begin a run: finish what a dead one left, then give a folder of one's own; it is gone afterwards.

        Raises:
          UsageError: the folder cannot be written, or is something else than a dataset.
          StorageFailed: the disk is full or fails.
        """
        self._prepare()
        name = uuid.uuid4().hex
        folder = self.root / "staging" / name
        with contextlib.ExitStack() as held:
            try:
                with self.committing():
                    self._heal()
                    base = self.newest()
                    for kind in ("files", "state", "scratch"):
                        (folder / kind).mkdir(parents=True)
                    lock = held.enter_context((folder / "lock").open("w"))
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    lock.write(str(base))  # for gc
                    lock.flush()
            except OSError as error:
                shutil.rmtree(folder, ignore_errors=True)
                raise _unwritable(self.root, error) from error
            try:
                yield Attempt(name, folder, base)
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    def commit(self, attempt: Attempt, change: Change, rebase: Rebase | None = None) -> Manifest:
        """Make a change the next snapshot.

        Args:
          attempt: the run's own.
          change: what to do to the snapshot that the attempt began with.
          rebase: called when another run has committed since, with its snapshot, until the change it gives lands;
            without it the run is told by CommitConflict.

        Raises:
          CommitConflict: another run committed since this one began.
          NotShown: the snapshot is committed, but `current` could not be swapped.
          OSError: the disk is full or gone; the dataset stays as it was.
        """
        base, overtaken = attempt.base, 0
        while True:
            _verify(attempt, change)
            try:
                return self._land(attempt, base, change)
            except CommitConflict:
                overtaken += 1
                if rebase is None or overtaken > _REBASES:
                    raise
            newest = self.manifests.read(self.newest())
            base, change = newest.snapshot, rebase(newest)

    def restore(self, manifest: Manifest) -> Manifest:
        """Commit a snapshot's files and state once more, as the newest snapshot.

        Raises:
          CommitConflict, NotShown, OSError: as `commit`.
        """
        with self.attempt() as attempt, self.committing():
            number = self.newest() + 1
            again = replace(manifest, snapshot=number, parent=number - 1, restores=manifest.snapshot, created=_now())
            self._create_and_show(again, attempt)
            return again

    @contextlib.contextmanager
    def committing(self) -> Iterator[None]:
        """One process at a time changes what is visible.

        Raises:
          UsageError, StorageFailed: the folder cannot be written.
        """
        with contextlib.ExitStack() as held:
            try:
                lock = held.enter_context((self.manifests.folder / ".lock").open("wb"))
                fcntl.flock(lock, fcntl.LOCK_EX)
            except OSError as error:
                raise _unwritable(self.root, error) from error
            yield

    def _land(self, attempt: Attempt, base: int, change: Change) -> Manifest:
        """Move the staged files to where they stay, and commit; or leave all as it was."""
        with self.committing():
            if self.newest() != base:
                raise conflict(self.name, self.newest())
            before = self.manifests.read(base) if base and change.builds_on_base else None
            manifest = Manifest(
                snapshot=base + 1,
                parent=base,
                contract=CONTRACT_VERSION,
                created=_now(),
                files=files_after(before, change, f"data/{attempt.name}"),
                state=state_after(before, change, f"state/{attempt.name}"),
                **change.about,
            )
            moves = [(attempt.files, self.root / "data" / attempt.name)] if change.files else []
            moves += [(attempt.state, self.root / "state" / attempt.name)] if change.state else []
            try:
                for staged, place in moves:
                    staged.rename(place)
                    sync(place)
                    sync(place.parent)
                self._create_and_show(manifest, attempt)
            except BaseException:
                if not self._has_created(manifest, attempt):
                    _move_back(moves)
                raise
        return manifest

    def _create_and_show(self, manifest: Manifest, attempt: Attempt) -> None:
        """Create the manifest and let readers see the snapshot.

        Raises:
          CommitConflict: the manifest's number is taken.
          NotShown: the manifest is there, and then something failed.
          OSError: something failed before.
        """
        view = self.views.hidden(manifest.snapshot)
        try:
            self.views.build(manifest, view)
            self.manifests.create(manifest, attempt.folder / _DRAFT)
            self.views.show(view, manifest.snapshot)
        except (CommitConflict, OSError, KeyboardInterrupt) as error:
            if not self._has_created(manifest, attempt):
                shutil.rmtree(view, ignore_errors=True)
                raise
            raise NotShown(
                f"snapshot {manifest.snapshot} is committed, but {self.current} does not show it yet "
                f"({str(error) or 'interrupted'}): see to the disk; the next run on {self.root} finishes it first"
            ) from error

    def _has_created(self, manifest: Manifest, attempt: Attempt) -> bool:
        """Whether a manifest is there and is the attempt's own, of which it is then a second link."""
        try:
            return self.manifests.path(manifest.snapshot).samefile(attempt.folder / _DRAFT)
        except FileNotFoundError:
            return False

    def _is_shown(self, number: int) -> bool:
        return shown(self.root) == number

    def refuse_strange(self) -> None:
        """See that the place is a dataset, or can become one.

        Raises:
          UsageError: it is a file, or holds something else.
        """
        known = {"current", "snapshots", "manifests", "data", "state", "staging", "iceberg"}
        if self.root.exists() and not self.root.is_dir():
            raise UsageError(f"{self.root}: is not a folder")
        strangers = sorted(p.name for p in self.root.iterdir() if p.name not in known) if self.root.exists() else []
        if strangers and not (self.root / "manifests").exists():
            raise UsageError(
                f"{self.root}: holds {strangers[0]!r} and is no Copydesk dataset: choose an empty or new folder"
            )

    def _prepare(self) -> None:
        self.refuse_strange()
        try:
            for name in ("snapshots", "manifests", "data", "state", "staging"):
                (self.root / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unwritable(self.root, error) from error

    def _heal(self) -> None:
        """Finish the newest commit if it stopped half-way; clear away what dead runs left."""
        newest = self.newest()
        if shown(self.root) != newest:
            with contextlib.suppress(ContractMismatch, FileNotFoundError):  # then it is damaged: `base` says so
                self.views.finish(self.manifests.read(newest))
        for folder in (self.root / "staging").iterdir():
            if not is_owned(folder):
                self._clear(folder)
        self.views.clear()

    def _clear(self, dead: Path) -> None:
        """Remove what a dead run left: its moved files too, unless it died after its commit."""
        moved = [self.root / kind / dead.name for kind in ("data", "state")]
        if any(folder.exists() for folder in moved):
            manifests, damaged = self.manifests.readable()
            used = {file.path.split("/")[1] for each in manifests for file in (*each.files, *each.state)}
            if dead.name not in used and not damaged:
                for folder in moved:
                    shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(dead, ignore_errors=True)  # its owner may be about it too


def live_bases(root: Path) -> set[int]:
    """The snapshots that runs alive began with: they may read its state."""
    found = set()
    for folder in (root / "staging").iterdir():
        with contextlib.suppress(FileNotFoundError, ValueError):  # it ends just now
            if is_owned(folder):
                found.add(int((folder / "lock").read_text()))
    return found


def _verify(attempt: Attempt, change: Change) -> None:
    """See that the staged files are what their writers said.

    Raises:
      OSError: one is gone or damaged.
    """
    for folder, staged in ((attempt.files, change.files), (attempt.state, change.state)):
        for file in staged:
            check(folder / file.path, file)


def _move_back(moves: Sequence[tuple[Path, Path]]) -> None:
    """Undo moves; what the disk refuses stays for the next run to clear away."""
    for staged, place in moves:
        with contextlib.suppress(OSError):
            place.rename(staged)


def is_owned(folder: Path) -> bool:
    """Whether the run that works in a staging folder is alive."""
    try:
        with (folder / "lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return False


def _unwritable(root: Path, error: OSError) -> CopydeskError:
    text = f"{root}: cannot be written: {error.strerror}"
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR}:
        return UsageError(f"{text}: choose another OUT, or see to its rights")
    return StorageFailed(f"{text}: see to the disk and run it again; nothing was committed")


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
