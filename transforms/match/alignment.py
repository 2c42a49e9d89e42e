"""What two articles share, exactly: matched grams, bridged gaps, coverage of both sides, attribution, one score.

All of it is compiled and works on the numbers of `words` and `frequencies`; an article's grams are numbered like
their first words. The method and its constants were found on hand-labelled pairs and simulated syndication together;
the weight of a paragraph of about ten rare grams is 80.
"""

import numba
import numpy as np

from transforms.match.options import FURNITURE_BIT, SHINGLE
from transforms.match.shingles import find_slot
from transforms.match.words import CUE, DIGIT, PARAGRAPH, POSTED, QUOTED

_BRIDGE, _SLACK = 20, 6  # longest gap in grams, largest difference of its two sides
_LEAST = 300.0  # weight that coverage is at least taken of: about thirty rare grams
_RUN = 80.0  # weight of a shared run or paragraph that says something
_OWN = 0.15  # a paragraph covered less is its article's own
_REACH = 45  # grams before a shared run in which a cue attributes it
ATTRIBUTION = 0.1  # what a pair falls short by whose shared text is wholly attributed, in an article that has its own
_LESSER = 3  # how much more the side that shares less counts
_WITHIN = 0.35  # what a text within a longer one falls short by
_NARRATION = 1 / 3  # of the weight; two articles that have less of it are quotations, which then are what counts
_OPENING = 50  # grams that an article opens with
_TRIES = 1000  # places of one gram in one article; a word repeated 100,000 times took 15 s a pair without a bound
_GLANCE = 0.12  # shared weight over the lighter side; a pair with less is not scored

COVERAGE_LEFT, COVERAGE_RIGHT, SCORE, SHARE_LEFT, SHARE_RIGHT, OPENING, START = range(7)  # columns of `figures`
SHARED, LONGEST = range(2)  # columns of `counts`
_EVERYTHING, _NARRATED = range(2)  # columns of `totals`


@numba.njit(cache=True, nogil=True)
def weigh(grams, flags, word_offsets, frequency, offsets, table):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201, PLR0913, PLR0917 -- compiled
    """Prepare articles for `compare`.

    Args:
      grams: gram hashes, those of article r at `[offsets[r]:offsets[r + 1]]`.
      flags: of every word, those of article r at `[word_offsets[r]:word_offsets[r + 1]]`.
      word_offsets: shape (articles + 1,).
      frequency: of every gram, with `FURNITURE_BIT`.
      offsets: shape (articles + 1,).
      table: weight of a gram by frequency.

    Returns:
      the weight of every gram (0 for furniture and embedded posts); whether it is the article's own narrative, which
      quotations are not either; for each article the sums of both kinds of weight, shape (articles, 2); and the grams
      that another article can share (in no outlet's furniture): bounds by article, where they stand in it, hashes.
    """
    weight = np.empty(frequency.size, np.float32)
    narrative = np.empty(frequency.size, np.bool_)
    totals = np.zeros((offsets.size - 1, 2))
    bounds = np.zeros(offsets.size, np.int64)
    at = np.empty(frequency.size, np.int32)
    shareable = np.empty(frequency.size, np.uint64)
    size = 0
    for row in range(offsets.size - 1):
        quoted = posted = 0
        everything = narrated = 0.0
        for gram in range(offsets[row], offsets[row + 1]):
            word = word_offsets[row] + gram - offsets[row]
            if gram == offsets[row]:
                for k in range(SHINGLE):
                    quoted += flags[word + k] & QUOTED
                    posted += flags[word + k] & POSTED
            else:
                quoted += (flags[word + SHINGLE - 1] & QUOTED) - (flags[word - 1] & QUOTED)
                posted += (flags[word + SHINGLE - 1] & POSTED) - (flags[word - 1] & POSTED)
            furniture = frequency[gram] >= FURNITURE_BIT
            foreign = furniture or 2 * posted > SHINGLE * POSTED
            value = np.float32(0.0) if foreign else table[frequency[gram]]
            told = not foreign and 2 * quoted <= SHINGLE
            weight[gram] = value
            narrative[gram] = told
            everything += float(value)
            narrated += float(value) if told else 0.0
            at[size] = gram - offsets[row]  # overwritten by the next one unless it is shareable
            shareable[size] = grams[gram]
            size += not furniture and frequency[gram] > 1
        totals[row, _EVERYTHING], totals[row, _NARRATED] = everything, narrated
        bounds[row + 1] = size
    return weight, narrative, totals, bounds, at[:size], shareable[:size]


@numba.njit(cache=True, nogil=True)
def compare(lefts, rights, prepared, offsets, flags, word_offsets, passages):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201, C901, PLR0912, PLR0913, PLR0915, PLR0917 -- compiled
    """Compare pairs of articles.

    Args:
      lefts: for each pair the row of its left article; equal ones together.
      rights: likewise.
      prepared: what `weigh` gave.
      offsets: bounds of each article's grams.
      flags: of every word.
      word_offsets: bounds of each article's words.
      passages: how many shared runs to keep.

    Returns:
      figures (pairs, 7), counts (pairs, 2) and runs (pairs, passages, 2): first word in the left article and words,
      longest first, 0 words where there are no more.
    """
    weight, narrative, totals, bounds, at, shareable = prepared
    figures = np.zeros((lefts.size, 7), np.float32)
    counts = np.zeros((lefts.size, 2), np.int32)
    runs = np.zeros((lefts.size, passages, 2), np.int32)
    longest = 1
    for row in range(offsets.size - 1):
        longest = max(longest, offsets[row + 1] - offsets[row])
    room = 16
    while room < 2 * longest:
        room *= 2
    keys = np.zeros(room, np.uint64)
    heads = np.full((room, 2), -1, np.int32)  # by slot, the first gram of either side
    after = np.empty((longest, 2), np.int32)
    places = np.empty(longest, np.int64)
    a_at, a_to = np.empty(longest, np.int32), np.empty(longest, np.int32)
    b_at, b_to = np.empty(longest, np.int32), np.empty(longest, np.int32)
    slots = np.empty(longest, np.int64)
    a_spans, b_spans = np.empty((longest, 2), np.int32), np.empty((longest, 2), np.int32)
    present, mask = -1, np.uint64(0)
    for pair in range(lefts.size):
        left, right = lefts[pair], rights[pair]
        a, b = bounds[left], bounds[right]
        na, nb = bounds[left + 1] - a, bounds[right + 1] - b
        if left != present:
            present = left
            size = 16
            while size < 2 * na:
                size *= 2
            mask = np.uint64(size - 1)
            keys[:size] = 0
            heads[:size] = -1
            for k in range(na - 1, -1, -1):
                slot = find_slot(keys, shareable[a + k], mask)
                keys[slot] = shareable[a + k]
                after[k, 0] = heads[slot, 0]
                heads[slot, 0] = k
                places[k] = slot

        # Match each gram to a place on the other side, if it can to the one after the match before.
        found = 0
        last = -1
        shared = 0.0
        for k in range(nb):
            if 0 <= last < na - 1 and shareable[a + last + 1] == shareable[b + k]:
                match = last + 1  # what the search below would find
                slot = places[match]
            else:
                slot = find_slot(keys, shareable[b + k], mask)
                if keys[slot] == 0:
                    continue
                match = heads[slot, 0]
                if after[match, 0] >= 0:
                    match = _behind(last, match, after, 0)
            last = match
            b_at[found], b_to[found] = at[b + k], at[a + match]
            slots[found] = slot
            shared += weight[offsets[right] + at[b + k]]
            found += 1
        if found == 0:
            continue
        for k in range(found - 1, -1, -1):
            after[k, 1] = heads[slots[k], 1]
            heads[slots[k], 1] = k
        last = -1
        matched = 0
        for k in range(na):
            match = heads[places[k], 1]
            if match < 0:
                continue
            if 0 <= last < found - 1 and slots[last + 1] == places[k]:
                match = last + 1  # as above
            else:
                match = _behind(last, match, after, 1)
            last = match
            a_at[matched], a_to[matched] = at[a + k], b_at[match]
            matched += 1
        for k in range(found):
            heads[slots[k], 1] = -1

        end = 0  # the word after the last shared one
        start = 0
        for k in range(1, matched + 1):
            counts[pair, SHARED] += a_at[k - 1] + SHINGLE - max(end, a_at[k - 1])
            end = a_at[k - 1] + SHINGLE
            if k < matched and a_at[k] == a_at[k - 1] + 1 and a_to[k] == a_to[k - 1] + 1:
                continue
            words = k - start + SHINGLE - 1
            counts[pair, LONGEST] = max(counts[pair, LONGEST], words)
            for kept in range(passages):
                if words > runs[pair, kept, 1]:
                    for move in range(passages - 1, kept, -1):
                        runs[pair, move] = runs[pair, move - 1]
                    runs[pair, kept, 0], runs[pair, kept, 1] = a_at[start], words
                    break
            start = k
        lighter = min(totals[left, _EVERYTHING], totals[right, _EVERYTHING])
        if shared < _GLANCE * max(_LEAST, lighter):
            continue

        a, b = offsets[left], offsets[right]
        na, nb = offsets[left + 1] - a, offsets[right + 1] - b
        a_flags, b_flags = (
            flags[word_offsets[left] : word_offsets[left + 1]],
            flags[word_offsets[right] : word_offsets[right + 1]],
        )
        a_weight, b_weight = weight[a : a + na], weight[b : b + nb]
        a_narrative, b_narrative = narrative[a : a + na], narrative[b : b + nb]
        narrated, all_shared, a_size = _cover(
            a_at[:matched], a_to[:matched], a_weight, a_narrative, b_narrative, a_flags, b_flags, a_spans
        )
        a_cover = narrated / max(_LEAST, totals[left, _NARRATED])
        a_share = all_shared / max(_LEAST, totals[left, _EVERYTHING])
        narrated, all_shared, b_size = _cover(
            b_at[:found], b_to[:found], b_weight, b_narrative, a_narrative, b_flags, a_flags, b_spans
        )
        b_cover = narrated / max(_LEAST, totals[right, _NARRATED])
        b_share = all_shared / max(_LEAST, totals[right, _EVERYTHING])
        if (
            totals[left, _NARRATED] < _NARRATION * totals[left, _EVERYTHING]
            and totals[right, _NARRATED] < _NARRATION * totals[right, _EVERYTHING]
        ):
            a_cover, b_cover = a_share, b_share
        if a_cover >= b_cover:
            penalty = _quoting(a_spans[:a_size], a_weight, a_flags, totals[left, _EVERYTHING])
        else:
            penalty = _quoting(b_spans[:b_size], b_weight, b_flags, totals[right, _EVERYTHING])
        score = unattributed_score(a_cover, b_cover) - ATTRIBUTION * penalty
        opening = 0
        for span in a_spans[:a_size] if na >= nb else b_spans[:b_size]:
            opening += max(0, min(span[1], _OPENING) - span[0])
        figures[pair, COVERAGE_LEFT], figures[pair, COVERAGE_RIGHT] = a_cover, b_cover
        figures[pair, SHARE_LEFT], figures[pair, SHARE_RIGHT] = a_share, b_share
        figures[pair, SCORE] = min(1.0, max(0.0, score))
        figures[pair, OPENING] = opening / min(_OPENING, max(na, nb))
        figures[pair, START] = min(
            _first(a_spans[:a_size], a_weight) / max(1, na), _first(b_spans[:b_size], b_weight) / max(1, nb)
        )
    return figures, counts, runs


@numba.njit(cache=True, nogil=True)
def unattributed_score(left, right):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201 -- compiled
    """The score that the coverage of both sides gives a pair of which nothing is attributed."""
    most, least = max(left, right), min(left, right)
    return max((most + _LESSER * least) / (1 + _LESSER), most - _WITHIN)


@numba.njit(cache=True, nogil=True)
def _behind(last, first, after, side):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 -- numba infers
    """The first place of a gram behind `last`, else the first of all; only so many are tried."""
    place = first
    for _ in range(_TRIES):
        if place < 0 or place > last:
            break
        place = after[place, side]
    return place if place > last else first


@numba.njit(cache=True, nogil=True)
def _cover(at, to, weight, narrative, narrative_other, flags, flags_other, spans):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, PLR0913, PLR0917 -- compiled
    """Bridge short gaps and list the covered `spans`.

    Returns the covered weight of the narrative and of everything, and the number of spans.
    """
    narrated = everything = 0.0
    size = 0
    for k in range(at.size):
        i, j = at[k], to[k]
        everything += weight[i]
        if narrative[i] and narrative_other[j]:
            narrated += weight[i]
        if k > 0 and (i == at[k - 1] + 1 or _bridged(at[k - 1], to[k - 1], i, j, weight, flags, flags_other)):
            for gap in range(at[k - 1] + 1, i):
                everything += weight[gap]
                if narrative[gap]:
                    narrated += weight[gap]
            spans[size - 1, 1] = i + 1
        else:
            spans[size, 0], spans[size, 1] = i, i + 1
            size += 1
    return narrated, everything, size


@numba.njit(cache=True, nogil=True)
def _bridged(before, before_to, i, j, weight, flags, flags_other):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, PLR0913, PLR0917 -- compiled
    """Whether what lies between two matches is the same text with a few other words, none of them a number."""
    step, other = i - before, j - before_to
    if step > _BRIDGE or other < 2 or other > _BRIDGE or abs(step - other) > _SLACK:  # noqa: PLR2004 -- no gap below 2
        return False
    if weight[i] <= 0 or weight[before] <= 0:
        return False
    for word in range(before + SHINGLE, i):
        if flags[word] & DIGIT:
            return False
    for word in range(before_to + SHINGLE, j):  # noqa: SIM110 -- compiled
        if flags_other[word] & DIGIT:
            return False
    return True


@numba.njit(cache=True, nogil=True)
def _first(spans, weight):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 -- numba infers
    """The first gram of the first shared run that says something, 0 if none does."""
    for span in range(spans.shape[0]):
        if weight[spans[span, 0] : spans[span, 1]].sum() > _RUN:
            return spans[span, 0]
    return 0


@numba.njit(cache=True, nogil=True)
def _quoting(spans, weight, flags, total):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, C901 -- numba infers
    """How much of the shared text is attributed, 0..1, held against how much of the article is its own."""
    runs = attributed = 0.0
    free = 0  # the first word after the run before
    for span in range(spans.shape[0]):
        begin, end = spans[span, 0], spans[span, 1]
        run = weight[begin:end].sum()
        if run > _RUN:
            runs += run
            for word in range(max(free, begin - _REACH), begin):
                if flags[word] & CUE:
                    attributed += run
                    break
        free = end + SHINGLE - 1
    if attributed == 0.0:
        return 0.0
    own = paragraph = inside = 0.0
    span = 0
    for i in range(weight.size + 1):
        if i == weight.size or flags[i] & PARAGRAPH:
            if paragraph > _RUN and inside < _OWN * paragraph:
                own += paragraph
            paragraph = inside = 0.0
        if i < weight.size:
            while span < spans.shape[0] and spans[span, 1] <= i:
                span += 1
            paragraph += weight[i]
            if span < spans.shape[0] and spans[span, 0] <= i:
                inside += weight[i]
    return attributed / runs * min(1.0, 2 * own / max(1.0, total))
