"""One Parquet file of a dataset, as a worker wrote it and as a manifest lists it."""

from typing import NamedTuple


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
