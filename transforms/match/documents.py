"""What counting must know of every article, new and kept: who says the same thing twice counts once.

Of articles with one `identity` (versions of one page) and of those with the same words (clones) only one counts: a
kept one before new ones, then the smallest id. So what is kept counts as it did, whatever is added.
"""

import functools
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.blocks import BlockRef, StoredTable, load
from schemas.ids import is_among, stable_hash
from schemas.state import NOTHING_KEPT, Kept, kept_articles
from schemas.window import compared
from transforms.match.gathering import factorise

Int32Array = NDArray[np.int32]
Int64Array = NDArray[np.int64]

DOCUMENTS = pa.schema(
    [
        pa.field("block", pa.string(), nullable=False),  # BlockRef.base; ascending, then row
        pa.field("row", pa.int32(), nullable=False),
        pa.field("article_id", pa.int64(), nullable=False),
        pa.field("identity", pa.int64(), nullable=False),
        pa.field("outlet", pa.int64(), nullable=False),  # hash of the outlet, 0 where unknown
        pa.field("text", pa.int64(), nullable=False),  # hash of all words in order
    ]
)
_NOWHERE = -1  # the place of a row that nothing points to


@dataclass(frozen=True)
class Documents:
    """All articles: those of the run's own blocks in the order (block, row), then the kept ones in the order of ids."""

    blocks: list[BlockRef]
    bounds: Int64Array  # articles of block b are [bounds[b]:bounds[b + 1]]
    article_id: Int64Array
    identity: Int64Array
    outlet: Int64Array
    text: Int64Array
    leader: Int64Array  # article id of the first one with the same words
    counted: NDArray[np.bool_]
    kept: dict[str, Int32Array]  # by state block: the place of each of its rows, -1 for those no longer open

    def place(self, ref: BlockRef) -> slice:
        """Where the articles of one of the run's own blocks stand."""
        block = [known.base for known in self.blocks].index(ref.base)
        return slice(int(self.bounds[block]), int(self.bounds[block + 1]))


@functools.lru_cache(maxsize=2)
def read_documents(stored: StoredTable, kept: Kept = NOTHING_KEPT) -> Documents:
    """Read a stored table of DOCUMENTS rows, add the articles of kept blocks and settle who counts."""
    table, old = load(stored.path), compared(kept)
    block, names = factorise(table["block"])
    sizes = np.bincount(block)
    bounds = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    blocks = [BlockRef(name, rows) for name, rows in zip(names, sizes.tolist(), strict=True)]
    known, places = placed(old, kept.blocks)
    old = old.take(known)
    both = [(table[name], old[name]) for name in ("article_id", "identity", "text")]
    article, identity, text = (np.concatenate([new.to_numpy(), was.to_numpy()]) for new, was in both)
    outlet = np.concatenate([table["outlet"].to_numpy(), outlet_hashes(old["outlet"])])
    new = ~is_among(article, kept_articles(kept)["article_id"].to_numpy())
    first = first_of_group(article, text, new)
    counted = first & ((identity == 0) | first_of_group(article, identity, new))
    leader = leaders(article, text, first)
    kept_places = {
        base: np.where(rows < 0, rows, rows + np.int32(table.num_rows)).astype(np.int32)
        for base, rows in places.items()
    }
    return Documents(blocks, bounds, article, identity, outlet, text, leader, counted, kept_places)


def placed(articles: pa.Table, blocks: tuple[BlockRef, ...]) -> tuple[Int64Array, dict[str, Int32Array]]:
    """Which rows of a table with `block` and `row` stand in given blocks, and for each row of these which one it is.

    Returns:
      the rows, ascending; and by block, shape (rows,), a number of these rows or -1.
    """
    block, names = factorise(articles["block"])
    sizes = {ref.base: ref.rows for ref in blocks}
    chosen = np.array([name in sizes for name in names], bool)
    known = np.flatnonzero(chosen[block]) if names else np.zeros(0, np.int64)
    row = articles["row"].to_numpy()[known]
    places = {base: np.full(rows, _NOWHERE, np.int32) for base, rows in sizes.items()}
    numbers = np.arange(known.size, dtype=np.int32)
    order = np.argsort(block[known], kind="stable")
    starts = np.flatnonzero(np.diff(block[known][order], prepend=-1))
    for here in np.split(order, starts[1:]) if known.size else []:
        places[names[block[known[here[0]]]]][row[here]] = numbers[here]
    return known, places


def outlet_hashes(outlets: pa.ChunkedArray) -> Int64Array:
    """A hash of each outlet, 0 where it is unknown."""
    number, names = factorise(outlets.fill_null(""))
    hashes = np.array([stable_hash("outlet", name) if name else 0 for name in names], np.int64)
    return hashes[number]


def first_of_group(ids: Int64Array, groups: Int64Array, new: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which is the first of its group: a kept one before new ones, then the smallest id."""
    order = np.lexsort((ids, new, groups))
    first = np.empty(ids.size, np.bool_)
    first[order] = np.concatenate([np.ones(min(1, ids.size), bool), groups[order][1:] != groups[order][:-1]])
    return first


def leaders(ids: Int64Array, groups: Int64Array, first: NDArray[np.bool_]) -> Int64Array:
    """The id of the first of each one's group."""
    order = np.argsort(groups[first], kind="stable")
    return ids[first][order][np.searchsorted(groups[first][order], groups)]
