"""Matching without Beam: the same functions in a plain loop, for tests and benchmarks."""

from collections.abc import Sequence

import pyarrow as pa

from schemas.blocks import CATALOG, PAIRS, BlockRef, concat, load, store_new
from schemas.state import NOTHING_KEPT, Kept, kept_catalog
from transforms.match.candidates import clone_pairs, group_pairs, pairs_of_bucket, unique_pairs
from transforms.match.options import GRAM_BUCKETS, MatchOptions
from transforms.match.signing import count_stored, sign_block, split_block, store_answers, store_documents
from transforms.match.verify import verified_tables


def match_blocks(refs: Sequence[BlockRef], options: MatchOptions, scratch: str, kept: Kept = NOTHING_KEPT) -> pa.Table:
    """Clean blocks in, PAIRS out, ascending; with kept articles, but not of two of these."""
    documents = store_documents([split_block(ref, GRAM_BUCKETS) for ref in refs], scratch)
    answers = [count_stored(bucket, documents, options, scratch, kept) for bucket in range(GRAM_BUCKETS)]
    frequencies = store_answers(answers, scratch)
    signed = [sign_block(ref, documents, frequencies, options, kept) for ref in refs if ref.rows]
    entries = concat([catalog_of(refs), kept_catalog(kept)], CATALOG)
    catalog = store_new(entries.sort_by("article_id"), scratch, "catalog")
    found = [
        pairs_of_bucket(bucket, signed, catalog, options.hot_articles, kept)[0] for bucket in range(options.key_buckets)
    ]
    candidates = group_pairs([unique_pairs([*found, clone_pairs(documents, catalog, kept)])])
    return concat(verified_tables(candidates, catalog, options, kept), PAIRS)


def catalog_of(refs: Sequence[BlockRef]) -> pa.Table:
    """The CATALOG of clean blocks, ascending by article id."""
    tables = []
    for ref in refs:
        articles = load(ref.part("articles")).combine_chunks()
        columns = [
            articles["article_id"],
            articles["identity"],
            pa.array([ref.base] * articles.num_rows, pa.string()),
            pa.array(range(articles.num_rows), pa.int32()),
            articles["outlet"],
            articles["date_published"],
            articles["words"],
            pa.nulls(articles.num_rows, CATALOG.field("modified").type),
        ]
        tables.append(pa.table(columns, schema=CATALOG))
    return concat(tables, CATALOG).sort_by("article_id")
