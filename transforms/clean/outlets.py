"""Outlet memory: lines and places on the page that return in several distinct stories of one outlet.

Lines are counted under their keys (digits, case and punctuation do not matter) over distinct stories: articles of an
outlet that share an address, a headline or most of their body words are one story, because two snapshots of one article
share real text. Places (tag and class of a line's block and its parent) are counted likewise, with what the line model
made of the lines there: a teaser's text never returns, its place does. Nothing is counted across outlets: wire copy is
body there. Statistics travel as one row an article and hold no text.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from schemas.state import OUTLET_ARTICLES, OUTLET_LINES

Int64Array = NDArray[np.int64]
UInt64Array = NDArray[np.uint64]

STATISTICS = pa.schema(
    [
        *OUTLET_ARTICLES.fields,
        pa.field("block", pa.string()),  # where the article's lines wait; null when it is known from an earlier run
        pa.field("row", pa.int32()),
    ]
)
MEMORY = pa.schema(
    [
        pa.field("lookup", pa.int64(), nullable=False),  # outlet and key mixed; ascending
        *OUTLET_LINES.fields,
    ]
)

FEWEST_STORIES = 2
_ALIKE_SHARE = 0.5  # of the longer article's body words, that makes two articles one story
_ALIKE_SPREAD = 12  # lines in more articles than this say nothing about two being one story
_MASK = np.uint64(0x7FFFFFFFFFFFFFFF)
_NEVER = np.iinfo(np.int64).max


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
    """Count each line's and place's distinct stories; whole outlets only.

    Returns:
      rows of MEMORY, ascending by `lookup`, without examples; what stands in one story only is left out.
    """
    table = distinct_articles(statistics)
    if not pc.sum(pc.list_value_length(table["keys"])).as_py():
        return MEMORY.empty_table()
    seen = _times(table["seen"])
    outlets = table["outlet"].combine_chunks()
    article, line_key = _flat(table["keys"])
    lookup = lookup_keys(outlets.take(pa.array(article)), line_key)
    story = _stories(table, article, lookup, pc.list_flatten(table["weights"]).to_numpy())
    owner, place_key = _flat(table["places"])
    lookup = np.r_[lookup, lookup_keys(outlets.take(pa.array(owner)), place_key)]
    at, key = np.r_[article, owner], np.r_[line_key, place_key]
    place = np.arange(len(key)) >= len(line_key)
    edge = np.r_[pc.list_flatten(table["edges"]).to_numpy(zero_copy_only=False), np.zeros(len(owner), bool)]
    score = np.r_[np.zeros(len(article)), pc.list_flatten(table["place_scores"]).to_numpy()]

    order = np.lexsort((at, story[at], place, lookup))
    lookup, at, key = lookup[order], at[order], key[order]
    place, edge, score = place[order], edge[order], score[order]
    kinds = (lookup[1:] != lookup[:-1]) | (place[1:] != place[:-1])
    each_story = np.flatnonzero(np.r_[True, kinds | (story[at][1:] != story[at][:-1])])
    sizes = np.diff(np.r_[each_story, len(lookup)])
    edges, scores = np.maximum.reduceat(edge, each_story), np.add.reduceat(score, each_story) / sizes
    starts = np.flatnonzero(np.r_[True, kinds][each_story])
    stories = np.diff(np.r_[starts, len(each_story)])
    first = each_story[starts]
    earliest = np.minimum.reduceat(seen[at], first)
    latest = np.maximum.reduceat(np.where(seen[at] == _NEVER, -_NEVER, seen[at]), first)
    kept = stories >= FEWEST_STORIES
    owners = at[first[kept]]
    columns = {
        "lookup": lookup[first[kept]],
        "outlet": outlets.take(pa.array(owners)),
        "key": key[first[kept]],
        "place": place[first[kept]],
        "stories": stories[kept].astype(np.int32),
        "edge_stories": np.add.reduceat(edges.astype(np.int32), starts)[kept],
        "score": (np.add.reduceat(scores, starts) / stories)[kept].astype(np.float32),
        "articles": _outlet_sizes(outlets, story)[owners],
        "first_seen": pa.array(earliest[kept], mask=earliest[kept] == _NEVER).cast(MEMORY.field("first_seen").type),
        "last_seen": pa.array(latest[kept], mask=latest[kept] == -_NEVER).cast(MEMORY.field("last_seen").type),
        "example": pa.nulls(int(kept.sum()), pa.string()),
    }
    return pa.table(columns, schema=MEMORY)


def recall(memory: pa.Table, outlets: pa.Array, keys: Int64Array) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Look up lines: stories of their outlet that hold them, and the share of these with it at an edge; else 0."""
    if not memory.num_rows:
        return np.zeros(len(keys), np.int32), np.zeros(len(keys), np.float32)
    at, hit = _find(memory, outlets, keys, place=False)
    stories = np.where(hit, memory["stories"].to_numpy()[at], 0).astype(np.int32)
    edges = np.where(hit, memory["edge_stories"].to_numpy()[at], 0)
    return stories, (edges / np.maximum(stories, 1)).astype(np.float32)


def recall_places(
    memory: pa.Table, outlets: pa.Array, signatures: Int64Array
) -> tuple[NDArray[np.int32], NDArray[Any]]:
    """Look up places: stories of their outlet with lines there, and their mean score there; else 0."""
    if not memory.num_rows:
        return np.zeros(len(signatures), np.int32), np.zeros(len(signatures), np.float64)
    at, hit = _find(memory, outlets, signatures, place=True)
    hit &= signatures != 0
    stories = np.where(hit, memory["stories"].to_numpy()[at], 0).astype(np.int32)
    return stories, np.where(hit, memory["score"].to_numpy()[at], 0.0).astype(np.float64)


def _find(
    memory: pa.Table, outlets: pa.Array, keys: Int64Array, *, place: bool
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Rows of a memory that is not empty, and whether they are the ones looked for."""
    known = memory["lookup"].to_numpy()
    wanted = lookup_keys(outlets, keys)
    at = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return at, (known[at] == wanted) & (memory["place"].to_numpy()[at] == place)


def distinct_articles(statistics: pa.Table) -> pa.Table:
    """Every article of an outlet once, in an order of its own: of two deliveries the later run's, then the earlier."""
    order = [("outlet", "ascending"), ("article_id", "ascending"), ("run", "descending"), ("seen", "ascending")]
    table = statistics.sort_by(order)
    ids, outlets = (
        table["article_id"].to_numpy(),
        pc.dictionary_encode(table["outlet"].combine_chunks()).indices.to_numpy(),
    )
    return table.filter(pa.array(np.r_[True, (ids[1:] != ids[:-1]) | (outlets[1:] != outlets[:-1])][: len(ids)]))


def _flat(lists: pa.ChunkedArray) -> tuple[Int64Array, Int64Array]:
    """Row of each element, and the elements."""
    return np.repeat(np.arange(len(lists)), pc.list_value_length(lists).to_numpy()), pc.list_flatten(lists).to_numpy()


def _times(seen: pa.ChunkedArray) -> Int64Array:
    """Microseconds; _NEVER where unknown."""
    return pc.fill_null(pc.cast(seen, pa.int64()), _NEVER).to_numpy()


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
