"""Where a dataset is: a folder, or a prefix of an object store."""

import os
import re
from collections.abc import Collection
from pathlib import Path

from pipeline.commit import Dataset
from schemas.errors import UsageError

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+):/+(.*)", re.DOTALL)


def dataset_at(output: Path) -> Dataset:
    """The dataset of an OUT argument, which need not exist yet.

    Raises:
      UsageError: it is on a kind of store that cannot be committed to, the client is not installed, or the tables
        could not hold its name.
    """
    try:
        str(output).encode()
    except UnicodeEncodeError as error:
        name = os.fsencode(output).decode("utf-8", "backslashreplace")
        raise UsageError(f"{name}: the name is not UTF-8: choose another OUT") from error
    uri = _SCHEME.fullmatch(str(output))  # a path holds one slash of two
    if uri is None:
        return Dataset(Path(os.path.normpath(output.absolute())))
    if uri[1] != "s3":
        raise UsageError(f"{output}: snapshots can be committed to a local or mounted folder, or to s3://bucket/prefix")
    from pipeline.remote import RemoteDataset  # noqa: PLC0415 -- needs an extra

    return RemoteDataset(f"s3://{uri[2]}")


def folder_of(output: Path, tables: Collection[str] | None = None) -> Path:
    """A folder of this machine where the current snapshot can be read: the dataset's own, or fetched from its store.

    Args:
      output: the OUT argument.
      tables: fetch only these; by default all, and the state.

    Raises:
      UsageError, ContractMismatch, StorageFailed: there is nothing to fetch, or it is damaged, or the store fails.
    """
    return dataset_at(output).mirror(tables)
