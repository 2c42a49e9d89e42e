"""Stories: copies that report the same event, in whatever words.

Every article becomes a row of features (terms with their mass, days) beside its own block; a single step then gathers
the rows that represent copies, finds each one's nearest, weighs them by what they say of the days and by how crowded
their neighbourhoods are, and agglomerates. Nothing here is trained; the constants were set on labelled stories of
seven sources, one setting for all of them (docs/results.md). What a run does where earlier ones kept stories is in
`transforms.cluster.joining`.
"""

import functools
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas import blocks, ids
from schemas.blocks import BlockRef
from schemas.spared import spared
from transforms.cluster import agglomerate, events, formats, neighbours, similarity, telling, words
from transforms.cluster.terms import tokenise
from transforms.cluster.vocabulary import background

Int64Array = NDArray[np.int64]

BLOCK_FEATURES = pa.schema(  # part `features` of a block: of every article, before copies are known
    [
        pa.field("first_day", pa.int32(), nullable=False),  # events.Days
        pa.field("last_day", pa.int32(), nullable=False),
        pa.field("weekdays", pa.uint8(), nullable=False),
        pa.field("terms", pa.list_(pa.uint32()), nullable=False),  # similarity.Vectors
        pa.field("lead", pa.list_(pa.float32()), nullable=False),
        pa.field("body", pa.list_(pa.float32()), nullable=False),
        pa.field("heavy_terms", pa.list_(pa.uint32()), nullable=False),  # neighbours.heaviest of them: what later
        pa.field("heavy_lead", pa.list_(pa.float32()), nullable=False),  # runs read of every kept article
        pa.field("heavy_body", pa.list_(pa.float32()), nullable=False),
        pa.field("headline", pa.uint16(), nullable=False),  # similarity.headline_terms
        pa.field("format", pa.uint8(), nullable=False),  # FORMAT_CODES
        pa.field("names", pa.list_(pa.string()), nullable=False),  # words.Words
        pa.field("words", pa.list_(pa.string()), nullable=False),
        pa.field("word_terms", pa.list_(pa.uint32()), nullable=False),
        pa.field("word_mass", pa.list_(pa.float32()), nullable=False),
    ]
)
FEATURES = BLOCK_FEATURES.insert(0, pa.field("copy_id", pa.int64(), nullable=False))  # of those that represent a copy

_VECTORS, _HEAVY = ["terms", "lead", "body"], ["heavy_terms", "heavy_lead", "heavy_body"]
FIRST_SHARE, FIRST_CUT = 0.25, 0.08  # crowding and cut while no story is known; a cut of .07 or .09 scores less
LATE_MATES = 10.0  # as many as make a neighbourhood (`crowd_nearest`); 3 to 15 score alike, 30 lower


@dataclass(frozen=True)
class StoryOptions:
    """How copies are gathered into stories."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    enabled: bool = True  # off: no article has a story, and the table is empty
    cut: float = 0.04  # least link at which two groups become one; .03 to .045 score alike
    join: float = 0.055  # the same where one of them is a story that an earlier run published
    merge: float = 0.2  # and where both are, unless one is a fragment: the articles of one change their story then
    neighbours: int = 30  # candidates of an article
    floor: float = 0.02  # least similarity of a candidate
    crowd_share: float = 0.5  # how much of the crowding of two neighbourhoods is taken from a similarity
    crowd_nearest: int = 10  # articles that make the neighbourhood
    crowd_absent: float = 0.15  # similarity of those that a run of few articles lacks: keeps it from merging
    text_terms: int = 2000  # terms of a text that count
    posting_cap: int = 1000  # articles tried through one term: the nearest in time

    def __post_init__(self) -> None:
        """Refuse values that make no sense.

        Raises:
          ValueError: names the option and what is allowed.
        """
        for name in ("cut", "join", "merge"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} must be above 0 and at most 1, not {getattr(self, name)}")
        for name in ("floor", "crowd_share", "crowd_absent"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be within 0..1, not {getattr(self, name)}")
        for name, bound in (("neighbours", 1), ("crowd_nearest", 1), ("text_terms", 1), ("posting_cap", 2)):
            if getattr(self, name) < bound:
                raise ValueError(f"{name} must be {bound} or more, not {getattr(self, name)}")


class StoryGraph(NamedTuple):
    """Articles (FEATURES but the vectors) in order of time, and the links among them."""

    articles: pa.Table
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    link: NDArray[np.float64]


@dataclass(eq=False)
class StoreFeatures(beam.PTransform):  # type: ignore[misc]
    """Clean blocks → the same blocks, with a part `features` (BLOCK_FEATURES), row by row their articles."""

    options: StoryOptions

    def expand(self, blocks_of_articles: beam.PCollection) -> beam.PCollection:
        """Wire."""
        return blocks_of_articles | "Store" >> beam.Map(store_features, self.options).with_output_types(BlockRef)


def store_features(block: BlockRef, options: StoryOptions) -> BlockRef:
    """Store the features of a block; rows that say nothing when stories are switched off."""
    articles = blocks.load(block.part("articles"))
    describe = functools.partial(features_of, options=options)
    rows = spared("cluster", describe, articles) if options.enabled else nothing(articles.num_rows)
    blocks.store(rows, block.part("features"))
    return block


def nothing(rows: int) -> pa.Table:
    """Features (BLOCK_FEATURES) of articles that nothing is known of."""
    lists = {field.name: pa.array([[]] * rows, field.type) for field in BLOCK_FEATURES if pa.types.is_list(field.type)}
    days = {"first_day": np.full(rows, -events.UNKNOWN), "last_day": np.full(rows, events.UNKNOWN)}
    plain = {name: pa.array(np.zeros(rows, np.int32)) for name in ("weekdays", "headline", "format")}
    return pa.table({name: (lists | days | plain)[name] for name in BLOCK_FEATURES.names}).cast(BLOCK_FEATURES)


def features_of(articles: pa.Table, options: StoryOptions) -> pa.Table:
    """Features (BLOCK_FEATURES) of clean articles."""
    articles = articles.combine_chunks()
    headlines, texts = (articles[name].combine_chunks().fill_null("") for name in ("headline", "text"))
    head, text = tokenise(headlines), tokenise(texts, options.text_terms)
    vectors = similarity.vectors(head, text, background())
    days = events.days_of(articles)
    lists = [
        pa.ListArray.from_arrays(pa.array(told.offsets, pa.int32()), pa.array(values))
        for told in (vectors, neighbours.heaviest(vectors))
        for values in told[:3]
    ]
    headline = pa.array(similarity.headline_terms(head, vectors))
    form = pa.array(formats.formats_of(headlines))
    told = words.words_of(headlines, texts, head, text, vectors)
    columns = [*map(pa.array, days), *lists, headline, form, *told]
    return pa.Table.from_arrays(columns, schema=BLOCK_FEATURES)


def features(articles: pa.Table, options: StoryOptions) -> pa.Table:
    """Features (FEATURES) of clean articles that carry a `copy_id`."""
    return features_of(articles, options).add_column(0, FEATURES.field(0), articles["copy_id"].combine_chunks())


class Chosen(NamedTuple):
    """Articles in order of time, those of unknown days last."""

    articles: pa.Table  # FEATURES but the vectors
    vectors: similarity.Vectors
    order: Int64Array  # which of the rows given each is

    @property
    def days(self) -> events.Days:
        """What they say of their days."""
        return events.Days(*(self.articles[name].to_numpy() for name in ("first_day", "last_day", "weekdays")))

    @property
    def form(self) -> NDArray[np.uint8]:
        """FORMAT_CODES."""
        return np.asarray(self.articles["format"].to_numpy())


def chosen(table: pa.Table, rows: Int64Array, copy_ids: Int64Array) -> Chosen:
    """Some rows of features, read in whatever order.

    Args:
      table: BLOCK_FEATURES, mapped.
      rows: which of them.
      copy_ids: of these.
    """
    order = np.lexsort((copy_ids, table["last_day"].to_numpy()[rows]))
    told = [name for name in BLOCK_FEATURES.names if name not in {*_VECTORS, *_HEAVY}]
    articles = table.select(told).take(pa.array(rows[order])).combine_chunks()
    articles = articles.add_column(0, FEATURES.field(0), pa.array(copy_ids[order]))
    return Chosen(articles, _vectors(table, rows[order]), order)


def compared(pairs: similarity.Pairs, among: Chosen) -> NDArray[np.float64]:
    """Similarity of each pair, by what the two say, also of their days; before crowding."""
    days = among.days
    factor = events.agreements(pairs.left, pairs.right, days, events.Agreement())
    factor *= formats.agreements(pairs.left, pairs.right, among.form, days.last)
    return similarity.similarities(pairs, factor, among.vectors, among.articles["headline"].to_numpy())


def nearest(among: Chosen, options: StoryOptions) -> similarity.Pairs:
    """Pairs of articles worth comparing."""
    heavy = neighbours.heaviest(among.vectors)
    return neighbours.neighbours(heavy, options.neighbours, options.floor, options.posting_cap)


def linked(among: Chosen, pairs: similarity.Pairs, score: NDArray[np.float64], options: StoryOptions) -> StoryGraph:
    """Links of compared pairs.

    Twice: how crowded the neighbourhood of an article is shows only once its own story is known.
    """
    setting = (options.crowd_nearest, options.crowd_absent)
    label = np.arange(among.articles.num_rows)
    link = similarity.scale_locally(*pairs, score, label, *setting, FIRST_SHARE)
    graph = StoryGraph(among.articles, *_strong(pairs, link))
    label, _ = group(graph, among.form, FIRST_CUT)
    link = similarity.scale_locally(*pairs, score, label, *setting, options.crowd_share)
    return StoryGraph(among.articles, *_strong(pairs, link))


def story_graph(gathered: pa.Table, options: StoryOptions) -> StoryGraph:
    """Links among the articles whose features (FEATURES) are given, in whatever order those come."""
    among = chosen(gathered, np.arange(gathered.num_rows), gathered["copy_id"].to_numpy())
    pairs = nearest(among, options)
    return linked(among, pairs, compared(pairs, among), options)


def _strong(
    pairs: similarity.Pairs, link: NDArray[np.float64]
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]:
    """Pairs that are linked at all, and how."""
    strong = link > 0
    return pairs.left[strong], pairs.right[strong], link[strong]


def mapped_heavy(part: pa.Table) -> similarity.Vectors:
    """The heaviest terms of all rows of one block (BLOCK_FEATURES), not copied."""
    part = part.select(_HEAVY).combine_chunks()
    offsets = np.zeros(part.num_rows + 1, np.int64)
    np.cumsum(pc.list_value_length(part["heavy_terms"]).to_numpy(), out=offsets[1:])
    terms, lead, body = (part[name].combine_chunks().flatten().to_numpy() for name in _HEAVY)
    return similarity.Vectors(terms, lead, body, offsets)


def _vectors(gathered: pa.Table, rows: Int64Array) -> similarity.Vectors:
    """The vectors of some rows, copied out of the blocks one by one: they are most of the memory."""
    offsets = np.zeros(len(rows) + 1, np.int64)
    lengths = pc.list_value_length(gathered["terms"]).to_numpy()
    np.cumsum(lengths[rows], out=offsets[1:])
    starts = np.full(len(lengths), -1, np.int64)
    starts[rows] = offsets[:-1]
    terms, lead, body = (np.empty(offsets[-1], kind) for kind in (np.uint32, np.float32, np.float32))
    done = 0
    for block in gathered.select(_VECTORS).to_batches():
        stop = done + block.num_rows
        for name, out in zip(_VECTORS, (terms, lead, body), strict=True):
            values = block[name].flatten().to_numpy()
            similarity.place(values.view(np.uint32), lengths[done:stop], starts[done:stop], out.view(np.uint32))
        done = stop
    return similarity.Vectors(terms, lead, body, offsets)


def label_stories(gathered: pa.Table, copy_ids: Int64Array, options: StoryOptions) -> pa.Table:
    """Stories (STORY_LABELS) of the copies whose features are given; copies without features stay alone.

    Args:
      gathered: FEATURES, in whatever order.
      copy_ids: every copy, ascending.
      options: the setting.
    """
    return label_graph(story_graph(gathered, options), copy_ids, options.cut)


def label_graph(graph: StoryGraph, copy_ids: Int64Array, cut: float) -> pa.Table:
    """Stories (STORY_LABELS) of linked articles, ascending.

    Args:
      graph: the articles and their links.
      copy_ids: every copy, ascending; those that are not in the graph stay alone.
      cut: least link at which two groups become one.
    """
    label, weakest = group(graph, graph.articles["format"].to_numpy(), cut)
    labels = describe(graph, label, weakest)
    absent = np.setdiff1d(copy_ids, labels["copy_id"].to_numpy(), assume_unique=True)
    return pa.concat_tables([labels, alone(absent)]).sort_by("copy_id").combine_chunks()


def describe(graph: StoryGraph, label: Int64Array, weakest: NDArray[np.float64]) -> pa.Table:
    """Stories (STORY_LABELS) of linked articles, in their order.

    A story is represented by the copy of the highest mean link to the rest; of equal ones by the earliest, then by the
    smallest id. Round-ups and live pages never do, unless they are alone.

    Args:
      graph: the articles and their links.
      label: the story of each article, one of its members.
      weakest: the lowest link of that.
    """
    here, form = graph.articles["copy_id"].to_numpy(), graph.articles["format"].to_numpy()
    edges = (label, graph.left, graph.right, graph.link)
    score = agglomerate.mean_links(*edges).astype(np.float32)
    rival, rival_score = agglomerate.best_other(*edges, np.inf)
    order = np.lexsort((np.arange(len(label)), -score, formats.is_late(form), label))
    starts = np.flatnonzero(np.diff(label[order], prepend=-1))
    number = np.empty(len(label), np.int64)  # of the story of each article
    number[order] = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(order)))
    story = _story_ids(here, number)[number]
    lead = np.zeros(len(label), np.bool_)
    lead[order[starts]] = True
    told = pa.array(number, mask=~lead)
    names, terms = (lists.take(told) for lists in telling.tell(graph.articles, order, starts))
    columns = {
        "copy_id": here,
        "story_id": story,
        "score": score,
        "lead": lead,
        "format": form,
        "rival": pa.array(story[rival], mask=rival < 0),
        "rival_score": pa.array(rival_score.astype(np.float32), mask=rival < 0),
        "weakest_link": pa.array(weakest.astype(np.float32), mask=np.bincount(label)[label] == 1),
        "names": names,
        "terms": terms,
    }
    return pa.table(columns, schema=blocks.STORY_LABELS)


def _story_ids(copy_ids: Int64Array, number: Int64Array) -> Int64Array:
    """The id of each story, of the copies in it; `number` is the story of each copy, from 0 on."""
    order = np.lexsort((copy_ids, number))
    members = np.split(copy_ids[order], np.flatnonzero(np.diff(number[order])) + 1) if len(order) else []
    return np.array([ids.group_id("story", each.tolist()) for each in members], np.int64)


def group(graph: StoryGraph, form: NDArray[np.uint8], cut: float) -> tuple[Int64Array, NDArray[np.float64]]:
    """Stories of a graph as labels, and the lowest link of each; what is late joins its best story at the end.

    A story may be larger than the candidates of an article are many: beyond `LATE_MATES` its size does not count.
    """
    count, late = len(form), formats.is_late(form)
    edges = (graph.left, graph.right, graph.link)
    first = ~(late[graph.left] | late[graph.right])
    label, weakest = agglomerate.agglomerate(count, graph.left[first], graph.right[first], graph.link[first], cut)
    once = ~(late[graph.left] & late[graph.right])
    best, link = agglomerate.best_other(label, *(column[once] for column in edges), LATE_MATES)
    joins = late & (link >= cut)
    label[joins] = best[joins]
    np.minimum.at(weakest, label[joins], link[joins])  # of the member that names the story, then of all
    return label, weakest[label]


def alone(copy_ids: Int64Array, story_ids: Int64Array | None = None) -> pa.Table:
    """Labels of copies that are a story each, or of a story that nothing new was found of."""
    columns: dict[str, Any] = {
        name: pa.nulls(len(copy_ids), kind)
        for name, kind in zip(blocks.STORY_LABELS.names, blocks.STORY_LABELS.types, strict=True)
    }
    columns["copy_id"] = copy_ids
    if story_ids is None:
        story_ids = np.array([ids.group_id("story", [copy]) for copy in copy_ids.tolist()], np.int64)
    columns["story_id"] = story_ids
    columns["score"] = np.ones(len(copy_ids), np.float32)
    columns["lead"] = np.ones(len(copy_ids), np.bool_)
    columns["format"] = np.zeros(len(copy_ids), np.uint8)
    return pa.table(columns, schema=blocks.STORY_LABELS)
