"""What each article is to its copy: the copy's id, who represents it, how the article relates to that one."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas.blocks import COPY_LABELS
from schemas.ids import group_id, is_among
from schemas.labels import RELATION_CODES, Relation
from transforms.cluster.components import components, renamed

Int64Array = NDArray[np.int64]

JOINED = pa.schema(
    [
        pa.field("article_id", pa.int64(), nullable=False),
        pa.field("root", pa.int64(), nullable=False),  # the smallest id of the copy
        pa.field("weakest_link", pa.float32(), nullable=False),
    ]
)
CLONE = 0.999  # coverage of both sides from which two articles are one text
_NONE = -1  # no id


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
    clone = np.minimum(links["left_coverage"].to_numpy(), links["right_coverage"].to_numpy()) >= CLONE
    if not clone.any():
        return
    ids, text = components(left[clone], right[clone])
    open_ = np.flatnonzero((representative != article) & ~scored)
    near, far = renamed(article[open_], ids, text), renamed(representative[open_], ids, text)
    left, right = renamed(left, ids, text), renamed(right, ids, text)
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
