"""WriteState: what later runs are to know → staged files, listed for the driver to commit.

Tables are written as Parquet; files that other stages made (blocks of articles, segments) are copied as they are.
"""

import os
import uuid
from dataclasses import dataclass

import apache_beam as beam
import xxhash
from apache_beam.io.filesystems import FileSystems

from schemas.barriers import Gather
from schemas.blocks import load
from schemas.files import DataFile, Staged
from schemas.state import STATE, StateFile, StatePart
from transforms.write.parquet import write_parquet
from transforms.write.staging import store_list

_CHUNK = 4 << 20


@dataclass(eq=False)
class WriteState(beam.PTransform):  # type: ignore[misc]
    """StatePart, StateFile → the path of FILE_LIST, which lists the staged files and what goes."""

    staging: str

    def expand(self, parts: beam.PCollection) -> beam.PCollection:
        """Wire."""
        return (
            parts
            | "Write" >> beam.Map(write_part, self.staging).with_output_types(Staged)
            | "List" >> Gather(store_list, (self.staging,))
        )


def write_part(part: StatePart | StateFile, staging: str) -> Staged:
    """Write one bucket of a state table, or copy a file; a file that goes gives an entry without a path."""
    if isinstance(part, StateFile):
        return copy_file(part, staging)
    name = f"{part.table}-{part.bucket:02d}-{uuid.uuid4().hex}.parquet"
    written = write_parquet(load(part.rows.path), STATE[part.table], FileSystems.join(staging, name))
    return Staged(DataFile(part.table, f"{part.bucket:02d}", 0, name, part.rows.rows, *written))


def copy_file(part: StateFile, staging: str) -> Staged:
    """Copy an Arrow file to where it stays, and see it on the disk before returning.

    Raises:
      OSError: the file system refused, for example because it is full.
    """
    if not part.path:
        return Staged(DataFile(part.table, part.partition, 0, "", 0, 0, ""), (part.replaces,))
    name = f"{part.partition}.{part.table.removeprefix('block_')}.arrow"
    attempt = FileSystems.join(staging, f"{name}.{uuid.uuid4().hex}")
    digest, size = xxhash.xxh3_128(), 0
    with (
        FileSystems.open(part.path, "application/octet-stream", "uncompressed") as source,
        FileSystems.create(attempt, "application/octet-stream", "uncompressed") as sink,
    ):
        while data := source.read(_CHUNK):
            digest.update(data)
            sink.write(data)
            size += len(data)
        sink.flush()
        if hasattr(sink, "fileno"):
            os.fsync(sink.fileno())
    FileSystems.rename([attempt], [FileSystems.join(staging, name)])
    file = DataFile(part.table, part.partition, 0, name, load(part.path).num_rows, size, f"xxh3:{digest.hexdigest()}")
    return Staged(file, (part.replaces,) if part.replaces else ())
