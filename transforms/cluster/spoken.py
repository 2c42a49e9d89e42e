"""Which article speaks for each copy now, where its features are, and in which story it was published."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.blocks import BlockRef
from schemas.ids import is_among
from schemas.state import Kept, kept_articles

Float64Array = NDArray[np.float64]
Int64Array = NDArray[np.int64]

UNKNOWN = -1  # story of an article that none published
_NEVER = np.iinfo(np.int64).max


class Copies(NamedTuple):
    """The articles that represent copies, ascending by id; shape (copies,) each."""

    article: Int64Array
    copy: Int64Array
    row: Int64Array  # in the features of all blocks, one after the other; -1 where they are no longer stored
    block: NDArray[np.int32]  # which
    born: Int64Array  # when the first article of that story was published
    story: Int64Array  # that it was published in, or UNKNOWN: it asks for neighbours


def representatives(
    copies: pa.Table, catalog: pa.Table, refs: Sequence[BlockRef], parts: Sequence[pa.Table], kept: Kept
) -> Copies:
    """What represents a copy now; a story is known of those that did so when it was published."""
    article = copies["article_id"].to_numpy()
    at = np.flatnonzero(copies["representative"].to_numpy() == article)
    entries = catalog["block"].combine_chunks()
    entries = entries if pa.types.is_dictionary(entries.type) else entries.dictionary_encode()
    place = {ref.base: number for number, ref in enumerate(refs)}
    number = np.array([place.get(name, -1) for name in entries.dictionary.to_pylist()] or [-1], np.int32)
    block = number[entries.indices.to_numpy()[at]]
    starts = np.cumsum([0, *(part.num_rows for part in parts)])
    row = np.where(block >= 0, starts[block] + catalog["row"].to_numpy()[at], -1)
    article, copy = article[at], copies["copy_id"].to_numpy()[at]
    earlier = kept_articles(kept)
    spoke = earlier["article_id"].to_numpy() == earlier["representative"].to_numpy()
    before = earlier["article_id"].to_numpy()[spoke]
    story, born = np.full(len(article), UNKNOWN), np.zeros(len(article), np.int64)
    here = is_among(article, before)
    at = np.searchsorted(before, article[here])
    stories_of = earlier["story_id"].fill_null(UNKNOWN).to_numpy()
    _, back = np.unique(stories_of, return_inverse=True)
    first = np.full(len(stories_of), _NEVER)
    np.minimum.at(first, back, earlier["published"].cast(pa.int64()).fill_null(_NEVER).to_numpy())
    story[here], born[here] = stories_of[spoke][at], first[back][spoke][at]
    return Copies(article, copy, row, block, born, story)


def changed(copies: pa.Table, known: Copies, kept: Kept) -> Int64Array:
    """Published stories that an article came to, or left, with its copy."""
    earlier = kept_articles(kept)
    article, copy = (copies[name].to_numpy() for name in ("article_id", "copy_id"))
    before = earlier["article_id"].to_numpy()
    at = np.flatnonzero(is_among(article, before))
    place = np.searchsorted(before, article[at])
    moved = copy[at] != earlier["copy_id"].to_numpy()[place]
    came = np.ones(len(article), np.bool_)
    came[at[~moved]] = False
    by_copy = np.argsort(known.copy)
    to = known.story[by_copy[np.searchsorted(known.copy[by_copy], np.unique(copy[came]))]]
    left = earlier["story_id"].fill_null(UNKNOWN).to_numpy()[place[moved]]
    found = np.union1d(to, left)
    return found[found != UNKNOWN]
