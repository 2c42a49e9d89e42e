"""Once the copies are known: which pairs are written, and as what."""

from dataclasses import dataclass

import apache_beam as beam
import numpy as np
import pyarrow as pa

from schemas.blocks import SETTLED, BlockRef, StoredTable, load
from schemas.labels import RELATION_CODES, Relation


@dataclass(eq=False)
class SettlePairs(beam.PTransform):  # type: ignore[misc]
    """Verified pairs → which of them to write, and their relation, settled by the copies (SETTLED).

    Takes a dict: `pairs` (blocks with a part "pairs") and `labels` (as ClusterCopies gives them).
    """

    quote_words: int = 25  # MatchOptions.quote_words

    @beam.typehints.no_annotations  # Beam warns of hints that are dicts
    def expand(self, inputs: dict[str, beam.PCollection]) -> beam.PCollection:
        """Wire."""
        labels = beam.pvalue.AsSingleton(inputs["labels"])
        return inputs["pairs"] | "Settle" >> beam.Map(settle_stored, labels, self.quote_words).with_output_types(
            pa.Table
        )


def settle_stored(pairs: BlockRef, labels: StoredTable, quote_words: int) -> pa.Table:
    """`settle` stored pairs by stored labels; SETTLED rows."""
    settled = settle(load(pairs.part("pairs")), load(labels.path), quote_words)
    block = pa.DictionaryArray.from_arrays(np.zeros(settled.num_rows, np.int32), [pairs.base])
    return settled.add_column(SETTLED.get_field_index("block"), SETTLED.field("block"), block)


def settle(pairs: pa.Table, labels: pa.Table, quote_words: int) -> pa.Table:
    """Keep the relation of pairs inside a copy; of the others, those with a long shared run quote, the rest go.

    Returns:
      SETTLED rows but for their `block`; `row` points into `pairs`.
    """
    article, copy = labels["article_id"].to_numpy(), labels["copy_id"].to_numpy()
    ids = [pairs[side].to_numpy() for side in ("left", "right")]
    left, right = (copy[np.searchsorted(article, side)] for side in ids)
    together = left == right
    relation = np.where(together, pairs["relation"].to_numpy(), RELATION_CODES[Relation.QUOTES]).astype(np.int8)
    kept = np.flatnonzero(together | (pairs["longest_run"].to_numpy() >= quote_words))
    schema = SETTLED.remove(SETTLED.get_field_index("block"))
    return pa.table([*(side[kept] for side in ids), relation[kept], kept.astype(np.int32)], schema=schema)
