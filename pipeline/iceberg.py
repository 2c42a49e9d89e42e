"""Publish snapshots as Iceberg tables: the same Parquet files, listed once more.

    catalogue `copydesk` of pyiceberg's own configuration; if there is none, OUT/iceberg/catalog.db (SQLite)
    NAMESPACE.articles, NAMESPACE.stories, …       one Iceberg snapshot for each of ours, with its number and run id

Each Iceberg snapshot adds the files that came and removes those that went, in one commit, upon the one before. The
number in its properties says which of our snapshots are published: a repeat publishes nothing, and the next run makes
up for what a death left out. No file is copied; a table's field ids are those of our contract, as in the files.
"""

import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from pipeline.commit import Dataset
from pipeline.manifests import Manifest
from schemas.contract import Table
from schemas.errors import ContractMismatch, CopydeskError, NotShown, UsageError
from schemas.tables import TABLES

_CATALOGUE = "copydesk"
_NUMBER = "copydesk.snapshot"
_RUN = "copydesk.run-id"
_PROPERTIES = {
    "commit.retry.num-retries": "0",  # who is overtaken has seen another table, and must not add files to this one
    "write.metadata.delete-after-commit.enabled": "true",
}


def publish(dataset: Dataset, namespace: str) -> int:
    """Publish the snapshots that are not published yet; of a new table's, only the newest.

    Args:
      dataset: where they are.
      namespace: of the tables.

    Returns:
      how many Iceberg snapshots were made.

    Raises:
      UsageError: the extra is not installed, there is no catalogue, or the namespace is another dataset's.
      ContractMismatch: the newest manifest is damaged.
      NotShown: the catalogue failed; the next call makes up for it.
    """
    catalogue = _catalogue(dataset)
    logging.getLogger("pyiceberg").setLevel(logging.ERROR)  # it warns of every column without statistics
    with dataset.committing(), _explained(dataset, namespace):
        catalogue.create_namespace_if_not_exists(namespace)
        numbers, made = dataset.manifests.numbers(), 0
        for name, table in TABLES.items():
            known = _table(catalogue, f"{namespace}.{name}", table)
            published = max(_numbers(known).values(), default=0) or numbers[-1] - 1
            if published > numbers[-1]:
                raise UsageError(
                    f"{dataset.name}: snapshot {published} of another dataset is published as {namespace}: choose "
                    "another namespace, or drop its tables"
                )
            for manifest in _after(dataset, published):
                _publish_one(known, dataset, manifest, name)
                made += 1
            _expire(known, numbers)
        return made


def _after(dataset: Dataset, published: int) -> Iterator[Manifest]:
    """The snapshots since; a damaged one is passed over, if it is not the newest."""
    numbers = dataset.manifests.numbers()
    for number in [number for number in numbers if number > published]:
        try:
            yield dataset.manifests.read(number)
        except ContractMismatch:
            if number == numbers[-1]:
                raise


def _publish_one(known: Any, dataset: Dataset, manifest: Manifest, name: str) -> None:
    """Make one of our snapshots the table's next, unless somebody else made one meanwhile."""
    from pyiceberg.io.pyarrow import parquet_file_to_data_file  # noqa: PLC0415 -- an extra

    there = {task.file.file_path: task.file for task in known.scan().plan_files()}
    wanted = {_uri(dataset, file.path) for file in manifest.files if file.table == name}
    about = {_NUMBER: str(manifest.snapshot), _RUN: manifest.run_id}
    with known.transaction() as change, change.update_snapshot(about).overwrite() as files:
        for path in sorted(there.keys() - wanted):
            files.delete_data_file(there[path])
        for path in sorted(wanted - there.keys()):
            files.append_data_file(parquet_file_to_data_file(known.io, known.metadata, path))


def _table(catalogue: Any, name: str, table: Table) -> Any:
    """A table under our contract: made, or brought up to it."""
    from pyiceberg.io.pyarrow import pyarrow_to_schema  # noqa: PLC0415
    from pyiceberg.table.update import AddSchemaUpdate, AssertCurrentSchemaId, SetCurrentSchemaUpdate  # noqa: PLC0415

    known = catalogue.create_table_if_not_exists(name, schema=table.schema, properties=_PROPERTIES)
    current, wanted = known.schema(), pyarrow_to_schema(table.schema)
    if current != wanted:  # a new table numbers its fields itself
        wanted = wanted.model_copy(update={"schema_id": max(known.schemas()) + 1})
        updates = (AddSchemaUpdate(schema=wanted), SetCurrentSchemaUpdate(**{"schema-id": -1}))
        catalogue.commit_table(known, (AssertCurrentSchemaId(**{"current-schema-id": current.schema_id}),), updates)
        known.refresh()
    return known


def _numbers(known: Any) -> dict[int, int]:
    """Iceberg's id of a snapshot → the number of ours; snapshots that others made are left out."""
    found = {each.snapshot_id: each.summary[_NUMBER] for each in known.snapshots() if each.summary}
    return {key: int(number) for key, number in found.items() if number}


def _expire(known: Any, numbers: Collection[int]) -> None:
    """Drop the Iceberg snapshots of those that a gc removed: their files may be gone."""
    head = known.current_snapshot()
    gone = [key for key, number in _numbers(known).items() if number not in numbers and key != head.snapshot_id]
    if gone:
        known.maintenance.expire_snapshots().by_ids(gone).commit()


def _uri(dataset: Dataset, path: str) -> str:
    return f"{dataset.name}/{path}" if "://" in dataset.name else f"file://{dataset.root}/{path}"


def _catalogue(dataset: Dataset) -> Any:
    try:
        from pyiceberg.catalog import load_catalog  # noqa: PLC0415 -- an extra
        from pyiceberg.utils.config import Config  # noqa: PLC0415
    except ImportError as error:
        raise UsageError("--iceberg needs the package pyiceberg: install copydesk[iceberg]") from error
    configured = Config().get_catalog_config(_CATALOGUE)
    if configured:
        return load_catalog(_CATALOGUE, **configured)
    if "://" in dataset.name:
        raise UsageError(
            f"{dataset.name}: --iceberg needs a catalogue that others can reach: name one `{_CATALOGUE}` in "
            f".pyiceberg.yaml or by PYICEBERG_CATALOG__{_CATALOGUE.upper()}__URI"
        )
    folder = dataset.root / "iceberg"
    folder.mkdir(exist_ok=True)
    return load_catalog(_CATALOGUE, type="sql", uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}")


@contextmanager
def _explained(dataset: Dataset, namespace: str) -> Iterator[None]:
    try:
        yield
    except CopydeskError:
        raise
    except Exception as error:  # the catalogue's own, of its database, of its store
        raise NotShown(
            f"{dataset.name}: the newest snapshot is committed, but not published to Iceberg as {namespace} "
            f"({type(error).__name__}: {error}); the next run with --iceberg makes up for it"
        ) from error
