"""The runs of grams that two articles share: which gram of one stands for which of the other.

Each gram of one side is matched to a place on the other, to the one after the match before if it can. Articles mostly
share text in runs and in order: a run is found by its first gram and then followed, and the runs of one side are those
of the other. Where a shared gram stands twice in an article (a third of the pairs of simulated syndication), or the
order differs, both sides are matched gram by gram.

A list of runs has a row a run: first gram in the article whose runs they are, first gram in the other, grams.
"""

from typing import Any

import numba
import numpy as np

from transforms.match.shingles import find_slot


@numba.njit(cache=True, nogil=True)
def workspace(longest):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201 -- numba infers
    """What the functions below work in; `longest`: the most grams of an article."""
    room = 16
    while room < 2 * longest:
        room *= 2
    keys = np.zeros(room, np.uint64)
    heads = np.full((room, 2), -1, np.int32)  # by slot, the first gram of either side
    after = np.empty((longest, 2), np.int32)  # by gram, the next equal one of its side
    slots = np.empty((longest, 2), np.int32)
    alone = np.empty(longest, np.bool_)  # by gram of the left article, whether it holds no other such gram
    there = np.empty(4 * room, np.bool_)  # by more bits than a slot has: most grams that are not there end here
    return keys, heads, after, slots, alone, there


@numba.njit(cache=True, nogil=True)
def index_grams(grams, work):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201 -- numba infers
    """Index the shareable grams of the left article in the workspace; returns the mask of its slots."""
    keys, heads, after, slots, alone, there = work
    size = 16
    while size < 2 * grams.size:
        size *= 2
    mask = np.uint64(size - 1)
    keys[:size] = 0
    there[: 4 * size] = False
    wide = np.uint64(4 * size - 1)
    for k in range(grams.size - 1, -1, -1):
        slot = find_slot(keys, grams[k], mask)
        alone[k] = keys[slot] == 0
        after[k, 0] = -1
        if not alone[k]:
            after[k, 0] = heads[slot, 0]
            alone[heads[slot, 0]] = False
        keys[slot] = grams[k]
        there[np.int64((grams[k] >> np.uint64(32)) & wide)] = True
        heads[slot, 0] = k
        slots[k, 0] = slot
    return mask


@numba.njit(cache=True, nogil=True)
def runs_in_order(a, b, work, mask, found):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201 -- numba infers
    """Shared runs where no shared gram repeats and both articles have them in one order.

    Args:
      a: the left article's shareable grams: hashes, places, grams that follow without a gap (itself included).
      b: the same of the right one.
      work: with the left article indexed.
      mask: of its slots.
      found: room for the runs of the right article.

    Returns:
      the number of runs, or -1 where it is not so simple.
    """
    (a_grams, a_at, a_reach), (b_grams, b_at, b_reach) = a, b
    keys, heads, _, _, alone, there = work
    wide = np.uint64(4) * mask + np.uint64(3)
    number = k = 0
    last: Any = -1
    while k < b_grams.size:
        if not there[np.int64((b_grams[k] >> np.uint64(32)) & wide)]:
            k += 1
            continue
        slot = find_slot(keys, b_grams[k], mask)
        if keys[slot] == 0:
            k += 1
            continue
        match = np.int64(heads[slot, 0])
        if match <= last or not alone[match]:
            return -1
        length = 1
        for step in range(1, min(a_reach[match], b_reach[k])):
            if a_grams[match + step] != b_grams[k + step] or not alone[match + step]:
                break
            length += 1
        found[number, 0], found[number, 1], found[number, 2] = b_at[k], a_at[match], length
        number += 1
        k += length
        last = match + length - 1
    return number


@numba.njit(cache=True, nogil=True)
def runs_of_both(a, b, work, mask, a_found, b_found):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201, C901, PLR0912, PLR0913, PLR0917 -- compiled
    """Shared runs however often grams repeat and in whatever order; the number of the left and of the right one."""
    (a_grams, a_at, _), (b_grams, b_at, _) = a, b
    keys, heads, after, slots, _, there = work
    wide = np.uint64(4) * mask + np.uint64(3)
    matched = 0
    last = -1
    for k in range(b_grams.size):
        slots[k, 1] = -1
        if 0 <= last < a_grams.size - 1 and a_grams[last + 1] == b_grams[k]:
            last += 1  # what `_next_match` would find
            slots[k, 1] = slots[last, 0]
        elif there[np.int64((b_grams[k] >> np.uint64(32)) & wide)]:
            slot = find_slot(keys, b_grams[k], mask)
            if keys[slot] == 0:
                continue
            slots[k, 1] = slot
            last = _next_match(heads[slot, 0], after[:, 0], last)
        else:
            continue
        matched = _extended(b_found, matched, b_at[k], a_at[last])
    for k in range(b_grams.size - 1, -1, -1):
        slot = slots[k, 1]
        if slot >= 0:
            after[k, 1] = heads[slot, 1]
            heads[slot, 1] = k
    last = -1
    shared = 0
    for k in range(a_grams.size):
        if 0 <= last < b_grams.size - 1 and a_grams[k] == b_grams[last + 1]:
            last += 1
        else:
            match = heads[slots[k, 0], 1]
            if match < 0:
                continue
            last = _next_match(match, after[:, 1], last)
        shared = _extended(a_found, shared, a_at[k], b_at[last])
    for k in range(b_grams.size):
        if slots[k, 1] >= 0:
            heads[slots[k, 1], 1] = -1
    return shared, matched


@numba.njit(cache=True, nogil=True)
def _next_match(first, after, last):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 -- numba infers
    """The first of equal grams that stands after the last match, else the first of all."""
    match = first
    while match >= 0 and match <= last:
        match = after[match]
    return match if match >= 0 else first


@numba.njit(cache=True, nogil=True)
def _extended(runs, number, at, to):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 -- numba infers
    """Put a match at the end of the last run, or begin another; returns their number."""
    if (
        number > 0
        and at == runs[number - 1, 0] + runs[number - 1, 2]
        and to == runs[number - 1, 1] + runs[number - 1, 2]
    ):
        runs[number - 1, 2] += 1
        return number
    runs[number, 0], runs[number, 1], runs[number, 2] = at, to, 1
    return number + 1
