"""Steps that wait for all of a collection: what is gathered, grouped or merged travels as places in scratch."""

import random
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa
from apache_beam.io.filesystems import FileSystems

from schemas.blocks import BlockRef, StoredTable, concat, new_block, open_batches, store, store_new, write_batches


@dataclass(eq=False)
class Gather(beam.PTransform):  # type: ignore[misc]
    """All elements of a bounded collection, in no particular order → the one value that `function` makes of them.

    Of no elements too: `function(elements, *arguments)` is called once. Beam's CombineGlobally takes eleven steps for
    this, a side input that is read once takes two, and every step costs some milliseconds of a run.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()

    def expand(self, elements: beam.PCollection) -> beam.PCollection:
        """Wire."""
        once = elements.pipeline | "Once" >> beam.Impulse()
        return once | "Gather" >> beam.Map(_gathered, beam.pvalue.AsIter(elements), self.function, self.arguments)


def _gathered(_once: bytes, elements: Iterable[Any], function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    return function(elements, *arguments)


@dataclass(eq=False)
class GatherTable(beam.PTransform):  # type: ignore[misc]
    """Fat blocks of one schema → one `StoredTable`, sorted, for use as a side input."""

    schema: pa.Schema
    scratch: str
    name: str
    sort_by: str

    def expand(self, blocks: beam.PCollection) -> beam.PCollection:
        """Wire."""
        return blocks | Gather(_store_sorted, (self.schema, self.sort_by, self.scratch, self.name))


@dataclass(eq=False)
class Merge(beam.PTransform):  # type: ignore[misc]
    """Collections of one type → one, complete before anybody sees any of it.

    Instead of a Flatten: FnApiRunner takes what several stages fill for complete as soon as *one* of them is done
    (Beam 2.77, `WatermarkManager.set_produced_watermark`), also behind a shuffle. A step waits for each of its side
    inputs, and each of these is filled by one stage. The elements must be small: they pass through one worker.
    """

    kind: Any

    @beam.typehints.no_annotations  # Beam warns of hints that are tuples
    def expand(self, collections: Sequence[beam.PCollection]) -> beam.PCollection:
        """Wire."""
        sides = [beam.pvalue.AsIter(each) for each in collections]
        merged = collections[0].pipeline | "Once" >> beam.Impulse() | "All" >> beam.FlatMap(_elements, *sides)
        return merged | "Spread" >> Spread(self.kind)


def _elements(_once: bytes, *collections: Iterable[Any]) -> Iterator[Any]:
    for collection in collections:
        yield from collection


@dataclass(eq=False)
class Spread(beam.PTransform):  # type: ignore[misc]
    """The elements of a bounded collection, each for any worker to take up.

    Beam's Reshuffle also keeps time stamps and windows, which no step of a batch looks at; that takes it twice the
    steps.
    """

    kind: Any

    def expand(self, elements: beam.PCollection) -> beam.PCollection:
        """Wire."""
        keyed = elements | "Key" >> beam.Map(_keyed).with_output_types(beam.typehints.KV[int, self.kind])
        return keyed | "Group" >> beam.GroupByKey() | "Each" >> beam.FlatMap(_values).with_output_types(self.kind)


def _keyed(element: Any) -> tuple[int, Any]:
    return random.getrandbits(32), element  # elements are few and fat: no key is to have two


def _values(group: tuple[int, Iterable[Any]]) -> Iterable[Any]:
    return group[1]


class BucketPart(NamedTuple):
    """Rows of one bucket, out of one block: a record batch of a stored file."""

    path: str
    batch: int


@dataclass(eq=False)
class StoreBuckets(beam.PTransform):  # type: ignore[misc]
    """Elements that `function(element, *arguments)` cuts into (bucket, table) → (bucket, BucketPart)."""

    function: Callable[..., Iterable[tuple[int, pa.Table]]]
    scratch: str
    arguments: tuple[Any, ...] = ()  # side inputs too

    def expand(self, elements: beam.PCollection) -> beam.PCollection:
        """Wire."""
        return elements | "Store" >> beam.FlatMap(
            _store_buckets, self.function, self.scratch, *self.arguments
        ).with_output_types(tuple[int, BucketPart])


@dataclass(eq=False)
class GroupBuckets(beam.PTransform):  # type: ignore[misc]
    """(bucket, BucketPart) → (bucket, its tables): a GroupByKey whose rows wait in scratch."""

    def expand(self, parts: beam.PCollection) -> beam.PCollection:
        """Wire."""
        tables = tuple[int, Iterable[pa.Table]]
        return parts | "Group" >> beam.GroupByKey() | "Load" >> beam.MapTuple(_load_buckets).with_output_types(tables)


def _store_buckets(
    element: Any, function: Callable[..., Iterable[tuple[int, pa.Table]]], scratch: str, *arguments: Any
) -> list[tuple[int, BucketPart]]:
    tables = [(bucket, table) for bucket, table in function(element, *arguments) if table.num_rows]
    if not tables:
        return []
    path = FileSystems.join(scratch, f"buckets-{uuid.uuid4().hex}.arrow")
    write_batches(path, tables[0][1].schema, (table.combine_chunks() for _, table in tables))
    return [(bucket, BucketPart(path, batch)) for batch, (bucket, _) in enumerate(tables)]


def _load_buckets(bucket: int, parts: Iterable[BucketPart]) -> tuple[int, list[pa.Table]]:
    return bucket, [pa.Table.from_batches([open_batches(part.path).get_batch(part.batch)]) for part in parts]


@dataclass(eq=False)
class StoreBlocks(beam.PTransform):  # type: ignore[misc]
    """Tables with text or many rows → each a `BlockRef` of one part, so that what Beam keeps of them is paths."""

    scratch: str
    part: str

    def expand(self, tables: beam.PCollection) -> beam.PCollection:
        """Wire."""
        return tables | "Store" >> beam.Map(_store_block, self.scratch, self.part).with_output_types(BlockRef)


def _store_block(table: pa.Table, scratch: str, part: str) -> BlockRef:
    block = new_block(scratch, table.num_rows)
    store(table, block.part(part))
    return block


def _store_sorted(tables: Iterable[pa.Table], schema: pa.Schema, sort_by: str, scratch: str, name: str) -> StoredTable:
    return store_new(concat(tables, schema).sort_by(sort_by), scratch, name)
