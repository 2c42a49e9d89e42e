"""Links: what clustering needs of the verified pairs, those of earlier runs among them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from apache_beam.io.filesystems import FileSystems

from schemas.barriers import Merge
from schemas.blocks import BlockRef, concat, load, store_new
from schemas.ids import is_among, parse_ids
from schemas.labels import RELATION_CODES
from schemas.state import LINKS as KEPT_LINKS
from schemas.state import Kept, StatePart, kept_articles, kept_files
from schemas.tables import PAIRS as TABLE_PAIRS

LINKS = pa.schema(KEPT_LINKS.fields)


@dataclass(eq=False)
class LinkArticles(beam.PTransform):  # type: ignore[misc]
    """Verified pairs → their links and those of earlier runs; gives a dict.

    `links`: LINKS tables. `state`: a StatePart, the same for later runs.
    """

    related: float  # score from which a pair is a link, CopyOptions.related
    kept: Kept
    scratch: str

    def expand(self, pairs: beam.PCollection) -> Any:
        """Wire."""
        new = pairs | "New" >> beam.Map(stored_links, self.related).with_output_types(pa.Table)
        old = (
            pairs.pipeline
            | "Earlier" >> beam.Create([self.kept])
            | "Kept" >> beam.Map(kept_links).with_output_types(pa.Table)
        )
        links = (new, old) | "All" >> Merge(pa.Table)
        # Grouped, not a side input: `links` is the main input of later steps (see "Invariants" in ARCHITECTURE.md).
        state = (
            links
            | "One group" >> beam.Map(_keyed).with_output_types(tuple[int, pa.Table])
            | "Gather" >> beam.GroupByKey()
            | "State" >> beam.Map(_store_group, self.scratch).with_output_types(StatePart)
        )
        return {"links": links, "state": state}


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
        pairs = [_read(file.path, TABLE_PAIRS.schema) for file in kept_files(kept) if file.table == TABLE_PAIRS.name]
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


def _keyed(links: pa.Table) -> tuple[int, pa.Table]:
    return 0, links


def _store_group(group: tuple[int, Iterable[pa.Table]], scratch: str) -> StatePart:
    return store_links(group[1], scratch)
