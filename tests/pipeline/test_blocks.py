"""What waits in scratch between stages: blocks, and what is grouped by bucket."""

from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.testing.util import assert_that, equal_to

from pipeline.engine import DEFAULT_RUNNER, new_pipeline, pipeline_options
from schemas.barriers import GroupBuckets, StoreBlocks, StoreBuckets
from schemas.blocks import BlockRef, load, store

NUMBERS = pa.schema([pa.field("number", pa.int64()), pa.field("name", pa.string())])


def parity(stop: int, least: int = 0) -> list[tuple[int, pa.Table]]:
    """Numbers below `stop`, odd and even; an empty table for a bucket that has none."""
    tables = []
    for bucket in range(2):
        numbers = [number for number in range(least, stop) if number % 2 == bucket]
        tables.append((bucket, pa.table([numbers, [f"n{number}" for number in numbers]], schema=NUMBERS)))
    return tables


def summed(bucket: int, tables: list[pa.Table]) -> tuple[int, list[int], set[str]]:
    rows = pa.concat_tables(tables).to_pylist()
    return bucket, sorted(row["number"] for row in rows), {row["name"] for row in rows}


def test_rows_of_a_bucket_meet_though_only_their_places_are_shuffled(tmp_path: Path) -> None:
    with new_pipeline(DEFAULT_RUNNER, pipeline_options(1, ())) as pipeline:
        stops = pipeline | "Stops" >> beam.Create([1, 3, 0])
        least = pipeline | "Least" >> beam.Create([0])
        grouped = (
            stops
            | "Store" >> StoreBuckets(parity, str(tmp_path), (beam.pvalue.AsSingleton(least),))
            | "Bring" >> GroupBuckets()
            | "Sum" >> beam.MapTuple(summed)
        )
        assert_that(grouped, equal_to([(0, [0, 0, 2], {"n0", "n2"}), (1, [1], {"n1"})]))
    assert len(list(tmp_path.glob("buckets-*"))) == 2  # one a block that has rows


@pytest.mark.parametrize("rows", [0, 3])
def test_a_stored_block_is_read_back_as_it_was(tmp_path: Path, rows: int) -> None:
    table = pa.table([list(range(rows)), ["x"] * rows], schema=NUMBERS)
    with new_pipeline(DEFAULT_RUNNER, pipeline_options(1, ())) as pipeline:
        refs = pipeline | beam.Create([table]) | StoreBlocks(str(tmp_path), "numbers")
        assert_that(refs | beam.Map(lambda ref: ref.rows), equal_to([rows]))
    (path,) = tmp_path.glob("*.numbers.arrow")
    block = BlockRef(str(path).removesuffix(".numbers.arrow"), rows)
    assert load(block.part("numbers")).equals(table)


def test_a_part_stored_once_more_changes_nothing_for_who_has_it_mapped(tmp_path: Path) -> None:
    first, again = (pa.table([[number], ["x"]], schema=NUMBERS) for number in (1, 2))
    path = store(first, str(tmp_path / "block.numbers.arrow")).path
    mapped = load(path)
    assert store(again, path).path == path
    assert mapped.equals(first)
    load.cache_clear()
    assert load(path).equals(again)
    assert [each.name for each in tmp_path.iterdir()] == ["block.numbers.arrow"]
