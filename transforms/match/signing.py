"""Signing: from the text of a block to words, gram frequencies, a signature and the keys it is found by.

Parts that a block gains here, row by row its clean articles:

    tokens   words as numbers with flags and places (WORDS), article ids
    grams    gram hashes ordered by bucket, for counting
    signed   hash of all words; for each gram how many articles hold it and whether it is furniture; the signature
    keys     what another article must share to be compared with this one, ordered by bucket
"""

import functools
from collections.abc import Iterable
from dataclasses import dataclass

import apache_beam as beam
import numpy as np
import pyarrow as pa

from schemas.barriers import Gather, Spread
from schemas.blocks import BlockRef, StoredTable, concat, load, store, store_new
from schemas.spared import spared
from schemas.state import NOTHING_KEPT, Kept
from transforms.match.documents import DOCUMENTS, outlet_hashes, read_documents
from transforms.match.frequencies import ANSWERS, count_bucket, grams_table, read_frequencies
from transforms.match.gathering import column
from transforms.match.keys import band_keys, each_once, fingerprint_keys, identity_keys
from transforms.match.minhash import sign
from transforms.match.options import FURNITURE_BIT, GRAM_BUCKETS, PASSAGE, MatchOptions
from transforms.match.shingles import (
    by_bucket,
    evident_hashes,
    gram_offsets,
    hash_grams,
    hash_passages,
    mark_furniture,
    returning,
    shareable_passages,
    text_keys,
    winnow,
)
from transforms.match.words import Words, flag_returning, split_words


@dataclass(eq=False)
class SignArticles(beam.PTransform):  # type: ignore[misc]
    """Clean blocks → signed blocks.

    Gives a dict: `signed` (BlockRef, its parts "tokens", "grams", "signed" and "keys" stored), `documents` and
    `frequencies` (one StoredTable each, see `frequencies`).
    """

    options: MatchOptions
    scratch: str
    kept: Kept = NOTHING_KEPT
    buckets: int = GRAM_BUCKETS  # that grams are counted in; a power of two

    @beam.typehints.no_annotations  # Beam warns of hints that are dicts
    def expand(self, blocks: beam.PCollection) -> dict[str, beam.PCollection]:
        """Wire."""
        described = blocks | "Split" >> beam.Map(
            split_block, self.buckets, self.options.furniture_articles
        ).with_output_types(pa.Table)
        documents = described | "Documents" >> Gather(store_documents, (self.scratch,))
        frequencies = (
            blocks.pipeline
            | "Buckets" >> beam.Create(range(self.buckets), reshuffle=False)
            | "Spread" >> Spread(int)
            | "Count"
            >> beam.Map(
                count_stored, beam.pvalue.AsSingleton(documents), self.options, self.scratch, self.kept
            ).with_output_types(pa.Table)
            | "Frequencies" >> Gather(store_answers, (self.scratch,))
        )
        signed = (
            described
            | "Refs" >> beam.FlatMap(refs_of).with_output_types(BlockRef)
            | "Sign"
            >> beam.Map(
                sign_block,
                beam.pvalue.AsSingleton(documents),
                beam.pvalue.AsSingleton(frequencies),
                self.options,
                self.kept,
            ).with_output_types(BlockRef)
        )
        return {"signed": signed, "documents": documents, "frequencies": frequencies}


def split_block(ref: BlockRef, buckets: int, furniture_articles: int = MatchOptions.furniture_articles) -> pa.Table:
    """Store the words and grams of a block; returns its DOCUMENTS rows."""
    articles = load(ref.part("articles"))
    words = spared("match", functools.partial(_words_of, furniture_articles=furniture_articles), articles)
    offsets = words.offsets.astype(np.int32)
    listed = {"word": words.hashes, "start": words.start, "length": words.length, "flags": words.flags}
    lists = {name: pa.ListArray.from_arrays(offsets, pa.array(values)) for name, values in listed.items()}
    store(pa.table({"article_id": column(articles, "article_id"), **lists}), ref.part("tokens"))
    grams = hash_grams(words.hashes, words.offsets)
    store(grams_table(grams, gram_offsets(words.offsets), buckets), ref.part("grams"))
    columns = [
        pa.array([ref.base] * articles.num_rows, pa.string()),
        np.arange(articles.num_rows, dtype=np.int32),
        column(articles, "article_id"),
        column(articles, "identity"),
        outlet_hashes(articles["outlet"]),
        text_keys(words.hashes, words.offsets, column(articles, "article_id").to_numpy()),
    ]
    return pa.table(columns, schema=DOCUMENTS)


def _words_of(articles: pa.Table, furniture_articles: int) -> Words:
    texts = column(articles, "text")
    return flag_returning(split_words(texts), texts, column(articles, "line_stories"), furniture_articles)


def store_documents(tables: Iterable[pa.Table], scratch: str) -> StoredTable:
    """Store what is known of all articles in the order that counting needs."""
    documents = concat(tables, DOCUMENTS)
    return store_new(documents.sort_by([("block", "ascending"), ("row", "ascending")]), scratch, "documents")


def store_answers(tables: Iterable[pa.Table], scratch: str) -> StoredTable:
    """Store where the frequencies of each bucket are."""
    return store_new(concat(tables, ANSWERS), scratch, "frequencies")


def count_stored(
    bucket: int, documents: StoredTable, options: MatchOptions, scratch: str, kept: Kept = NOTHING_KEPT
) -> pa.Table:
    """Count one bucket of grams; returns an ANSWERS row."""
    return count_bucket(bucket, read_documents(documents, kept), options.furniture_articles, scratch)


def refs_of(documents: pa.Table) -> list[BlockRef]:
    """The block that DOCUMENTS rows describe; none for a block without articles."""
    return [BlockRef(documents["block"][0].as_py(), documents.num_rows)] if documents.num_rows else []


def sign_block(
    ref: BlockRef, stored: StoredTable, answers: StoredTable, options: MatchOptions, kept: Kept = NOTHING_KEPT
) -> BlockRef:
    """Store the frequencies, signatures and keys of a block whose words and grams are stored."""
    documents = read_documents(stored, kept)
    place = documents.place(ref)
    tokens = load(ref.part("tokens"))
    words = column(tokens, "word")
    word_offsets = words.offsets.to_numpy().astype(np.int64)
    grams = hash_grams(words.values.to_numpy(), word_offsets)
    offsets = gram_offsets(word_offsets)
    counted = read_frequencies(ref, documents, answers)
    counted[returning(column(tokens, "flags").values.to_numpy(), word_offsets, offsets)] |= FURNITURE_BIT
    frequency = mark_furniture(counted, offsets)
    cap = options.frequency_cap
    hashes, bounds = evident_hashes(grams, frequency, offsets, cap, options.min_evidence)
    signatures = sign(hashes, bounds, options.signature)
    lists = pa.ListArray.from_arrays(offsets.astype(np.int32), pa.array(frequency))
    flat = pa.FixedSizeListArray.from_arrays(pa.array(signatures.reshape(-1)), options.signature.permutations)
    schema = pa.schema(
        {"text": pa.int64(), "frequency": lists.type, "signature": flat.type},
        {b"rule": str(options.signature).encode()},
    )
    store(pa.table([documents.text[place], lists, flat], schema=schema), ref.part("signed"))

    leads = documents.leader[place] == documents.article_id[place]
    band, band_rows = band_keys(signatures, options.bands)
    passages = hash_passages(grams, offsets)
    shareable = shareable_passages(frequency, offsets, cap)
    chosen = np.flatnonzero(winnow(passages, offsets, options.quote_words - PASSAGE + 1) & shareable)
    chosen_rows = (np.searchsorted(offsets, chosen, side="right") - 1).astype(np.int32)
    prints, print_rows = each_once(fingerprint_keys(passages[chosen]), chosen_rows)
    keys, key_rows = np.concatenate([band, prints]), np.concatenate([band_rows, print_rows])
    if not leads.all():
        keys, key_rows = keys[leads[key_rows]], key_rows[leads[key_rows]]
    known, known_rows = identity_keys(documents.identity[place])
    keys, key_rows = np.concatenate([keys, known]), np.concatenate([key_rows, known_rows])
    order, keys, ends = by_bucket(keys, options.key_buckets)
    schema = pa.schema({"key": pa.uint64(), "row": pa.int32()}, {b"buckets": ends.tobytes()})
    store(pa.table([keys, key_rows[order]], schema=schema), ref.part("keys"))
    return ref
