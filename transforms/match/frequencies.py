"""How many articles a gram stands in, and which grams are an outlet's furniture.

Grams never pass through a shuffle. Every block stores its grams ordered by bucket; whoever counts a bucket maps that
slice of every block, counts in a hash table, and stores the answer for each slice in the order it stood in.

Only the articles of the run's own blocks are asked for. Of the kept ones' grams those that none of these holds are left
out before they are counted.
"""

import numba
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.blocks import BlockRef, StoredTable, load, store_new
from schemas.few import may_be_among
from transforms.match.documents import Documents
from transforms.match.options import FURNITURE_BIT, LARGEST
from transforms.match.shingles import by_bucket, find_slot

UInt16Array = NDArray[np.uint16]
UInt64Array = NDArray[np.uint64]
Int32Array = NDArray[np.int32]
Int64Array = NDArray[np.int64]

_PART = 1 << 14  # grams counted in one table, which then stays in the cache
_PART_SHIFT = 48  # bits of a gram that choose neither its bucket nor its slot
ANSWERS = pa.schema([pa.field("bucket", pa.int64(), nullable=False), pa.field("path", pa.string(), nullable=False)])


def count_bucket(bucket: int, documents: Documents, furniture_articles: int, scratch: str) -> pa.Table:
    """Count the grams of one bucket over all blocks and store the answers.

    Returns:
      one ANSWERS row; the stored table has a column `frequency` (uint16, the top bit marks furniture of the article's
      own outlet), the slices of all blocks one after another, their bounds in the schema's metadata.
    """
    grams, articles, bounds = [], [], [0]
    for ref, first in zip(documents.blocks, documents.bounds[:-1], strict=True):
        part = load(ref.part("grams"))
        ends = bucket_bounds(part)
        piece = part.slice(ends[bucket], ends[bucket + 1] - ends[bucket])
        grams.append(piece["gram"].to_numpy())
        articles.append(_articles_of(piece["at"].to_numpy(), article_bounds(part), first))
        bounds.append(bounds[-1] + piece.num_rows)
    own = np.concatenate([np.zeros(0, np.uint64), *grams])
    held, holders = kept_grams(bucket, own, documents)
    frequency = count_grams(
        np.concatenate([own, held]),
        np.concatenate([np.zeros(0, np.int32), *articles, holders]),
        documents.counted,
        documents.outlet,
        furniture_articles,
    )[: own.size]
    schema = pa.schema([pa.field("frequency", pa.uint16())], {b"bounds": np.array(bounds, np.int64).tobytes()})
    answer = store_new(pa.table([frequency], schema=schema), scratch, f"frequencies-{bucket}")
    return pa.table([[bucket], [answer.path]], schema=ANSWERS)


def kept_grams(bucket: int, own: UInt64Array, documents: Documents) -> tuple[UInt64Array, Int32Array]:
    """The grams of a bucket that open articles of kept blocks may share with the run's own, and the article of each."""
    grams, articles = [np.zeros(0, np.uint64)], [np.zeros(0, np.int32)]
    for base, places in documents.kept.items():
        held, rows = sharing(BlockRef(base, places.size), "grams", bucket, own)
        holders = places[rows]
        grams.append(held[holders >= 0])
        articles.append(holders[holders >= 0])
    return np.concatenate(grams), np.concatenate(articles)


def sharing(ref: BlockRef, part: str, bucket: int, own: UInt64Array) -> tuple[UInt64Array, Int32Array]:
    """Of a kept block's part that is ordered by bucket (hash, row): what may be among the run's own of that bucket."""
    table = load(ref.part(part))
    ends = bucket_bounds(table)
    piece = table.slice(ends[bucket], ends[bucket + 1] - ends[bucket])
    hashes = piece[0].to_numpy()
    at = may_be_among(hashes, own)
    return hashes[at], piece[1].to_numpy()[at]


def read_frequencies(ref: BlockRef, documents: Documents, answers: StoredTable) -> UInt16Array:
    """Gather the answers for one block, in the order of its grams."""
    part = load(ref.part("grams"))
    block = [known.base for known in documents.blocks].index(ref.base)
    slices = []
    for path in load(answers.path).sort_by("bucket")["path"].to_pylist():
        answer = load(path)
        bounds = np.frombuffer(answer.schema.metadata[b"bounds"], np.int64)
        slices.append(answer["frequency"].slice(bounds[block], bounds[block + 1] - bounds[block]).to_numpy())
    frequency = np.empty(part.num_rows, np.uint16)
    frequency[part["at"].to_numpy()] = np.concatenate([np.zeros(0, np.uint16), *slices])
    return frequency


def grams_table(grams: UInt64Array, offsets: Int64Array, buckets: int) -> pa.Table:
    """The block's part "grams": hashes by bucket, where each stood (`at`), both bounds in the metadata."""
    order, ordered, bounds = by_bucket(grams, buckets)
    metadata = {b"buckets": bounds.tobytes(), b"articles": offsets.tobytes()}
    schema = pa.schema([pa.field("gram", pa.uint64()), pa.field("at", pa.int32())], metadata)
    return pa.table([ordered, order], schema=schema)


def bucket_bounds(part: pa.Table) -> Int64Array:
    """Bounds of the buckets of a part that is ordered by bucket."""
    return np.frombuffer(part.schema.metadata[b"buckets"], np.int64)


def article_bounds(part: pa.Table) -> Int64Array:
    """Bounds of the articles of a "grams" part, before it was ordered by bucket."""
    return np.frombuffer(part.schema.metadata[b"articles"], np.int64)


def count_grams(
    grams: UInt64Array, articles: Int32Array, counted: NDArray[np.bool_], outlets: Int64Array, furniture_articles: int
) -> UInt16Array:
    """Count, for each occurrence, the articles its gram stands in, and mark furniture.

    Args:
      grams: shape (occurrences,); the occurrences of one article stand together.
      articles: the article of each occurrence.
      counted: for each article, whether it counts.
      outlets: for each article, a hash of its outlet, 0 where unknown.
      furniture_articles: a gram is furniture of an outlet when so many of its counted articles hold it.

    Returns:
      shape (occurrences,), the number of counted articles (at least 2 where two articles of any kind share the gram),
      with `FURNITURE_BIT` where the gram is furniture of the article's outlet.
    """
    parts = 1 << max(0, int(grams.size // _PART).bit_length())
    order, grams, bounds = by_bucket(grams, parts, _PART_SHIFT)
    return _count(grams, articles, order, bounds, counted, outlets, furniture_articles)


def raise_frequencies(
    grams: UInt64Array, frequency: UInt16Array, offsets: Int64Array, kept: NDArray[np.bool_]
) -> UInt16Array:
    """Give the grams of kept articles the frequency that new ones have them with, where that is higher.

    What is stored of a kept article was counted when it came: a gram that it alone had may be shared now.

    Args:
      grams: article by article.
      frequency: of each, with `FURNITURE_BIT`.
      offsets: shape (articles + 1,).
      kept: shape (articles,).
    """
    if not kept.any():
        return frequency
    old = np.repeat(kept, np.diff(offsets))
    at = np.flatnonzero(old)
    at = at[may_be_among(grams[at], grams[~old])]
    known, first = np.unique(grams[~old], return_index=True)
    place = np.minimum(np.searchsorted(known, grams[at]), max(0, known.size - 1))
    same = known[place] == grams[at]
    at, place = at[same], place[same]
    count = frequency[~old][first][place] & LARGEST
    raised = frequency.copy()
    raised[at] = np.maximum(frequency[at] & LARGEST, count) | (frequency[at] & FURNITURE_BIT)
    return raised


@numba.njit(cache=True, nogil=True)
def _articles_of(at, bounds, first):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 -- numba infers
    articles = np.empty(at.size, np.int32)
    row = 0
    for i in range(at.size):
        while at[i] >= bounds[row + 1]:
            row += 1
        articles[i] = first + row
    return articles


@numba.njit(cache=True, nogil=True)
def _count(grams, articles, order, bounds, counted, outlets, furniture_articles):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, C901, PLR0913, PLR0917 -- compiled
    """Count part by part; `grams` are in `order`, `articles` and what is returned are not."""
    frequency = np.empty(grams.size, np.uint16)
    most = 0
    for part in range(bounds.size - 1):
        most = max(most, bounds[part + 1] - bounds[part])
    keys = np.empty(_room(most), np.uint64)
    seen = np.empty((keys.size, 3), np.int32)  # the last article + 1, articles that count, all articles
    places, suspect = np.empty(most, np.int32), np.empty(most, np.int32)
    for part in range(bounds.size - 1):
        start, stop = bounds[part], bounds[part + 1]
        mask = _cleared(keys, seen, stop - start)
        for i in range(start, stop):
            slot = find_slot(keys, grams[i], mask)
            keys[slot] = grams[i]
            places[i - start] = slot
            article = articles[order[i]]
            if seen[slot, 0] != article + 1:
                seen[slot, 0] = article + 1
                seen[slot, 1] += counted[article]
                seen[slot, 2] += 1
        suspects = 0  # occurrences that may be furniture
        for i in range(start, stop):
            slot = places[i - start]
            number = seen[slot, 1]
            frequency[order[i]] = min(max(number, min(seen[slot, 2], 2)), LARGEST)
            if number >= furniture_articles and outlets[articles[order[i]]] != 0:
                suspect[suspects] = i
                suspects += 1
        mask = _cleared(keys, seen, suspects)
        for k in range(suspects):
            article = articles[order[suspect[k]]]
            outlet = np.uint64(outlets[article])
            key = grams[suspect[k]] * np.uint64(0x9E3779B97F4A7C15) + outlet * np.uint64(0xC2B2AE3D27D4EB4F)
            key ^= key >> np.uint64(32)
            slot = find_slot(keys, key, mask)
            keys[slot] = key
            places[k] = slot
            if seen[slot, 0] != article + 1:
                seen[slot, 0] = article + 1
                seen[slot, 1] += counted[article]
        for k in range(suspects):
            if seen[places[k], 1] >= furniture_articles:
                frequency[order[suspect[k]]] |= np.uint16(FURNITURE_BIT)
    return frequency


@numba.njit(cache=True, nogil=True)
def _room(grams):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 -- numba infers
    """Slots for so many grams."""
    room = 16
    while room < grams * 3 // 2:
        room *= 2
    return room


@numba.njit(cache=True, nogil=True)
def _cleared(keys, seen, grams):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 -- numba infers
    """Clear as many slots as so many grams need; returns their mask."""
    room = _room(grams)
    for slot in range(room):
        keys[slot] = 0
        seen[slot, 0] = seen[slot, 1] = seen[slot, 2] = 0
    return np.uint64(room - 1)
