"""Outlet memory: lines and places on the page that return in several distinct stories of one outlet.

Lines are counted under their keys (digits, case and punctuation do not matter) over distinct stories: articles of an
outlet that share an address, a headline or most of their body words are one story, because two snapshots of one article
share real text. Nothing is counted across outlets: wire copy is body there. Statistics travel as one row an article
and never hold text; a memory is a table that merges by adding.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from schemas.blocks import concat

Int64Array = NDArray[np.int64]
UInt64Array = NDArray[np.uint64]

STATISTICS = pa.schema(
    [
        pa.field("outlet", pa.string(), nullable=False),
        pa.field("article_id", pa.int64(), nullable=False),
        pa.field("identity", pa.int64(), nullable=False),  # as in PARSED
        pa.field("headline_key", pa.int64(), nullable=False),  # 0: no headline
        pa.field("keys", pa.list_(pa.int64()), nullable=False),  # of every line
        pa.field("weights", pa.list_(pa.int32()), nullable=False),  # words, of lines first taken for body; else 0
        pa.field("edges", pa.list_(pa.bool_()), nullable=False),  # whether the line stood at the article's edge
    ]
)

MEMORY = pa.schema(
    [
        pa.field("lookup", pa.int64(), nullable=False),  # outlet and line key mixed; ascending
        pa.field("outlet", pa.string(), nullable=False),
        pa.field("line_key", pa.int64(), nullable=False),
        pa.field("stories", pa.int32(), nullable=False),  # distinct stories with this line
        pa.field("edge_stories", pa.int32(), nullable=False),  # of these, with the line at an edge
        pa.field("articles", pa.int32(), nullable=False),  # distinct stories seen of the outlet
    ]
)

FEWEST_STORIES = 2
_ALIKE_SHARE = 0.5  # of the longer article's body words, that makes two articles one story
_ALIKE_SPREAD = 12  # lines in more articles than this say nothing about two being one story
_MASK = np.uint64(0x7FFFFFFFFFFFFFFF)


def lookup_keys(outlets: pa.Array, keys: Int64Array) -> Int64Array:
    """Mix an outlet into each line key; null outlets give -1, which no memory holds."""
    encoded = pc.dictionary_encode(outlets)
    names = np.array(
        [xxhash.xxh3_64_intdigest(name.encode()) for name in encoded.dictionary.to_pylist()] or [0], np.uint64
    )
    codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)
    mixed = (names[codes] ^ (keys.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))) & _MASK
    return np.where(codes >= 0, mixed.astype(np.int64), np.int64(-1))


def outlet_buckets(statistics: pa.Table, buckets: int) -> list[tuple[int, pa.Table]]:
    """Cut statistics by a hash of the outlet."""
    numbers = np.array(
        [xxhash.xxh3_64_intdigest(name.encode()) % buckets for name in statistics["outlet"].to_pylist()], np.int64
    )
    return [(int(bucket), statistics.filter(pa.array(numbers == bucket))) for bucket in np.unique(numbers)]


def memory_of(statistics: pa.Table) -> pa.Table:
    """Count each line's distinct stories; whole outlets only. Rows of MEMORY, ascending by `lookup`."""
    table = _distinct(statistics)
    keys = table["keys"]
    if not pc.sum(pc.list_value_length(keys)).as_py():
        return MEMORY.empty_table()
    article = np.repeat(np.arange(table.num_rows), pc.list_value_length(keys).to_numpy())
    outlets = table["outlet"].combine_chunks()
    line_key = pc.list_flatten(keys).to_numpy()
    lookup = lookup_keys(outlets.take(pa.array(article)), line_key)
    weight, edge = (
        pc.list_flatten(table["weights"]).to_numpy(),
        pc.list_flatten(table["edges"]).to_numpy(zero_copy_only=False),
    )
    story = _stories(table, article, lookup, weight)

    order = np.lexsort((~edge, story[article], lookup))
    lookup, owner, edge, line_key, article = (
        lookup[order],
        story[article][order],
        edge[order],
        line_key[order],
        article[order],
    )
    first = np.r_[True, (lookup[1:] != lookup[:-1]) | (owner[1:] != owner[:-1])]
    lookup, edge, line_key, article = lookup[first], edge[first], line_key[first], article[first]
    distinct, starts, stories = np.unique(lookup, return_index=True, return_counts=True)
    edges = np.add.reduceat(edge.astype(np.int32), starts) if len(starts) else np.zeros(0, np.int32)
    kept = stories >= FEWEST_STORIES
    sizes = _outlet_sizes(outlets, story)
    at = article[starts[kept]]
    return pa.table(
        [
            distinct[kept],
            outlets.take(pa.array(at)),
            line_key[starts[kept]],
            stories[kept].astype(np.int32),
            edges[kept],
            sizes[at],
        ],
        schema=MEMORY,
    )


def merge_memories(memories: list[pa.Table]) -> pa.Table:
    """Add up memories of different articles; ascending by `lookup`."""
    table = concat(memories, MEMORY)
    counts = [(name, "sum") for name in ("stories", "edge_stories", "articles")]
    merged = table.group_by(["lookup", "outlet", "line_key"], use_threads=False).aggregate(counts)
    return (
        merged.rename_columns([name.removesuffix("_sum") for name in merged.column_names])
        .select(MEMORY.names)
        .cast(MEMORY)
        .sort_by("lookup")
    )


def recall(memory: pa.Table, outlets: pa.Array, keys: Int64Array) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Look up lines: stories of their outlet that hold them, and the share of these with it at an edge; else 0."""
    known = memory["lookup"].to_numpy()
    if not len(known) or not len(keys):
        return np.zeros(len(keys), np.int32), np.zeros(len(keys), np.float32)
    wanted = lookup_keys(outlets, keys)
    at = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    hit = known[at] == wanted
    stories = np.where(hit, memory["stories"].to_numpy()[at], 0).astype(np.int32)
    edges = np.where(hit, memory["edge_stories"].to_numpy()[at], 0)
    return stories, (edges / np.maximum(stories, 1)).astype(np.float32)


def _distinct(statistics: pa.Table) -> pa.Table:
    """Every article once, in an order of its own."""
    table = statistics.sort_by([("outlet", "ascending"), ("article_id", "ascending")])
    ids, outlets = (
        table["article_id"].to_numpy(),
        pc.dictionary_encode(table["outlet"].combine_chunks()).indices.to_numpy(),
    )
    return table.filter(pa.array(np.r_[True, (ids[1:] != ids[:-1]) | (outlets[1:] != outlets[:-1])][: len(ids)]))


def _stories(table: pa.Table, article: Int64Array, lookup: Int64Array, weight: NDArray[np.int32]) -> Int64Array:
    """Story number of each article."""
    outlets, rows = table["outlet"].combine_chunks(), table.num_rows
    left: list[NDArray[Any]] = []
    right: list[NDArray[Any]] = []
    for name in ("identity", "headline_key"):
        values = table[name].to_numpy()
        mixed = lookup_keys(outlets, values)
        order = np.argsort(mixed, kind="stable")
        same = (mixed[order][1:] == mixed[order][:-1]) & (values[order][1:] != 0)
        left.append(order[:-1][same])
        right.append(order[1:][same])
    one, other = _alike(article, lookup, weight, rows)
    a, b = np.concatenate([*left, one]), np.concatenate([*right, other])
    return connected_components(coo_array((np.ones(len(a), np.int8), (a, b)), shape=(rows, rows)), directed=False)[1]


def _alike(
    article: Int64Array, lookup: Int64Array, weight: NDArray[np.int32], rows: int
) -> tuple[Int64Array, Int64Array]:
    """Pairs of articles that share most of their body words, by lines that few articles have."""
    order = np.lexsort((article, lookup))
    lookup, article, weight = lookup[order], article[order], weight[order].astype(np.int64)
    once = np.r_[True, (lookup[1:] != lookup[:-1]) | (article[1:] != article[:-1])]
    lookup, article, weight = lookup[once], article[once], weight[once]
    total = np.bincount(article, weight, rows)
    _, inverse, count = np.unique(lookup, return_inverse=True, return_counts=True)
    few = (count[inverse] > 1) & (count[inverse] <= _ALIKE_SPREAD) & (weight > 0)
    lookup, article, weight = lookup[few], article[few], weight[few]
    codes: list[NDArray[Any]] = [np.zeros(0, np.int64)]
    shared: list[NDArray[Any]] = [np.zeros(0, np.int64)]
    for step in range(1, _ALIKE_SPREAD):
        same = np.flatnonzero(lookup[step:] == lookup[:-step])
        codes.append(article[same] * rows + article[same + step])
        shared.append(weight[same])
    pairs, where = np.unique(np.concatenate(codes), return_inverse=True)
    words = np.bincount(where, np.concatenate(shared), len(pairs))
    one, other = pairs // rows, pairs % rows
    alike = words >= _ALIKE_SHARE * np.maximum(total[one], total[other])
    return one[alike], other[alike]


def _outlet_sizes(outlets: pa.Array, story: Int64Array) -> NDArray[np.int32]:
    """Distinct stories of each article's outlet."""
    codes = pc.dictionary_encode(outlets).indices.to_numpy()
    pairs = np.unique(np.stack([codes, story]), axis=1)
    return np.bincount(pairs[0])[codes].astype(np.int32)
