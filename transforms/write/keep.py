"""What a run keeps of articles beside their blocks: KEPT rows of all that are open, and the ids of all there ever were.

Segments of SEEN are merged as blocks are: those of less than twice the rows of what is being merged, smallest first.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import apache_beam as beam
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.blocks import StoredTable, concat, load, store_new
from schemas.ids import format_id, is_among, stable_hash
from schemas.seen import versions
from schemas.state import KEPT, KEPT_ARTICLES, SEEN, Kept, StateFile, StatePart, block_name, kept_articles
from schemas.window import is_open, seen

Int64Array = NDArray[np.int64]

INPUTS = ("catalog", "copies", "stories", "texts", "places")
_GROWTH = 2  # a segment with less than so many times the rows is merged
_NONE = -1  # no story


@dataclass(eq=False)
class KeepArticles(beam.PTransform):  # type: ignore[misc]
    """Catalog, labels, texts and places → StatePart (KEPT_ARTICLES) and StateFile (SEEN).

    Takes a dict of single stored tables: `catalog` (CATALOG, ascending), `copies` (COPY_LABELS), `stories`
    (STORY_LABELS), `texts` (article_id, text: of the run's own articles) and `places` (article_id, block, row: where
    the articles that stay open are from now on).
    """

    kept: Kept
    scratch: str

    @beam.typehints.no_annotations  # Beam warns of hints that are dicts
    def expand(self, inputs: Mapping[str, beam.PCollection]) -> beam.PCollection:
        """Wire."""
        sides = {name: beam.pvalue.AsSingleton(inputs[name]) for name in INPUTS}
        return (
            inputs["catalog"].pipeline
            | "Once" >> beam.Impulse()
            | "Keep"
            >> beam.FlatMap(keep_articles, self.kept, self.scratch, **sides).with_output_types(StatePart | StateFile)
        )


def keep_articles(_once: bytes, kept: Kept, scratch: str, **stored: StoredTable) -> Iterator[StatePart | StateFile]:
    """Store what is kept.

    Args:
      kept: what the run adds to.
      scratch: where it waits to be written.
      stored: INPUTS.
    """
    given = {name: load(table.path) for name, table in stored.items()}
    catalog = given.pop("catalog")
    rows = open_rows(catalog, kept, **given)
    yield StatePart(KEPT_ARTICLES.name, 0, store_new(rows, scratch, KEPT_ARTICLES.name))
    yield from seen_files(catalog, kept, scratch)


def open_rows(  # noqa: PLR0913 -- the tables that meet here
    catalog: pa.Table, kept: Kept, *, copies: pa.Table, stories: pa.Table, texts: pa.Table, places: pa.Table
) -> pa.Table:
    """KEPT rows of the articles that stay open.

    Args:
      catalog: CATALOG, ascending: the run's own and all kept ones.
      kept: what the run adds to.
      copies: COPY_LABELS.
      stories: STORY_LABELS, or no rows.
      texts: article_id and text of the run's own articles.
      places: article_id, block and row of the articles that stay open, ascending.

    Returns:
      ascending; `block` is a name.
    """
    ids = catalog["article_id"].to_numpy()
    labels = copies.take(pa.array(np.searchsorted(copies["article_id"].to_numpy(), ids)))
    copy = labels["copy_id"].to_numpy()
    story = pa.nulls(len(ids), pa.int64())
    if stories.num_rows:
        story = (
            stories["story_id"].take(pa.array(np.searchsorted(stories["copy_id"].to_numpy(), copy))).combine_chunks()
        )
    made = {name: catalog[name] for name in ("article_id", "identity", "outlet", "published", "words")}
    at = _at(ids, places["article_id"].to_numpy())
    made["block"] = places["block"].take(at).combine_chunks().fill_null("")
    made["row"] = places["row"].take(at).combine_chunks().fill_null(-1)
    made["text"] = _texts(ids, texts, kept)
    made["seen"] = pa.array(seen(catalog, kept), KEPT.field("seen").type)
    made |= {name: labels[name] for name in labels.column_names[1:]}
    made["story_id"] = story
    open_ = is_open(catalog, copies, stories, kept)
    return pa.table([made[name] for name in KEPT.names], schema=KEPT).filter(pa.array(open_))


def seen_files(catalog: pa.Table, kept: Kept, scratch: str) -> Iterator[StateFile]:
    """The new segment of SEEN, with those that are merged into it; and these as files that go."""
    before = kept_articles(kept)["article_id"].to_numpy()
    new = catalog.filter(pa.array(~is_among(catalog["article_id"].to_numpy(), before)))
    parts = [pa.table([new["article_id"], new["identity"], versions(new, kept)[0]], schema=_SCHEMA)]
    total = new.num_rows
    known = {path: load(path) for path in kept.seen}
    for path, segment in sorted(known.items(), key=lambda each: (each[1].num_rows, block_name(each[0]))):
        adopted = not kept.blocks  # an older version left none: they are of this run's making
        if adopted or (total and segment.num_rows < _GROWTH * total):
            parts.append(segment)
            total += segment.num_rows
            yield StateFile(SEEN.name, "", replaces=path)
    if total:
        merged = concat(parts, _SCHEMA).sort_by("article_id")
        name = format_id(stable_hash("seen", merged["article_id"].to_numpy().tobytes()))
        yield StateFile(SEEN.name, name, store_new(merged, scratch, SEEN.name).path)


_SCHEMA = pa.schema(SEEN.fields)


def _texts(ids: Int64Array, texts: pa.Table, kept: Kept) -> Int64Array:
    text = np.zeros(len(ids), np.int64)
    for known in (kept_articles(kept), texts):  # what this run signed comes last: it may be a kept one, signed again
        order = np.argsort(known["article_id"].to_numpy())
        of = known["article_id"].to_numpy()[order]
        here = is_among(ids, of)
        text[here] = known["text"].to_numpy()[order][np.searchsorted(of, ids[here])]
    return text


def _at(ids: Int64Array, ascending: Int64Array) -> pa.Array:
    return pa.array(np.searchsorted(ascending, ids), mask=~is_among(ids, ascending))
