"""Versions: articles of one page, numbered in the order in which they came."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.ids import format_ids, is_among

Int64Array = NDArray[np.int64]

VERSIONS = pa.schema(
    [
        pa.field("version", pa.int32(), nullable=False),  # 1: the first of its page
        pa.field("supersedes", pa.string()),  # the id of the version before it
    ]
)
_LATE = np.iinfo(np.int64).max


def versions(articles: pa.Table, earlier: pa.Table) -> pa.Table:
    """Number the new articles of each page on from what is known of it.

    Args:
      articles: new ones: `article_id`, `identity` (0: its page is not known, it is the only version) and `modified`.
      earlier: rows of the state table SEEN that have one of these identities, not 0.

    Returns:
      VERSIONS, row by row the articles.
    """
    ids, page = articles["article_id"].to_numpy(), articles["identity"].to_numpy()
    since = articles["modified"].cast(pa.int64()).fill_null(_LATE).to_numpy()
    order = np.lexsort((ids, since, page))
    first = page[order] != np.roll(page[order], 1)
    first[:1] = True
    first |= page[order] == 0
    start = np.maximum.accumulate(np.where(first, np.arange(len(ids)), 0))
    latest, number, predecessor = _latest(earlier)
    at = np.searchsorted(latest, page[order])
    known = is_among(page[order], latest)
    at[~known] = 0
    version, before = np.empty(len(ids), np.int32), np.zeros(len(ids), np.int64)
    version[order] = np.arange(len(ids)) - start + 1 + (np.where(known, number[at], 0) if len(latest) else 0)
    before[order] = np.where(first, np.where(known, predecessor[at], 0) if len(latest) else 0, np.roll(ids[order], 1))
    has = before != 0
    names = np.full(len(ids), None, object)
    names[has] = format_ids(before[has]).to_pylist()
    return pa.table([version, pa.array(names, pa.string())], schema=VERSIONS)


def _latest(earlier: pa.Table) -> tuple[Int64Array, Int64Array, Int64Array]:
    """Of each page, ascending: its highest version's number and article id."""
    page, number, ids = (earlier[name].to_numpy() for name in ("identity", "version", "article_id"))
    order = np.lexsort((ids, number, page))
    last = np.append(page[order][1:] != page[order][:-1], True)[: len(order)]
    return page[order][last], number[order][last].astype(np.int64), ids[order][last]
