"""How a table is cut into files: by date, a day, a month or a year to a partition, whatever keeps them few.

Scheduled runs hold a few days and get a partition a day. An archive of ten years would get thousands of files of
five rows each, so a run whose days are too many is cut by month, or by year; `date` is then the first day of it.
"""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

UNDATED = "__HIVE_DEFAULT_PARTITION__"  # what Hive, Spark, DuckDB, Polars and pyarrow read as null
NO_DATES = "1970-01-01"  # holds no rows
MOST_PARTITIONS = 64  # of one table in one run

_UNITS = ("D", "M", "Y")


class Slice(NamedTuple):
    """Rows start..stop of a sorted table, one file."""

    partition: str
    part: int
    start: int
    stop: int


def date_unit(published: pa.ChunkedArray, most: int = MOST_PARTITIONS) -> str:
    """The finest of D, M, Y (numpy's letters) that gives at most `most` partitions, else Y."""
    days = _days(published)
    known = days[~np.isnat(days)]
    return next((unit for unit in _UNITS if len(np.unique(known.astype(f"datetime64[{unit}]"))) <= most), _UNITS[-1])


def partition_slices(published: pa.ChunkedArray, unit: str, most_rows: int) -> Iterator[Slice]:
    """Cut rows that are sorted by `published`, nulls last, into one file or more for each partition.

    A table without a dated row also gets an empty file under NO_DATES: readers then always find the table's schema, and
    pyarrow, which refuses a key that is null everywhere, the type of the key.
    """
    firsts = _days(published).astype(f"datetime64[{unit}]").astype("datetime64[D]")
    if not len(firsts) or np.isnat(firsts[0]):
        yield Slice(NO_DATES, 0, 0, 0)
    numbers = firsts.view(np.int64)  # NaT differs from itself
    changes = (np.flatnonzero(numbers[1:] != numbers[:-1]) + 1).tolist()
    for start, stop in itertools.pairwise([0, *changes, len(firsts)]):
        for part, begin in enumerate(range(start, stop, most_rows)):
            name = UNDATED if np.isnat(firsts[start]) else str(firsts[start])
            yield Slice(name, part, begin, min(begin + most_rows, stop))


def names_of(published: pa.ChunkedArray) -> frozenset[str]:
    """Every partition that rows of these dates may stand in, whatever unit their run was cut by."""
    days = np.unique(_days(published))
    known = days[~np.isnat(days)]
    names = {str(day) for unit in _UNITS for day in known.astype(f"datetime64[{unit}]").astype("datetime64[D]")}
    return frozenset(names | ({UNDATED} if len(known) < len(days) else set()))


def _days(published: pa.ChunkedArray) -> NDArray[np.datetime64]:
    """UTC days; NaT where unknown."""
    return pc.cast(published, pa.timestamp("us")).to_numpy().astype("datetime64[D]")
