"""One article that a later stage fails on never costs its block: that stage goes on as if the article said nothing.

The article stays in every table, with its text; it is only not told, not compared or in no story of others. Which one
it was, and why, goes to the log, and how many there were to the summary of the run.
"""

import logging
from collections.abc import Callable
from typing import TypeVar

import apache_beam as beam
import pyarrow as pa

from schemas.blocks import CLEAN
from schemas.errors import CopydeskError

T = TypeVar("T")

SPARED = "spared"  # the counter, in the namespace of the stage
_OF_THE_MACHINE = (OSError, MemoryError, CopydeskError)  # no article's fault
_NAMED = ("article_id", "identity", "source_uri", "position")  # what stays of an article that says nothing


def spared(stage: str, function: Callable[[pa.Table], T], articles: pa.Table) -> T:
    """`function(articles)`, with the rows blank that it fails on.

    Args:
      stage: the wing whose function it is.
      function: of any rows of CLEAN; what it gives of a row must not hang on the others.
      articles: CLEAN.

    Raises:
      Exception: what `function` raises, if it does so of blank rows too, or if the machine is to blame.
    """
    try:
        return function(articles)
    except _OF_THE_MACHINE:
        raise
    except Exception:  # noqa: BLE001 -- whatever an article can do to it
        function(_blank(articles.slice(0, 1), [0]))  # what fails on nothing is no article's fault
        return function(_blank(articles, _failing(stage, function, articles)))


def _failing(stage: str, function: Callable[[pa.Table], T], articles: pa.Table) -> list[int]:
    """The rows that the function fails on by themselves, found by halves."""
    try:
        function(articles)
    except _OF_THE_MACHINE:
        raise
    except Exception as error:  # noqa: BLE001 -- as above
        half = articles.num_rows // 2
        if half:
            halves = [articles.take(pa.array(range(*ends))) for ends in ((0, half), (half, articles.num_rows))]
            first, second = (_failing(stage, function, each) for each in halves)  # copies: kernels take no offsets
            return first + [half + row for row in second]
        (row,) = articles.select(["source_uri", "position"]).to_pylist()
        place = f"{row['source_uri']} record {row['position']}"
        logging.getLogger(__name__).warning("%s: %s failed, it goes on without: %r", place, stage, error)
        beam.metrics.Metrics.counter(stage, SPARED).inc()
        return [0]
    return []


def _blank(articles: pa.Table, rows: list[int]) -> pa.Table:
    """The same articles, of which some say nothing."""
    named = [{name: row[name] for name in _NAMED} for row in articles.select(_NAMED).take(rows).to_pylist()]
    empty = {"text": "", "captions": [], "credits": [], "removed": [], "words": 0}
    there = pa.concat_tables([articles, pa.Table.from_pylist([row | empty for row in named], CLEAN)])
    at = list(range(articles.num_rows))
    for number, row in enumerate(rows):
        at[row] = articles.num_rows + number
    return there.take(pa.array(at, pa.int64())).combine_chunks()
