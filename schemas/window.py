"""What of a dataset is still open: how new articles are, by what was published last.

A date is believed if it is at most two days ahead of the clock that the run began by. The window hangs on the newest
believed publication of all runs, so it never goes back; an article without a believed date is as new as the run that it
came with. While there is no believed date at all, the window stands where the clock was when the first article came.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas.ids import is_among
from schemas.state import Kept, kept_articles

Int64Array = NDArray[np.int64]

DAY = 86_400_000_000  # µs
_UNKNOWN = np.iinfo(np.int64).max
AHEAD = 2 * DAY  # of the clock: time zones, and embargoes that are published early


def news_after(published: pa.ChunkedArray, kept: Kept) -> int:
    """The newest publication that is believed, of articles that are added and all before, µs; if none is, see above."""
    times = _times(published)
    news = max(kept.news, int(times[_is_believed(times, kept)].max(initial=0)))
    return news or pc.max(kept_articles(kept)["seen"].cast(pa.int64())).as_py() or kept.now


def believed_news(articles: pa.Table) -> int:
    """The newest publication among KEPT rows that was believed, µs; 0 if none was."""
    was_believed = pc.equal(articles["published"], articles["seen"])
    return pc.max(articles["published"].filter(was_believed).cast(pa.int64())).as_py() or 0


def compared(kept: Kept) -> pa.Table:
    """KEPT rows of the articles that new ones are compared with: those in the window as the runs before left it.

    A story with news stays open with all of its articles, the older ones for what the tables tell of them.
    """
    articles = kept_articles(kept)
    times = articles["seen"].cast(pa.int64()).to_numpy()
    news = kept.news or int(times.max(initial=0))
    return articles.filter(pa.array(times >= news - kept.window))


def seen(catalog: pa.Table, kept: Kept) -> Int64Array:
    """How new each article of a run's catalog is, µs, as the state table KEPT_ARTICLES has it in `seen`."""
    news, known = news_after(catalog["published"], kept), kept_articles(kept)
    times = _times(catalog["published"])
    found = np.where(_is_believed(times, kept), times, news)
    ids, before = catalog["article_id"].to_numpy(), known["article_id"].to_numpy()
    old = is_among(ids, before)
    found[old] = known["seen"].cast(pa.int64()).to_numpy()[np.searchsorted(before, ids[old])]
    return found


def is_recent(catalog: pa.Table, kept: Kept) -> NDArray[np.bool_]:
    """Which articles of a run's catalog are themselves as new as the window."""
    return seen(catalog, kept) >= news_after(catalog["published"], kept) - kept.window


def is_open(catalog: pa.Table, copies: pa.Table, stories: pa.Table, kept: Kept) -> NDArray[np.bool_]:
    """Which articles of a run's catalog later runs still know: those of stories with news in the window.

    Args:
      catalog: CATALOG, in any order.
      copies: COPY_LABELS.
      stories: STORY_LABELS, or no rows where stories are switched off; then copies are what is open.
      kept: what the run adds to.
    """
    at = np.searchsorted(copies["article_id"].to_numpy(), catalog["article_id"].to_numpy())
    group = copies["copy_id"].to_numpy()[at]
    if stories.num_rows:
        group = stories["story_id"].to_numpy()[np.searchsorted(stories["copy_id"].to_numpy(), group)]
    _, group = np.unique(group, return_inverse=True)
    alive = np.zeros(group.max(initial=-1) + 1, bool)
    alive[group[is_recent(catalog, kept)]] = True
    return alive[group]


def _times(published: pa.ChunkedArray) -> Int64Array:
    return np.asarray(published.cast(pa.int64()).fill_null(_UNKNOWN).to_numpy())


def _is_believed(times: Int64Array, kept: Kept) -> NDArray[np.bool_]:
    return (times != _UNKNOWN) & ((times <= kept.now + AHEAD) | (not kept.now))
