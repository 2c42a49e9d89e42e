"""One Parquet file, written the same way every time: equal rows give equal bytes."""

import hashlib
import os
from collections.abc import Sequence
from typing import IO, NamedTuple, Protocol

import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.io.filesystems import FileSystems

ROW_GROUP_ROWS = 122_880  # DuckDB's own row group size: its readers run one thread a group
_BLOOM_FALSE_POSITIVES = 0.01


class Contract(Protocol):
    """What is written: a table of the dataset or of its state."""

    @property
    def schema(self) -> pa.Schema: ...  # noqa: D102 -- as the classes say that have them

    @property
    def sort(self) -> Sequence[str]: ...  # noqa: D102

    @property
    def dictionary(self) -> Sequence[str]: ...  # noqa: D102


class Written(NamedTuple):
    """What a file turned out to be."""

    bytes: int
    sha256: str


def write_parquet(rows: pa.Table, contract: Contract, path: str) -> Written:
    """Write rows that are already sorted, and see them on the disk before returning.

    zstd-3, page index and checksums, sorting columns, Bloom filters on the ids, dictionaries only where
    the contract says that a column repeats itself.

    Raises:
      OSError: the file system refused, for example because it is full.
      pa.ArrowInvalid: the rows do not fit the contract.
    """
    schema = contract.schema
    names = schema.names
    sorting = [pq.SortingColumn(names.index(name), descending=False, nulls_first=False) for name in contract.sort]
    rows = rows.select(names).cast(schema)
    with FileSystems.create(path, "application/octet-stream", "uncompressed") as file:
        sink = _HashingSink(file)
        with pq.ParquetWriter(
            sink,
            schema,
            compression="zstd",
            compression_level=3,
            use_dictionary=list(contract.dictionary) or False,
            write_page_index=True,
            write_page_checksum=True,
            sorting_columns=sorting,
            bloom_filter_options=_bloom_filters(names, rows.num_rows),
            write_batch_size=1024,
        ) as writer:
            writer.write_table(rows, row_group_size=ROW_GROUP_ROWS)
        file.flush()
        if hasattr(file, "fileno"):
            os.fsync(file.fileno())
    return Written(sink.size, sink.digest.hexdigest())


def _bloom_filters(names: list[str], rows: int) -> dict[str, dict[str, float]]:
    ids = [name for name in names if name.endswith("_id") and name != "source_id"]
    return {name: {"ndv": max(min(rows, ROW_GROUP_ROWS), 1), "fpp": _BLOOM_FALSE_POSITIVES} for name in ids}


class _HashingSink:
    """A writable file that knows its size and SHA-256."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()
        self.size = 0
        self.closed = False

    def write(self, data: bytes) -> int:
        view = memoryview(data)
        self.digest.update(view)
        self.size += view.nbytes
        self._file.write(view)
        return view.nbytes

    def tell(self) -> int:
        return self.size

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self.closed = True

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False
