"""What the tables of a dataset tell of its articles, where no run left it in the state: older versions' datasets."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from schemas.blocks import store
from schemas.files import DataFile, read_whole
from schemas.ids import parse_ids
from schemas.labels import Relation
from schemas.state import KEPT, SEEN, Kept, kept_files
from schemas.tables import TABLES
from schemas.window import AHEAD
from transforms.clean.addresses import canonical_url, identity_of

Int64Array = NDArray[np.int64]

_ARTICLES = ["article_id", "copy_id", "story_id", "date_published", "url", "outlet", "words", "copy_relation"]
_ARTICLES += ["copy_similarity", "version"]
_COPIES = ["copy_id", "representative_id", "weakest_link"]
_KINDS = {
    "date_published": pa.timestamp("us", "UTC"),
    "words": pa.int32(),
    "copy_similarity": pa.float32(),
    "weakest_link": pa.float32(),
    "version": pa.int32(),
}
_RELATIONS = pa.array([str(relation) for relation in Relation])


def adopted(kept: Kept, folder: Path) -> Kept:
    """Add the articles of its tables to what a run begins with; their words are in no block.

    Raises:
      ContractMismatch: a file of a table is gone or damaged.
    """
    files = kept_files(kept)
    tables = {
        name: read_columns([file for file in files if file.table == name and file.rows], columns)
        for name, columns in (("articles", _ARTICLES), ("copies", _COPIES))
    }
    articles = tables["articles"].take(pc.sort_indices(tables["articles"]["article_id"]))
    identity = np.array([identity_of(canonical_url(url)) for url in articles["url"].to_pylist()], np.int64)
    times = articles["date_published"].cast(pa.int64())
    believed = times.filter(pc.less_equal(times, kept.now + AHEAD).fill_null(False))
    news = pc.max(believed).as_py() or 0
    rows = kept_rows(articles, tables["copies"], identity, news or kept.now, kept)
    return kept._replace(
        articles=store(rows, str(folder / "kept.arrow")).path,
        seen=(store(seen_rows(articles, identity), str(folder / "adopted.seen.arrow")).path,),
        news=news,
    )


def kept_rows(articles: pa.Table, copies: pa.Table, identity: Int64Array, news: int, kept: Kept) -> pa.Table:
    """KEPT rows of the articles whose story, or copy without stories, has news within the window."""
    made: dict[str, Any] = {name: parse_ids(articles[name]) for name in ("article_id", "copy_id")}
    known = articles["story_id"].is_valid().to_numpy()
    stories = np.zeros(articles.num_rows, np.int64)
    stories[known] = parse_ids(articles["story_id"].drop_null())
    times = articles["date_published"].cast(pa.int64())
    seen = pc.if_else(pc.less_equal(times, kept.now + AHEAD), times, news).fill_null(news)
    _, group = np.unique(np.where(known, stories, made["copy_id"]), return_inverse=True)
    alive = np.zeros(group.max(initial=-1) + 1, bool)
    alive[group[seen.to_numpy() >= news - kept.window]] = True
    place = pc.index_in(articles["copy_id"], copies["copy_id"].combine_chunks()).combine_chunks()
    named = pa.array(parse_ids(copies["representative_id"])).take(place)
    made["representative"] = pc.if_else(named.is_valid(), named, made["article_id"])
    made["weakest_link"] = copies["weakest_link"].take(place)
    made["relation"] = pc.index_in(articles["copy_relation"], _RELATIONS).cast(pa.int8())
    made["similarity"] = articles["copy_similarity"]
    made["story_id"] = pa.array(stories, mask=~known)
    made["identity"] = identity
    made["block"] = pa.array([""] * articles.num_rows, pa.string())
    made["row"] = np.full(articles.num_rows, -1, np.int32)
    made["text"] = np.zeros(articles.num_rows, np.int64)
    made["published"], made["outlet"], made["words"] = (articles[n] for n in ("date_published", "outlet", "words"))
    made["seen"] = seen.cast(pa.timestamp("us", "UTC"))
    return pa.table([made[name] for name in KEPT.names], schema=KEPT).filter(pa.array(alive[group]))


def seen_rows(articles: pa.Table, identity: Int64Array) -> pa.Table:
    """SEEN rows of all articles, ascending, with the versions that the table says.

    An older contract had none: those are the first, in the order of their dates, then of their ids.
    """
    ids = parse_ids(articles["article_id"])
    known = articles["version"].fill_null(0).to_numpy()
    times = articles["date_published"].cast(pa.int64()).fill_null(np.iinfo(np.int64).max).to_numpy()
    order = np.lexsort((ids, times, known, identity))
    same = np.append(False, identity[order][1:] == identity[order][:-1])[: len(ids)] & (identity[order] != 0)
    starts = np.maximum.accumulate(np.where(same, 0, np.arange(len(ids)))) if len(ids) else ids
    version = np.empty(len(ids), np.int32)
    version[order] = np.arange(len(ids)) - starts + 1
    return pa.table([ids, identity, np.where(known, known, version)], schema=pa.schema(SEEN.fields))


def read_columns(files: list[DataFile], columns: list[str]) -> pa.Table:
    """Columns of files of one table, as text where nothing else is said; null where an older contract had none.

    Raises:
      ContractMismatch: a file is gone or damaged.
    """
    schema = pa.schema([(name, _KINDS.get(name, pa.string())) for name in columns])
    tables = [schema.empty_table()]
    for file in files:
        content = pa.BufferReader(read_whole(file))
        tables.append(pq.read_table(content, columns=columns, schema=TABLES[file.table].schema).cast(schema))
    return pa.concat_tables(tables)
