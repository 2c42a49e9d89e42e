"""Candidate pairs: articles that share a band of their signatures, a fingerprint or their identity.

Recall first; `verify` decides. Bands (128 of 2 rows) find articles with much in common wherever it stands,
fingerprints (one passage of 8 words in every 25, rare enough) find one shared passage in otherwise different ones.
One band alone is chance: a pair needs two, or a fingerprint, or the identity (12,000 simulated articles: 12,300 of
136,600 pairs less, 10 copies among them). Fingerprints of 5 words instead of 8 gave 57,000 pairs more, 18 copies
among them. Articles with the same words are not keyed: each is paired with the first of them alone, so that ten
thousand clones make ten thousand pairs.

Articles that an earlier run kept are never paired with each other.
"""

import functools
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import apache_beam as beam
import numba
import numpy as np
import pyarrow as pa
from apache_beam.metrics import Metrics
from numpy.typing import NDArray

from schemas.barriers import BucketPart, Gather, GroupBuckets, Merge, Spread, StoreBuckets
from schemas.blocks import BlockRef, StoredTable, load, store_new
from schemas.ids import is_among
from schemas.state import NOTHING_KEPT, Kept, kept_articles
from schemas.window import compared
from transforms.match.documents import first_of_group, placed, read_documents
from transforms.match.frequencies import bucket_bounds, sharing
from transforms.match.gathering import factorise, places_of
from transforms.match.keys import BAND_BIT, identity_keys
from transforms.match.options import MatchOptions
from transforms.match.shingles import by_bucket

Int64Array = NDArray[np.int64]

CANDIDATES = pa.schema(  # rows of the catalog, left < right, each pair once
    [pa.field("left", pa.int32(), nullable=False), pa.field("right", pa.int32(), nullable=False)]
)
MEETINGS = pa.schema([pa.field("meeting", pa.int64(), nullable=False)])  # a pair of ranks, its lowest bit: met enough
_ENOUGH = 2  # bands under which a pair must meet; any other key is enough
_RANK_BITS = 31  # of an article's rank: its row in the catalog
_NEIGHBOURS = 8  # that a thinned key pairs each article with
_GROUP = 1000  # articles that verification should have in memory together


@dataclass(eq=False)
class FindCandidates(beam.PTransform):  # type: ignore[misc]
    """Signed blocks → candidate pairs, one StoredTable of CANDIDATES rows, pairs of the same articles together.

    Takes a dict: `signed` and `documents` (as SignArticles gives them) and `catalog` (one StoredTable of CATALOG rows,
    ascending by article id).
    """

    options: MatchOptions
    scratch: str
    kept: Kept = NOTHING_KEPT
    buckets: int = 16  # that pairs are made unique in; a power of two

    @beam.typehints.no_annotations  # Beam warns of hints that are dicts
    def expand(self, inputs: dict[str, beam.PCollection]) -> beam.PCollection:
        """Wire."""
        signed, catalog = inputs["signed"], beam.pvalue.AsSingleton(inputs["catalog"])
        arguments = beam.pvalue.AsList(signed), catalog, self.kept, self.options, self.buckets
        keyed = (
            signed.pipeline
            | "Buckets" >> beam.Create(range(self.options.key_buckets), reshuffle=False)
            | "Spread" >> Spread(int)
            | "Meet" >> StoreBuckets(bucketed_pairs, self.scratch, arguments)
        )
        clones = inputs["documents"] | "Clones" >> StoreBuckets(
            bucketed_clones, self.scratch, (catalog, self.kept, self.buckets)
        )
        return (
            (keyed, clones)
            | "Both" >> Merge(tuple[int, BucketPart])
            | "Bucket" >> GroupBuckets()
            | "Unique" >> beam.Map(unique_of_bucket).with_output_types(pa.Table)
            | "Group" >> Gather(store_grouped, (self.scratch,))
        )


def pairs_of_bucket(
    bucket: int, refs: Iterable[BlockRef], catalog: StoredTable, hot: int, kept: Kept = NOTHING_KEPT
) -> tuple[pa.Table, int]:
    """Pair the articles that share a key of one bucket, if one of them is new.

    Returns:
      MEETINGS rows, unique within the bucket, and the number of keys that were thinned for being under more than `hot`
      articles.
    """
    ranks = _ranks(catalog, kept)
    keys, articles = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
    for ref in refs:
        part = load(ref.part("keys"))
        ends = bucket_bounds(part)
        piece = part.slice(ends[bucket], ends[bucket + 1] - ends[bucket])
        keys.append(piece["key"].to_numpy())
        articles.append(ranks[ref.base][piece["row"].to_numpy()])
    own, follow, page_keys = np.concatenate(keys), _follow(catalog, kept), _page_keys(catalog)
    for ref in kept.blocks:
        held, rows = sharing(ref, "keys", bucket, own)
        holders = ranks[ref.base][rows]
        counts = (holders >= 0) & ~(follow[holders] & (held != page_keys[holders]))
        keys.append(held[counts])
        articles.append(holders[counts])
    key = np.concatenate(keys)
    order = np.argsort(key)
    key, article = key[order], np.concatenate(articles)[order]
    bounds = (
        np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1], [True]])) if key.size else np.zeros(1, np.int64)
    )
    for run in np.flatnonzero(np.diff(bounds) > hot):  # which neighbours are paired must not depend on the blocks
        under = slice(bounds[run], bounds[run + 1])
        # Others under each key: who shares many keys meets nearly everybody, a chain of neighbours falls apart.
        article[under] = np.random.default_rng(int(key[bounds[run]])).permutation(np.sort(article[under]))
    meetings, thinned = _meetings(key, article, bounds, _are_new(catalog, kept), hot, _NEIGHBOURS)
    return pa.table([_once(meetings)], schema=MEETINGS), thinned


def clone_pairs(documents: StoredTable, catalog: StoredTable, kept: Kept = NOTHING_KEPT) -> pa.Table:
    """Pair each new article that repeats another's words with the first of them; MEETINGS rows."""
    known = read_documents(documents, kept)
    article = load(catalog.path)["article_id"].to_numpy()
    clone = np.flatnonzero(known.leader != known.article_id)
    one, other = (np.searchsorted(article, ids[clone]) for ids in (known.leader, known.article_id))
    left, right = np.minimum(one, other), np.maximum(one, other)
    new = _are_new(catalog, kept)
    left, right = (side[new[left] | new[right]] for side in (left, right))
    return pa.table([(left << _RANK_BITS | right) << 1 | 1], schema=MEETINGS)


def unique_pairs(tables: Iterable[pa.Table]) -> pa.Table:
    """Join MEETINGS to CANDIDATES, ascending: each pair that met often enough, once."""
    meetings = _once(np.concatenate([np.zeros(0, np.int64), *(table["meeting"].to_numpy() for table in tables)]))
    pairs = meetings[meetings & 1 > 0] >> 1
    columns = [(pairs >> _RANK_BITS).astype(np.int32), (pairs & ((1 << _RANK_BITS) - 1)).astype(np.int32)]
    return pa.table(columns, schema=CANDIDATES)


def group_pairs(tables: Iterable[pa.Table]) -> pa.Table:
    """Join CANDIDATES so that the pairs of an article stand near each other.

    Articles are joined along pairs into groups of up to `_GROUP`; candidates alone connect nearly everything by chance.
    At 30,000 articles verification then gathers an article 1.4 times, 3.1 times where pairs are spread by a value of
    their signatures.
    """
    joined = pa.concat_tables([CANDIDATES.empty_table(), *tables]).sort_by(
        [("left", "ascending"), ("right", "ascending")]
    )
    group = _groups(joined["left"].to_numpy(), joined["right"].to_numpy(), _GROUP)
    return joined.take(np.argsort(group, kind="stable"))


def bucketed_pairs(  # noqa: PLR0913, PLR0917 -- side inputs and what is known beforehand
    bucket: int, refs: list[BlockRef], catalog: StoredTable, kept: Kept, options: MatchOptions, buckets: int
) -> Iterator[tuple[int, pa.Table]]:
    """Spread the pairs of one bucket of keys over the buckets that make them unique; count thinned keys."""
    pairs, thinned = pairs_of_bucket(bucket, refs, catalog, options.hot_articles, kept)
    Metrics.counter("match", "thinned_keys").inc(thinned)
    yield from _spread(pairs, buckets)


def bucketed_clones(
    documents: StoredTable, catalog: StoredTable, kept: Kept, buckets: int
) -> Iterator[tuple[int, pa.Table]]:
    """The same for pairs of clones."""
    yield from _spread(clone_pairs(documents, catalog, kept), buckets)


def unique_of_bucket(bucket: tuple[int, Iterable[pa.Table]]) -> pa.Table:
    """The same for one bucket of a shuffle."""
    return unique_pairs(bucket[1])


def store_grouped(tables: Iterable[pa.Table], scratch: str) -> StoredTable:
    """Store all candidates as `group_pairs` orders them: some 50 bytes a pair while they are ordered."""
    return store_new(group_pairs(tables), scratch, "candidates")


@functools.lru_cache(maxsize=1)
def _ranks(catalog: StoredTable, kept: Kept) -> dict[str, Int64Array]:
    """By block, the rank of each of its rows; -1 for a row of a kept block that is compared no longer."""
    table = load(catalog.path)
    if not table.num_rows:
        return {}
    met = is_among(table["article_id"].to_numpy(), compared(kept)["article_id"].to_numpy())
    block, names = factorise(table["block"])
    held = {ref.base: ref.rows for ref in kept.blocks}
    row = table["row"].to_numpy()
    ranks = {}
    for name, members in zip(names, places_of(block, len(names)), strict=True):
        signed_now = name not in held  # new articles, and kept ones that no state block has: all are compared
        ranks[name] = np.full(held.get(name, members.size), -1, np.int64)
        ranks[name][row[members]] = np.where(signed_now | met[members], members, -1)
    return {ref.base: np.full(ref.rows, -1, np.int64) for ref in kept.blocks} | ranks


@functools.lru_cache(maxsize=1)
def _are_new(catalog: StoredTable, kept: Kept) -> NDArray[np.bool_]:
    """By rank, whether no earlier run kept the article."""
    return ~is_among(load(catalog.path)["article_id"].to_numpy(), kept_articles(kept)["article_id"].to_numpy())


@functools.lru_cache(maxsize=1)
def _follow(catalog: StoredTable, kept: Kept) -> NDArray[np.bool_]:
    """By rank, whether an article of a kept block has the words of another one that leads it."""
    known = compared(kept)
    known = known.take(placed(known, kept.blocks)[0])
    ids = known["article_id"].to_numpy()
    follows = ~first_of_group(ids, known["text"].to_numpy(), np.zeros(ids.size, bool))
    return is_among(load(catalog.path)["article_id"].to_numpy(), np.sort(ids[follows]))


@functools.lru_cache(maxsize=1)
def _page_keys(catalog: StoredTable) -> NDArray[np.uint64]:
    """By rank, the key of an article's identity; 0 for none."""
    identity = load(catalog.path)["identity"].to_numpy()
    keys, rows = identity_keys(identity)
    every = np.zeros(identity.size, np.uint64)
    every[rows] = keys
    return every


def _spread(pairs: pa.Table, buckets: int) -> Iterator[tuple[int, pa.Table]]:
    """All meetings of one pair go to one bucket, by its left article."""
    meetings = pairs["meeting"].to_numpy()
    _, spread, bounds = by_bucket(meetings.view(np.uint64), buckets, _RANK_BITS + 1)
    for bucket, (start, stop) in enumerate(itertools.pairwise(bounds.tolist())):
        if start < stop:
            yield bucket, pa.table([spread[start:stop].view(np.int64)], schema=MEETINGS)


def _once(meetings: Int64Array) -> Int64Array:
    """Each pair once, ascending; its lowest bit set if it was set before or the pair met `_ENOUGH` times."""
    meetings = np.sort(meetings)
    pairs = meetings >> 1
    starts = np.flatnonzero(np.concatenate([np.ones(min(1, pairs.size), bool), pairs[1:] != pairs[:-1]]))
    times = np.diff(np.append(starts, pairs.size))
    last = meetings[starts + times - 1]  # with the bit if any has it
    return last | (times >= _ENOUGH)


@numba.njit(cache=True, nogil=True)
def _groups(left, right, most):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 -- numba infers
    """For each pair the smaller group of its two articles; groups are joined along pairs up to `most` articles."""
    nodes = 0
    for node in right:
        nodes = max(nodes, node + 1)
    parent = np.arange(nodes)
    size = np.ones(nodes, np.int32)
    for pair in range(left.size):
        a, b = _root(parent, left[pair]), _root(parent, right[pair])
        if a != b and size[a] + size[b] <= most:
            size[min(a, b)] += size[max(a, b)]
            parent[max(a, b)] = min(a, b)
    group = np.empty(left.size, np.int64)
    for pair in range(left.size):
        group[pair] = min(_root(parent, left[pair]), _root(parent, right[pair]))
    return group


@numba.njit(cache=True, nogil=True)
def _root(parent, node):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 -- numba infers
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node


@numba.njit(cache=True, nogil=True)
def _meetings(keys, articles, bounds, new, hot, neighbours):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, PLR0913, PLR0917 -- compiled
    """Pairs of articles under equal keys, left in the upper bits, right below, the lowest bit set if no band key."""
    meetings = np.empty(0, np.int64)
    size = thinned = 0
    for filling in range(2):
        if filling == 1:
            meetings = np.empty(size, np.int64)
            size = thinned = 0
        for run in range(bounds.size - 1):
            start, stop = bounds[run], bounds[run + 1]
            reach = stop - start
            if reach > hot:
                thinned += 1
                reach = neighbours
            strong = 0 if keys[start] & BAND_BIT else 1
            for i in range(start, stop):
                for j in range(i + 1, min(i + 1 + reach, stop)):
                    left, right = min(articles[i], articles[j]), max(articles[i], articles[j])
                    if left != right and (new[left] or new[right]):
                        if filling == 1:
                            meetings[size] = (left << _RANK_BITS | right) << 1 | strong
                        size += 1
    return meetings, thinned
