"""Cards: the little of an article's text that the tables copies and stories tell, for as long as it may be joined."""

from dataclasses import dataclass

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc

from schemas.blocks import BlockRef, load, store
from schemas.spared import spared
from transforms.write.sources import OPENING, agency_of

CARDS = pa.schema(
    [
        pa.field("headline", pa.string()),
        pa.field("lead", pa.string(), nullable=False),  # the first paragraph
        pa.field("agency", pa.string()),  # that the article names as its source
    ]
)


@dataclass(eq=False)
class StoreCards(beam.PTransform):  # type: ignore[misc]
    """Clean blocks → the same blocks, with a part `cards` (CARDS), row by row their articles."""

    def expand(self, blocks: beam.PCollection) -> beam.PCollection:
        """Wire."""
        return blocks | "Cards" >> beam.Map(store_cards).with_output_types(BlockRef)


def store_cards(block: BlockRef) -> BlockRef:
    """Store the cards of a block."""
    store(spared("write", cards, load(block.part("articles"))), block.part("cards"))
    return block


def cards(articles: pa.Table) -> pa.Table:
    """CARDS of clean articles (CLEAN)."""
    openings = pc.utf8_slice_codeunits(articles["text"], 0, OPENING)
    columns = (articles["outlet"].to_pylist(), openings.to_pylist(), articles["credits"].to_pylist())
    agencies = pa.array(map(agency_of, *columns), pa.string())
    lead = pc.list_element(pc.split_pattern(articles["text"], "\n", max_splits=1), 0)
    return pa.table([articles["headline"], lead, agencies], schema=CARDS)
