"""How much of what two articles say is the same: mass vectors of lead and body, and the pairs worth comparing.

The weight of a term in an article is its share of the article's idf mass; two articles are as similar as the shares
they hold in common, averaged over both sides, and over lead and body.
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
UInt32Array = NDArray[np.uint32]

LEAD_TERMS = 70  # the lead is the headline and so many terms of the text
_LEAD_LENGTH, _BODY_LENGTH = 60.0, 250.0  # a usual length, fixed: BM25's average
_LEAD_HEAVY, _BODY_HEAVY = 15, 25  # the heaviest terms, by which candidates are found


_SAME_TOPIC, _SAME_STORY, _OTHERS = 0.15, 0.35, 20.0


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
            low = low * lead[at] * 2.2 / (lead[at] + lead_norm)
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
    return terms[:count].copy(), lead[:count].copy(), body[:count].copy(), offsets


def heaviest(all_terms: Vectors) -> Vectors:
    """Keep the 15 heaviest terms of each lead and the 25 heaviest of each body, their shares made to sum to 1 again."""
    return Vectors(*_heaviest(*all_terms))


@nb.njit(cache=True, nogil=True)
def _mark_heaviest(values: Float32Array, chosen: NDArray[np.bool_], best: Float32Array) -> None:
    """Mark the largest values, as many as `best` has room for; of equal ones the first."""
    for k in range(len(best)):  # ascending
        best[k] = 0.0
    for value in values:
        if value > best[0]:
            k = 0
            while k + 1 < len(best) and best[k + 1] < value:
                best[k] = best[k + 1]
                k += 1
            best[k] = value
    ties = 0
    for value in best:
        ties += value == best[0]
    for k in range(len(values)):
        if values[k] > best[0]:
            chosen[k] = True
        elif values[k] == best[0] and values[k] > 0 and ties > 0:
            chosen[k] = True
            ties -= 1


@nb.njit(cache=True, nogil=True)
def _heaviest(
    terms: UInt32Array, lead: Float32Array, body: Float32Array, offsets: Int64Array
) -> tuple[UInt32Array, Float32Array, Float32Array, Int64Array]:
    articles = len(offsets) - 1
    room = min(len(terms), articles * (_LEAD_HEAVY + _BODY_HEAVY))
    out, out_lead, out_body = np.empty(room, np.uint32), np.empty(room, np.float32), np.empty(room, np.float32)
    ends = np.zeros(articles + 1, np.int64)
    best = np.empty(max(_LEAD_HEAVY, _BODY_HEAVY), np.float32)
    count = 0
    for i in range(articles):
        start, stop = offsets[i], offsets[i + 1]
        chosen_lead = np.zeros(stop - start, np.bool_)
        chosen_body = np.zeros(stop - start, np.bool_)
        _mark_heaviest(lead[start:stop], chosen_lead, best[:_LEAD_HEAVY])
        _mark_heaviest(body[start:stop], chosen_body, best[:_BODY_HEAVY])
        lead_sum = body_sum = 0.0
        for k in range(stop - start):
            lead_sum += lead[start + k] if chosen_lead[k] else 0.0
            body_sum += body[start + k] if chosen_body[k] else 0.0
        for k in range(stop - start):
            if chosen_lead[k] or chosen_body[k]:
                out[count] = terms[start + k]
                out_lead[count] = lead[start + k] / lead_sum if chosen_lead[k] else 0.0
                out_body[count] = body[start + k] / body_sum if chosen_body[k] else 0.0
                count += 1
        ends[i + 1] = count
    return out[:count].copy(), out_lead[:count].copy(), out_body[:count].copy(), ends


def neighbours(heavy: Vectors, low: Int64Array, high: Int64Array, top: int, floor: float, cap: int) -> Pairs:  # noqa: PLR0913, PLR0917 -- the setting, flat
    """Pair each article with its `top` nearest by heavy terms, of similarity `floor` or more.

    Articles stand in order of time. Of a term that more than `cap` articles hold only the `cap` nearest in that order
    are tried, so that the work grows with the articles, not with their square.

    Args:
      heavy: as `heaviest` gives them.
      low: first article that i may be paired with, shape (articles,).
      high: end of those articles, shape (articles,).
      top: neighbours kept.
      floor: least similarity.
      cap: articles tried by one term.
    """
    names, term = np.unique(heavy.terms, return_inverse=True)
    order = np.argsort(term, kind="stable")  # postings: articles ascending in each term
    owner = np.repeat(np.arange(len(heavy.offsets) - 1, dtype=np.int32), np.diff(heavy.offsets))
    starts = np.zeros(len(names) + 1, np.int64)
    np.cumsum(np.bincount(term, minlength=len(names)), out=starts[1:])
    found = _neighbours(
        term.astype(np.int64),
        heavy.lead,
        heavy.body,
        heavy.offsets,
        owner[order],
        heavy.lead[order],
        heavy.body[order],
        starts,
        low,
        high,
        top,
        floor,
        cap,
    )
    found = np.unique(found)
    left, right = (found >> 32).astype(np.int32), (found & 0xFFFFFFFF).astype(np.int32)
    return Pairs(left, right)


@nb.njit(cache=True, nogil=True)
def _neighbours(  # noqa: C901, PLR0912, PLR0913, PLR0917 -- the inner loop of the stage
    term: Int64Array,
    lead: Float32Array,
    body: Float32Array,
    offsets: Int64Array,
    owner: Int32Array,
    owner_lead: Float32Array,
    owner_body: Float32Array,
    starts: Int64Array,
    low: Int64Array,
    high: Int64Array,
    top: int,
    floor: float,
    cap: int,
) -> Int64Array:
    articles = len(offsets) - 1
    found = np.empty(articles * top, np.int64)
    sums = np.zeros(articles, np.float32)
    touched = np.empty(articles, np.int32)
    strength = np.empty(articles, np.float32)
    chosen = np.empty(articles, np.bool_)
    best = np.empty(top, np.float32)
    least = np.float32(4.0 * floor)  # sums are four times the similarity
    count = 0
    for i in range(articles):
        seen = 0
        for at in range(offsets[i], offsets[i + 1]):
            first, last = starts[term[at]], starts[term[at] + 1]
            if last - first > cap:
                here, end = first, last
                while here < end:
                    middle = (here + end) // 2
                    if owner[middle] < i:
                        here = middle + 1
                    else:
                        end = middle
                first, last = max(first, here - cap // 2), min(last, here + cap // 2)
            for k in range(first, last):
                j = owner[k]
                if j < low[i] or j >= high[i] or j == i:
                    continue
                gain = np.float32(0.0)
                if lead[at] > 0 and owner_lead[k] > 0:
                    gain += lead[at] + owner_lead[k]
                if body[at] > 0 and owner_body[k] > 0:
                    gain += body[at] + owner_body[k]
                if gain > 0:
                    if sums[j] == 0:
                        touched[seen] = j
                        seen += 1
                    sums[j] += gain
        for k in range(seen):
            strength[k] = sums[touched[k]] if sums[touched[k]] >= least else 0.0
            chosen[k] = False
        _mark_heaviest(strength[:seen], chosen, best)
        for k in range(seen):
            if chosen[k]:
                found[count] = (np.int64(min(i, touched[k])) << 32) | np.int64(max(i, touched[k]))
                count += 1
        for k in range(seen):
            sums[touched[k]] = 0
    return found[:count].copy()


def similarities(pairs: Pairs, factor: Float64Array, articles: Vectors) -> Float64Array:
    """Similarity of each pair by all its terms, 0..1, times its factor; terms common in the neighbourhood count less.

    The similarity is ½ (lead + body), each ½ Σ over common terms of both shares. That of the first pass tells the
    neighbours of the same story (.35 and above) from those of the same topic (.15 and below); a term that the latter
    hold names the topic, not the event, and loses the share of them that hold it (as if 20 more did not).

    Args:
      pairs: of articles.
      factor: what else is known of the pairs, shape (pairs,).
      articles: their vectors.
    """
    weight = np.ones(len(articles.terms), np.float32)
    _, weight = _similarities(pairs.left, pairs.right, factor, *articles, weight)
    return _similarities(pairs.left, pairs.right, factor, *articles, weight)[0]


@nb.njit(cache=True, nogil=True)
def _similarities(  # noqa: C901, PLR0912, PLR0913, PLR0917 -- arrays of two tables, one inner loop
    left: Int32Array,
    right: Int32Array,
    factor: Float64Array,
    terms: UInt32Array,
    lead: Float32Array,
    body: Float32Array,
    offsets: Int64Array,
    weight: Float32Array,
) -> tuple[Float64Array, Float32Array]:
    """Weighted similarities, and of each term the share of the article's neighbours of other stories without it."""
    out = np.empty(len(left), np.float64)
    held = np.zeros(len(terms), np.float32)
    others = np.full(len(offsets) - 1, _OTHERS, np.float32)
    longest = 1
    for i in range(len(offsets) - 1):
        longest = max(longest, offsets[i + 1] - offsets[i])
    size = 4
    while size < 4 * longest:
        size *= 2
    mask = size - 1
    keys = np.zeros(size, np.uint32)  # terms of the left article by their last bits, and where they stand
    slots = np.full(size, -1, np.int32)
    here, there = np.empty(longest, np.int64), np.empty(longest, np.int64)
    current = -1
    for pair in range(len(left)):
        i, j = left[pair], right[pair]
        if i != current:
            size = 4
            while size < 3 * (offsets[i + 1] - offsets[i]):
                size *= 2
            mask = size - 1
            for k in range(size):
                slots[k] = -1
            for at in range(offsets[i], offsets[i + 1]):
                slot = np.int64(terms[at]) & mask
                while slots[slot] >= 0:
                    slot = (slot + 1) & mask
                keys[slot] = terms[at]
                slots[slot] = at
            current = i
        total = 0.0
        common = 0
        for b in range(offsets[j], offsets[j + 1]):
            slot = np.int64(terms[b]) & mask
            while slots[slot] >= 0 and keys[slot] != terms[b]:
                slot = (slot + 1) & mask
            a = slots[slot]
            if a >= 0:
                here[common], there[common] = a, b
                common += 1
                one, other = body[a], body[b]
                if lead[a] > 0 and lead[b] > 0:
                    one += lead[a]
                    other += lead[b]
                total += one * weight[a] + other * weight[b]
        out[pair] = factor[pair] * total / 4.0
        apart = np.float32(min(1.0, (_SAME_STORY - out[pair]) / (_SAME_STORY - _SAME_TOPIC)))
        if apart > 0:
            others[i] += apart
            others[j] += apart
            for k in range(common):
                held[here[k]] += apart
                held[there[k]] += apart
    for i in range(len(others)):
        for at in range(offsets[i], offsets[i + 1]):
            held[at] = 1 - held[at] / others[i]
    return out, held


@nb.njit(cache=True, nogil=True)
def scale_locally(  # noqa: PLR0913, PLR0917 -- the pairs and the setting, flat
    left: Int32Array, right: Int32Array, score: Float64Array, articles: int, nearest: int, floor: float, share: float
) -> Float64Array:
    """Take from each similarity a share of how crowded both neighbourhoods are: S - share · (r_i + r_j).

    r_i is the mean of the `nearest` largest similarities of i, missing ones as 0, and at least `floor`: without that
    small runs are over-merged. Source: CSLS, Conneau et al. 2018, "Word Translation Without Parallel Data".
    """
    best = np.zeros((articles, nearest), np.float64)  # ascending
    for pair in range(len(left)):
        for i in (left[pair], right[pair]):
            row = best[i]
            if score[pair] > row[0]:
                k = 0
                while k + 1 < nearest and row[k + 1] < score[pair]:
                    row[k] = row[k + 1]
                    k += 1
                row[k] = score[pair]
    crowd = np.empty(articles, np.float64)
    for i in range(articles):
        total = 0.0
        for k in range(nearest):
            total += best[i, k]
        crowd[i] = max(floor, total / nearest)
    out = np.empty(len(left), np.float64)
    for pair in range(len(left)):
        out[pair] = score[pair] - share * (crowd[left[pair]] + crowd[right[pair]])
    return out
