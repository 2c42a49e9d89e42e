"""How much of what two articles say is the same, by their mass vectors of lead and body.

The weight of a term in an article is its share of the article's idf mass; two articles are as similar as the shares
they hold in common, averaged over both sides, and over lead and body. What headlines have in common counts once more.
"""

from typing import NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from transforms.cluster.terms import Terms
from transforms.cluster.vocabulary import Vocabulary, find

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]
Int32Array = NDArray[np.int32]
Int64Array = NDArray[np.int64]
UInt16Array = NDArray[np.uint16]
UInt32Array = NDArray[np.uint32]

LEAD_TERMS = 70  # the lead is the headline and so many terms of the text
_LEAD_LENGTH, _BODY_LENGTH = 60.0, 250.0  # a usual length, fixed: BM25's average
_SAME_TOPIC, _SAME_STORY, _OTHERS = 0.15, 0.35, 20.0  # see `similarities`
_HEADLINES = np.float32(0.2)  # share of the headlines in a similarity; 0 and .3 cost a point of ARI
_MOST_TERMS = (1 << 16) - 1  # of a headline that are told from the text's
_FILTER = 1 << 14  # bytes of the filter in `_similarities`: a third of a core's nearest cache


class Vectors(NamedTuple):
    """Mass vectors of articles: those of i stand at `offsets[i]:offsets[i + 1]`, each term once."""

    terms: UInt32Array
    lead: Float32Array  # 0 where the term stands in the text alone
    body: Float32Array
    offsets: Int64Array


class Pairs(NamedTuple):
    """Pairs of articles, left < right, ascending."""

    left: Int32Array
    right: Int32Array


def vectors(headlines: Terms, texts: Terms, words: Vocabulary) -> Vectors:
    """Weigh the terms of each article: idf · tf · 2.2 / (tf + 1.2 · (.25 + .75 · L / L0)), divided by their sum.

    The lead is the headline and the first 70 terms of the text; the body counts the headline twice.

    Source: BM25 (Robertson, Zaragoza 2009, "The Probabilistic Relevance Framework") with a fixed average length.
    """
    return Vectors(
        *_vectors(
            headlines.hashes,
            headlines.offsets,
            texts.hashes,
            texts.offsets,
            words.slots,
            words.terms,
            words.lead_idf,
            words.body_idf,
            np.array(words.unknown),
        )
    )


@nb.njit(cache=True, nogil=True)
def _vectors(  # noqa: C901, PLR0913, PLR0917 -- arrays of three tables, one pass
    head: UInt32Array,
    head_at: Int64Array,
    text: UInt32Array,
    text_at: Int64Array,
    slots: Int32Array,
    known: UInt32Array,
    lead_idf: Float32Array,
    body_idf: Float32Array,
    unknown: Float64Array,
) -> tuple[UInt32Array, Float32Array, Float32Array, Int64Array]:
    articles = len(head_at) - 1
    room = len(head) + len(text)
    terms, lead, body = np.empty(room, np.uint32), np.empty(room, np.float32), np.empty(room, np.float32)
    offsets = np.zeros(articles + 1, np.int64)
    longest = 1
    for i in range(articles):
        longest = max(longest, head_at[i + 1] - head_at[i] + text_at[i + 1] - text_at[i])
    size = 4
    while size < 2 * longest:
        size *= 2
    places = np.empty(size, np.int64)  # where the article's terms stand in `terms`, by their last bits
    count = 0
    for i in range(articles):
        h, t = head_at[i + 1] - head_at[i], text_at[i + 1] - text_at[i]
        size = 4
        while size < 2 * (h + t):
            size *= 2
        for k in range(size):
            places[k] = -1
        first = count
        for k in range(h + t):
            term = head[head_at[i] + k] if k < h else text[text_at[i] + k - h]
            place = np.int64(term) & (size - 1)
            while places[place] >= 0 and terms[places[place]] != term:
                place = (place + 1) & (size - 1)
            if places[place] < 0:
                places[place] = count
                terms[count], lead[count], body[count] = term, 0.0, 0.0
                count += 1
            lead[places[place]] += 1.0 if k < h + LEAD_TERMS else 0.0
            body[places[place]] += 2.0 if k < h else 1.0
        lead_norm = 1.2 * (0.25 + 0.75 * (h + min(t, LEAD_TERMS)) / _LEAD_LENGTH)
        body_norm = 1.2 * (0.25 + 0.75 * (2 * h + t) / _BODY_LENGTH)
        lead_sum = body_sum = 0.0
        last, count = count, first
        for at in range(first, last):
            known_at = find(slots, known, terms[at])
            low, high = unknown[0], unknown[1]
            if known_at >= 0:
                low, high = np.float64(lead_idf[known_at]), np.float64(body_idf[known_at])
            low = low * lead[at] * 2.2 / (lead[at] + lead_norm) if lead[at] > 0 else 0.0
            high = high * body[at] * 2.2 / (body[at] + body_norm)
            if low > 0 or high > 0:
                terms[count], lead[count], body[count] = terms[at], low, high
                lead_sum += low
                body_sum += high
                count += 1
        for at in range(first, count):
            lead[at] = lead[at] / lead_sum if lead_sum > 0 else 0.0
            body[at] = body[at] / body_sum if body_sum > 0 else 0.0
        offsets[i + 1] = count
    return terms[:count], lead[:count], body[:count], offsets


@nb.njit(cache=True, nogil=True)
def place(values: UInt32Array, lengths: Int32Array, starts: Int64Array, out: UInt32Array) -> None:
    """Copy runs of values, `lengths` long, to where each `starts` in `out`; not those that start below 0."""
    at = 0
    for run in range(len(lengths)):
        for k in range(lengths[run] if starts[run] >= 0 else 0):
            out[starts[run] + k] = values[at + k]
        at += lengths[run]


def headline_terms(headlines: Terms, articles: Vectors) -> UInt16Array:
    """How many of the terms of each article, the first ones, stand in its headline.

    `vectors` lists terms where they first stand, the headline's before the text's.
    """
    return _headline_terms(headlines.hashes, headlines.offsets, articles.terms, articles.offsets)


@nb.njit(cache=True, nogil=True)
def _headline_terms(head: UInt32Array, head_at: Int64Array, terms: UInt32Array, offsets: Int64Array) -> UInt16Array:
    out = np.zeros(len(offsets) - 1, np.uint16)
    for i in range(len(out)):
        at = offsets[i]
        for k in range(head_at[i], head_at[i + 1]):  # a term once more, or one without mass, is not the next one
            at += at < offsets[i + 1] and terms[at] == head[k]
        out[i] = min(at - offsets[i], _MOST_TERMS)
    return out


def similarities(pairs: Pairs, factor: Float64Array, articles: Vectors, headline: UInt16Array) -> Float64Array:
    """Similarity of each pair by all its terms, 0..1, times its factor; terms common in the neighbourhood count less.

    The similarity is ½ (lead + body), each ½ Σ over common terms of both shares. That of the first pass tells the
    neighbours of the same story (.35 and above) from those of the same topic (.15 and below); a term that the latter
    hold names the topic, not the event, and loses the share of them that hold it (as if 20 more did not). A fifth of
    the result is the same of the headlines alone, where both articles have one.

    Args:
      pairs: of articles.
      factor: what else is known of the pairs, shape (pairs,).
      articles: their vectors.
      headline: how many of the first terms of each are its headline's, shape (articles,).
    """
    nothing = np.empty(0, np.float32)
    _, weight = _similarities(pairs.left, pairs.right, factor, *articles, headline, nothing, learn=True)
    return _similarities(pairs.left, pairs.right, factor, *articles, headline, weight, learn=False)[0]


def plain(pairs: Pairs, articles: Vectors) -> Float64Array:
    """Similarity of each pair by all its terms, 0..1, whatever their neighbourhood."""
    nothing, none = np.empty(0, np.float32), np.zeros(len(articles.offsets) - 1, np.uint16)
    return _similarities(pairs.left, pairs.right, np.ones(len(pairs.left)), *articles, none, nothing, learn=True)[0]


@nb.njit(cache=True, nogil=True)
def _similarities(  # noqa: C901, PLR0912, PLR0913, PLR0915, PLR0917 -- arrays of two tables, one inner loop
    left: Int32Array,
    right: Int32Array,
    factor: Float64Array,
    terms: UInt32Array,
    lead: Float32Array,
    body: Float32Array,
    offsets: Int64Array,
    headline: UInt16Array,
    weight: Float32Array,
    learn: bool,
) -> tuple[Float64Array, Float32Array]:
    """Similarities: weighted, or if `learn` plain, with each term's share of the article's other neighbours without it.

    Most terms of a pair are not common. They fall out without a branch, by a filter of one byte for each value of a
    hash's last bits; the few that pass are looked up.
    """
    out = np.empty(len(left), np.float64)
    held = np.zeros(len(terms) if learn else 0, np.float32)
    others = np.full(len(offsets) - 1, _OTHERS, np.float32)
    share = np.zeros(len(offsets) - 1, np.float32)  # of the headline in the lead
    longest = 1
    for i in range(len(offsets) - 1):
        longest = max(longest, offsets[i + 1] - offsets[i])
        for at in range(offsets[i], offsets[i] + headline[i]):
            share[i] += lead[at]
    size = _FILTER
    while size < 4 * longest:
        size *= 2
    mask = np.uint32(size - 1)
    passes = np.zeros(size, np.uint8)
    slots = np.full(size, -1, np.int32)  # which term of the left article, by the last bits of its hash
    maybe = np.empty(longest + 1, np.int32)
    here, there = np.empty(longest, np.int32), np.empty(longest, np.int32)
    nothing = np.float32(0)
    current = np.int32(-1)
    mine = terms[:0]
    for pair in range(len(left)):
        i, j = left[pair], right[pair]
        start, other_start = offsets[i], offsets[j]
        if i != current:
            for value in mine:
                slot = value & mask
                passes[slot] = 0
                while slots[slot] >= 0:
                    slots[slot] = -1
                    slot = (slot + np.uint32(1)) & mask
            mine = terms[start : offsets[i + 1]]
            for k in range(len(mine)):
                slot = mine[k] & mask
                passes[slot] = 1
                while slots[slot] >= 0:
                    slot = (slot + np.uint32(1)) & mask
                slots[slot] = k
            current = i
        theirs = terms[other_start : offsets[j + 1]]
        few = 0
        for k in range(len(theirs)):
            maybe[few] = k
            few += passes[theirs[k] & mask]
        total = in_headlines = 0.0
        common = 0
        for k in range(few):
            value = theirs[maybe[k]]
            slot = value & mask
            while slots[slot] >= 0 and mine[slots[slot]] != value:
                slot = (slot + np.uint32(1)) & mask
            if slots[slot] >= 0:
                a, b = start + slots[slot], other_start + maybe[k]
                here[common], there[common] = slots[slot], maybe[k]
                common += 1
                both = lead[a] > 0 and lead[b] > 0
                one = body[a] + (lead[a] if both else nothing)
                other = body[b] + (lead[b] if both else nothing)
                if learn:
                    total += one + other
                else:
                    total += one * weight[a] + other * weight[b]
                    if both and slots[slot] < headline[i] and maybe[k] < headline[j]:
                        in_headlines += lead[a] * weight[a] / share[i] + lead[b] * weight[b] / share[j]
        out[pair] = factor[pair] * total / 4.0
        if not learn:
            if share[i] > 0 and share[j] > 0:
                out[pair] += _HEADLINES * (factor[pair] * in_headlines / 2.0 - out[pair])
            continue
        apart = np.float32(min(1.0, (_SAME_STORY - out[pair]) / (_SAME_STORY - _SAME_TOPIC)))
        if apart > 0:
            others[i] += apart
            others[j] += apart
            for k in range(common):
                held[start + here[k]] += apart
                held[other_start + there[k]] += apart
    if learn:
        for i in range(len(others)):
            for at in range(offsets[i], offsets[i + 1]):
                held[at] = 1 - held[at] / others[i]
    return out, held


@nb.njit(cache=True, nogil=True)
def scale_locally(  # noqa: PLR0913, PLR0917 -- the pairs and the setting, flat
    left: Int32Array,
    right: Int32Array,
    score: Float64Array,
    label: Int64Array,
    nearest: int,
    absent: float,
    share: float,
) -> Float64Array:
    """Take from each similarity a share of how crowded both neighbourhoods are: S - share · (r_i + r_j).

    r_i is the mean of the `nearest` largest similarities of i to articles of other stories, so that a large story does
    not crowd itself out. Pairs that are missing count as 0, articles that the whole run lacks as `absent`: of few
    articles one cannot tell how near the rest of the news would have been.

    Args:
      left: articles of the pairs.
      right: the others.
      score: their similarities.
      label: the story of each article as known so far, 0 or more and below their number; shape (articles,).
      nearest: articles that make a neighbourhood.
      absent: similarity of an article that the run lacks.
      share: of both neighbourhoods that is taken.

    Source: CSLS, Conneau et al. 2018, "Word Translation Without Parallel Data".
    """
    articles = len(label)
    best = np.zeros((articles, nearest), np.float64)  # ascending
    for pair in range(len(left)):
        if label[left[pair]] == label[right[pair]]:
            continue
        for i in (left[pair], right[pair]):
            row = best[i]
            if score[pair] > row[0]:
                k = 0
                while k + 1 < nearest and row[k + 1] < score[pair]:
                    row[k] = row[k + 1]
                    k += 1
                row[k] = score[pair]
    mates = np.zeros(articles, np.int64)
    for i in range(articles):
        mates[label[i]] += 1
    crowd = np.empty(articles, np.float64)
    for i in range(articles):
        total = absent * max(0, nearest - (articles - mates[label[i]]))
        for k in range(nearest):
            total += best[i, k]
        crowd[i] = total / nearest
    out = np.empty(len(left), np.float64)
    for pair in range(len(left)):
        out[pair] = score[pair] - share * (crowd[left[pair]] + crowd[right[pair]])
    return out
