"""Articles that earlier runs kept: what new ones are compared with.

They are in blocks of the state; where an older version left none, they are read out of the table articles once more.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.blocks import BLOCK_ROWS, CLEAN, BlockRef, new_block, store
from schemas.files import DataFile, read_whole
from schemas.ids import is_among, parse_ids
from schemas.state import Kept, kept_articles, kept_catalog, kept_files
from schemas.tables import ARTICLES
from transforms.clean.addresses import canonical_url, identity_of
from transforms.clean.articles import catalog_of

_LISTS = ("captions", "credits")  # that a clean article has even where they are empty


class KeptBlock(NamedTuple):
    """A stored block of kept articles."""

    block: BlockRef
    catalog: pa.Table


@dataclass(eq=False)
class ReadKept(beam.PTransform):  # type: ignore[misc]
    """Nothing → the kept articles that a new one may join: `catalog`, and `blocks` of those whose words no state has.

    The blocks have the part `articles` alone.
    """

    kept: Kept
    scratch: str

    def expand(self, begin: beam.pvalue.PBegin) -> Any:
        """Wire."""
        adopts = bool(self.kept.articles) and not self.kept.blocks and kept_articles(self.kept).num_rows > 0
        if not adopts:
            known = begin | "Earlier" >> beam.Create([self.kept])
            return {
                "blocks": begin | "None" >> beam.Create([]).with_output_types(BlockRef),
                "catalog": known | "Catalog" >> beam.Map(kept_catalog).with_output_types(pa.Table),
            }
        files = [file for file in kept_files(self.kept) if file.table == ARTICLES.name and file.rows]
        read = (
            begin
            | "Files" >> beam.Create(files).with_output_types(DataFile)
            | "Store" >> beam.FlatMap(store_kept, self.kept, self.scratch).with_output_types(KeptBlock)
        )
        return {
            "blocks": read | "Blocks" >> beam.Map(_block_of).with_output_types(BlockRef),
            "catalog": read | "Catalog" >> beam.Map(_catalog_of).with_output_types(pa.Table),
        }


def store_kept(listed: DataFile, kept: Kept, scratch: str) -> Iterator[KeptBlock]:
    """Store the open articles of one file of the table articles, block by block.

    Raises:
      ContractMismatch: the file is gone or damaged.
    """
    wanted = kept_articles(kept)["article_id"].to_numpy()
    file = pq.ParquetFile(pa.BufferReader(read_whole(listed)))
    for rows in file.iter_batches(BLOCK_ROWS):
        ids = parse_ids(rows["article_id"])
        chosen = pa.array(is_among(ids, wanted))
        if chosen.true_count:
            clean = clean_rows(pa.Table.from_batches([rows]).filter(chosen))
            block = new_block(scratch, clean.num_rows)
            store(clean, block.part("articles"))
            yield KeptBlock(block, catalog_of(block, clean))


def clean_rows(articles: pa.Table) -> pa.Table:
    """Rows of the table articles as CLEAN; their removed lines, which only the table removed holds, are left out."""
    made: dict[str, Any] = {name: articles[name] for name in CLEAN.names if name in articles.column_names}
    for name, kind in zip(CLEAN.names, CLEAN.types, strict=True):
        made.setdefault(name, pa.nulls(articles.num_rows, kind))  # what an older contract lacked
    made["article_id"] = parse_ids(articles["article_id"])
    made["identity"] = np.array([identity_of(canonical_url(url)) for url in articles["url"].to_pylist()], np.int64)
    made["position"] = np.zeros(articles.num_rows, np.int64)
    for name in _LISTS:
        made[name] = made[name].combine_chunks().fill_null([])
    made["removed"] = pa.array([[]] * articles.num_rows, CLEAN.field("removed").type)
    return pa.table({name: made[name] for name in CLEAN.names}).cast(CLEAN)


def _block_of(kept: KeptBlock) -> BlockRef:
    return kept.block


def _catalog_of(kept: KeptBlock) -> pa.Table:
    return kept.catalog
