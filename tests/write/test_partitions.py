"""A table is cut into few files, by the finest unit of time that keeps them few."""

import datetime as dt

import pyarrow as pa
import pytest

from transforms.write.partitions import NO_DATES, UNDATED, Slice, date_unit, partition_slices


def times(*days: str | None) -> pa.ChunkedArray:
    known = [dt.datetime.fromisoformat(day).replace(tzinfo=dt.UTC) if day else None for day in days]
    return pa.chunked_array([pa.array(known, pa.timestamp("us", "UTC"))])


@pytest.mark.parametrize(
    ("days", "unit"),
    [
        (["2024-01-01T23:59", "2024-01-02", None], "D"),
        (["2024-01-01", "2024-01-02", "2024-01-03", "2024-02-01"], "M"),
        (["2021-01-01", "2022-01-01", "2023-01-01", "2023-02-01"], "Y"),
        ([None, None], "D"),
        ([], "D"),
    ],
)
def test_the_finest_unit_that_keeps_partitions_few(days: list[str | None], unit: str) -> None:
    assert date_unit(times(*days), most=3) == unit


def test_a_partition_is_named_by_its_first_day_and_cut_at_the_cap() -> None:
    published = times("2024-01-05", "2024-01-09", "2024-01-31", "2024-03-01", None, None)
    assert list(partition_slices(published, "M", 2)) == [
        Slice("2024-01-01", 0, 0, 2),
        Slice("2024-01-01", 1, 2, 3),
        Slice("2024-03-01", 0, 3, 4),
        Slice(UNDATED, 0, 4, 6),
    ]


def test_a_table_without_dates_gets_an_empty_file_under_a_date() -> None:
    assert list(partition_slices(times(), "D", 10)) == [Slice(NO_DATES, 0, 0, 0)]
    assert list(partition_slices(times(None), "D", 10)) == [Slice(NO_DATES, 0, 0, 0), Slice(UNDATED, 0, 0, 1)]
