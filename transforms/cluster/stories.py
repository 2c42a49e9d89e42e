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
from numpy.typing import NDArray

from schemas import blocks, ids
from schemas.blocks import BlockRef, StoredTable
from transforms.cluster import agglomerate, events, neighbours, similarity, terms
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
    ]
)


@dataclass(frozen=True)
class StoryOptions:
    """How copies are gathered into stories."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    enabled: bool = True  # off: every copy is a story of its own
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
    """Articles in order of time, and the links among them."""

    copy_ids: Int64Array
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    link: NDArray[np.float64]


@dataclass(eq=False)
class ClusterStories(beam.PTransform):  # type: ignore[misc]
    """Stories of copies, as one stored table of STORY_LABELS; every copy has a row.

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
    vectors = similarity.vectors(
        terms.tokenise(articles["headline"]), terms.tokenise(articles["text"], options.text_terms), background()
    )
    days = events.days_of(articles)
    offsets = pa.array(vectors.offsets, pa.int32())
    lists = [pa.ListArray.from_arrays(offsets, pa.array(values)) for values in vectors[:3]]
    return pa.Table.from_arrays([articles["copy_id"].combine_chunks(), *map(pa.array, days), *lists], schema=FEATURES)


def story_graph(gathered: pa.Table, options: StoryOptions) -> StoryGraph:
    """Links among the articles whose features are given, in whatever order those come."""
    order = np.lexsort((gathered["copy_id"].to_numpy(), gathered["last_day"].to_numpy()))  # unknown days stand last
    rows = gathered.take(pa.array(order)).combine_chunks()
    count = rows.num_rows
    days = events.Days(*(rows[name].to_numpy() for name in ("first_day", "last_day", "weekdays")))
    words, lead, body = (rows[name].combine_chunks() for name in ("terms", "lead", "body"))
    offsets = np.concatenate([[0], np.cumsum(words.value_lengths().to_numpy())]).astype(np.int64)
    words_flat, lead_flat, body_flat = (column.flatten().to_numpy() for column in (words, lead, body))
    vectors = similarity.Vectors(words_flat, lead_flat, body_flat, offsets)
    pairs = neighbours.neighbours(neighbours.heaviest(vectors), options.neighbours, options.floor, options.posting_cap)
    factor = events.agreements(pairs.left, pairs.right, days, events.Agreement())
    score = similarity.similarities(pairs, factor, vectors)
    link = similarity.scale_locally(
        pairs.left, pairs.right, score, count, options.crowd_nearest, options.crowd_floor, options.crowd_share
    )
    strong = link > 0
    return StoryGraph(rows["copy_id"].to_numpy(), pairs.left[strong], pairs.right[strong], link[strong])


def label_stories(gathered: pa.Table, copy_ids: Int64Array, options: StoryOptions) -> pa.Table:
    """Stories (STORY_LABELS) of the copies whose features are given; copies without features stay alone.

    A story is represented by the copy of the highest mean link to the rest; of equal ones by the earliest, then by the
    smallest id.

    Args:
      gathered: FEATURES, in whatever order.
      copy_ids: every copy, ascending.
      options: the setting.
    """
    graph = story_graph(gathered, options)
    label = agglomerate.agglomerate(len(graph.copy_ids), graph.left, graph.right, graph.link, options.cut)
    score = agglomerate.mean_links(label, graph.left, graph.right, graph.link).astype(np.float32)
    story = np.array([ids.group_id("story", [copy]) for copy in copy_ids.tolist()], np.int64)
    scores, lead = np.ones(len(copy_ids), np.float32), np.ones(len(copy_ids), np.bool_)
    order = np.lexsort((np.arange(len(label)), -score, label))
    starts = np.flatnonzero(np.diff(label[order], prepend=-1))
    at = np.searchsorted(copy_ids, graph.copy_ids)
    for members in np.split(order, starts[1:]):
        if len(members) > 1:
            places = at[members]
            story[places] = ids.group_id("story", graph.copy_ids[members].tolist())
            scores[places] = score[members]
            lead[places[1:]] = False
    return pa.Table.from_arrays(
        [pa.array(copy_ids, pa.int64()), pa.array(story), pa.array(scores), pa.array(lead)], schema=blocks.STORY_LABELS
    )
