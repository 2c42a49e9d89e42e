"""What a run changes of the rows that earlier runs wrote: few, in new copies of the few files that hold them.

A kept article is written again only when its copy, its story or what it is to its copy changed; its scores in its story
stay those of the run that last wrote it. A copy or story is written again when its articles changed, a story also when
it is closed. Files are found by the date of the rows that change, and looked into by their ids.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from schemas.blocks import StoredTable, load, store_new
from schemas.files import DataFile, read_whole
from schemas.ids import is_among, parse_ids
from schemas.state import Kept, kept_articles
from schemas.tables import ARTICLES, COPIES, STORIES, TABLES
from transforms.write import rows
from transforms.write.partitions import names_of

Int64Array = NDArray[np.int64]

_NONE = -1  # no story
_GONE = pa.schema([pa.field("id", pa.int64(), nullable=False), pa.field("closes", pa.bool_(), nullable=False)])


class Changes(NamedTuple):
    """What a run changes; ids ascending."""

    new: NDArray[np.bool_]  # by row of the articles: no earlier run has it
    relabelled: NDArray[np.bool_]  # by row: it is kept and has other labels now
    copies: Int64Array  # to be written again, or no longer there
    stories: Int64Array  # likewise
    closing: Int64Array  # stories that had no news for long


class Edit(NamedTuple):
    """What is to be changed in the files of one table, and where to look."""

    changed: StoredTable  # articles: their label columns, ascending by id; copies and stories: _GONE, ascending
    partitions: frozenset[str]


def changes_of(order: pa.Table, kept: Kept, newest: int | None) -> Changes:
    """Compare labels with those that earlier runs published.

    Args:
      order: as `rows.article_order` gives it.
      kept: what the run adds to.
      newest: publication, µs.
    """
    earlier = kept_articles(kept)
    every = earlier["article_id"].to_numpy()
    article, copy = order["article_id"].to_numpy(), order["copy_id"].to_numpy()
    story = order["story_id"].fill_null(_NONE).to_numpy()
    old = is_among(article, every)
    known = earlier.take(pa.array(np.searchsorted(every, article[old])))
    copy_then, story_then = copy.copy(), story.copy()
    copy_then[old] = known["copy_id"].to_numpy()
    story_then[old] = known["story_id"].fill_null(_NONE).to_numpy()
    moved = (copy != copy_then) | (story != story_then)
    relabelled = moved.copy()
    for name in ("relation", "similarity"):
        now, then = (table[name].fill_null(_NONE).to_numpy() for table in (order, known))
        relabelled[old] |= now[old] != then
    copies = np.union1d(copy[~old | relabelled], copy_then[moved])
    stories = np.union1d(story[~old | moved], story_then[moved])
    stories = stories[stories != _NONE]
    return Changes(~old, relabelled, copies, stories, np.setdiff1d(_closing(earlier, newest, kept), stories))


def edits(order: pa.Table, changes: Changes, kept: Kept, scratch: str) -> dict[str, Edit]:
    """What is to be changed in the files of each table that earlier runs wrote; nothing where nothing is kept."""
    if not kept.files:
        return {}
    earlier = kept_articles(kept)
    old = order.filter(pa.array(changes.relabelled))
    labels = rows.label_columns(old).sort_by("article_id")
    copies, stories = earlier["copy_id"].to_numpy(), earlier["story_id"].fill_null(_NONE).to_numpy()
    day = earlier["published"]
    gone = np.union1d(changes.stories, changes.closing)
    changed = {
        ARTICLES.name: (labels, names_of(old["published"])),
        COPIES.name: (_gone(changes.copies, changes.closing), _homes(copies, day, changes.copies)),
        STORIES.name: (_gone(gone, changes.closing), _homes(stories, day, gone)),
    }
    return {name: Edit(store_new(table, scratch, f"edit-{name}"), places) for name, (table, places) in changed.items()}


def edited(file: DataFile, edit: Edit | None) -> pa.Table | None:
    """The rows that a file of an earlier run should have; None if those are what it has.

    Raises:
      ContractMismatch: it is gone or damaged.
    """
    if edit is None or not edit.changed.rows or file.partition not in edit.partitions:
        return None
    changed = load(edit.changed.path)
    data = pa.BufferReader(read_whole(file))
    name = TABLES[file.table].schema.names[0]
    known = changed[changed.column_names[0]]
    known = parse_ids(known) if file.table == ARTICLES.name else known.to_numpy()
    here = parse_ids(pq.read_table(data, columns=[name])[name])
    found = is_among(here, known)
    if not found.any():
        return None
    table = pq.read_table(data, schema=TABLES[file.table].schema)
    at = pa.array(np.searchsorted(known, here), mask=~found)
    return _relabelled(table, changed, at) if file.table == ARTICLES.name else _without(table, changed, at)


def read_file(file: DataFile) -> pa.Table:
    """All rows in today's columns: null where an older contract had none.

    Raises:
      ContractMismatch: it is gone or damaged.
    """
    return pq.read_table(pa.BufferReader(read_whole(file)), schema=TABLES[file.table].schema)


def absorbed(files: Iterable[DataFile], rows_there: int, most_rows: int, most_bytes: int) -> Iterator[DataFile]:
    """The small files of a partition that a new file of so many rows takes in.

    Smallest first, each while it is no larger than what there is by then: so a row is written again only as often as
    the file that it is in doubles, and there are few files however many runs there were.
    """
    size = 0
    for file in sorted(files, key=lambda each: (each.rows, each.path)):
        size += file.bytes
        if file.rows > rows_there or rows_there + file.rows > most_rows or size > most_bytes:
            return
        rows_there += file.rows
        yield file


def _closing(earlier: pa.Table, newest: int | None, kept: Kept) -> Int64Array:
    """Stories whose last article is older than the window: they leave the state with this run."""
    if newest is None or not earlier.num_rows:
        return np.zeros(0, np.int64)
    story = earlier["story_id"].fill_null(_NONE).to_numpy()
    ids, which = np.unique(story, return_inverse=True)
    last = np.full(len(ids), np.iinfo(np.int64).min)
    np.maximum.at(last, which, earlier["seen"].cast(pa.int64()).to_numpy())
    return ids[(last < newest - kept.window) & (ids != _NONE)]


def _homes(groups: Int64Array, published: pa.ChunkedArray, wanted: Int64Array) -> frozenset[str]:
    """Partitions that may hold the rows of some groups: a row stands where its first article does."""
    chosen = is_among(groups, wanted)
    group = groups[chosen]
    dates = published.filter(pa.array(chosen))
    times = dates.cast(pa.int64()).fill_null(np.iinfo(np.int64).max).to_numpy()
    order = np.lexsort((times, group))
    first = np.append(True, group[order][1:] != group[order][:-1])[: len(order)]
    return names_of(dates.take(pa.array(order[first])))


def _gone(ids: Int64Array, closing: Int64Array) -> pa.Table:
    return pa.table([ids, is_among(ids, closing)], schema=_GONE)


def _relabelled(articles: pa.Table, labels: pa.Table, at: pa.Array) -> pa.Table:
    given, found = labels.take(at), at.is_valid()
    for name in labels.column_names[1:]:
        values = pc.if_else(found, given[name], articles[name])
        articles = articles.set_column(articles.schema.get_field_index(name), articles.schema.field(name), values)
    return articles


def _without(table: pa.Table, changed: pa.Table, at: pa.Array) -> pa.Table:
    closes = changed["closes"].take(at).fill_null(False)
    stays = pc.or_(at.is_null(), closes)
    if "status" in table.column_names:
        is_open = pc.equal(table["status"], "open").fill_null(False)
        status = pc.if_else(pc.and_(closes, is_open), pa.scalar("closed"), table["status"])
        table = table.set_column(table.schema.get_field_index("status"), table.schema.field("status"), status)
    return table.filter(stays)
