"""The pairs of articles worth comparing: those that share some of their heaviest terms.

Recall first; `similarity` decides.
"""

import numba as nb
import numpy as np
from numpy.typing import NDArray

from transforms.cluster.similarity import Pairs, Vectors
from transforms.cluster.vocabulary import find, open_slots

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
    order = _order_by_term(heavy.terms)
    owner = np.repeat(np.arange(len(heavy.offsets) - 1, dtype=np.int32), np.diff(heavy.offsets))
    place, first, last = _groups(heavy.terms, order)
    found = _neighbours(
        place,
        first,
        last,
        heavy.lead,
        heavy.body,
        heavy.offsets,
        owner[order],
        heavy.lead[order],
        heavy.body[order],
        top,
        floor,
        cap,
    )
    found.sort()
    found = found[np.diff(found, prepend=-1) > 0]
    return Pairs((found >> 32).astype(np.int32), (found & 0xFFFFFFFF).astype(np.int32))


@nb.njit(cache=True, nogil=True)
def _order_by_term(terms: UInt32Array) -> Int32Array:
    """Places of the terms, ascending by term, of equal ones by place: a radix sort, ten times as fast as numpy's."""
    order, other = np.empty(len(terms), np.int32), np.empty(len(terms), np.int32)
    for k in range(len(terms)):
        order[k] = k
    for shift in (np.uint32(0), np.uint32(11), np.uint32(22)):
        room = np.zeros(2049, np.int64)
        for term in terms:
            room[((term >> shift) & np.uint32(2047)) + 1] += 1
        for digit in range(2048):
            room[digit + 1] += room[digit]
        for place in order:
            bucket = (terms[place] >> shift) & np.uint32(2047)
            other[room[bucket]] = place
            room[bucket] += 1
        order, other = other, order
    return order


@nb.njit(cache=True, nogil=True)
def _groups(terms: UInt32Array, order: Int32Array) -> tuple[Int32Array, Int32Array, Int32Array]:
    """Of each term its place in the order, and where the run of equal ones begins and ends there."""
    place, first, last = (
        np.empty(len(terms), np.int32),
        np.empty(len(terms), np.int32),
        np.empty(len(terms), np.int32),
    )
    begin = 0
    for k in range(len(order)):
        if k + 1 == len(order) or terms[order[k]] != terms[order[k + 1]]:
            for member in range(begin, k + 1):
                at = order[member]
                place[at], first[at], last[at] = member, begin, k + 1
            begin = k + 1
    return place, first, last


@nb.njit(cache=True, nogil=True)
def _neighbours(  # noqa: PLR0913, PLR0917 -- the inner loop of the stage
    place: Int32Array,
    first: Int32Array,
    last: Int32Array,
    lead: Float32Array,
    body: Float32Array,
    offsets: Int64Array,
    owner: Int32Array,
    owner_lead: Float32Array,
    owner_body: Float32Array,
    top: int,
    floor: float,
    cap: int,
) -> Int64Array:
    articles = len(offsets) - 1
    found = np.empty(articles * top, np.int64)
    sums = np.zeros(articles, np.float32)
    touched = np.empty(articles + 1, np.int32)
    strength = np.empty(articles, np.float32)
    chosen = np.empty(articles, np.bool_)
    best = np.empty(top, np.float32)
    least = np.float32(4.0 * floor)  # sums are four times the similarity
    nothing = np.float32(0)
    count = 0
    for i in range(articles):
        seen = 0
        for at in range(offsets[i], offsets[i + 1]):
            begin, end, here = np.int64(first[at]), np.int64(last[at]), np.int64(place[at])
            if end - begin > cap:
                begin, end = max(begin, here - cap // 2), min(end, here + cap // 2)
            in_lead, in_body = lead[at], body[at]
            for k in range(begin, end):  # no branch in here: half of them would be guessed wrong
                j = owner[k]
                gain = (in_lead + owner_lead[k]) if (in_lead > 0) & (owner_lead[k] > 0) else nothing
                gain += (in_body + owner_body[k]) if (in_body > 0) & (owner_body[k] > 0) else nothing
                before = sums[j]
                touched[seen] = j
                seen += (before == 0) & (gain > 0) & (k != here)
                sums[j] = before + gain
        sums[i] = 0
        few = 0
        for k in range(seen):
            if sums[touched[k]] >= least:
                strength[few] = sums[touched[k]]
                chosen[few] = False
                touched[few], few = touched[k], few + 1
            sums[touched[k]] = 0
        _mark_heaviest(strength[:few], chosen, best)
        for k in range(few):
            if chosen[k]:
                found[count] = (np.int64(min(i, touched[k])) << 32) | np.int64(max(i, touched[k]))
                count += 1
    return found[:count].copy()


class Nearest:
    """The nearest kept articles of each of some new ones, found block by block of the kept.

    The new ones are indexed, the kept ones pass by: memory depends on the new ones alone, and nothing on how the kept
    are cut into blocks.
    """

    def __init__(self, heavy: Vectors, top: int, floor: float) -> None:
        """Index new articles.

        Args:
          heavy: of the new articles, as `heaviest` gives them.
          top: kept articles for each.
          floor: least similarity.
        """
        order = _order_by_term(heavy.terms)
        terms = heavy.terms[order]
        starts = np.flatnonzero(np.diff(terms.astype(np.int64), prepend=-1))
        self._terms = terms[starts]
        self._starts = np.append(starts, len(terms)).astype(np.int64)
        self._slots = open_slots(self._terms)
        owner = np.repeat(np.arange(len(heavy.offsets) - 1, dtype=np.int32), np.diff(heavy.offsets))
        self._index = owner[order], heavy.lead[order], heavy.body[order]
        count = len(heavy.offsets) - 1
        self._best = np.zeros((count, top), np.float32), np.full((count, top), -1, np.int64)
        self._least = np.float32(4.0 * floor)

    def meet(self, heavy: Vectors, number: Int64Array) -> None:
        """Compare a block of kept articles; `number` names each, or is -1 for those to be passed over."""
        best, place = self._best
        _meet(self._slots, self._terms, self._starts, *self._index, *heavy, number, self._least, best, place)

    def pairs(self) -> tuple[Int64Array, Int64Array]:
        """New articles (their rows) and the numbers of the kept ones that are nearest to them."""
        found = self._best[1]
        new, at = np.nonzero(found >= 0)
        return new.astype(np.int64), found[new, at]


@nb.njit(cache=True, nogil=True)
def _meet(  # noqa: PLR0913, PLR0917 -- arrays of two tables, one inner loop
    slots: Int32Array,
    known: UInt32Array,
    starts: Int64Array,
    owner: Int32Array,
    owner_lead: Float32Array,
    owner_body: Float32Array,
    terms: UInt32Array,
    lead: Float32Array,
    body: Float32Array,
    offsets: Int64Array,
    number: Int64Array,
    least: np.float32,
    best: NDArray[np.float32],
    place: NDArray[np.int64],
) -> None:
    count, top = best.shape
    sums = np.zeros(count, np.float32)
    touched = np.empty(count + 1, np.int32)
    nothing = np.float32(0)
    for i in range(len(number)):
        if number[i] < 0:
            continue
        seen = 0
        for at in range(offsets[i], offsets[i + 1]):
            found = find(slots, known, terms[at])
            if found < 0:
                continue
            in_lead, in_body = lead[at], body[at]
            for k in range(starts[found], starts[found + 1]):
                j = owner[k]
                gain = (in_lead + owner_lead[k]) if (in_lead > 0) & (owner_lead[k] > 0) else nothing
                gain += (in_body + owner_body[k]) if (in_body > 0) & (owner_body[k] > 0) else nothing
                before = sums[j]
                touched[seen] = j
                seen += (before == 0) & (gain > 0)
                sums[j] = before + gain
        for at in range(seen):
            j = touched[at]
            value = sums[j]
            sums[j] = 0
            if value < least or value < best[j, top - 1]:
                continue
            k = top - 1  # the weakest of them, of equal ones that of the largest number
            if value == best[j, k] and place[j, k] >= 0 and place[j, k] < number[i]:
                continue
            while k > 0 and (value > best[j, k - 1] or (value == best[j, k - 1] and number[i] < place[j, k - 1])):
                best[j, k], place[j, k] = best[j, k - 1], place[j, k - 1]
                k -= 1
            best[j, k], place[j, k] = value, number[i]
