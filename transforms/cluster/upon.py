"""Stories of new articles and of published ones, which are never split, as groups of linked articles."""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.ids import format_id, is_among, stable_hash
from transforms.cluster import agglomerate, formats, similarity, stories
from transforms.cluster.remembered import stored_pairs
from transforms.cluster.spoken import UNKNOWN, Copies
from transforms.cluster.stories import FIRST_CUT, FIRST_SHARE, Chosen, StoryGraph, StoryOptions

Float64Array = NDArray[np.float64]
Int64Array = NDArray[np.int64]


def joined(  # noqa: PLR0913, PLR0917 -- one pass: what is near, how crowded that is, what becomes one
    among: Chosen,
    nodes: Int64Array,
    pairs: similarity.Pairs,
    score: Float64Array,
    known: Copies,
    earlier: pa.Table,
    options: StoryOptions,
) -> tuple[StoryGraph, Int64Array, Float64Array]:
    """Links and stories of the nodes, those of kept ones with what was stored of them."""
    story, article = known.story[nodes], known.article[nodes]
    left, right, stored = stored_pairs(earlier, np.sort(article[story != UNKNOWN]))
    ids = np.unique(np.concatenate([article, left, right]))
    outer = ids[~is_among(ids, np.sort(article))]  # kept articles of other stories: they only crowd
    place = np.empty(len(ids), np.int64)
    place[np.searchsorted(ids, article)] = np.arange(len(article))
    place[np.searchsorted(ids, outer)] = len(article) + np.arange(len(outer))
    of = np.full(len(outer), UNKNOWN)
    here = is_among(outer, known.article)
    of[here] = known.story[np.searchsorted(known.article, outer[here])]
    count = len(article)
    every = np.concatenate([story, of, np.full(options.crowd_nearest, UNKNOWN)])  # articles that are not looked at
    every = every[: max(count + len(outer), min(len(every), len(known.article)))]
    label = _labels(every)
    a, b = (place[np.searchsorted(ids, each)] for each in (left, right))
    ends = np.concatenate([pairs.left, a]), np.concatenate([pairs.right, b])
    crowd = _each_once(*ends, np.concatenate([score, stored]))
    setting = (options.crowd_nearest, options.crowd_absent)
    kept, born = story != UNKNOWN, known.born[nodes]
    link = similarity.scale_locally(*crowd, label, *setting, FIRST_SHARE)
    first = _graph(among, crowd, link)
    cuts = np.array([FIRST_CUT, FIRST_CUT, options.merge])
    label[:count] = group_upon(first, label[:count], kept, born, cuts)[0]
    link = similarity.scale_locally(*crowd, label, *setting, options.crowd_share)
    graph = _graph(among, crowd, link)
    cuts = np.array([options.cut, options.join, options.merge])
    return graph, *group_upon(graph, _labels(story), kept, born, cuts)


def _each_once(
    one: Int64Array, other: Int64Array, score: Float64Array
) -> tuple[NDArray[np.int32], NDArray[np.int32], Float64Array]:
    """Pairs ascending, the left one the smaller; of equal ones the first, and none of an article with itself."""
    low, high = np.minimum(one, other), np.maximum(one, other)
    order = np.lexsort((high, low))
    key = (low[order] << 32) | high[order]
    order = order[(np.diff(key, prepend=-1) > 0) & (low[order] < high[order])]
    return low[order].astype(np.int32), high[order].astype(np.int32), score[order]


def _graph(among: Chosen, crowd: tuple[NDArray[Any], ...], link: Float64Array) -> StoryGraph:
    """The links between nodes, without those to articles that only crowd."""
    inside = (crowd[1] < among.articles.num_rows) & (link > 0)  # the right one is the larger
    return StoryGraph(among.articles, crowd[0][inside], crowd[1][inside], link[inside])


def _labels(story: Int64Array) -> Int64Array:
    """The first article of each story; those that are in none are alone."""
    label = np.arange(len(story))
    known = np.flatnonzero(story != UNKNOWN)
    _, first, back = np.unique(story[known], return_index=True, return_inverse=True)
    label[known] = known[first][back]
    return label


def group_upon(
    graph: StoryGraph, label: Int64Array, kept: NDArray[np.bool_], born: Int64Array, cuts: Float64Array
) -> tuple[Int64Array, Float64Array]:
    """Stories of a graph of which some are made already, as labels, and the lowest link of each.

    A kept story counts as joined at the lowest mean link of its articles to the rest. Round-ups and live pages that are
    new join at the end; kept ones stay where they are, and count for nothing.

    Args:
      graph: articles and links.
      label: the kept story of each, as its first article; new articles are alone.
      kept: which articles were published, and with that label.
      born: when the story of each came, any number for new ones.
      cuts: as `agglomerate.agglomerate_units` has them.
    """
    late = formats.is_late(graph.articles["format"].to_numpy())
    units, unit = np.unique(label, return_inverse=True)
    first = ~(late[graph.left] | late[graph.right])
    a, b, weight = unit[graph.left[first]], unit[graph.right[first]], graph.link[first]
    inside = a == b
    size = np.maximum(1.0, np.bincount(unit, ~late, len(units)))
    within = size + 2 * np.bincount(a[inside], weight[inside], len(units))
    low, high = np.minimum(a, b)[~inside], np.maximum(a, b)[~inside]
    met, back = np.unique(low * len(units) + high, return_inverse=True)
    between = np.bincount(back, weight[~inside], len(met))
    published = np.bincount(unit[kept], minlength=len(units)).astype(np.int32)
    since = np.zeros(len(units), np.int64)
    since[unit] = born
    rank = np.empty(len(units), np.int32)
    rank[np.lexsort((-published, since))] = np.arange(len(units))
    ends = (met // len(units)).astype(np.int32), (met % len(units)).astype(np.int32)
    joined, weakest = agglomerate.agglomerate_units(*ends, between, size, within, published, rank, cuts)
    out, lowest = units[joined][unit], np.ones(len(label))
    lowest[out] = np.minimum(weakest[unit], lowest[out])
    mean = agglomerate.mean_links(label, graph.left, graph.right, graph.link)
    np.minimum.at(lowest, out[kept], mean[kept])
    once = ~(late[graph.left] & late[graph.right])
    best, link = agglomerate.best_other(out, graph.left[once], graph.right[once], graph.link[once], stories.LATE_MATES)
    told = np.zeros(len(label), np.bool_)  # whether the story has a kept article
    told[out[kept]] = True
    joins = late & ~kept & (link >= np.where(told[best], cuts[1], cuts[0]))
    out[joins] = best[joins]
    np.minimum.at(lowest, out[joins], link[joins])
    return out, lowest[out]


def named(labels: pa.Table, label: Int64Array, story: Int64Array) -> tuple[pa.Table, Int64Array]:
    """Give stories that hold published ones the id of one of these, also where they are rivals; and that of each row.

    Which of several stays is for `inherit` to say. A story that came apart from a published one may be made of the
    copies that this one was named after: it gets a name of its own.
    """
    made = labels["story_id"].to_numpy()
    kept = np.flatnonzero(story != UNKNOWN)
    known = np.full(len(label), UNKNOWN)
    known[label[kept]] = story[kept]
    name = np.where(known[label] != UNKNOWN, known[label], made)
    taken = (known[label] == UNKNOWN) & is_among(made, np.unique(story[kept]))
    name[taken] = [stable_hash("apart", format_id(each)) for each in made[taken].tolist()]
    old, first = np.unique(made, return_index=True)
    for column in ("story_id", "rival"):
        given = labels[column].combine_chunks()
        there = given.is_null().to_numpy(zero_copy_only=False)
        renamed = name[first][np.searchsorted(old, given.fill_null(made[0] if len(made) else 0).to_numpy())]
        at = labels.schema.get_field_index(column)
        labels = labels.set_column(at, labels.schema.field(column), pa.array(renamed, mask=there))
    return labels, name
