"""A dataset on an object store: the same manifests, data and state, committed by a conditional put.

    s3://bucket/prefix/manifests/000042.json    the snapshot: it exists from the moment this object does
    s3://bucket/prefix/data/<attempt>/          the files of one run; state/<attempt>/ likewise
    s3://bucket/prefix/current.json             {"snapshot": 42, "manifest": …}: where readers may start

A run works in a folder of this machine, a dataset of its own kind without snapshots: what a run needs is fetched into
it and checked, what it made is uploaded under names of its own, then the manifest is created. A death before that
leaves objects that no manifest names, which gc removes when they are older than its grace; a death after it leaves
`current.json` behind, which the next run mends. What was fetched stays for the next run while a snapshot needs it.
"""

import contextlib
import datetime as dt
import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from pipeline.commit import Attempt, Dataset, is_owned, live_bases
from pipeline.manifests import Manifest, Manifests, conflict, encode
from pipeline.objects import LANES, Bucket
from pipeline.reading import check, no_snapshot
from schemas.errors import CommitConflict, ContractMismatch, CopydeskError, NotShown
from schemas.files import DataFile

_POINTER = "current.json"
_KEPT_SECONDS = 3600  # of what was fetched and is not needed any more: somebody may be reading it


class RemoteManifests(Manifests):
    """The manifests of a dataset on an object store."""

    def __init__(self, bucket: Bucket, mirror: Path) -> None:
        """Name the store, and the folder of this machine where locks and drafts are."""
        super().__init__(mirror)
        self.name = bucket.uri
        self._bucket = bucket

    def numbers(self) -> list[int]:
        """The snapshots that there are, oldest first."""
        return sorted(self._listed())

    def content(self, number: int) -> bytes:
        """A manifest as the store has it.

        Raises:
          FileNotFoundError: it is gone.
        """
        return self._bucket.read(_key(number))[0]

    def readable(self) -> tuple[list[Manifest], list[ContractMismatch]]:
        """All snapshots that can be read, oldest first; and for each of the others why not."""
        found: list[Manifest] = []
        damaged: list[ContractMismatch] = []
        with ThreadPoolExecutor(LANES) as lanes:
            reads = [lanes.submit(self.read, number) for number in self.numbers()]
        for read in reads:
            try:
                found.append(read.result())
            except ContractMismatch as error:
                damaged.append(error)
        return found, damaged

    def create(self, manifest: Manifest, draft: Path) -> None:  # noqa: ARG002 -- what a disk needs
        """Create a manifest, exclusively: this is the moment of commit.

        Raises:
          CommitConflict: there is a snapshot of that number already.
        """
        try:
            self._bucket.create(_key(manifest.snapshot), encode(manifest))
        except FileExistsError as error:
            raise conflict(self.name, manifest.snapshot) from error

    def remove(self, numbers: Sequence[int]) -> None:
        """Remove manifests: from then on their snapshots do not exist."""
        self._bucket.delete(map(_key, numbers))

    def made(self) -> dict[int, dt.datetime]:
        """When each snapshot was made, by the store's clock."""
        return self._listed()

    def _listed(self) -> dict[int, dt.datetime]:
        names = {Path(entry.key): entry.modified for entry in self._bucket.entries("manifests")}
        return {int(name.stem): made for name, made in names.items() if name.stem.isdecimal()}


class RemoteDataset(Dataset):
    """Snapshots on an object store; `root` is the folder of this machine in which runs work."""

    pointer = _POINTER
    least_grace = 1.0  # more hours than a commit takes: until then files may be those of a run alive, and numbers taken

    def __init__(self, uri: str) -> None:
        """Name the place; nothing is asked of it yet."""
        self._bucket = Bucket(uri)
        super().__init__(_mirror(self._bucket))
        self.name = self._bucket.uri
        self.manifests = RemoteManifests(self._bucket, self.root)

    def shown(self) -> int:
        """The number of the snapshot that `current.json` names; 0: none."""
        try:
            return _number(self._bucket.read(_POINTER)[0])
        except FileNotFoundError:
            return 0

    def newest(self) -> int:
        """The number of the newest snapshot; 0: there is none."""
        return max(self.manifests.newest(), self.shown())

    def now(self) -> dt.datetime:
        """The store's clock."""
        return self._bucket.now()

    def probe(self) -> str:
        """See that the store refuses to create an object twice; gives what was seen.

        Raises:
          UsageError: it does not, or cannot be written.
        """
        self._bucket.probe()
        return f"{self._bucket.endpoint} refuses to create {self.name}/… twice"

    def fetch(self, files: Sequence[DataFile]) -> None:
        """See that files of a snapshot are on this machine, below `root`, as they were written.

        Raises:
          ContractMismatch: one is gone or damaged on the store.
        """
        with ThreadPoolExecutor(LANES) as lanes:
            for _ in lanes.map(self._fetch, files):
                pass

    def is_whole(self, manifest: Manifest) -> bool:
        """Whether the store has every file of a snapshot, at its size."""
        there = {entry.key: entry.bytes for kind in ("data", "state") for entry in self._bucket.entries(kind)}
        return all(there.get(file.path) == file.bytes for file in (*manifest.files, *manifest.state))

    @contextlib.contextmanager
    def at_hand(self, file: DataFile) -> Iterator[Path]:
        """A file as the store has it now, for as long as the block runs.

        Raises:
          FileNotFoundError: it is gone.
        """
        path = self.root / "staging" / f"{uuid.uuid4().hex}{PurePosixPath(file.path).suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._bucket.download(file.path, path)
            yield path
        finally:
            path.unlink(missing_ok=True)

    def links(self, manifest: Manifest) -> Iterator[tuple[Path, DataFile]]:  # noqa: ARG002 -- there are none
        """Nothing: readers go by the manifest."""
        yield from ()

    def restore(self, manifest: Manifest) -> Manifest:
        """Commit a snapshot's files and state once more, as the newest snapshot.

        Raises:
          ContractMismatch: a gc took its files meanwhile.
          CommitConflict, NotShown: as `commit`.
        """
        again = super().restore(manifest)
        if not self.is_whole(again):
            raise ContractMismatch(
                f"{self.name}: snapshot {again.snapshot} lacks files of snapshot {manifest.snapshot}, which a gc "
                f"removed just now: {self.manifests.remedy(again.snapshot)}"
            )
        return again

    @contextlib.contextmanager
    def committing(self) -> Iterator[None]:
        """One process of this machine at a time changes what is visible; those of others are told by the store."""
        self._prepare()
        with super().committing():
            yield

    def drop_views(self) -> None:
        """Nothing: there are no folders of snapshots."""

    def in_use(self) -> set[int]:
        """The snapshots that readers start from, and that runs of this machine began with."""
        alive = live_bases(self.root) if (self.root / "staging").is_dir() else set()
        return {self.shown(), self.newest(), *alive}

    def sweep(self, named: Collection[str], before: dt.datetime) -> Iterator[int]:
        """Remove the objects from before a time that no snapshot names; give their sizes."""
        old = [
            entry
            for kind in ("data", "state", "staging")
            for entry in self._bucket.entries(kind)
            if entry.key not in named and entry.modified < before
        ]
        self._bucket.delete(entry.key for entry in old)
        yield from (entry.bytes for entry in old)

    def mirror(self, tables: Collection[str] | None = None) -> Path:
        """Fetch the newest snapshot, whole or some of its tables, to where readers of a folder can open it.

        Raises:
          UsageError: there is none.
          ContractMismatch: it is damaged.
        """
        number = self.newest()
        if not number:
            raise no_snapshot(self.name)
        manifest = self.manifests.read(number)
        with self.committing():
            files = [file for file in manifest.files if tables is None or file.table in tables]
            self.fetch([*files, *(manifest.state if tables is None else ())])
            draft = self.root / "staging" / f"{uuid.uuid4().hex}.json"
            draft.write_bytes(encode(manifest))
            draft.replace(self.root / "manifests" / f"{number:06d}.json")
            for file in files:
                link = self.root / "snapshots" / f"{number:06d}" / file.link
                link.parent.mkdir(parents=True, exist_ok=True)
                with contextlib.suppress(FileExistsError):
                    os.link(self.root / file.path, link)
            self.views.swap(number)
        return self.root

    def _fetch(self, file: DataFile) -> None:
        path = self.root / file.path
        with contextlib.suppress(OSError):
            check(path, file)
            return
        part = self.root / "staging" / f"{uuid.uuid4().hex}.part"
        for folder in (path.parent, part.parent):
            folder.mkdir(parents=True, exist_ok=True)
        try:
            self._bucket.download(file.path, part)
            check(part, file)
            part.replace(path)
        except OSError as error:
            if not isinstance(error, FileNotFoundError) and error.errno:
                raise  # the disk, not the object
            raise ContractMismatch(
                f"{self.name}/{file.path}: gone, cut short or changed since it was written: "
                f"`copydesk snapshots {self.name} verify` says what is damaged and what to do"
            ) from error
        finally:
            part.unlink(missing_ok=True)

    def _create_and_show(self, manifest: Manifest, attempt: Attempt) -> None:
        """Upload what the attempt made, create the manifest, and point readers at it.

        Raises:
          CommitConflict: another run committed since.
          NotShown: the manifest is there, and then something failed.
          StorageFailed, UsageError: the store failed before, or did not say whether it has the manifest.
        """
        made = [path for kind in ("data", "state") for path in sorted((self.root / kind / attempt.name).glob("*"))]
        keys = [str(path.relative_to(self.root)) for path in made]
        try:
            self._bucket.upload(zip(made, keys, strict=True))
            if self.newest() != manifest.parent:  # a gc may have removed the number that is taken
                raise conflict(self.name, self.newest())
            self.manifests.create(manifest, attempt.folder)
        except CommitConflict:
            self._bucket.delete(keys)
            raise
        try:
            self._point(manifest.snapshot)
        except (CopydeskError, KeyboardInterrupt) as error:
            raise NotShown(
                f"snapshot {manifest.snapshot} is committed, but {self.name}/{_POINTER} does not name it yet "
                f"({str(error) or 'interrupted'}); the next run on {self.name} mends it first"
            ) from error

    def _has_created(self, manifest: Manifest, attempt: Attempt) -> bool:  # noqa: ARG002 -- what a disk needs
        """Whether a manifest is there and is the attempt's own; no, if the store does not answer."""
        with contextlib.suppress(CopydeskError, OSError):
            return self.manifests.content(manifest.snapshot) == encode(manifest)
        return False

    def _is_shown(self, number: int) -> bool:
        """Yes: readers see whatever has a manifest."""
        return number > 0

    def _heal(self) -> None:
        """See once that the store can refuse a put; mend the pointer; clear away what dead runs left here."""
        probed = self.manifests.folder / ".probed"
        if not probed.exists():
            self._bucket.probe()
            probed.touch()
        newest = self.newest()
        if newest and self.shown() != newest:
            self._point(newest)
        for left in (self.root / "staging").iterdir():
            if left.is_dir() and not is_owned(left):
                shutil.rmtree(left, ignore_errors=True)
            elif left.is_file() and _is_old(left):
                left.unlink(missing_ok=True)
        with contextlib.suppress(ContractMismatch):  # `base` says so
            self._forget(newest)

    def _forget(self, newest: int) -> None:
        """Remove from this machine what neither the newest snapshot nor a run alive needs."""
        needed = {newest, *live_bases(self.root)} - {0}
        manifests = [self.manifests.read(number) for number in needed]
        named = {file.path for each in manifests for file in (*each.files, *each.state)}
        for folder in [*(self.root / "data").iterdir(), *(self.root / "state").iterdir()]:
            for file in folder.iterdir():
                if str(file.relative_to(self.root)) not in named and _is_old(file):
                    file.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # not empty
                folder.rmdir()
        for path in [*(self.root / "snapshots").glob("[0-9]*"), *self.root.glob("manifests/*.json")]:
            if int(path.stem) not in needed and _is_old(path):
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _point(self, number: int) -> None:
        """Let `current.json` name a snapshot, unless it names a later one."""
        content = json.dumps({"snapshot": number, "manifest": _key(number)}).encode()
        while True:
            try:
                known, tag = self._bucket.read(_POINTER)
            except FileNotFoundError:
                with contextlib.suppress(FileExistsError):
                    return self._bucket.create(_POINTER, content)
                continue
            if _number(known) >= number:
                return None
            with contextlib.suppress(FileExistsError, FileNotFoundError):
                return self._bucket.swap(_POINTER, content, tag)


def _mirror(bucket: Bucket) -> Path:
    """The folder of this machine for a dataset: below $COPYDESK_CACHE, else the user's cache."""
    cache = os.environ.get("COPYDESK_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "copydesk")
    name = hashlib.sha256(f"{bucket.endpoint} {bucket.uri}".encode()).hexdigest()[:16]
    return Path(cache).expanduser().absolute() / name


def _key(number: int) -> str:
    return f"manifests/{number:06d}.json"


def _number(pointer: bytes) -> int:
    """The snapshot that a pointer names; 0 if it is damaged."""
    try:
        return int(json.loads(pointer)["snapshot"])
    except (ValueError, TypeError, KeyError):
        return 0


def _is_old(path: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return time.time() - path.stat().st_mtime > _KEPT_SECONDS
    return False
