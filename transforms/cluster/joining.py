"""Stories upon kept ones: new articles among themselves and towards those that earlier runs published.

A published story is never split. New articles join one over a stricter cut (`StoryOptions.join`) than they join each
other, and so do fragments: published stories that are younger than another and hold an eighth of its articles or less.
Others become one only over a far higher cut (`StoryOptions.merge`). So what a reader has seen stays; what that costs,
and what else was tried, is in docs/decisions/0031-stories-upon-kept-ones.md. Only new articles ask for neighbours. The
similarities of kept ones come from the state table SIMILAR, those of new ones are added to it.

All work that grows with the kept articles is one pass over arrays: some microseconds an article.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.io.filesystems import FileSystems
from numpy.typing import NDArray

from schemas import blocks
from schemas.barriers import Gather
from schemas.blocks import BlockRef, StoredTable, load, store_new
from schemas.ids import is_among
from schemas.state import SIMILAR, Kept, StatePart, kept_articles
from schemas.window import is_recent
from transforms.cluster import agglomerate, formats, neighbours, similarity, stories
from transforms.cluster.stories import BLOCK_FEATURES, FIRST_CUT, FIRST_SHARE, Chosen, StoryGraph, StoryOptions

Float64Array = NDArray[np.float64]
Int64Array = NDArray[np.int64]

_STORED = 16  # pairs of an article that later runs remember
_NEVER = np.iinfo(np.int64).max
_UNKNOWN = -1  # story of an article that none published
_PAIRS = pa.schema(SIMILAR.fields)


@dataclass(eq=False)
class ClusterStories(beam.PTransform):  # type: ignore[misc]
    """Stories of copies; gives a dict.

    Takes a dict: `blocks` (with a part `features`), `copies` (one StoredTable of COPY_LABELS) and `catalog` (one of
    CATALOG, of the same articles). Gives `stories`, one StoredTable of STORY_LABELS with a row for every copy, or none
    when switched off, and `state`, a StatePart: SIMILAR for later runs.
    """

    options: StoryOptions
    kept: Kept
    scratch: str

    @beam.typehints.no_annotations  # Beam warns of hints that are dicts
    def expand(self, inputs: dict[str, beam.PCollection]) -> dict[str, beam.PCollection]:
        """Wire."""
        catalog = beam.pvalue.AsSingleton(inputs["catalog"])
        ready = beam.pvalue.AsSingleton(inputs["blocks"] | "Ready" >> Gather(list))
        found = inputs["copies"] | "Cluster" >> beam.Map(
            store_stories, catalog, ready, self.kept, self.options, self.scratch
        ).with_output_types(Clustered)
        return {
            "stories": found | "Stories" >> beam.Map(lambda each: each.labels).with_output_types(StoredTable),
            "state": found | "State" >> beam.Map(lambda each: each.similar).with_output_types(StatePart),
        }


class Clustered(NamedTuple):
    """Stored labels, and what later runs need."""

    labels: StoredTable
    similar: StatePart


class Copies(NamedTuple):
    """The articles that represent copies, ascending by id; shape (copies,) each."""

    article: Int64Array
    copy: Int64Array
    row: Int64Array  # in the features of all blocks, one after the other; -1 where they are no longer stored
    block: NDArray[np.int32]  # which
    born: Int64Array  # when the first article of that story was published
    story: Int64Array  # that it was published in, or _UNKNOWN: it asks for neighbours


def store_stories(  # noqa: PLR0913, PLR0917 -- what meets here
    copies: StoredTable,
    catalog: StoredTable,
    ready: Sequence[BlockRef],
    kept: Kept,
    options: StoryOptions,
    scratch: str,
) -> Clustered:
    """Cluster what the blocks hold and store the labels."""
    labels, similar = blocks.empty(blocks.STORY_LABELS), _PAIRS.empty_table()
    if options.enabled:
        labels, similar = label_window(load(copies.path), load(catalog.path), ready, kept, options)
    state = StatePart(SIMILAR.name, 0, store_new(similar, scratch, SIMILAR.name))
    return Clustered(store_new(labels, scratch, "story-labels"), state)


def label_window(
    copies: pa.Table, catalog: pa.Table, new_blocks: Sequence[BlockRef], kept: Kept, options: StoryOptions
) -> tuple[pa.Table, pa.Table]:
    """Stories (STORY_LABELS) of all copies, and SIMILAR for later runs.

    Args:
      copies: COPY_LABELS, ascending: the run's own articles and all kept ones.
      catalog: CATALOG of the same articles, ascending.
      new_blocks: blocks of this run, with a part `features`.
      kept: what the run adds to.
      options: the setting.
    """
    refs = [*sorted(new_blocks), *kept.blocks]
    parts = [load(ref.part("features")) for ref in refs]
    features = pa.concat_tables([blocks.empty(BLOCK_FEATURES), *parts])  # mapped
    known = _representatives(copies, catalog, refs, parts, kept)
    asks = (known.story == _UNKNOWN) & (known.row >= 0)
    old = (known.story != _UNKNOWN) & (known.row >= 0)
    earlier = _similar(kept)
    among = stories.chosen(features, known.row[asks], known.copy[asks])
    asking = np.flatnonzero(asks)[among.order]  # in order of time
    pairs = stories.nearest(among, options)
    if (known.story == _UNKNOWN).all():
        score = stories.compared(pairs, among)
        graph = stories.linked(among, pairs, score, options)
        labels = stories.label_graph(graph, np.sort(known.copy), options.cut)
        ends = known.article[asking[pairs.left]], known.article[asking[pairs.right]]
        return labels, _remembered(earlier, ends, score, known, catalog, kept)
    new, near = _nearest_kept(among, known, old, parts, options)
    touched = np.union1d(known.story[near], _changed(copies, known, kept))
    nodes = np.concatenate([asking, np.flatnonzero(old & is_among(known.story, touched))])
    node = np.full(len(known.article), -1, np.int64)
    among = stories.chosen(features, known.row[nodes], known.copy[nodes])
    nodes = nodes[among.order]
    node[nodes] = np.arange(len(nodes))
    pairs = _ascending(
        np.concatenate([node[asking[pairs.left]], node[asking[new]]]),
        np.concatenate([node[asking[pairs.right]], node[near]]),
    )
    score = stories.compared(pairs, among)
    graph, label, weakest = _joined(among, nodes, pairs, score, known, earlier, options)
    labels, name = _named(stories.describe(graph, label, weakest), label, known.story[nodes])
    rest = np.setdiff1d(np.arange(len(known.article)), nodes)
    silent, lone = rest[known.story[rest] != _UNKNOWN], rest[known.story[rest] == _UNKNOWN]
    told, first = np.unique(known.story[nodes], return_index=True)
    story = known.story[silent]
    merged = is_among(story, told)  # what is no longer compared goes with its story
    story[merged] = name[first][np.searchsorted(told, story[merged])]
    others = [_silent(known.copy[silent], story, labels), stories.alone(known.copy[lone])]
    labels = pa.concat_tables([labels, *others]).sort_by("copy_id").combine_chunks()
    ends = known.article[nodes[pairs.left]], known.article[nodes[pairs.right]]
    return labels, _remembered(earlier, ends, score, known, catalog, kept)


def _representatives(
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
    story, born = np.full(len(article), _UNKNOWN), np.zeros(len(article), np.int64)
    here = is_among(article, before)
    at = np.searchsorted(before, article[here])
    stories_of = earlier["story_id"].fill_null(_UNKNOWN).to_numpy()
    _, back = np.unique(stories_of, return_inverse=True)
    first = np.full(len(stories_of), _NEVER)
    np.minimum.at(first, back, earlier["published"].cast(pa.int64()).fill_null(_NEVER).to_numpy())
    story[here], born[here] = stories_of[spoke][at], first[back][spoke][at]
    return Copies(article, copy, row, block, born, story)


def _changed(copies: pa.Table, known: Copies, kept: Kept) -> Int64Array:
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
    left = earlier["story_id"].fill_null(_UNKNOWN).to_numpy()[place[moved]]
    found = np.union1d(to, left)
    return found[found != _UNKNOWN]


def _silent(copy: Int64Array, story: Int64Array, labels: pa.Table) -> pa.Table:
    """Labels of kept copies that nothing new was found of: one leads each story that no other copy does."""
    rows = stories.alone(copy, story)
    first = np.zeros(len(copy), np.bool_)
    first[np.unique(story, return_index=True)[1]] = True
    first &= ~is_among(story, np.unique(labels["story_id"].to_numpy()))
    return rows.set_column(rows.schema.get_field_index("lead"), blocks.STORY_LABELS.field("lead"), pa.array(first))


def _nearest_kept(
    among: Chosen, known: Copies, old: NDArray[np.bool_], parts: Sequence[pa.Table], options: StoryOptions
) -> tuple[Int64Array, Int64Array]:
    """The nearest kept articles of new ones: which of the new, and which of all representatives."""
    search = neighbours.Nearest(neighbours.heaviest(among.vectors), options.neighbours, options.floor)
    start = 0
    for block, part in enumerate(parts):
        here = np.flatnonzero(old & (known.block == block))
        if len(here):
            number = np.full(part.num_rows, -1)
            number[known.row[here] - start] = here
            search.meet(stories.mapped_heavy(part), number)
        start += part.num_rows
    return search.pairs()


def _joined(  # noqa: PLR0913, PLR0917 -- one pass: what is near, how crowded that is, what becomes one
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
    left, right, stored = _stored_pairs(earlier, np.sort(article[story != _UNKNOWN]))
    ids = np.unique(np.concatenate([article, left, right]))
    outer = ids[~is_among(ids, np.sort(article))]  # kept articles of other stories: they only crowd
    place = np.empty(len(ids), np.int64)
    place[np.searchsorted(ids, article)] = np.arange(len(article))
    place[np.searchsorted(ids, outer)] = len(article) + np.arange(len(outer))
    of = np.full(len(outer), _UNKNOWN)
    here = is_among(outer, known.article)
    of[here] = known.story[np.searchsorted(known.article, outer[here])]
    count = len(article)
    every = np.concatenate([story, of, np.full(options.crowd_nearest, _UNKNOWN)])  # articles that are not looked at
    every = every[: max(count + len(outer), min(len(every), len(known.article)))]
    label = _labels(every)
    a, b = (place[np.searchsorted(ids, each)] for each in (left, right))
    ends = np.concatenate([pairs.left, a]), np.concatenate([pairs.right, b])
    crowd = _each_once(*ends, np.concatenate([score, stored]))
    setting = (options.crowd_nearest, options.crowd_absent)
    kept, born = story != _UNKNOWN, known.born[nodes]
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
    known = np.flatnonzero(story != _UNKNOWN)
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


def _named(labels: pa.Table, label: Int64Array, story: Int64Array) -> tuple[pa.Table, Int64Array]:
    """Give stories that hold published ones the id of one of these, also where they are rivals; and that of each row.

    Which of several stays is for `inherit` to say.
    """
    made = labels["story_id"].to_numpy()
    kept = np.flatnonzero(story != _UNKNOWN)
    known = np.full(len(label), _UNKNOWN)
    known[label[kept]] = story[kept]
    name = np.where(known[label] != _UNKNOWN, known[label], made)
    old, first = np.unique(made, return_index=True)
    for column in ("story_id", "rival"):
        given = labels[column].combine_chunks()
        there = given.is_null().to_numpy(zero_copy_only=False)
        renamed = name[first][np.searchsorted(old, given.fill_null(made[0] if len(made) else 0).to_numpy())]
        at = labels.schema.get_field_index(column)
        labels = labels.set_column(at, labels.schema.field(column), pa.array(renamed, mask=there))
    return labels, name


def _similar(kept: Kept) -> pa.Table:
    if not kept.similar:
        return _PAIRS.empty_table()
    with FileSystems.open(kept.similar, "application/octet-stream", "uncompressed") as source:
        return pq.read_table(pa.BufferReader(source.read()), schema=_PAIRS)


def _stored_pairs(earlier: pa.Table, articles: Int64Array) -> tuple[Int64Array, Int64Array, Float64Array]:
    """Stored pairs of which one is among some articles."""
    left, right = earlier["left"].to_numpy(), earlier["right"].to_numpy()
    wanted = is_among(left, articles) | is_among(right, articles)
    return left[wanted], right[wanted], earlier["score"].to_numpy()[wanted].astype(np.float64)


def _remembered(  # noqa: PLR0913, PLR0917 -- what decides on it
    earlier: pa.Table,
    ends: tuple[Int64Array, Int64Array],
    score: Float64Array,
    known: Copies,
    catalog: pa.Table,
    kept: Kept,
) -> pa.Table:
    """SIMILAR for later runs: of new pairs the strongest of each article, of earlier ones those still needed."""
    strong = _strongest(*ends, score)
    low, high = np.minimum(*ends)[strong], np.maximum(*ends)[strong]
    made = pa.table([low, high, score[strong].astype(np.float32)], schema=_PAIRS)
    over = ~is_recent(catalog, kept)[np.searchsorted(catalog["article_id"].to_numpy(), known.article)]
    before = kept_articles(kept)
    spoke = before["article_id"].to_numpy()
    spoke = spoke[spoke == before["representative"].to_numpy()]
    gone = np.union1d(known.article[over], spoke[~is_among(spoke, known.article)])
    tables = []
    for table in (earlier, made):
        left = is_among(table["left"].to_numpy(), gone) | is_among(table["right"].to_numpy(), gone)
        tables.append(table.filter(pa.array(~left)) if left.any() else table)
    if not tables[1].num_rows:
        return tables[0]
    return pa.concat_tables(tables).sort_by([("left", "ascending"), ("right", "ascending")]).combine_chunks()


def _strongest(left: Int64Array, right: Int64Array, score: Float64Array) -> NDArray[np.bool_]:
    """Pairs that are among the strongest of one of their articles, of equal ones the smallest."""
    ends, others = np.concatenate([left, right]), np.concatenate([right, left])
    order = np.lexsort((others, -np.tile(score, 2), ends))
    rank = np.arange(len(ends)) - np.searchsorted(ends[order], ends[order])
    strong = np.zeros(len(left), np.bool_)
    strong[order[rank < _STORED] % max(1, len(left))] = True
    return strong


def _ascending(one: Int64Array, other: Int64Array) -> similarity.Pairs:
    """Pairs, each once, as `similarity.Pairs` has them."""
    low, high = np.minimum(one, other), np.maximum(one, other)
    found = np.unique((low << 32) | high)
    return similarity.Pairs((found >> 32).astype(np.int32), (found & 0xFFFFFFFF).astype(np.int32))
