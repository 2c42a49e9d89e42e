"""A snapshot as readers see it: a folder of hard links under its number, and `current`, which points at the newest.

    OUT/current -> snapshots/000042
    OUT/snapshots/000042/<table>/date=…/part-00000.parquet      hard links into OUT/data

A folder is built under a hidden name and renamed once it is whole; `current` is swapped by renaming a link over it.
"""

import os
import shutil
import uuid
from pathlib import Path

from pipeline.manifests import Manifest, sync

_MANY_FOLDERS = 64  # whose entries are seen to reach the disk one by one; thousands would take seconds


class Views:
    """The folders that readers open."""

    def __init__(self, root: Path) -> None:
        """Name the dataset's folder; nothing is touched."""
        self.root = root
        self.folder = root / "snapshots"

    def hidden(self, number: int) -> Path:
        """A name under which a snapshot's folder can be built."""
        return self.folder / f".{number:06d}-{uuid.uuid4().hex}"

    def build(self, manifest: Manifest, view: Path) -> None:
        """Build a snapshot's folder.

        Raises:
          FileNotFoundError: one of its files is gone.
          OSError: the disk refused.
        """
        view.mkdir()
        places = [(f"{self.root}/{file.path}", f"{view}/{file.link}") for file in manifest.files]
        for partition in sorted({place.rpartition("/")[0] for _, place in places}):
            Path(partition).mkdir(parents=True)
        for file, place in places:
            os.link(file, place)
        folders = [Path(folder) for folder, _, _ in os.walk(view)]
        if len(folders) > _MANY_FOLDERS:
            os.sync()
        else:
            for folder in folders:
                sync(folder)

    def show(self, view: Path, number: int) -> None:
        """Give a snapshot's folder its name, and point `current` at it."""
        view.rename(self.folder / f"{number:06d}")
        sync(self.folder)
        self.swap(number)

    def swap(self, number: int) -> None:
        """Point `current` at a snapshot, in one step."""
        link = self.folder / f".current-{uuid.uuid4().hex}"
        link.symlink_to(f"snapshots/{number:06d}")
        link.replace(self.root / "current")
        sync(self.root)

    def finish(self, manifest: Manifest) -> None:
        """Show a snapshot whose commit died after its manifest.

        Raises:
          OSError: as `build`.
        """
        if (self.folder / f"{manifest.snapshot:06d}").exists():
            self.swap(manifest.snapshot)
        else:
            view = self.hidden(manifest.snapshot)
            self.build(manifest, view)
            self.show(view, manifest.snapshot)

    def clear(self) -> None:
        """Remove what dead commits left under hidden names."""
        for left in self.folder.glob(".*"):
            if left.is_symlink():
                left.unlink()
            else:
                shutil.rmtree(left)
