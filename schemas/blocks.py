"""What flows between the stages: Arrow tables of about a thousand articles, and where they wait.

Text never passes through a shuffle. A stage that others wait for stores its block as an Arrow file in
the run's scratch folder and passes on a `BlockRef`; whoever needs the block maps it back into memory.
One block is stored in parts, row by row the same articles:

    parsed    what was read, one row an article (PARSED)
    lines     the lines of those articles with a first label (LINES; `row` points into `parsed`)
    articles  the clean articles (CLEAN); rows that were rejected are gone
    tokens    hashed words of `articles` for matching (the match wing's own schema)

Verified pairs are stored in blocks of their own, with one part:

    pairs     PAIRS, with the passages that two articles share

Large side inputs (the catalog, frequencies, labels) are stored the same way, so that what travels is a path.
"""

import functools
import os
import uuid
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import apache_beam as beam
import pyarrow as pa
from apache_beam.io.filesystems import FileSystems
from apache_beam.io.localfilesystem import LocalFileSystem

BLOCK_ROWS = 1024
BLOCK_BYTES = 16 << 20

RAW = pa.schema(
    [
        pa.field("source_uri", pa.string(), nullable=False),
        pa.field("position", pa.int64(), nullable=False),  # record number in the file, from 0
        pa.field("source_id", pa.string()),  # the id at the source, else the file's name without its ending
        pa.field("url", pa.string()),
        pa.field("outlet", pa.string()),
        pa.field("headline", pa.string()),
        pa.field("description", pa.string()),
        pa.field("text", pa.string()),  # plain text, a line or paragraph a line; or null
        pa.field("html", pa.string()),  # a page or a fragment, decoded; or null
        pa.field("date_published", pa.string()),  # as received
        pa.field("date_modified", pa.string()),  # as received
        pa.field("authors", pa.list_(pa.string())),
        pa.field("language", pa.string()),
        pa.field("section", pa.string()),
        pa.field("keywords", pa.list_(pa.string())),
        pa.field("fetched_at", pa.timestamp("us", "UTC")),
        pa.field("headline_inline", pa.bool_(), nullable=False),  # `text` may begin with its headline (a .txt file)
    ]
)

_METADATA = [
    pa.field("article_id", pa.int64(), nullable=False),
    pa.field("identity", pa.int64(), nullable=False),  # hash of the canonical URL, else 0: equal means versions
    pa.field("source_uri", pa.string(), nullable=False),
    pa.field("position", pa.int64(), nullable=False),
    pa.field("source_id", pa.string()),
    pa.field("url", pa.string()),
    pa.field("outlet", pa.string()),
    pa.field("headline", pa.string()),
    pa.field("description", pa.string()),
    pa.field("authors", pa.list_(pa.string())),
    pa.field("date_published", pa.timestamp("us", "UTC")),
    pa.field("date_modified", pa.timestamp("us", "UTC")),
    pa.field("date_source", pa.string()),  # where date_published came from, or why there is none
    pa.field("language", pa.string()),
    pa.field("section", pa.string()),
    pa.field("keywords", pa.list_(pa.string())),
    pa.field("fetched_at", pa.timestamp("us", "UTC")),
    pa.field("quality_flags", pa.list_(pa.string())),
]

PARSED = pa.schema(_METADATA)

LINES = pa.schema(
    [
        pa.field("row", pa.int32(), nullable=False),  # article row in `parsed`; ascending
        pa.field("line", pa.int32(), nullable=False),  # line number in the article, from 0; ascending in a row
        pa.field("text", pa.string(), nullable=False),  # one line, white space trimmed, never blank
        pa.field("label", pa.int8(), nullable=False),  # LABEL_CODES
        pa.field("rule", pa.string(), nullable=False),  # why that label
        pa.field("score", pa.float32(), nullable=False),  # how likely the line is body, 0..1
        pa.field("line_key", pa.int64(), nullable=False),  # hash of the line, digits masked
        pa.field("signature", pa.int64(), nullable=False),  # hash of where it stood in the page; 0 in plain text
    ]
)

REMOVED_LINE = pa.struct(
    [
        pa.field("line", pa.int32(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("label", pa.string(), nullable=False),
        pa.field("rule", pa.string(), nullable=False),
    ]
)

CLEAN = pa.schema(
    [
        *_METADATA,
        pa.field("text", pa.string(), nullable=False),  # body, a paragraph a line
        pa.field("captions", pa.list_(pa.string()), nullable=False),
        pa.field("credits", pa.list_(pa.string()), nullable=False),
        pa.field("removed", pa.list_(REMOVED_LINE), nullable=False),  # every line that is not in `text`
        pa.field("words", pa.int32(), nullable=False),
        pa.field("line_stories", pa.list_(pa.int32())),  # for each line of `text`, the stories of its outlet that are
        # known to hold it, this one included; 0: it alone; null: nobody looked
    ]
)

REJECTED = pa.schema(
    [
        pa.field("source_uri", pa.string(), nullable=False),
        pa.field("position", pa.int64()),  # record number, or null where the whole file was refused
        pa.field("source_id", pa.string()),
        pa.field("stage", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),  # RejectReason
        pa.field("detail", pa.string(), nullable=False),
        pa.field("sample", pa.string()),  # the first 200 characters of what was refused
    ]
)

CATALOG = pa.schema(
    [
        pa.field("article_id", pa.int64(), nullable=False),
        pa.field("identity", pa.int64(), nullable=False),
        pa.field("block", pa.string(), nullable=False),  # BlockRef.base
        pa.field("row", pa.int32(), nullable=False),  # row in the block's `articles` and `tokens`
        pa.field("outlet", pa.string()),
        pa.field("published", pa.timestamp("us", "UTC")),
        pa.field("words", pa.int32(), nullable=False),
        pa.field("modified", pa.timestamp("us", "UTC")),  # else published, else fetched: which version is the later
    ]
)

PAIRS = pa.schema(
    [
        pa.field("left", pa.int64(), nullable=False),  # article ids, left < right
        pa.field("right", pa.int64(), nullable=False),
        pa.field("relation", pa.int8(), nullable=False),  # RELATION_CODES
        pa.field("score", pa.float32(), nullable=False),  # what clustering uses, 0..1
        pa.field("left_coverage", pa.float32(), nullable=False),
        pa.field("right_coverage", pa.float32(), nullable=False),
        pa.field("jaccard", pa.float32(), nullable=False),  # estimated from the signatures
        pa.field("shared_words", pa.int32(), nullable=False),  # of the article whose passages are shown
        pa.field("longest_run", pa.int32(), nullable=False),  # words
        pa.field("passages", pa.list_(pa.string()), nullable=False),  # shared runs, longest first: as `left` has them,
        # or as `right` has them where an earlier run kept `left`
    ]
)

SETTLED = pa.schema(
    [
        pa.field("left", pa.int64(), nullable=False),
        pa.field("right", pa.int64(), nullable=False),
        pa.field("relation", pa.int8(), nullable=False),  # RELATION_CODES, once the copies are known
        pa.field("block", pa.dictionary(pa.int32(), pa.string()), nullable=False),  # BlockRef.base
        pa.field("row", pa.int32(), nullable=False),  # row in the block's `pairs`
    ]
)

COPY_LABELS = pa.schema(
    [
        pa.field("article_id", pa.int64(), nullable=False),  # every article, ascending
        pa.field("copy_id", pa.int64(), nullable=False),
        pa.field("representative", pa.int64(), nullable=False),  # article id
        pa.field("relation", pa.int8()),  # RELATION_CODES to the representative; null for it and for lone articles
        pa.field("similarity", pa.float32()),  # pair score to the representative, where that pair was scored
        pa.field("weakest_link", pa.float32()),  # lowest average link at which the copy was joined; null when alone
    ]
)

STORY_LABELS = pa.schema(
    [
        pa.field("copy_id", pa.int64(), nullable=False),  # every copy, ascending
        pa.field("story_id", pa.int64(), nullable=False),
        pa.field("score", pa.float32(), nullable=False),  # mean link to the rest of the story; 1 when alone
        pa.field("lead", pa.bool_(), nullable=False),  # the copy that represents the story
        pa.field("format", pa.uint8(), nullable=False),  # FORMAT_CODES
        pa.field("rival", pa.int64()),  # the other story that it is linked to most; null where it has no link to any
        pa.field("rival_score", pa.float32()),  # mean link to that
        pa.field("weakest_link", pa.float32()),  # the lowest link at which the story was joined; null when alone
        pa.field("names", pa.list_(pa.string())),  # of the story, most frequent first; null but at the lead
        pa.field("terms", pa.list_(pa.string())),  # of the story, heaviest first; null but at the lead
    ]
)


class BlockRef(NamedTuple):
    """A stored block: the common start of its parts' paths."""

    base: str
    rows: int

    def part(self, name: str) -> str:
        """Path of one part."""
        return f"{self.base}.{name}.arrow"


class StoredTable(NamedTuple):
    """One stored table: what a large side input travels as."""

    path: str
    rows: int


def new_block(scratch: str, rows: int) -> BlockRef:
    """Name a new block in `scratch`; the name is of no consequence to any output."""
    return BlockRef(FileSystems.join(scratch, uuid.uuid4().hex), rows)


def store(table: pa.Table, path: str) -> StoredTable:
    """Write `table` as an uncompressed Arrow file, so that a local reader can map it.

    A part of a block has one path, whoever stores it: a bundle that is tried again puts its file in the place of the
    first one whole, and who has that mapped keeps it.

    Raises:
      OSError: the scratch folder cannot be written.
    """
    attempt = f"{path}.{uuid.uuid4().hex}"
    write_batches(attempt, table.schema, [table.combine_chunks()])
    FileSystems.rename([attempt], [path])
    return StoredTable(path, table.num_rows)


def write_batches(path: str, schema: pa.Schema, tables: Iterable[pa.Table]) -> None:
    """Write an Arrow file; each table becomes a record batch."""
    sink = FileSystems.create(path, "application/octet-stream", "uncompressed")
    with sink, pa.ipc.new_file(sink, schema) as writer:
        for table in tables:
            writer.write_table(table)


def store_new(table: pa.Table, scratch: str, name: str) -> StoredTable:
    """Write `table` under a new name that begins with `name`."""
    return store(table, FileSystems.join(scratch, f"{name}-{uuid.uuid4().hex}.arrow"))


@functools.lru_cache(maxsize=256)
def load(path: str) -> pa.Table:
    """Read a stored table; a local one is mapped, not copied. Files in scratch never change once written."""
    return open_batches(path).read_all()


def open_batches(path: str) -> pa.RecordBatchFileReader:
    """Open a stored file, a local one mapped."""
    if isinstance(FileSystems.get_filesystem(path), LocalFileSystem) and os.path.exists(path):  # noqa: PTH110 -- Beam paths are text
        return pa.ipc.open_file(pa.memory_map(path))
    with FileSystems.open(path, "application/octet-stream", "uncompressed") as source:
        return pa.ipc.open_file(pa.BufferReader(source.read()))


def empty(schema: pa.Schema) -> pa.Table:
    """A table of no rows."""
    return schema.empty_table()


def concat(tables: Iterable[pa.Table], schema: pa.Schema) -> pa.Table:
    """Join tables of one schema; none give an empty one."""
    parts = [table for table in tables if table.num_rows]
    return pa.concat_tables(parts).combine_chunks() if parts else empty(schema)


class TableCoder(beam.coders.Coder):  # type: ignore[misc]
    """Arrow tables as IPC streams."""

    def encode(self, value: pa.Table) -> bytes:
        """Write the rows and the schema."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, value.schema) as writer:
            writer.write_table(value)
        return sink.getvalue().to_pybytes()

    def decode(self, encoded: bytes) -> pa.Table:
        """Read them back without copying."""
        return pa.ipc.open_stream(pa.BufferReader(encoded)).read_all()

    def is_deterministic(self) -> bool:
        """Tables are never keys."""
        return False

    def to_type_hint(self) -> type[pa.Table]:
        """What it codes."""
        return pa.Table


beam.coders.registry.register_coder(pa.Table, TableCoder)


def slices(table: pa.Table, rows: int = BLOCK_ROWS) -> Iterator[pa.Table]:
    """Cut a table into blocks."""
    for start in range(0, table.num_rows, rows):
        yield table.slice(start, rows)
