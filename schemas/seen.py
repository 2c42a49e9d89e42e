"""Every article that a dataset ever took in: which are delivered again, and which are versions of an earlier one.

The state table SEEN is kept in segments, Arrow files in the order of article ids: looking up few ids reads few pages.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.blocks import load
from schemas.few import may_be_among
from schemas.ids import is_among
from schemas.state import Kept, kept_articles

Int64Array = NDArray[np.int64]


class Known(NamedTuple):
    """The latest article of each identity that there is an article of."""

    identity: Int64Array  # ascending
    article_id: Int64Array
    version: NDArray[np.int32]


def is_seen(ids: Int64Array, kept: Kept) -> NDArray[np.bool_]:
    """Which articles some run took in before, however long ago."""
    found = is_among(ids, kept_articles(kept)["article_id"].to_numpy())
    for path in kept.seen:
        found |= is_among(ids, load(path)["article_id"].to_numpy())
    return found


def latest_of(identities: Int64Array, kept: Kept) -> Known:
    """The latest versions of some identities; 0 is none."""
    wanted = np.unique(identities[identities != 0])
    found = [np.zeros((0, 3), np.int64)]
    for path in kept.seen:
        segment = load(path)
        identity = segment["identity"].to_numpy()
        at = may_be_among(identity.view(np.uint64), wanted.view(np.uint64))
        at = at[is_among(identity[at], wanted)]
        columns = identity[at], *(segment[name].to_numpy()[at] for name in ("version", "article_id"))
        found.append(np.stack(columns, axis=1).astype(np.int64))
    rows = np.concatenate(found)
    rows = rows[np.lexsort(rows.T[::-1])]
    last = rows[np.append(rows[1:, 0] != rows[:-1, 0], True)[: len(rows)]]
    return Known(last[:, 0], last[:, 2], last[:, 1].astype(np.int32))


def versions(articles: pa.Table, kept: Kept) -> tuple[NDArray[np.int32], Int64Array]:
    """Which version of its page each new article is, and the article that it takes the place of.

    Args:
      articles: CATALOG rows of new articles. Versions that come in one run are in the order of their dates, those
        (`modified`) without one last, then of their ids.
      kept: what the run adds to.

    Returns:
      versions, from 1; and article ids, 0 for a first version.
    """
    identity, ids = articles["identity"].to_numpy(), articles["article_id"].to_numpy()
    times = articles["modified"].cast(pa.int64()).fill_null(np.iinfo(np.int64).max).to_numpy()
    known = latest_of(identity, kept)
    order = np.lexsort((ids, times, identity))
    order = order[identity[order] != 0]
    first = np.append(True, identity[order][1:] != identity[order][:-1])[: order.size]
    starts = np.flatnonzero(first)
    at = np.arange(order.size)
    number = at - np.repeat(at[first], np.diff(np.append(starts, order.size))) + 1
    before = np.where(first, 0, np.roll(ids[order], 1))
    if known.identity.size:
        place = np.minimum(np.searchsorted(known.identity, identity[order]), known.identity.size - 1)
        old = known.identity[place] == identity[order]
        number = number + np.where(old, known.version[place], 0)
        before = np.where(first & old, known.article_id[place], before)
    version, supersedes = np.ones(ids.size, np.int32), np.zeros(ids.size, np.int64)
    version[order], supersedes[order] = number, before
    return version, supersedes
