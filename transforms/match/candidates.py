"""Candidate pairs: articles that share a band of their signatures, a fingerprint or their identity.

Recall first; `verify` decides. Bands (128 of 2 rows) find articles with much in common wherever it stands,
fingerprints (one passage of 8 words in every 25, rare enough) find one shared passage in otherwise different ones.
One band alone is chance: a pair needs two, or a fingerprint, or the identity (12,000 simulated articles: 12,300 of
136,600 pairs less, 10 copies among them). Fingerprints of 5 words instead of 8 gave 57,000 pairs more, 18 copies
among them. Articles with the same words are not keyed: each is paired with the first of them alone, so that ten
thousand clones make ten thousand pairs.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import apache_beam as beam
import numba
import numpy as np
import pyarrow as pa
from apache_beam.metrics import Metrics

from schemas.blocks import BlockRef, load
from transforms.match.frequencies import bucket_bounds
from transforms.match.keys import BAND_BIT
from transforms.match.options import MatchOptions

CANDIDATES = pa.schema([pa.field("left", pa.int64(), nullable=False), pa.field("right", pa.int64(), nullable=False)])
MEETINGS = pa.schema(
    [
        *CANDIDATES,
        pa.field("met", pa.int32(), nullable=False),  # bands, other keys counted as `_ENOUGH`
        pa.field("home", pa.uint32(), nullable=False),  # tends to be the same for the pairs of one copy
    ]
)
_ENOUGH = 2
_RANK_BITS = 31  # of an article's place among all of them
_NEIGHBOURS = 8  # that a thinned key pairs each article with


@dataclass(eq=False)
class FindCandidates(beam.PTransform):  # type: ignore[misc]
    """Signed blocks → candidate pairs (CANDIDATES tables), each pair once, left < right."""

    options: MatchOptions
    buckets: int = 16  # that pairs are made unique in

    def expand(self, signed: beam.PCollection) -> beam.PCollection:
        """Wire."""
        keyed = (
            signed.pipeline
            | "Buckets" >> beam.Create(range(self.options.key_buckets))
            | "Meet"
            >> beam.FlatMap(bucketed_pairs, beam.pvalue.AsList(signed), self.options, self.buckets).with_output_types(
                tuple[int, pa.Table]
            )
        )
        clones = signed | "Clones" >> beam.FlatMap(bucketed_clones, self.buckets).with_output_types(
            tuple[int, pa.Table]
        )
        return (
            (keyed, clones)
            | "Flatten" >> beam.Flatten()
            | "Bucket" >> beam.GroupByKey()
            | "Unique" >> beam.Map(unique_of_bucket).with_output_types(pa.Table)
        )


def pairs_of_bucket(bucket: int, refs: Iterable[BlockRef], hot: int) -> tuple[pa.Table, int]:
    """Pair the articles that share a key of one bucket.

    A clone and the first of its kind are left to `clone_pairs`: they would meet here under another home, in another
    bucket, and be two pairs.

    Returns:
      MEETINGS rows, unique within the bucket, and the number of keys that were thinned for being under more than `hot`
      articles.
    """
    keys, rows = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
    ids, leaders, homes = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros(0, np.uint32)]
    count = 0
    for ref in refs:
        part = load(ref.part("keys"))
        ends = bucket_bounds(part)
        piece = part.slice(ends[bucket], ends[bucket + 1] - ends[bucket])
        keys.append(piece["key"].to_numpy())
        rows.append(piece["row"].to_numpy() + np.int64(count))
        ids.append(load(ref.part("tokens"))["article_id"].to_numpy())
        signed = load(ref.part("signed"))
        leaders.append(signed["leader"].to_numpy())
        homes.append(signed["home"].to_numpy())
        count += ref.rows
    article, key = np.concatenate(ids), np.concatenate(keys)
    by_id = np.argsort(article)
    rank = np.empty_like(by_id)
    rank[by_id] = np.arange(by_id.size)
    order = np.argsort(key)
    key, ranks = key[order], rank[np.concatenate(rows)[order]]
    bounds = (
        np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1], [True]])) if key.size else np.zeros(1, np.int64)
    )
    for run in np.flatnonzero(np.diff(bounds) > hot):  # which neighbours are paired must not depend on the blocks
        under = slice(bounds[run], bounds[run + 1])
        # Others under each key: who shares many keys meets nearly everybody, a chain of neighbours falls apart.
        ranks[under] = np.random.default_rng(int(key[bounds[run]])).permutation(np.sort(ranks[under]))
    meetings, thinned = _meetings(key, ranks, bounds, hot, _NEIGHBOURS)
    meetings = np.sort(meetings)
    pairs, strong = meetings >> 1, meetings & 1
    starts = np.flatnonzero(np.concatenate([np.ones(min(1, pairs.size), bool), pairs[1:] != pairs[:-1]]))
    met = np.add.reduceat(strong * (_ENOUGH - 1) + 1, starts) if pairs.size else pairs
    left, right = by_id[pairs[starts] >> _RANK_BITS], by_id[pairs[starts] & ((1 << _RANK_BITS) - 1)]
    apart = np.concatenate(leaders)[right] != article[left]
    left, right, met, home = left[apart], right[apart], met[apart], np.concatenate(homes)
    columns = [article[left], article[right], met.astype(np.int32), np.minimum(home[left], home[right])]
    return pa.table(columns, schema=MEETINGS), thinned


def clone_pairs(ref: BlockRef) -> pa.Table:
    """Pair each article that repeats another's words with the first of them; MEETINGS rows."""
    signed = load(ref.part("signed"))
    leader, article = signed["leader"].to_numpy(), load(ref.part("tokens"))["article_id"].to_numpy()
    clone = leader != article
    met = np.full(np.count_nonzero(clone), _ENOUGH, np.int32)
    return pa.table([leader[clone], article[clone], met, signed["home"].to_numpy()[clone]], schema=MEETINGS)


def unique_pairs(tables: Iterable[pa.Table]) -> pa.Table:
    """Join MEETINGS to CANDIDATES, each pair that met often enough once, pairs of one home together."""
    pairs = pa.concat_tables([MEETINGS.empty_table(), *tables])
    left, right, met, home = (pairs[name].to_numpy() for name in MEETINGS.names)
    order = np.lexsort((right, left, home))
    left, right, met = left[order], right[order], met[order]
    first = np.ones(left.size, bool)
    first[1:] = (left[1:] != left[:-1]) | (right[1:] != right[:-1])
    starts = np.flatnonzero(first)
    if starts.size:
        starts = starts[np.add.reduceat(met, starts) >= _ENOUGH]
    return pa.table([left[starts], right[starts]], schema=CANDIDATES)


def bucketed_pairs(
    bucket: int, refs: list[BlockRef], options: MatchOptions, buckets: int
) -> Iterator[tuple[int, pa.Table]]:
    """Spread the pairs of one bucket of keys over the buckets that make them unique; count thinned keys."""
    pairs, thinned = pairs_of_bucket(bucket, refs, options.hot_articles)
    Metrics.counter("match", "thinned_keys").inc(thinned)
    yield from _spread(pairs, buckets)


def bucketed_clones(ref: BlockRef, buckets: int) -> Iterator[tuple[int, pa.Table]]:
    """The same for pairs of clones."""
    yield from _spread(clone_pairs(ref), buckets)


def unique_of_bucket(bucket: tuple[int, Iterable[pa.Table]]) -> pa.Table:
    """The same for one bucket of a shuffle."""
    return unique_pairs(bucket[1])


def _spread(pairs: pa.Table, buckets: int) -> Iterator[tuple[int, pa.Table]]:
    """All meetings of one pair go to one bucket, and most pairs of one copy."""
    place = pairs["home"].to_numpy() % np.uint32(buckets)
    for bucket in range(buckets):
        part = pairs.filter(pa.array(place == bucket))
        if part.num_rows:
            yield bucket, part


@numba.njit(cache=True, nogil=True)
def _meetings(keys, articles, bounds, hot, neighbours):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 -- compiled
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
                    if left != right:
                        if filling == 1:
                            meetings[size] = (left << _RANK_BITS | right) << 1 | strong
                        size += 1
    return meetings, thinned
