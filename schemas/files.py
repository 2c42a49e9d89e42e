"""One Parquet file of a dataset, as a worker wrote it and as a manifest lists it."""

import hashlib
from typing import NamedTuple

from apache_beam.io.filesystems import FileSystems

from schemas.errors import ContractMismatch


class DataFile(NamedTuple):
    """What there is to know of a file without opening it.

    `path` is relative: to the staging folder while the file is staged, to the dataset once it is committed.
    """

    table: str
    partition: str  # the value of the key `date`
    part: int
    path: str
    rows: int
    bytes: int
    sha256: str

    @property
    def link(self) -> str:
        """Where it stands inside a snapshot."""
        return f"{self.table}/date={self.partition}/part-{self.part:05d}.parquet"


class Staged(NamedTuple):
    """A file that a run wrote, and those of earlier runs whose place it takes: their absolute paths."""

    file: DataFile
    replaces: tuple[str, ...] = ()


class Counted(NamedTuple):
    """Something that a run counted, for its summary."""

    name: str
    total: int
    example: str = ""


def read_whole(file: DataFile) -> bytes:
    """The content of a table's file, whose path is absolute here.

    What is made of it gets a checksum of its own, under which damage would go unseen.

    Raises:
      ContractMismatch: it is gone, cut short or changed since it was written.
    """
    try:
        with FileSystems.open(file.path, "application/octet-stream", "uncompressed") as source:
            content = bytes(source.read())
    except FileNotFoundError:
        content = b""
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise ContractMismatch(
            f"{file.path}: gone, cut short or changed since it was written: `copydesk snapshots OUT verify` says what "
            "is damaged and the way back; nothing was committed"
        )
    return content
