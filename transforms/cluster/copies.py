"""Copies: verified pairs become groups of articles whose body comes from one text.

Inside each connected component: digests lose their edges to unrelated groups, edges below the strict threshold fall
away, what still hangs together is clustered by average linkage at a looser cut. So a lone pair is judged strictly, an
article in a larger group with the support of the others.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import apache_beam as beam
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.blocks import StoredTable, concat, load, store_new
from schemas.ids import is_among
from schemas.state import NOTHING_KEPT, Kept, kept_articles
from transforms.cluster.components import SpanForest, components, renamed
from transforms.cluster.copylabels import CLONE, JOINED, label
from transforms.cluster.digests import digest_edges
from transforms.cluster.linkage import average_linkage
from transforms.cluster.links import LINKS

Int64Array = NDArray[np.int64]


@dataclass(frozen=True)
class CopyOptions:
    """How strictly verified pairs are joined. Source of the defaults: measured on simulated and real pairs together."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    strict: float = 0.33  # score of an edge that holds a component together
    cut: float = 0.23  # average link down to which groups are joined
    related: float = 0.1  # score from which two neighbours of a digest belong to one group
    digest: float = 0.4  # a group that covers less of an article (median) may be one of a digest's items
    largest: int = 4096  # nodes that are clustered exactly; a larger component is split first
    buckets: int = 16  # that components are clustered in

    def __post_init__(self) -> None:
        """Refuse values that make no sense.

        Raises:
          ValueError: names the option and what is allowed.
        """
        for name in ("strict", "cut", "related", "digest"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be within 0..1, not {getattr(self, name)}")
        for name, bound in (("largest", 2), ("buckets", 1)):
            if getattr(self, name) < bound:
                raise ValueError(f"{name} must be {bound} or more, not {getattr(self, name)}")


@dataclass(eq=False)
class ClusterCopies(beam.PTransform):  # type: ignore[misc]
    """Linked articles → one StoredTable of COPY_LABELS, a row for every article of the catalog.

    Takes a dict: `links` (as LinkArticles gives them) and `catalog` (one StoredTable of CATALOG rows, ascending). Only
    components that hold a new article are joined; elsewhere kept articles keep their labels.
    """

    options: CopyOptions
    scratch: str
    kept: Kept = NOTHING_KEPT

    @beam.typehints.no_annotations  # Beam warns of hints that are dicts
    def expand(self, inputs: dict[str, beam.PCollection]) -> beam.PCollection:
        """Wire."""
        links = inputs["links"]
        parts = (
            links
            | "Components" >> beam.CombineGlobally(SpanForest())
            | "Touched" >> beam.Map(touched, self.kept).with_output_types(pa.Table)
        )
        joined = (
            links
            | "Home"
            >> beam.FlatMap(by_component, beam.pvalue.AsSingleton(parts), self.options.buckets).with_output_types(
                tuple[int, pa.Table]
            )
            | "Bucket" >> beam.GroupByKey()
            | "Join" >> beam.Map(join_bucket, self.options).with_output_types(tuple[pa.Table, pa.Table])
        )
        sides = [beam.pvalue.AsSingleton(inputs["catalog"]), beam.pvalue.AsIter(joined), beam.pvalue.AsSingleton(parts)]
        once = links.pipeline | "Once" >> beam.Impulse()
        return once | "Label" >> beam.Map(_label, *sides, self.kept, self.scratch).with_output_types(StoredTable)


def touched(parts: pa.Table, kept: Kept) -> pa.Table:
    """COMPONENTS rows of the components that hold an article that is not kept."""
    new = ~is_among(parts["article_id"].to_numpy(), kept_articles(kept)["article_id"].to_numpy())
    component = parts["component"].to_numpy()
    return parts.filter(pa.array(is_among(component, np.unique(component[new]))))


def by_component(links: pa.Table, parts: pa.Table, buckets: int) -> Iterator[tuple[int, pa.Table]]:
    """Spread the links of some components over buckets so that a component is in one; other links fall away."""
    article = parts["article_id"].to_numpy()
    links = links.filter(pa.array(is_among(links["left"].to_numpy(), article)))
    component = parts["component"].to_numpy()[np.searchsorted(article, links["left"].to_numpy())]
    for bucket in range(buckets):
        part = links.filter(pa.array(component % buckets == bucket))
        if part.num_rows:
            yield bucket, part


def join_bucket(bucket: tuple[int, Iterable[pa.Table]], options: CopyOptions) -> tuple[pa.Table, pa.Table]:
    """Cluster all components of a bucket; returns JOINED rows and the links inside the copies."""
    return join(pa.concat_tables([LINKS.empty_table(), *bucket[1]]), options)


def join(links: pa.Table, options: CopyOptions) -> tuple[pa.Table, pa.Table]:
    """Cluster whole components.

    Args:
      links: LINKS rows, each pair once, in any order.
      options: the thresholds.

    Returns:
      JOINED rows of the articles that are in a copy with others, ascending, and the links inside copies.
    """
    links = links.sort_by([("left", "ascending"), ("right", "ascending")])
    left, right = links["left"].to_numpy(), links["right"].to_numpy()
    score = links["score"].to_numpy().astype(np.float64)
    covered = links["left_coverage"].to_numpy(), links["right_coverage"].to_numpy()
    alive = ~digest_edges(left, right, score, covered, options.related, options.digest)
    clone = (np.minimum(*covered) >= CLONE) & alive
    ids, text = components(left[clone], right[clone]) if clone.any() else (left[:0], left[:0])
    a, b = renamed(left, ids, text), renamed(right, ids, text)
    rows = []
    for members, edges in _pieces(a, b, score, alive, options):
        size = (
            np.array([max(1, np.count_nonzero(text == member)) for member in members])
            if ids.size
            else np.ones(members.size, np.int64)
        )
        ends = np.searchsorted(members, a[edges]), np.searchsorted(members, b[edges])
        root, weakest = average_linkage(*_strongest(*ends, score[edges], members.size), size, options.cut)
        rows.append((members, members[root], weakest))
    member, root, weakest = (np.concatenate(part) for part in zip((left[:0], left[:0], score[:0]), *rows, strict=True))
    clones = np.setdiff1d(ids, member)
    article = np.concatenate([member, clones])
    home = renamed(renamed(article, ids, text), member, root)
    link = np.concatenate([weakest, np.ones(clones.size)])
    order = np.argsort(article)
    article, home, link = article[order], home[order], link[order]
    lowest = dict(zip(home[np.lexsort((-link, home))].tolist(), link[np.lexsort((-link, home))].tolist(), strict=True))
    _, back, counts = np.unique(home, return_inverse=True, return_counts=True)
    grouped = counts[back] > 1
    joined = pa.table([article, home, np.array([lowest[h] for h in home.tolist()], np.float32)], schema=JOINED).filter(
        pa.array(grouped)
    )
    inside = renamed(left, article, home) == renamed(right, article, home)
    return joined, links.filter(pa.array(inside))


def _strongest(
    a: Int64Array, b: Int64Array, score: NDArray[np.float64], nodes: int
) -> tuple[Int64Array, Int64Array, NDArray[np.float64]]:
    """Of several edges between two nodes (clones had one each) the strongest."""
    low, high = np.minimum(a, b), np.maximum(a, b)
    order = np.lexsort((-score, low * nodes + high))
    _, first = np.unique((low * nodes + high)[order], return_index=True)
    chosen = order[first]
    chosen = chosen[low[chosen] != high[chosen]]
    return low[chosen], high[chosen], score[chosen]


def _pieces(
    a: Int64Array, b: Int64Array, score: NDArray[np.float64], alive: NDArray[np.bool_], options: CopyOptions
) -> Iterator[tuple[Int64Array, Int64Array]]:
    """Components over strict edges: their members, ascending and at most `largest`, and numbers of the edges inside."""
    work = [(np.flatnonzero(alive & (a != b)), options.strict)]
    while work:
        edges, threshold = work.pop()
        strict = edges[score[edges] >= threshold]
        if not strict.size:
            continue
        ids, component = components(a[strict], b[strict])
        home_a, home_b = renamed(a[edges], ids, component), renamed(b[edges], ids, component)
        inside = (home_a == home_b) & np.isin(home_a, component)
        order = np.argsort(home_a[inside], kind="stable")
        grouped, homes = edges[inside][order], home_a[inside][order]
        starts = np.flatnonzero(np.concatenate([[True], homes[1:] != homes[:-1]]))
        by_home = np.argsort(component, kind="stable")
        bounds = np.flatnonzero(np.concatenate([[True], component[by_home][1:] != component[by_home][:-1]]))
        for members, piece in zip(np.split(ids[by_home], bounds[1:]), np.split(grouped, starts[1:]), strict=True):
            if members.size <= options.largest:
                yield members, piece
            elif threshold < 1:
                work.append((piece, min(1.0, threshold + 0.1)))
            else:  # versions of one page: neighbours in id order are paired, and the square of them all may not fit
                for start in range(0, members.size, options.largest):
                    run = members[start : start + options.largest]
                    yield run, piece[np.isin(a[piece], run) & np.isin(b[piece], run)]


def store_labels(
    catalog: StoredTable, buckets: Iterable[tuple[pa.Table, pa.Table]], parts: pa.Table, kept: Kept, scratch: str
) -> StoredTable:
    """Label every article of the catalog and store the labels; `buckets` are what `join_bucket` gave for each."""
    joined, links = zip(*buckets, strict=True) if (buckets := list(buckets)) else ((), ())
    earlier = kept_articles(kept)
    labels = label(
        load(catalog.path), concat(joined, JOINED), concat(links, LINKS), earlier, parts["article_id"].to_numpy()
    )
    return store_new(labels, scratch, "copies")


def _label(_once: bytes, *arguments: Any) -> StoredTable:
    return store_labels(*arguments)
