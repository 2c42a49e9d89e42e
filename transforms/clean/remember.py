"""What outlets repeat, from one run to the next: earlier articles and new ones → memory, and the state that is kept.

Kept are the statistics of each outlet's latest articles, no counts: an article that is delivered again is recognised
and counts once, however many runs bring it, and what an outlet stopped using is forgotten with the last article that
had it. Outlets that a run brings nothing of are passed on as they are.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from apache_beam.io.filesystems import FileSystems

from schemas.blocks import concat, load, store_new
from schemas.state import OUTLET_ARTICLES, OUTLET_LINES, EarlierRuns, StatePart, StateTable
from transforms.clean.outlets import MEMORY, STATISTICS, distinct_articles, memory_of

EXAMPLE = 160  # characters


class Learned(NamedTuple):
    """What one bucket of outlets repeats."""

    memory: pa.Table  # MEMORY, of the outlets that this run brings articles of
    articles: pa.Table  # OUTLET_ARTICLES, of all outlets of the bucket
    lines: pa.Table  # OUTLET_LINES, likewise


def remember(statistics: pa.Table, articles: pa.Table, lines: pa.Table, run: int, latest: int) -> Learned:
    """Join a run's articles to what is known of their outlets.

    Args:
      statistics: STATISTICS of this run's articles of some outlets, none twice in another call.
      articles: OUTLET_ARTICLES as the last run left them.
      lines: OUTLET_LINES, likewise.
      run: this run's number.
      latest: articles of an outlet to keep, the latest by `seen`.
    """
    new = statistics.set_column(
        STATISTICS.get_field_index("run"),
        STATISTICS.field("run"),
        pa.repeat(pa.scalar(run, pa.int32()), len(statistics)),
    )
    touched = pc.unique(new["outlet"])
    here, elsewhere = _split(articles, touched)
    unknown = [pa.nulls(here.num_rows, STATISTICS.field(name).type) for name in ("block", "row")]
    every = concat([pa.table([*here.columns, *unknown], schema=STATISTICS), new], STATISTICS)
    known, untouched = _split(lines, touched)
    memory = _with_examples(_with_first_seen(memory_of(every), known), new, known)
    kept = concat(
        [elsewhere, latest_articles(every, latest).select(OUTLET_ARTICLES.schema.names)], _bare(OUTLET_ARTICLES)
    )
    learned = concat([untouched, memory.select(_bare(OUTLET_LINES).names)], _bare(OUTLET_LINES))
    return Learned(memory, _sorted(kept, OUTLET_ARTICLES), _sorted(learned, OUTLET_LINES))


def latest_articles(statistics: pa.Table, most: int) -> pa.Table:
    """The last articles of each outlet by time, each once; those of unknown time go first."""
    table = distinct_articles(statistics)
    outlet = pc.dictionary_encode(table["outlet"].combine_chunks()).indices.to_numpy()
    seen = pc.fill_null(pc.cast(table["seen"], pa.int64()), np.iinfo(np.int64).min).to_numpy()
    order = np.lexsort((table["article_id"].to_numpy(), table["run"].to_numpy(), seen, outlet))
    outlet = outlet[order]
    ends = np.searchsorted(outlet, outlet, side="right")
    return table.take(pa.array(order[ends - np.arange(len(outlet)) <= most]))


def store_learned(
    bucket: int, statistics: pa.Table, earlier: EarlierRuns, latest: int, scratch: str
) -> tuple[pa.Table, list[StatePart]]:
    """Remember a bucket; give its memory, and what is to be kept of it.

    Raises:
      OSError: a state file is gone or unreadable.
    """
    files = {table: path for table, at, path in earlier.files if at == bucket}
    learned = remember(
        statistics,
        _read_state(files, OUTLET_ARTICLES),
        _read_state(files, OUTLET_LINES),
        earlier.run,
        latest,
    )
    parts = [
        StatePart(table.name, bucket, store_new(rows, scratch, table.name))
        for table, rows in ((OUTLET_ARTICLES, learned.articles), (OUTLET_LINES, learned.lines))
    ]
    return learned.memory, parts


def _read_state(files: dict[str, str], table: StateTable) -> pa.Table:
    if table.name not in files:
        return _bare(table).empty_table()
    with FileSystems.open(files[table.name], "application/octet-stream", "uncompressed") as source:
        return pq.read_table(pa.BufferReader(source.read()), schema=_bare(table))  # null where an older one had none


def _bare(table: StateTable) -> pa.Schema:
    return pa.schema(table.fields)


def _sorted(rows: pa.Table, table: StateTable) -> pa.Table:
    return rows.sort_by([(name, "ascending") for name in table.sort])


def _split(table: pa.Table, outlets: pa.Array) -> tuple[pa.Table, pa.Table]:
    """Rows of these outlets, and the others."""
    inside = pc.is_in(table["outlet"], value_set=outlets)
    return table.filter(inside), table.filter(pc.invert(inside))


def _with_first_seen(memory: pa.Table, known: pa.Table) -> pa.Table:
    """The earlier of when a line is first seen now and when it was by an earlier run."""
    at = _rows_of(memory, known)
    before = pc.take(known["first_seen"].combine_chunks(), at)
    column = MEMORY.field("first_seen")
    times = (each.cast(pa.int64()) for each in (memory["first_seen"].combine_chunks(), before))
    return memory.set_column(
        MEMORY.get_field_index("first_seen"), column, pc.min_element_wise(*times).cast(column.type)
    )


def _with_examples(memory: pa.Table, new: pa.Table, known: pa.Table) -> pa.Table:
    """Each line's text: as an earlier run had it, else out of the first new article that has it."""
    examples = pc.take(known["example"].combine_chunks(), _rows_of(memory, known)).to_pylist()
    missing = {
        name: at
        for at, (name, known_text) in enumerate(zip(_names(memory), examples, strict=True))
        if known_text is None
    }
    stored = new.filter(pc.is_valid(new["block"])).sort_by("article_id")
    for article in stored.select(["outlet", "keys", "places", "block", "row"]).to_batches(max_chunksize=64):
        for outlet, keys, places, block, row in zip(*(column.to_pylist() for column in article.columns), strict=True):
            wanted = {(key, False) for key in keys if (outlet, key, False) in missing}
            wanted |= {(key, True) for key in places if (outlet, key, True) in missing}
            if wanted:
                for key, place, text in _texts(block, row, wanted):
                    examples[missing.pop((outlet, key, place))] = text
        if not missing:
            break
    column = pa.array(examples, pa.string())
    return memory.set_column(MEMORY.get_field_index("example"), MEMORY.field("example"), column)


def _texts(block: str, row: int, wanted: set[tuple[int, bool]]) -> list[tuple[int, bool, str]]:
    """The first line of an article under each key or at each place."""
    lines = load(f"{block}.lines.arrow")
    start, stop = np.searchsorted(lines["row"].to_numpy(), [row, row + 1]).tolist()
    article = lines.slice(start, stop - start)
    found = []
    for name, place in (("line_key", False), ("signature", True)):
        values = article[name].to_pylist()
        found += [
            (key, place, article["text"][values.index(key)].as_py()[:EXAMPLE])
            for key, kind in sorted(wanted)
            if kind is place
        ]
    return found


def _rows_of(memory: pa.Table, known: pa.Table) -> pa.Array:
    """Row of `known` for each line of a memory; null where it is new."""
    place = {name: at for at, name in enumerate(_names(known))}
    return pa.array([place.get(name) for name in _names(memory)], pa.int64())


def _names(lines: pa.Table) -> Iterator[tuple[str, int, bool]]:
    """Outlet, key and kind of each line."""
    return zip(*(lines[name].to_pylist() for name in ("outlet", "key", "place")), strict=True)
