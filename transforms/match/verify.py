"""Verification: candidate pairs become scored pairs with what they share, or nothing.

Words, frequencies and signatures are mapped from the blocks that hold them, by the catalog; no text is shuffled. Blocks
of kept articles have no text: what a new article shares with a kept one is shown as the new one has it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import apache_beam as beam
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.barriers import Spread
from schemas.blocks import PAIRS, StoredTable, load
from schemas.errors import ContractMismatch
from schemas.ids import is_among
from schemas.labels import RELATION_CODES, Relation
from schemas.state import NOTHING_KEPT, Kept, kept_articles
from transforms.match import alignment
from transforms.match.frequencies import raise_frequencies
from transforms.match.gathering import column, copy_slices, factorise, gather_lists, places_of
from transforms.match.minhash import jaccard
from transforms.match.options import LARGEST, MatchOptions, gram_weights
from transforms.match.recurring import other_editions
from transforms.match.shingles import gram_offsets, hash_grams
from transforms.match.words import text_buffers

Int32Array = NDArray[np.int32]
Int64Array = NDArray[np.int64]
FloatArray = NDArray[np.float32]

_NONE = np.zeros(0, np.int64)
_BATCH = 1 << 16  # pairs whose articles are held in memory together
_LINK = 0.05  # a pair that scores less and shares no long run is nothing
_WHOLE = 0.75  # coverage of a side that is as good as all of it
_TEXT = 100.0  # weight, of about ten rare grams: equal texts that hold less may be a form or a stub
# Of its words in short lines that are no sentences: an article so listed is a gallery or an index. Two such articles of
# one outlet share its lists (titles, teasers, names), not a text: 29 of 11,818 real articles have so many.
_LISTED = 2 / 3
_BACKGROUND = 0.25  # of both articles stands before what they share: an outlet repeats its background under other news
_REPEATED = 0.15  # what such a pair falls short by; a version of one article keeps its top or has a new lead alone
_LEAD = 0.5  # share of the longer article's opening that is shared where the other is cut from it


@dataclass(eq=False)
class VerifyPairs(beam.PTransform):  # type: ignore[misc]
    """Candidate pairs → verified pairs (PAIRS tables).

    Takes a dict: `candidates` (one StoredTable of CANDIDATES rows) and `catalog` (one StoredTable of CATALOG rows,
    ascending by article id). Every pair comes with the relation it has *if* the two articles end in one copy;
    `cluster.settle.SettlePairs` keeps or changes it once the copies are known, and drops the pairs that only
    clustering needed.
    """

    options: MatchOptions
    kept: Kept = NOTHING_KEPT
    shares: int = 16  # that the candidates are verified in

    @beam.typehints.no_annotations  # Beam warns of hints that are dicts
    def expand(self, inputs: dict[str, beam.PCollection]) -> beam.PCollection:
        """Wire."""
        candidates, catalog = (beam.pvalue.AsSingleton(inputs[name]) for name in ("candidates", "catalog"))
        return (
            inputs["candidates"].pipeline
            | "Shares" >> beam.Create(range(self.shares), reshuffle=False)
            | "Spread" >> Spread(int)
            | "Compare"
            >> beam.FlatMap(
                verified_share, candidates, catalog, self.options, self.shares, self.kept
            ).with_output_types(pa.Table)
        )


def verified_share(  # noqa: PLR0913, PLR0917 -- side inputs and what is known beforehand
    share: int,
    candidates: StoredTable,
    catalog: StoredTable,
    options: MatchOptions,
    shares: int,
    kept: Kept = NOTHING_KEPT,
) -> Iterator[pa.Table]:
    """Verify one of so many shares of the stored candidates."""
    start, stop = (candidates.rows * number // shares for number in (share, share + 1))
    yield from verified_tables(load(candidates.path).slice(start, stop - start), catalog, options, kept)


def verified_tables(
    candidates: pa.Table, catalog: StoredTable, options: MatchOptions, kept: Kept = NOTHING_KEPT
) -> Iterator[pa.Table]:
    """Verify the pairs of a table, batch by batch; gives no empty tables."""
    known = kept_articles(kept)["article_id"].to_numpy()
    for start in range(0, candidates.num_rows, _BATCH):
        pairs = verify_pairs(candidates.slice(start, _BATCH), load(catalog.path), options, known)
        if pairs.num_rows:
            yield pairs


def verify_pairs(candidates: pa.Table, catalog: pa.Table, options: MatchOptions, kept: Int64Array = _NONE) -> pa.Table:
    """Verify pairs of articles.

    Args:
      candidates: CANDIDATES rows.
      catalog: CATALOG rows of all articles, ascending by id.
      options: as the articles were signed.
      kept: ids of articles that earlier runs kept, ascending; of no pair both.

    Returns:
      PAIRS rows, ascending; pairs that share next to nothing are left out.

    Raises:
      ContractMismatch: an article was signed by another rule.
    """
    left, right = candidates["left"].to_numpy(), candidates["right"].to_numpy()
    rows, both = np.unique(np.concatenate([left, right]), return_inverse=True)
    old = is_among(catalog["article_id"].take(rows).to_numpy(), kept)
    lefts, rights = _new_first(both[: left.size], both[left.size :], old)
    gathered = _gather(
        catalog.select(["article_id", "identity", "block", "row", "outlet"]).take(rows), str(options.signature)
    )
    ids = gathered.article_id
    articles = catalog.num_rows
    table = np.array(gram_weights(articles, options.frequency_cap, LARGEST), np.float32)
    offsets = gram_offsets(gathered.offsets)
    grams = hash_grams(gathered.words, gathered.offsets)
    frequency = raise_frequencies(grams, gathered.frequency, offsets, old)
    prepared = alignment.weigh(grams, gathered.flags, gathered.offsets, frequency, offsets, table)
    figures, counts, runs = alignment.compare(
        lefts, rights, prepared, offsets, gathered.flags, gathered.offsets, options.passages
    )
    heavy = prepared[2][:, alignment.EVERYTHING] >= _TEXT
    clones = (gathered.text[lefts] == gathered.text[rights]) & (heavy[lefts] | heavy[rights])
    figures[clones, : alignment.OPENING] = 1.0
    score = figures[:, alignment.SCORE].copy()
    listed = prepared[2][:, alignment.LISTED_SHARE].astype(np.float32) >= _LISTED
    same_outlet = gathered.outlet[lefts] == gathered.outlet[rights]
    background = same_outlet & (figures[:, alignment.START] >= _BACKGROUND)
    score[background] = np.maximum(0.0, score[background] - np.float32(_REPEATED))
    score[same_outlet & listed[lefts] & listed[rights]] = 0.0
    score[other_editions(lefts, rights, gathered.words, gathered.flags, gathered.offsets)] = 0.0
    same_page = (gathered.identity[lefts] == gathered.identity[rights]) & (gathered.identity[lefts] != 0)
    score[same_page] = 1.0
    told = np.flatnonzero((score >= _LINK) | (counts[:, alignment.LONGEST] >= options.quote_words))
    told = told[np.lexsort((np.maximum(lefts, rights)[told], np.minimum(lefts, rights)[told]))]
    lefts, rights, figures, counts, runs = lefts[told], rights[told], figures[told], counts[told], runs[told]
    sizes, ahead = np.diff(gathered.offsets), lefts < rights
    covered = figures[:, alignment.COVERAGE_LEFT], figures[:, alignment.COVERAGE_RIGHT]
    columns = [
        ids[np.minimum(lefts, rights)],
        ids[np.maximum(lefts, rights)],
        relations(figures, same_page[told], sizes[lefts], sizes[rights]),
        score[told],
        np.where(ahead, *covered),
        np.where(ahead, *reversed(covered)),
        jaccard(gathered.signatures[lefts], gathered.signatures[rights]),
        counts[:, alignment.SHARED],
        counts[:, alignment.LONGEST],
        _passages(gathered, lefts, runs, options),
    ]
    return pa.table(columns, schema=PAIRS)


def _new_first(left: Int64Array, right: Int64Array, old: NDArray[np.bool_]) -> tuple[Int64Array, Int64Array]:
    """Pairs with the side first whose text is there, then the smaller; equal ones together."""
    first, second = np.where(old[left], right, left), np.where(old[left], left, right)
    order = np.lexsort((second, first))
    return first[order], second[order]


def relations(
    figures: FloatArray, same_page: NDArray[np.bool_], left: Int64Array, right: Int64Array
) -> NDArray[np.int8]:
    """What each pair is to one another, were it a copy.

    `same`: both sides shared almost whole. `version`: the same page, or much shared but neither side whole. A shorter
    article that stands almost whole in a longer one is `abridged` from it when the longer one opens with shared text,
    else `embedded`.

    Args:
      figures: as `alignment.compare` gives them.
      same_page: whether both have one canonical URL.
      left: words of the left articles.
      right: words of the right ones.

    Returns:
      shape (pairs,), RELATION_CODES.
    """
    share_left, share_right = figures[:, alignment.SHARE_LEFT], figures[:, alignment.SHARE_RIGHT]
    shorter = np.where(left <= right, share_left, share_right)
    cut = np.where(
        figures[:, alignment.OPENING] >= _LEAD, RELATION_CODES[Relation.ABRIDGED], RELATION_CODES[Relation.EMBEDDED]
    )
    relation = np.where(shorter >= _WHOLE, cut, RELATION_CODES[Relation.VERSION])
    relation[np.minimum(share_left, share_right) >= _WHOLE] = RELATION_CODES[Relation.SAME]
    relation[same_page] = RELATION_CODES[Relation.VERSION]
    return relation.astype(np.int8)


@dataclass(frozen=True)
class _Articles:
    """The articles of a batch in id order; words and frequencies one article after another."""

    article_id: Int64Array
    bases: list[str]
    block: Int64Array  # of each article, into `bases`
    row: Int64Array
    offsets: Int64Array
    words: NDArray[np.uint32]
    flags: NDArray[np.uint8]
    frequency: NDArray[np.uint16]
    signatures: NDArray[np.uint32]
    identity: Int64Array
    text: Int64Array  # equal numbers, the same words
    outlet: Int64Array  # equal numbers, equal outlets; where none is known, a number of the article's own


def _gather(entries: pa.Table, rule: str) -> _Articles:
    """Map the blocks that hold the articles and copy what comparing needs."""
    block, row = factorise(entries["block"]), entries["row"].to_numpy().astype(np.int64)
    tokens = [load(f"{base}.tokens.arrow") for base in block[1]]
    signed = [load(f"{base}.signed.arrow") for base in block[1]]
    for base, table in zip(block[1], signed, strict=True):
        if table.schema.metadata[b"rule"].decode() != rule:
            message = f"{base} was signed by {table.schema.metadata[b'rule'].decode()}, not by {rule}: sign it again"
            raise ContractMismatch(message)
    offsets, words = gather_lists([column(table, "word") for table in tokens], block[0], row)
    text = np.empty(row.size, np.int64)
    signatures = np.empty((row.size, column(signed[0], "signature").type.list_size), np.uint32)
    for table, members in zip(signed, places_of(block[0], len(signed)), strict=True):
        values = column(table, "signature").values.to_numpy().reshape(-1, signatures.shape[1])
        signatures[members] = values[row[members]]
        text[members] = table["text"].to_numpy()[row[members]]
    known = entries["outlet"].is_valid().to_numpy()
    outlet = np.where(known, factorise(entries["outlet"].fill_null(""))[0], -1 - np.arange(known.size))
    return _Articles(
        article_id=entries["article_id"].to_numpy(),
        bases=block[1],
        block=block[0],
        row=row,
        offsets=offsets,
        words=words.view(np.uint32),
        flags=gather_lists([column(table, "flags") for table in tokens], block[0], row)[1],
        frequency=gather_lists([column(table, "frequency") for table in signed], block[0], row)[1].view(np.uint16),
        signatures=signatures,
        identity=entries["identity"].to_numpy(),
        text=text,
        outlet=outlet,
    )


def _passages(articles: _Articles, lefts: Int64Array, runs: Int32Array, options: MatchOptions) -> pa.Array:
    """Cut the kept runs out of the text of the articles that come first, as lists of strings, one a pair."""
    shown = runs[:, :, 1] >= options.passage_least
    pair, _ = np.nonzero(shown)
    first, words = runs[shown].astype(np.int64).T
    article = lefts[pair]
    begin, end = np.zeros(pair.size, np.int64), np.zeros(pair.size, np.int64)
    texts = []
    pieces = places_of(articles.block[article], len(articles.bases))
    for base, here in zip(articles.bases, pieces, strict=True):
        if not here.size:  # it may have no text
            texts.append((_NONE, np.zeros(0, np.uint8)))
            continue
        tokens, text = load(f"{base}.tokens.arrow"), column(load(f"{base}.articles.arrow"), "text")
        texts.append(text_buffers(text))
        row = articles.row[article[here]]
        word = column(tokens, "word").offsets.to_numpy()[row] + first[here]
        last = word + np.minimum(words[here], options.passage_words) - 1
        start, length = column(tokens, "start").values.to_numpy(), column(tokens, "length").values.to_numpy()
        begin[here] = texts[-1][0][row] + start[word]
        end[here] = texts[-1][0][row] + start[last] + length[last]
    data = copy_slices([buffer for _, buffer in texts], articles.block[article], begin, end)
    bounds = np.concatenate([[0], np.cumsum(end - begin)])
    strings = pa.LargeStringArray.from_buffers(pair.size, pa.py_buffer(bounds), pa.py_buffer(data)).cast(pa.string())
    ends = np.concatenate([[0], np.cumsum(shown.sum(axis=1))])
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), strings)
