"""Stories: copies that report the same event, in whatever words.

One representative a copy becomes a row of features (terms with their mass, days) in its own block; a single step then
gathers the rows of all blocks, finds each article's nearest, weighs them by what they say of the days and by how
crowded their neighbourhoods are, and agglomerates. Nothing here is trained; the constants were set on labelled
stories of seven sources, one setting for all of them (docs/results.md).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas import blocks, ids
from schemas.blocks import BlockRef, StoredTable
from transforms.cluster import agglomerate, events, formats, neighbours, similarity, words
from transforms.cluster.terms import tokenise
from transforms.cluster.vocabulary import background

Int64Array = NDArray[np.int64]

FEATURES = pa.schema(
    [
        pa.field("copy_id", pa.int64(), nullable=False),
        pa.field("first_day", pa.int32(), nullable=False),  # events.Days
        pa.field("last_day", pa.int32(), nullable=False),
        pa.field("weekdays", pa.uint8(), nullable=False),
        pa.field("terms", pa.list_(pa.uint32()), nullable=False),  # similarity.Vectors
        pa.field("lead", pa.list_(pa.float32()), nullable=False),
        pa.field("body", pa.list_(pa.float32()), nullable=False),
        pa.field("format", pa.uint8(), nullable=False),  # FORMAT_CODES
        pa.field("names", pa.list_(pa.string()), nullable=False),  # words.Words
        pa.field("words", pa.list_(pa.string()), nullable=False),
        pa.field("word_terms", pa.list_(pa.uint32()), nullable=False),
        pa.field("word_mass", pa.list_(pa.float32()), nullable=False),
    ]
)

_LATE_MATES = 10.0  # as many as make a neighbourhood (`crowd_nearest`); 3 to 15 score alike, 30 lower


@dataclass(frozen=True)
class StoryOptions:
    """How copies are gathered into stories."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    enabled: bool = True  # off: no article has a story, and the table is empty
    cut: float = 0.065  # least link at which two groups become one; .06 to .075 score alike
    neighbours: int = 30  # candidates of an article
    floor: float = 0.02  # least similarity of a candidate
    crowd_share: float = 0.25  # how much of the crowding of two neighbourhoods is taken from a similarity
    crowd_nearest: int = 10  # articles that make the neighbourhood
    crowd_floor: float = 0.12  # least crowding: keeps small runs from merging
    text_terms: int = 2000  # terms of a text that count
    posting_cap: int = 1000  # articles tried through one term: the nearest in time

    def __post_init__(self) -> None:
        """Refuse values that make no sense.

        Raises:
          ValueError: names the option and what is allowed.
        """
        if not 0 < self.cut <= 1:
            raise ValueError(f"cut must be above 0 and at most 1, not {self.cut}")
        for name in ("floor", "crowd_share", "crowd_floor"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be within 0..1, not {getattr(self, name)}")
        for name, bound in (("neighbours", 1), ("crowd_nearest", 1), ("text_terms", 1), ("posting_cap", 2)):
            if getattr(self, name) < bound:
                raise ValueError(f"{name} must be {bound} or more, not {getattr(self, name)}")


class StoryGraph(NamedTuple):
    """Articles (FEATURES) in order of time, and the links among them."""

    articles: pa.Table
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    link: NDArray[np.float64]


@dataclass(eq=False)
class ClusterStories(beam.PTransform):  # type: ignore[misc]
    """Stories of copies, as one stored table of STORY_LABELS; every copy has a row, or none when switched off.

    Takes a dict: `blocks` (clean blocks) and `copies` (one StoredTable of COPY_LABELS).
    """

    options: StoryOptions
    scratch: str

    @beam.typehints.no_annotations  # Beam warns of hints that are dicts
    def expand(self, inputs: dict[str, beam.PCollection]) -> beam.PCollection:
        """Wire."""
        copies = beam.pvalue.AsSingleton(inputs["copies"])
        features = inputs["blocks"] | "Features" >> beam.Map(
            store_features, copies, self.options, self.scratch
        ).with_output_types(StoredTable)
        return inputs["copies"] | "Cluster" >> beam.Map(
            store_stories, beam.pvalue.AsIter(features), self.options, self.scratch
        ).with_output_types(StoredTable)


def store_features(block: BlockRef, copies: StoredTable, options: StoryOptions, scratch: str) -> StoredTable:
    """Store the features of the articles of one block that represent their copy."""
    rows = representatives(blocks.load(block.part("articles")), blocks.load(copies.path))
    return blocks.store_new(features(rows, options) if options.enabled else blocks.empty(FEATURES), scratch, "stories")


def store_stories(
    copies: StoredTable, parts: Iterable[StoredTable], options: StoryOptions, scratch: str
) -> StoredTable:
    """Cluster the features of all blocks and store the labels."""
    if not options.enabled:
        return blocks.store_new(blocks.empty(blocks.STORY_LABELS), scratch, "story-labels")
    gathered = blocks.concat([blocks.load(part.path) for part in parts], FEATURES)
    copy_ids = np.unique(blocks.load(copies.path)["copy_id"].to_numpy())
    return blocks.store_new(label_stories(gathered, copy_ids, options), scratch, "story-labels")


def representatives(articles: pa.Table, copies: pa.Table) -> pa.Table:
    """Rows of a block (CLEAN) that represent their copy (COPY_LABELS), with the `copy_id` of each."""
    wanted = copies["article_id"].to_numpy()
    chosen = wanted == copies["representative"].to_numpy()
    wanted, copy_ids = wanted[chosen], copies["copy_id"].to_numpy()[chosen]
    here = articles["article_id"].to_numpy()
    at = np.minimum(np.searchsorted(wanted, here), max(0, len(wanted) - 1))
    kept = wanted[at] == here if len(wanted) else np.zeros(len(here), np.bool_)
    rows = articles.filter(pa.array(kept))
    return rows.append_column("copy_id", pa.array(copy_ids[at[kept]], pa.int64()))


def features(articles: pa.Table, options: StoryOptions) -> pa.Table:
    """Features (FEATURES) of clean articles that carry a `copy_id`."""
    articles = articles.combine_chunks()
    headlines, texts = (articles[name].combine_chunks().fill_null("") for name in ("headline", "text"))
    head, text = tokenise(headlines), tokenise(texts, options.text_terms)
    vectors = similarity.vectors(head, text, background())
    days = events.days_of(articles)
    offsets = pa.array(vectors.offsets, pa.int32())
    lists = [pa.ListArray.from_arrays(offsets, pa.array(values)) for values in vectors[:3]]
    form = pa.array(formats.formats_of(headlines))
    told = words.words_of(headlines, texts, head, text, vectors)
    columns = [articles["copy_id"].combine_chunks(), *map(pa.array, days), *lists, form, *told]
    return pa.Table.from_arrays(columns, schema=FEATURES)


def story_graph(gathered: pa.Table, options: StoryOptions) -> StoryGraph:
    """Links among the articles whose features are given, in whatever order those come."""
    order = np.lexsort((gathered["copy_id"].to_numpy(), gathered["last_day"].to_numpy()))  # unknown days stand last
    rows = gathered.take(pa.array(order)).combine_chunks()
    count = rows.num_rows
    days = events.Days(*(rows[name].to_numpy() for name in ("first_day", "last_day", "weekdays")))
    term, lead, body = (rows[name].combine_chunks().flatten().to_numpy() for name in ("terms", "lead", "body"))
    lengths = pc.list_value_length(rows["terms"]).to_numpy()
    vectors = similarity.Vectors(term, lead, body, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))
    pairs = neighbours.neighbours(neighbours.heaviest(vectors), options.neighbours, options.floor, options.posting_cap)
    factor = events.agreements(pairs.left, pairs.right, days, events.Agreement())
    factor *= formats.agreements(pairs.left, pairs.right, rows["format"].to_numpy(), days.last)
    score = similarity.similarities(pairs, factor, vectors)
    link = similarity.scale_locally(
        pairs.left, pairs.right, score, count, options.crowd_nearest, options.crowd_floor, options.crowd_share
    )
    strong = link > 0
    return StoryGraph(rows, pairs.left[strong], pairs.right[strong], link[strong])


def label_stories(gathered: pa.Table, copy_ids: Int64Array, options: StoryOptions) -> pa.Table:
    """Stories (STORY_LABELS) of the copies whose features are given; copies without features stay alone.

    A story is represented by the copy of the highest mean link to the rest; of equal ones by the earliest, then by the
    smallest id. Round-ups and live pages never do, unless they are alone.

    Args:
      gathered: FEATURES, in whatever order.
      copy_ids: every copy, ascending.
      options: the setting.
    """
    graph = story_graph(gathered, options)
    here, form = graph.articles["copy_id"].to_numpy(), graph.articles["format"].to_numpy()
    label, weakest = group(graph, form, options.cut)
    edges = (label, graph.left, graph.right, graph.link)
    score = agglomerate.mean_links(*edges).astype(np.float32)
    rival, rival_score = agglomerate.best_other(*edges, np.inf)
    order = np.lexsort((np.arange(len(label)), -score, formats.is_late(form), label))
    starts = np.flatnonzero(np.diff(label[order], prepend=-1))
    lead = np.zeros(len(label), np.bool_)
    lead[order[starts]] = True
    story = np.empty(len(label), np.int64)
    names: list[list[str] | None] = [None] * len(label)
    terms: list[list[str] | None] = [None] * len(label)
    told = words.Teller(graph.articles)
    for members in np.split(order, starts[1:]) if len(order) else []:
        story[members] = ids.group_id("story", here[members].tolist())
        names[members[0]], terms[members[0]] = told.tell(members.tolist())
    columns = {
        "copy_id": here,
        "story_id": story,
        "score": score,
        "lead": lead,
        "format": form,
        "rival": pa.array(story[rival], mask=rival < 0),
        "rival_score": pa.array(rival_score.astype(np.float32), mask=rival < 0),
        "weakest_link": pa.array(weakest.astype(np.float32), mask=np.bincount(label)[label] == 1),
        "names": pa.array(names, pa.list_(pa.string())),
        "terms": pa.array(terms, pa.list_(pa.string())),
    }
    labels = pa.table(columns, schema=blocks.STORY_LABELS)
    absent = np.setdiff1d(copy_ids, here, assume_unique=True)
    return pa.concat_tables([labels, _alone(absent)]).sort_by("copy_id").combine_chunks()


def group(graph: StoryGraph, form: NDArray[np.uint8], cut: float) -> tuple[Int64Array, NDArray[np.float64]]:
    """Stories of a graph as labels, and the lowest link of each; what is late joins its best story at the end.

    A story may be larger than the candidates of an article are many: beyond `_LATE_MATES` its size does not count.
    """
    count, late = len(form), formats.is_late(form)
    edges = (graph.left, graph.right, graph.link)
    first = ~(late[graph.left] | late[graph.right])
    label, weakest = agglomerate.agglomerate(count, *(column[first] for column in edges), cut)
    once = ~(late[graph.left] & late[graph.right])
    best, link = agglomerate.best_other(label, *(column[once] for column in edges), _LATE_MATES)
    joins = late & (link >= cut)
    label[joins] = best[joins]
    np.minimum.at(weakest, label[joins], link[joins])  # of the member that names the story, then of all
    return label, weakest[label]


def _alone(copy_ids: Int64Array) -> pa.Table:
    """Labels of copies that are a story each."""
    columns: dict[str, Any] = {
        name: pa.nulls(len(copy_ids), kind)
        for name, kind in zip(blocks.STORY_LABELS.names, blocks.STORY_LABELS.types, strict=True)
    }
    columns["copy_id"] = copy_ids
    columns["story_id"] = np.array([ids.group_id("story", [copy]) for copy in copy_ids.tolist()], np.int64)
    columns["score"] = np.ones(len(copy_ids), np.float32)
    columns["lead"] = np.ones(len(copy_ids), np.bool_)
    columns["format"] = np.zeros(len(copy_ids), np.uint8)
    return pa.table(columns, schema=blocks.STORY_LABELS)
