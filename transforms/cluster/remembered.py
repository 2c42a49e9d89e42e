"""How like each other kept articles were when they were compared: read from the state, and left for later runs."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.io.filesystems import FileSystems
from numpy.typing import NDArray

from schemas.ids import is_among
from schemas.state import SIMILAR, Kept, kept_articles
from schemas.window import is_recent
from transforms.cluster.spoken import Copies

Float64Array = NDArray[np.float64]
Int64Array = NDArray[np.int64]

PAIRS = pa.schema(SIMILAR.fields)
_STORED = 16  # pairs of an article that later runs remember


def similar_pairs(kept: Kept) -> pa.Table:
    """The pairs that earlier runs left."""
    if not kept.similar:
        return PAIRS.empty_table()
    with FileSystems.open(kept.similar, "application/octet-stream", "uncompressed") as source:
        return pq.read_table(pa.BufferReader(source.read()), schema=PAIRS)


def stored_pairs(earlier: pa.Table, articles: Int64Array) -> tuple[Int64Array, Int64Array, Float64Array]:
    """Stored pairs of which one is among some articles."""
    left, right = earlier["left"].to_numpy(), earlier["right"].to_numpy()
    wanted = is_among(left, articles) | is_among(right, articles)
    return left[wanted], right[wanted], earlier["score"].to_numpy()[wanted].astype(np.float64)


def remembered(  # noqa: PLR0913, PLR0917 -- what decides on it
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
    made = pa.table([low, high, score[strong].astype(np.float32)], schema=PAIRS)
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
