"""What a contract is made of: tables of columns, each with an id that Parquet and Iceberg readers go by.

Field ids never change and are never used again; a minor version adds columns or tables, anything else is a new major
version.
"""

import functools
from dataclasses import dataclass

import pyarrow as pa

CONTRACT_VERSION = "1.2"

_LIST_ITEM_IDS = 1000  # the id of a list's element is the list's id and this


@dataclass(frozen=True)
class Column:
    """One column: its field id, type and meaning."""

    field_id: int
    name: str
    type: pa.DataType
    description: str
    nullable: bool = True

    def field(self) -> pa.Field:
        """The Arrow field, with the id and description where Parquet readers find them."""
        kind = _with_item_ids(self.type, self.field_id)
        return pa.field(self.name, kind, self.nullable, metadata=_metadata(self.field_id, self.description))


@dataclass(frozen=True)
class Table:
    """One table of the dataset, partitioned by `date`, sorted within a file by `sort`."""

    name: str
    description: str
    columns: tuple[Column, ...]
    sort: tuple[str, ...]
    dictionary: tuple[str, ...] = ()  # low-cardinality columns

    @functools.cached_property
    def schema(self) -> pa.Schema:
        """The Arrow schema that files are written with."""
        about = {"copydesk.table": self.name, "copydesk.contract": CONTRACT_VERSION, "description": self.description}
        return pa.schema([column.field() for column in self.columns], metadata=about)


def _metadata(field_id: int, description: str = "") -> dict[str, str]:
    return {"PARQUET:field_id": str(field_id)} | ({"description": description} if description else {})


def _with_item_ids(kind: pa.DataType, field_id: int) -> pa.DataType:
    """Give the elements of lists, and the fields of structs in them, ids of their own."""
    if not pa.types.is_list(kind):
        return kind
    base = _LIST_ITEM_IDS + field_id * 20
    item = kind.value_type
    if pa.types.is_struct(item):
        item = pa.struct([f.with_metadata(_metadata(base + 1 + n)) for n, f in enumerate(item)])
    return pa.list_(pa.field("element", item, nullable=False, metadata=_metadata(base)))
