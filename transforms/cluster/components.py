"""Connected components by spanning forests: every worker keeps a forest of what it saw, forests are edges again.

A forest of n articles has fewer than n edges, so what travels is small however many pairs there are. Labels are the
smallest id of a component, so they do not depend on the order of the edges.
"""

from collections.abc import Iterable

import apache_beam as beam
import numba
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Int64Array = NDArray[np.int64]

EDGES = pa.schema([pa.field("left", pa.int64(), nullable=False), pa.field("right", pa.int64(), nullable=False)])
COMPONENTS = pa.schema(
    [pa.field("article_id", pa.int64(), nullable=False), pa.field("component", pa.int64(), nullable=False)]
)
_ENOUGH = 1 << 20  # edges an accumulator takes before it is cut down to a forest


class SpanForest(beam.CombineFn):  # type: ignore[misc]
    """Fat edge blocks (EDGES columns) → one COMPONENTS table, ascending by id, of the articles that have an edge."""

    def create_accumulator(self) -> list[pa.Table]:
        """Start with no edges."""
        return []

    def add_input(self, mutable_accumulator: list[pa.Table], element: pa.Table) -> list[pa.Table]:
        """Take one more block of edges."""
        mutable_accumulator.append(element.select(EDGES.names))
        return _small(mutable_accumulator)

    def merge_accumulators(self, accumulators: Iterable[list[pa.Table]]) -> list[pa.Table]:
        """Join the forests of several workers."""
        return _small([table for accumulator in accumulators for table in accumulator])

    def compact(self, accumulator: list[pa.Table]) -> list[pa.Table]:
        """Cut down to a forest before travelling."""
        return [_forest(accumulator)]

    def extract_output(self, accumulator: list[pa.Table]) -> pa.Table:
        """Label the trees."""
        edges = _forest(accumulator)
        ids, component = components(edges["left"].to_numpy(), edges["right"].to_numpy())
        return pa.table([ids, component], schema=COMPONENTS)


def components(left: Int64Array, right: Int64Array) -> tuple[Int64Array, Int64Array]:
    """Label the components of a graph.

    Args:
      left: one end of each edge, any ids.
      right: the other.

    Returns:
      the ids that have an edge, ascending, and for each the smallest id of its component.
    """
    ids, ends = np.unique(np.concatenate([left, right]), return_inverse=True)
    parent, _ = _union(ends[: left.size], ends[left.size :], ids.size)
    return ids, ids[parent]


def renamed(ids: Int64Array, known: Int64Array, names: Int64Array) -> Int64Array:
    """Replace the ids that are in `known` (ascending or not) by their names."""
    if not known.size:
        return ids
    order = np.argsort(known, kind="stable")
    at = np.minimum(np.searchsorted(known[order], ids), known.size - 1)
    return np.where(known[order][at] == ids, names[order][at], ids)


def _small(tables: list[pa.Table]) -> list[pa.Table]:
    return [_forest(tables)] if sum(table.num_rows for table in tables) > _ENOUGH else tables


def _forest(tables: list[pa.Table]) -> pa.Table:
    edges = pa.concat_tables([EDGES.empty_table(), *tables])
    left, right = edges["left"].to_numpy(), edges["right"].to_numpy()
    ids, ends = np.unique(np.concatenate([left, right]), return_inverse=True)
    _, used = _union(ends[: left.size], ends[left.size :], ids.size)
    return pa.table([left[used], right[used]], schema=EDGES)


@numba.njit(cache=True, nogil=True)
def _union(left, right, nodes):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 -- numba infers
    """Union-find; the smaller root wins, so a root is the smallest node of its tree."""
    parent = np.arange(nodes)
    used = np.zeros(left.size, np.bool_)
    for edge in range(left.size):
        a, b = left[edge], right[edge]
        while parent[a] != a:
            parent[a] = parent[parent[a]]
            a = parent[a]
        while parent[b] != b:
            parent[b] = parent[parent[b]]
            b = parent[b]
        if a != b:
            used[edge] = True
            parent[max(a, b)] = min(a, b)
    for node in range(nodes):
        parent[node] = parent[parent[node]]
    return parent, used
