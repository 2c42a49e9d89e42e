"""The pairs of articles worth comparing: those that share some of their heaviest terms.

Recall first; `similarity` decides.
"""

import numba as nb
import numpy as np
from numpy.typing import NDArray

from transforms.cluster.similarity import Pairs, Vectors

Float32Array = NDArray[np.float32]
Int32Array = NDArray[np.int32]
Int64Array = NDArray[np.int64]
UInt32Array = NDArray[np.uint32]

_LEAD_HEAVY, _BODY_HEAVY = 15, 25  # the heaviest terms of an article


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


def neighbours(heavy: Vectors, top: int, floor: float, cap: int) -> Pairs:
    """Pair each article with its `top` nearest by heavy terms, of similarity `floor` or more.

    Articles stand in order of time. Of a term that more than `cap` articles hold only the `cap` nearest in that order
    are tried, so that the work grows with the articles, not with their square.

    Args:
      heavy: as `heaviest` gives them.
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
                if j == i:
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
