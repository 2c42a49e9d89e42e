"""What a run changes of the files that earlier runs wrote: few rows, in copies of the few files that hold them.

Rows of new articles go to new files. A kept article is written again only when it changed its copy or story, or what it
is to its copy; its other scores stay those of the run that last wrote it. A copy or story is written again when its
articles changed.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from apache_beam.io.filesystems import FileSystems
from numpy.typing import NDArray

from schemas.blocks import StoredTable, load, store_new
from schemas.files import DataFile
from schemas.ids import is_among, parse_ids
from schemas.state import Kept, kept_articles
from schemas.tables import ARTICLES, COPIES, STORIES, TABLES
from transforms.write import rows

Int64Array = NDArray[np.int64]

_NONE = -1  # no story
_COMPARED = ("copy_id", "story_id", "copy_relation")  # what a kept article is written again for
_DROPPED = pa.schema([pa.field("id", pa.int64(), nullable=False)])


class Changes(NamedTuple):
    """What is new in the rows that `article_order` gives; ids ascending."""

    new: NDArray[np.bool_]  # by row: the article is new
    relabelled: NDArray[np.bool_]  # by row: it is kept, and its labels may have changed
    copies: Int64Array  # to be written again, or no longer there
    stories: Int64Array  # likewise


class Rewrite(NamedTuple):
    """One file of an earlier run whose rows may have changed."""

    file: DataFile  # under an absolute path
    changed: StoredTable  # articles: label columns of some; copies and stories: ids of rows to leave out
    newest: int  # publication, µs: stories without news for long before it are closed


def changes_of(order: pa.Table, kept: Kept) -> Changes:
    """Compare labels with those that earlier runs published.

    Args:
      order: as `rows.article_order` gives it.
      kept: what the run adds to.
    """
    earlier = kept_articles(kept)
    every = earlier["article_id"].to_numpy()
    article, copy = order["article_id"].to_numpy(), order["copy_id"].to_numpy()
    story = order["story_id"].fill_null(_NONE).to_numpy()
    old = is_among(article, every)
    at = np.searchsorted(every, article[old])
    known_copy, known_story = copy.copy(), story.copy()
    known_copy[old] = earlier["copy_id"].to_numpy()[at]
    known_story[old] = earlier["story_id"].fill_null(_NONE).to_numpy()[at]
    other_copy, other_story = copy != known_copy, story != known_story
    copies = np.union1d(copy[~old | other_copy | other_story], known_copy[other_copy])
    changed = ~old | other_copy | other_story
    stories = np.union1d(story[changed], known_story[changed])
    return Changes(~old, old & (is_among(copy, copies) | other_story), copies, stories[stories != _NONE])


def rewrites(order: pa.Table, changes: Changes, kept: Kept, newest: int, scratch: str) -> list[Rewrite]:
    """The files to look into."""
    labels = rows.label_columns(order.filter(pa.array(changes.relabelled))).sort_by("article_id")
    changed = {
        ARTICLES.name: store_new(labels, scratch, "relabelled"),
        COPIES.name: store_new(pa.table([changes.copies], schema=_DROPPED), scratch, "changed-copies"),
        STORIES.name: store_new(pa.table([changes.stories], schema=_DROPPED), scratch, "changed-stories"),
    }
    return [Rewrite(file, changed[file.table], newest) for file in kept.files if file.table in changed and file.rows]


def story_versions(stories: Int64Array, kept: Kept) -> dict[str, int]:
    """How many runs have made or changed each of some stories, by its id as it is written; those that there are."""
    found: dict[str, int] = {}
    for file in kept.files:
        if file.table == STORIES.name and file.rows:
            table = _read(file).select(["story_id", "version"])
            table = table.filter(table["version"].is_valid())
            table = table.filter(pa.array(is_among(parse_ids(table["story_id"]), stories)))
            found |= dict(zip(*(table[name].to_pylist() for name in table.column_names), strict=True))
    return found


def rewritten(task: Rewrite) -> pa.Table | None:
    """The rows that a file should have; None if those are what it has.

    Raises:
      OSError: it is gone or unreadable.
    """
    table = _read(task.file)
    changed = load(task.changed.path)
    return _relabelled(table, changed) if task.file.table == ARTICLES.name else _without(table, changed, task)


def _relabelled(articles: pa.Table, labels: pa.Table) -> pa.Table | None:
    known = parse_ids(labels["article_id"])
    here = parse_ids(articles["article_id"])
    found = is_among(here, known)
    at = pa.array(np.searchsorted(known, here), mask=~found)
    given = labels.take(at)
    differs = np.zeros(len(here), np.bool_)
    for name in _COMPARED:
        same = pc.equal(articles[name], given[name]).fill_null(False).to_numpy()
        both_null = articles[name].is_null().to_numpy() & given[name].is_null().to_numpy()
        differs |= found & ~same & ~both_null
    if not differs.any():
        return None
    for name in labels.column_names:
        if name != "article_id":
            values = pc.if_else(pa.array(differs), given[name], articles[name])
            articles = articles.set_column(articles.schema.get_field_index(name), articles.schema.field(name), values)
    return articles


def _without(table: pa.Table, changed: pa.Table, task: Rewrite) -> pa.Table | None:
    stays = ~is_among(parse_ids(table[table.column_names[0]]), changed["id"].to_numpy())
    closed = np.zeros(table.num_rows, np.bool_)
    if task.file.table == STORIES.name:
        last = table["last_published"].cast(pa.int64())
        over = [rows.status(each, task.newest) == "closed" for each in last.to_pylist()]
        closed = np.array(over, np.bool_) & pc.equal(table["status"], "open").fill_null(False).to_numpy()
        values = pc.if_else(pa.array(closed), "closed", table["status"])
        table = table.set_column(table.schema.get_field_index("status"), table.schema.field("status"), values)
    return table.filter(pa.array(stays)) if closed.any() or not stays.all() else None


def _read(file: DataFile) -> pa.Table:
    """All rows in today's columns: null where an older contract had none."""
    with FileSystems.open(file.path, "application/octet-stream", "uncompressed") as source:
        return pq.read_table(pa.BufferReader(source.read()), schema=TABLES[file.table].schema)
