"""Keeping: the articles that later runs compare new ones with, as blocks of the state.

A state block has the parts BLOCK_PARTS, row by row the same articles, ascending by id. It is named by their ids, so
that equal articles make equal files whatever blocks they came in. Blocks are merged log-structured: the run's articles
become one block, kept blocks of less than twice the rows are merged into it, smallest first, without the articles that
are no longer open; so an article is copied a few times, whatever there is. A block of which most articles are over is
written again without them, one of which all are goes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import apache_beam as beam
import numba
import numpy as np
import pyarrow as pa
from apache_beam.io.filesystems import FileSystems
from numpy.typing import NDArray

from schemas.barriers import Gather, Merge, Spread
from schemas.blocks import BlockRef, StoredTable, concat, load, store, store_new
from schemas.ids import format_id, stable_hash
from schemas.state import BLOCK_PARTS, Kept, StateFile, block_name, block_table
from schemas.window import is_open
from transforms.match.gathering import column, factorise, gather_lists, places_of
from transforms.match.keys import band_keys, each_once, fingerprint_keys, identity_keys
from transforms.match.options import GRAM_BUCKETS, PASSAGE, MatchOptions
from transforms.match.shingles import by_bucket, gram_offsets, hash_grams, hash_passages, shareable_passages, winnow

Int64Array = NDArray[np.int64]

MOST_ROWS = 1 << 14  # of a block; they are in memory together while it is made: some 12 KB an article
PLACES = pa.schema(  # of the articles that are comparable
    [
        pa.field("article_id", pa.int64(), nullable=False),  # ascending
        pa.field("block", pa.string(), nullable=False),  # its name
        pa.field("row", pa.int32(), nullable=False),
    ]
)
_SOURCES = pa.schema(  # where the articles of new blocks are now
    [
        pa.field("article_id", pa.int64(), nullable=False),  # ascending
        pa.field("identity", pa.int64(), nullable=False),
        pa.field("block", pa.string(), nullable=False),  # BlockRef.base
        pa.field("row", pa.int32(), nullable=False),
    ]
)
_GROWTH = 2  # a kept block with less than so many times the rows is merged


class Task(NamedTuple):
    """One block to make: rows start..stop of stored _SOURCES."""

    sources: StoredTable
    start: int
    stop: int


class Plan(NamedTuple):
    """What becomes of the blocks."""

    sources: StoredTable  # _SOURCES: articles of blocks to be made
    places: StoredTable  # PLACES: where every open article is from now on
    gone: list[str]  # bases of kept blocks that leave the state


@dataclass(eq=False)
class KeepBlocks(beam.PTransform):  # type: ignore[misc]
    """Catalog → state blocks, once all parts are stored; gives a dict.

    Takes a dict: `catalog`, `copies` and `stories` (one StoredTable of labels each) and `blocks` (signed ones, with
    what other stages store beside). Gives `files` (StateFile) and `places` (StoredTable of PLACES).
    """

    options: MatchOptions
    scratch: str
    kept: Kept

    @beam.typehints.no_annotations  # Beam warns of hints that are dicts
    def expand(self, inputs: Mapping[str, beam.PCollection]) -> dict[str, beam.PCollection]:
        """Wire."""
        ready = inputs["blocks"] | "Ready" >> Gather(list)
        tables = [beam.pvalue.AsSingleton(inputs[name]) for name in ("catalog", "copies", "stories")]
        plan = (
            inputs["catalog"].pipeline
            | "Once" >> beam.Impulse()
            | "Plan"
            >> beam.Map(
                plan_stored, *tables, beam.pvalue.AsSingleton(ready), self.kept, self.scratch
            ).with_output_types(Plan)
        )
        files = (
            plan
            | "Tasks" >> beam.FlatMap(tasks_of).with_output_types(Task)
            | "Spread" >> Spread(Task)
            | "Make" >> beam.Map(make_block, self.options, self.scratch).with_output_types(BlockRef)
            | "Made" >> beam.FlatMap(files_of).with_output_types(StateFile),
            plan | "Gone" >> beam.FlatMap(gone_files).with_output_types(StateFile),
        )
        places = plan | "Places" >> beam.Map(lambda each: each.places).with_output_types(StoredTable)
        return {"files": files | "Files" >> Merge(StateFile), "places": places}


def plan_stored(
    _once: bytes,
    catalog: StoredTable,
    copies: StoredTable,
    stories: StoredTable,
    _ready: object,
    kept: Kept,
    scratch: str,
) -> Plan:
    """`plan_blocks` of the articles that stay open, once all blocks are ready."""
    entries = load(catalog.path)
    stays = is_open(entries, load(copies.path), load(stories.path), kept)
    return plan_blocks(entries.filter(pa.array(stays)), kept, scratch)


def plan_blocks(catalog: pa.Table, kept: Kept, scratch: str) -> Plan:
    """Decide which articles go to new blocks.

    Args:
      catalog: CATALOG rows of all articles that are open, ascending by id.
      kept: what the run adds to.
      scratch: where the plan waits.
    """
    entries = catalog.select(_SOURCES.names)
    number, names = factorise(entries["block"])
    known = {ref.base: 0 for ref in kept.blocks}  # open rows
    sparse = {ref.base: ref.rows // 2 for ref in kept.blocks}  # with fewer it is written again, to be rid of the others
    rows = np.bincount(number, minlength=len(names))
    open_rows = known | {name: int(rows[at]) for at, name in enumerate(names) if name in known}
    written = {name for name in names if name not in known and name}
    total = sum(int(rows[at]) for at, name in enumerate(names) if name in written)
    for base, size in sorted(open_rows.items(), key=lambda each: (each[1], block_name(each[0]))):
        few = total and size < _GROWTH * total and size + total <= MOST_ROWS
        if size and (few or size < sparse.get(base, 0)):
            written.add(base)
            total += size
    moves = np.array([name in written for name in names], bool)[number]
    staying = entries.filter(pa.array(~moves & np.array([bool(name) for name in names], bool)[number]))
    number, stay = factorise(staying["block"])
    named = pa.array([block_name(base) for base in stay], pa.string()).take(pa.array(number))
    sources = entries.filter(pa.array(moves)).combine_chunks()
    places = [pa.table([staying["article_id"], named, staying["row"]], schema=PLACES)]
    for start, stop in _shares(sources.num_rows):
        ids = sources["article_id"].slice(start, stop - start)
        rows = pa.array(np.arange(len(ids), dtype=np.int32))
        places.append(pa.table([ids, pa.array([_name(ids.to_numpy())] * len(ids), pa.string()), rows], schema=PLACES))
    return Plan(
        store_new(sources, scratch, "to-keep"),
        store_new(concat(places, PLACES).sort_by("article_id"), scratch, "places"),
        sorted(base for base, size in open_rows.items() if base in written or not size),
    )


def tasks_of(plan: Plan) -> Iterator[Task]:
    """The blocks to make."""
    for start, stop in _shares(plan.sources.rows):
        yield Task(plan.sources, start, stop)


def _shares(rows: int) -> Iterator[tuple[int, int]]:
    """Equal shares, none above MOST_ROWS."""
    shares = -(-rows // MOST_ROWS)
    for share in range(shares):
        yield rows * share // shares, rows * (share + 1) // shares


def _name(ids: Int64Array) -> str:
    return format_id(stable_hash("block", ids.tobytes()))


def make_block(task: Task, options: MatchOptions, scratch: str) -> BlockRef:
    """Copy the parts of some articles into one new block in scratch."""
    entries = load(task.sources.path).slice(task.start, task.stop - task.start)
    ids = entries["article_id"].to_numpy()
    ref = BlockRef(FileSystems.join(scratch, _name(ids)), ids.size)
    block, names = factorise(entries["block"])
    row = entries["row"].to_numpy().astype(np.int64)
    sources = [BlockRef(name, 0) for name in names]
    offsets, tokens = _tokens(sources, block, row)
    store(tokens, ref.part("tokens"))
    signed = _signed(sources, block, row)
    store(signed, ref.part("signed"))
    grams, bounds = hash_grams(column(tokens, "word").values.to_numpy(), offsets), gram_offsets(offsets)
    store(_keys(grams, bounds, signed, entries["identity"].to_numpy(), options), ref.part("keys"))
    distinct, rows = _distinct(grams, bounds)
    store(_bucketed("gram", distinct, rows, GRAM_BUCKETS, {}), ref.part("grams"))
    for part in _beside(sources[0]):
        tables = [load(source.part(part)) for source in sources]
        members = places_of(block, len(sources))
        taken = pa.concat_tables([t.take(pa.array(row[at])) for t, at in zip(tables, members, strict=True)])
        back = np.argsort(np.concatenate(members), kind="stable")
        store(taken.combine_chunks().take(pa.array(back)), ref.part(part))
    return ref


def files_of(ref: BlockRef) -> Iterator[StateFile]:
    """The files of a block that comes."""
    for part in (*BLOCK_PARTS[:4], *_beside(ref)):
        yield StateFile(block_table(part), block_name(ref.base), ref.part(part))


def gone_files(plan: Plan) -> Iterator[StateFile]:
    """The files of the blocks that go."""
    for base in plan.gone:
        for part in (*BLOCK_PARTS[:4], *_beside(BlockRef(base, 0))):
            yield StateFile(block_table(part), block_name(base), replaces=BlockRef(base, 0).part(part))


def keys_rule(options: MatchOptions) -> bytes:
    """What the keys of an article depend on; keys of different rules must never meet."""
    chosen = ("bands", "furniture_articles", "frequency_cap", "min_evidence", "quote_words", "key_buckets")
    return "/".join([str(options.signature), *(f"{name}={getattr(options, name)}" for name in chosen)]).encode()


def _beside(ref: BlockRef) -> list[str]:
    """The parts that other stages store: all blocks of a run have the same."""
    return [part for part in BLOCK_PARTS[4:] if FileSystems.exists(ref.part(part))]


def _tokens(sources: list[BlockRef], block: Int64Array, row: Int64Array) -> tuple[Int64Array, pa.Table]:
    tables = [load(source.part("tokens")) for source in sources]
    offsets, words = gather_lists([column(table, "word") for table in tables], block, row)
    _, flags = gather_lists([column(table, "flags") for table in tables], block, row)
    return offsets, pa.table({"word": _lists(offsets, words.view(np.uint32)), "flags": _lists(offsets, flags)})


def _signed(sources: list[BlockRef], block: Int64Array, row: Int64Array) -> pa.Table:
    tables = [load(source.part("signed")) for source in sources]
    bounds, frequency = gather_lists([column(table, "frequency") for table in tables], block, row)
    text = np.empty(row.size, np.int64)
    signatures = np.empty((row.size, column(tables[0], "signature").type.list_size), np.uint32)
    for table, members in zip(tables, places_of(block, len(tables)), strict=True):
        text[members] = table["text"].to_numpy()[row[members]]
        signatures[members] = (
            column(table, "signature").values.to_numpy().reshape(-1, signatures.shape[1])[row[members]]
        )
    flat = pa.FixedSizeListArray.from_arrays(pa.array(signatures.reshape(-1)), signatures.shape[1])
    columns = {"text": pa.array(text), "frequency": _lists(bounds, frequency.view(np.uint16)), "signature": flat}
    return pa.table(columns).replace_schema_metadata(tables[0].schema.metadata)


def _keys(
    grams: NDArray[np.uint64], bounds: Int64Array, signed: pa.Table, identity: Int64Array, options: MatchOptions
) -> pa.Table:
    """The keys of articles, each of which may come to lead and to share what nobody else has yet."""
    values = column(signed, "signature").values.to_numpy()
    bands, band_rows = band_keys(values.reshape(identity.size, -1), options.bands)
    frequency = column(signed, "frequency").values.to_numpy()
    passages, shareable = hash_passages(grams, bounds), shareable_passages(frequency, bounds, options.frequency_cap, 1)
    chosen = np.flatnonzero(winnow(passages, bounds, options.quote_words - PASSAGE + 1) & shareable)
    prints, print_rows = each_once(
        fingerprint_keys(passages[chosen]), (np.searchsorted(bounds, chosen, side="right") - 1).astype(np.int32)
    )
    known, known_rows = identity_keys(identity)
    keys, rows = np.concatenate([bands, prints, known]), np.concatenate([band_rows, print_rows, known_rows])
    return _bucketed("key", keys, rows, options.key_buckets, {b"rule": keys_rule(options)})


def _bucketed(
    name: str, hashes: NDArray[np.uint64], rows: NDArray[np.int32], buckets: int, about: Mapping[bytes, bytes]
) -> pa.Table:
    order, hashes, bounds = by_bucket(hashes, buckets)
    schema = pa.schema({name: pa.uint64(), "row": pa.int32()}, {b"buckets": bounds.tobytes(), **about})
    return pa.table([hashes, rows[order]], schema=schema)


def _lists(offsets: Int64Array, values: NDArray[np.generic]) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), pa.array(values))


@numba.njit(cache=True, nogil=True)
def _distinct(grams, bounds):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 -- numba infers
    """Each gram of an article once, in the order of the articles, and the article of each."""
    most = 1
    for row in range(bounds.size - 1):
        most = max(most, bounds[row + 1] - bounds[row])
    room = 16
    while room < 2 * most:
        room *= 2
    table, owner = np.zeros(room, np.uint64), np.full(room, -1, np.int32)
    kept, rows = np.empty(grams.size, np.uint64), np.empty(grams.size, np.int32)
    size = 0
    for row in range(bounds.size - 1):
        for at in range(bounds[row], bounds[row + 1]):
            gram = grams[at]
            slot = np.int64((gram >> np.uint64(16)) & np.uint64(room - 1))
            while owner[slot] == row and table[slot] != gram:
                slot = (slot + 1) & (room - 1)
            if owner[slot] != row:
                owner[slot], table[slot] = row, gram
                kept[size], rows[size] = gram, row
                size += 1
    return kept[:size].copy(), rows[:size].copy()
