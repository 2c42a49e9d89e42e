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
import pyarrow.compute as pc
import pyarrow.parquet as pq
from apache_beam.io.filesystems import FileSystems
from numpy.typing import NDArray

from schemas.barriers import Merge
from schemas.blocks import COPY_LABELS, SETTLED, BlockRef, StoredTable, concat, load, store_new
from schemas.ids import group_id, is_among, parse_ids
from schemas.labels import RELATION_CODES, Relation
from schemas.state import LINKS as KEPT_LINKS
from schemas.state import NOTHING_KEPT, Kept, StatePart, kept_articles
from schemas.tables import PAIRS as TABLE_PAIRS
from transforms.cluster.components import SpanForest, components
from transforms.cluster.digests import digest_edges
from transforms.cluster.linkage import average_linkage

Int64Array = NDArray[np.int64]

LINKS = pa.schema(KEPT_LINKS.fields)
JOINED = pa.schema(
    [
        pa.field("article_id", pa.int64(), nullable=False),
        pa.field("root", pa.int64(), nullable=False),  # the smallest id of the copy
        pa.field("weakest_link", pa.float32(), nullable=False),
    ]
)
_NONE = -1  # no id
_CLONE = 0.999  # coverage of both sides from which two articles are one text


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
class LinkArticles(beam.PTransform):  # type: ignore[misc]
    """Verified pairs → their links and those of earlier runs; gives a dict.

    `links`: LINKS tables. `state`: a StatePart, the same for later runs.
    """

    options: CopyOptions
    kept: Kept
    scratch: str

    def expand(self, pairs: beam.PCollection) -> Any:
        """Wire."""
        new = pairs | "New" >> beam.Map(stored_links, self.options.related).with_output_types(pa.Table)
        old = (
            pairs.pipeline
            | "Earlier" >> beam.Create([self.kept])
            | "Kept" >> beam.Map(kept_links).with_output_types(pa.Table)
        )
        links = (new, old) | "All" >> Merge(pa.Table)
        # Grouped, not a side input: of what is also the main input of a later step FnApiRunner (Beam 2.77) now and then
        # gave none at all as a side input, without an error.
        state = (
            links
            | "One group" >> beam.Map(_keyed).with_output_types(tuple[int, pa.Table])
            | "Gather" >> beam.GroupByKey()
            | "State" >> beam.Map(_store_group, self.scratch).with_output_types(StatePart)
        )
        return {"links": links, "state": state}


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
        return inputs["catalog"] | "Label" >> beam.Map(
            store_labels, beam.pvalue.AsIter(joined), beam.pvalue.AsSingleton(parts), self.kept, self.scratch
        ).with_output_types(StoredTable)


@dataclass(eq=False)
class SettlePairs(beam.PTransform):  # type: ignore[misc]
    """Verified pairs → which of them to write, and their relation, settled by the copies (SETTLED).

    Takes a dict: `pairs` (blocks with a part "pairs") and `labels` (as ClusterCopies gives them).
    """

    quote_words: int = 25  # MatchOptions.quote_words

    @beam.typehints.no_annotations  # Beam warns of hints that are dicts
    def expand(self, inputs: dict[str, beam.PCollection]) -> beam.PCollection:
        """Wire."""
        labels = beam.pvalue.AsSingleton(inputs["labels"])
        return inputs["pairs"] | "Settle" >> beam.Map(settle_stored, labels, self.quote_words).with_output_types(
            pa.Table
        )


def _keyed(links: pa.Table) -> tuple[int, pa.Table]:
    return 0, links


def _store_group(group: tuple[int, Iterable[pa.Table]], scratch: str) -> StatePart:
    return store_links(group[1], scratch)


def stored_links(pairs: BlockRef, least: float) -> pa.Table:
    """`links_of` stored pairs."""
    return links_of(load(pairs.part("pairs")), least)


def links_of(pairs: pa.Table, least: float) -> pa.Table:
    """What clustering needs of the pairs that score at least `least`."""
    return pairs.select(LINKS.names).filter(pa.array(pairs["score"].to_numpy() >= np.float32(least)))


def kept_links(kept: Kept) -> pa.Table:
    """The links of earlier runs whose articles a new one may still join; LINKS.

    An older version left none: then those of the table pairs, which has all that hold copies together.
    """
    if kept.links:
        links = _read(kept.links, LINKS)
    else:
        pairs = [_read(file.path, TABLE_PAIRS.schema) for file in kept.files if file.table == TABLE_PAIRS.name]
        links = concat(map(_links_of_rows, pairs), LINKS)
    known = kept_articles(kept)["article_id"].to_numpy()
    return links.filter(
        pa.array(is_among(links["left"].to_numpy(), known) & is_among(links["right"].to_numpy(), known))
    )


def _links_of_rows(pairs: pa.Table) -> pa.Table:
    """LINKS of rows of the table pairs."""
    names = pa.array([str(relation) for relation in RELATION_CODES])
    relation = pc.index_in(pairs["relation"], names).cast(pa.int8())
    ids = [parse_ids(pairs[name]) for name in ("left_id", "right_id")]
    return pa.table([*ids, relation, *(pairs[name] for name in LINKS.names[3:])], schema=LINKS)


def _read(path: str, schema: pa.Schema) -> pa.Table:
    with FileSystems.open(path, "application/octet-stream", "uncompressed") as source:
        return pq.read_table(pa.BufferReader(source.read()), schema=schema)


def store_links(links: Iterable[pa.Table], scratch: str) -> StatePart:
    """Store all links for later runs."""
    rows = concat(links, LINKS).sort_by([(name, "ascending") for name in KEPT_LINKS.sort])
    return StatePart(KEPT_LINKS.name, 0, store_new(rows, scratch, KEPT_LINKS.name))


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
    clone = (np.minimum(*covered) >= _CLONE) & alive
    ids, text = components(left[clone], right[clone]) if clone.any() else (left[:0], left[:0])
    a, b = _renamed(left, ids, text), _renamed(right, ids, text)
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
    home = _renamed(_renamed(article, ids, text), member, root)
    link = np.concatenate([weakest, np.ones(clones.size)])
    order = np.argsort(article)
    article, home, link = article[order], home[order], link[order]
    lowest = dict(zip(home[np.lexsort((-link, home))].tolist(), link[np.lexsort((-link, home))].tolist(), strict=True))
    _, back, counts = np.unique(home, return_inverse=True, return_counts=True)
    grouped = counts[back] > 1
    joined = pa.table([article, home, np.array([lowest[h] for h in home.tolist()], np.float32)], schema=JOINED).filter(
        pa.array(grouped)
    )
    inside = _renamed(left, article, home) == _renamed(right, article, home)
    return joined, links.filter(pa.array(inside))


def _renamed(ids: Int64Array, known: Int64Array, names: Int64Array) -> Int64Array:
    """Replace the ids that are in `known` (ascending or not) by their names."""
    if not known.size:
        return ids
    order = np.argsort(known, kind="stable")
    at = np.minimum(np.searchsorted(known[order], ids), known.size - 1)
    return np.where(known[order][at] == ids, names[order][at], ids)


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
        home_a, home_b = _renamed(a[edges], ids, component), _renamed(b[edges], ids, component)
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


def label(
    catalog: pa.Table,
    joined: pa.Table,
    links: pa.Table,
    earlier: pa.Table | None = None,
    met: Int64Array | None = None,
) -> pa.Table:
    """Name the copies and choose who represents them.

    The representative is the article that was it before; else that with the earliest known date, then the most words,
    then the smallest id.

    Args:
      catalog: CATALOG rows of all articles, ascending by id.
      joined: JOINED rows of the articles that are in a copy with others.
      links: LINKS rows inside copies.
      earlier: KEPT rows of kept articles, ascending; none by default.
      met: articles of the components that were joined, ascending: other kept ones keep their labels.

    Returns:
      COPY_LABELS rows, ascending.
    """
    article = catalog["article_id"].to_numpy()
    published = catalog["published"].cast(pa.int64()).fill_null(np.iinfo(np.int64).max).to_numpy()
    words = catalog["words"].to_numpy()
    stays, before = _kept_labels(article, earlier, met)
    at = np.searchsorted(article, joined["article_id"].to_numpy())
    root = joined["root"].to_numpy()
    spoke = before["representative"].to_numpy() == article
    order = np.lexsort((article[at], -words[at], published[at], ~spoke[at], root))
    starts = np.flatnonzero(np.concatenate([np.ones(min(1, root.size), bool), root[order][1:] != root[order][:-1]]))
    copy, representative = (
        before["copy_id"].to_numpy().copy(),
        np.where(stays, before["representative"].to_numpy(), article),
    )
    grouped = np.zeros(article.size, bool)
    grouped[at] = True
    lone = ~grouped & ~stays
    copy[lone] = [group_id("copy", [member]) for member in article[lone].tolist()]
    for members in np.split(at[order], starts[1:]) if root.size else []:
        copy[members] = group_id("copy", article[members].tolist())
        representative[members] = article[members[0]]
    weakest = np.zeros(article.size, np.float32)
    weakest[at] = joined["weakest_link"].to_numpy()
    relation, similarity, scored = _to_representative(article, np.where(grouped, representative, article), links)
    _through_clones(article, np.where(grouped, representative, article), links, (relation, similarity, scored))
    fallback = grouped & (representative != article) & ~scored
    relation[fallback] = RELATION_CODES[Relation.VERSION]
    columns = {
        "article_id": article,
        "copy_id": copy,
        "representative": representative,
        "relation": pa.array(relation, mask=~(scored | fallback)),
        "similarity": pa.array(similarity, mask=~scored),
        "weakest_link": pa.array(weakest, mask=~grouped),
    }
    for name in ("relation", "similarity", "weakest_link") if stays.any() else ():
        columns[name] = pc.if_else(pa.array(stays), before[name], columns[name])
    return pa.table(columns, schema=COPY_LABELS)


def _kept_labels(
    article: Int64Array, earlier: pa.Table | None, met: Int64Array | None
) -> tuple[NDArray[np.bool_], dict[str, pa.Array]]:
    """Which articles keep their labels, and the labels that articles had; of those that had none, _NONE or null."""
    known = earlier["article_id"].to_numpy() if earlier is not None else np.zeros(0, np.int64)
    old = is_among(article, known)
    at = pa.array(np.searchsorted(known, article), mask=~old)
    before: dict[str, pa.Array] = {}
    for field in list(COPY_LABELS)[1:]:
        column = pa.nulls(len(article), field.type) if earlier is None else earlier[field.name].take(at)
        column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        before[field.name] = column if field.nullable else column.fill_null(_NONE)
    return old & ~is_among(article, met if met is not None else known[:0]), before


def _to_representative(
    article: Int64Array, representative: Int64Array, links: pa.Table
) -> tuple[NDArray[np.int8], NDArray[np.float32], NDArray[np.bool_]]:
    relation, similarity = np.zeros(article.size, np.int8), np.zeros(article.size, np.float32)
    scored = np.zeros(article.size, bool)
    for near, far in (("left", "right"), ("right", "left")):
        at = np.searchsorted(article, links[near].to_numpy())
        hit = representative[at] == links[far].to_numpy()
        relation[at[hit]] = links["relation"].to_numpy()[hit]
        similarity[at[hit]] = links["score"].to_numpy()[hit]
        scored[at[hit]] = True
    return relation, similarity, scored


def _through_clones(
    article: Int64Array,
    representative: Int64Array,
    links: pa.Table,
    known: tuple[NDArray[np.int8], NDArray[np.float32], NDArray[np.bool_]],
) -> None:
    """Give members that were not compared with the representative what another of the same text is to it, in place.

    Of many articles with the same words only one was compared with the others.
    """
    relation, similarity, scored = known
    left, right = links["left"].to_numpy(), links["right"].to_numpy()
    clone = np.minimum(links["left_coverage"].to_numpy(), links["right_coverage"].to_numpy()) >= _CLONE
    if not clone.any():
        return
    ids, text = components(left[clone], right[clone])
    open_ = np.flatnonzero((representative != article) & ~scored)
    near, far = _renamed(article[open_], ids, text), _renamed(representative[open_], ids, text)
    left, right = _renamed(left, ids, text), _renamed(right, ids, text)
    code, score = links["relation"].to_numpy(), links["score"].to_numpy()
    met = _met(article, left, right)
    order = np.lexsort((code, right, left, score, met))
    strongest = order[np.append(met[order][1:] != met[order][:-1], True)]  # of several links between two texts
    wanted = _met(article, near, far)
    at = strongest[np.minimum(np.searchsorted(met[strongest], wanted), strongest.size - 1)]
    alike, linked = near == far, met[at] == wanted
    relation[open_[linked]], similarity[open_[linked]] = code[at[linked]], score[at[linked]]
    relation[open_[alike]], similarity[open_[alike]] = RELATION_CODES[Relation.SAME], 1.0
    scored[open_[alike | linked]] = True


def _met(article: Int64Array, a: Int64Array, b: Int64Array) -> Int64Array:
    """A number for each pair of articles, the same whichever comes first."""
    one, other = np.searchsorted(article, a), np.searchsorted(article, b)
    return np.minimum(one, other) * article.size + np.maximum(one, other)


def settle_stored(pairs: BlockRef, labels: StoredTable, quote_words: int) -> pa.Table:
    """`settle` stored pairs by stored labels; SETTLED rows."""
    settled = settle(load(pairs.part("pairs")), load(labels.path), quote_words)
    block = pa.DictionaryArray.from_arrays(np.zeros(settled.num_rows, np.int32), [pairs.base])
    return settled.add_column(SETTLED.get_field_index("block"), SETTLED.field("block"), block)


def settle(pairs: pa.Table, labels: pa.Table, quote_words: int) -> pa.Table:
    """Keep the relation of pairs inside a copy; of the others, those with a long shared run quote, the rest go.

    Returns:
      SETTLED rows but for their `block`; `row` points into `pairs`.
    """
    article, copy = labels["article_id"].to_numpy(), labels["copy_id"].to_numpy()
    ids = [pairs[side].to_numpy() for side in ("left", "right")]
    left, right = (copy[np.searchsorted(article, side)] for side in ids)
    together = left == right
    relation = np.where(together, pairs["relation"].to_numpy(), RELATION_CODES[Relation.QUOTES]).astype(np.int8)
    kept = np.flatnonzero(together | (pairs["longest_run"].to_numpy() >= quote_words))
    schema = SETTLED.remove(SETTLED.get_field_index("block"))
    return pa.table([*(side[kept] for side in ids), relation[kept], kept.astype(np.int32)], schema=schema)
