"""WriteState: what later runs are to know → staged Parquet files, listed for the driver to commit."""

import uuid
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems

from schemas.barriers import Gather
from schemas.blocks import load
from schemas.files import DataFile, Staged
from schemas.state import STATE, StatePart
from transforms.write.parquet import write_parquet
from transforms.write.staging import store_list


@dataclass(eq=False)
class WriteState(beam.PTransform):  # type: ignore[misc]
    """StatePart → the path of FILE_LIST, which lists the staged files."""

    staging: str

    def expand(self, parts: beam.PCollection) -> beam.PCollection:
        """Wire."""
        return (
            parts
            | "Write" >> beam.Map(write_part, self.staging).with_output_types(Staged)
            | "List" >> Gather(store_list, (self.staging,))
        )


def write_part(part: StatePart, staging: str) -> Staged:
    """Write one bucket of a state table."""
    name = f"{part.table}-{part.bucket:02d}-{uuid.uuid4().hex}.parquet"
    written = write_parquet(load(part.rows.path), STATE[part.table], FileSystems.join(staging, name))
    return Staged(DataFile(part.table, f"{part.bucket:02d}", 0, name, part.rows.rows, *written))
