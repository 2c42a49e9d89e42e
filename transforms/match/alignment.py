"""What two articles share, exactly: matched grams, bridged gaps, coverage of both sides, attribution, one score.

All of it is compiled and works on the numbers of `words` and `frequencies`; an article's grams are numbered like
their first words. The method and its constants were found on hand-labelled pairs and simulated syndication together;
the weight of a paragraph of about ten rare grams is 80.
"""

import numba
import numpy as np

from transforms.match.options import FURNITURE_BIT, SHINGLE
from transforms.match.runs import index_grams, runs_in_order, runs_of_both, workspace
from transforms.match.words import CUE, DIGIT, LISTED, PARAGRAPH, POSTED, QUOTED

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
_GLANCE = 0.12  # shared weight over the lighter side; a pair with less is not scored

COVERAGE_LEFT, COVERAGE_RIGHT, SCORE, SHARE_LEFT, SHARE_RIGHT, OPENING, START = range(7)  # columns of `figures`
SHARED, LONGEST = range(2)  # columns of `counts`
EVERYTHING, NARRATED, LISTED_SHARE = range(3)  # columns of what `weigh` sums up


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
      quotations are not either; for each article the sums of both kinds of weight and the share of its words that stand
      in short lines without an end mark, shape (articles, 3); and the grams that another article can share (in no
      outlet's furniture): bounds by article, hashes, where they stand in it, how many follow without a gap (each itself
      included).
    """
    weight = np.empty(frequency.size, np.float32)
    narrative = np.empty(frequency.size, np.bool_)
    totals = np.zeros((offsets.size - 1, 3))
    bounds = np.zeros(offsets.size, np.int64)
    shareable = np.empty(frequency.size, np.uint64)
    at = np.empty(frequency.size, np.int32)
    reach = np.empty(frequency.size, np.int32)
    size = 0
    for row in range(offsets.size - 1):
        quoted = posted = 0
        everything = narrated = 0.0
        word = word_offsets[row]
        start, first = offsets[row], size
        if offsets[row + 1] > start:
            for k in range(SHINGLE - 1):
                quoted += flags[word + k] & QUOTED
                posted += flags[word + k] & POSTED
        for gram in range(offsets[row + 1] - start):
            quoted += flags[word + gram + SHINGLE - 1] & QUOTED
            posted += flags[word + gram + SHINGLE - 1] & POSTED
            number = frequency[start + gram]
            furniture = number >= FURNITURE_BIT
            foreign = furniture or 2 * posted > SHINGLE * POSTED
            value = np.float32(0.0) if foreign else table[number]
            told = not foreign and 2 * quoted <= SHINGLE
            weight[start + gram] = value
            narrative[start + gram] = told
            everything += float(value)
            narrated += float(value) if told else 0.0
            shareable[size] = grams[start + gram]  # overwritten by the next one unless it is shareable
            at[size] = gram
            size += not furniture and number > 1
            quoted -= flags[word + gram] & QUOTED
            posted -= flags[word + gram] & POSTED
        following = 0
        for k in range(size - 1, first - 1, -1):
            following = following + 1 if k + 1 < size and at[k + 1] == at[k] + 1 else 1
            reach[k] = following
        totals[row, EVERYTHING], totals[row, NARRATED] = everything, narrated
        words = flags[word : word_offsets[row + 1]]
        listed = 0
        for k in range(words.size):
            listed += words[k] & LISTED
        totals[row, LISTED_SHARE] = listed / (LISTED * max(1, words.size))
        bounds[row + 1] = size
    return weight, narrative, totals, bounds, (shareable[:size], at[:size], reach[:size])


@numba.njit(cache=True, nogil=True)
def compare(lefts, rights, prepared, offsets, flags, word_offsets, passages):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201, C901, PLR0913, PLR0915, PLR0917 -- compiled
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
      figures (pairs, 7), counts (pairs, 2) and passages (pairs, passages, 2): first word in the left article and words,
      longest first, 0 words where there are no more.
    """
    weight, narrative, totals, bounds, shareable = prepared
    figures = np.zeros((lefts.size, 7), np.float32)
    counts = np.zeros((lefts.size, 2), np.int32)
    kept = np.zeros((lefts.size, passages, 2), np.int32)
    longest = 1
    for row in range(offsets.size - 1):
        longest = max(longest, offsets[row + 1] - offsets[row])
    work = workspace(longest)
    a_runs, b_runs = np.empty((longest, 3), np.int32), np.empty((longest, 3), np.int32)
    a_spans, b_spans = np.empty((longest, 2), np.int32), np.empty((longest, 2), np.int32)
    present, mask = -1, np.uint64(0)
    for pair in range(lefts.size):
        left, right = lefts[pair], rights[pair]
        a, b = _piece(shareable, bounds, left), _piece(shareable, bounds, right)
        if left != present:
            present = left
            mask = index_grams(a[0], work)
        a_size = b_size = runs_in_order(a, b, work, mask, b_runs)
        if b_size >= 0:
            for run in range(b_size):
                a_runs[run, 0], a_runs[run, 1], a_runs[run, 2] = b_runs[run, 1], b_runs[run, 0], b_runs[run, 2]
        else:
            a_size, b_size = runs_of_both(a, b, work, mask, a_runs, b_runs)
        if b_size == 0:
            continue
        a_found, b_found = a_runs[:a_size], b_runs[:b_size]
        counts[pair, SHARED], counts[pair, LONGEST] = _passages(a_found, kept[pair])

        a_weight, a_narrative = (
            weight[offsets[left] : offsets[left + 1]],
            narrative[offsets[left] : offsets[left + 1]],
        )
        b_weight, b_narrative = (
            weight[offsets[right] : offsets[right + 1]],
            narrative[offsets[right] : offsets[right + 1]],
        )
        b_narrated, b_shared = _matched(b_found, b_weight, b_narrative, a_narrative)
        if b_shared < _GLANCE * max(_LEAST, min(totals[left, EVERYTHING], totals[right, EVERYTHING])):
            continue
        a_narrated, a_shared = _matched(a_found, a_weight, a_narrative, b_narrative)
        a_flags, b_flags = (
            flags[word_offsets[left] : word_offsets[left + 1]],
            flags[word_offsets[right] : word_offsets[right + 1]],
        )
        narrated, shared, size = _bridge(a_found, a_weight, a_narrative, a_flags, b_flags, a_spans)
        a_cover = (a_narrated + narrated) / max(_LEAST, totals[left, NARRATED])
        a_share = (a_shared + shared) / max(_LEAST, totals[left, EVERYTHING])
        a_covered = a_spans[:size]
        narrated, shared, size = _bridge(b_found, b_weight, b_narrative, b_flags, a_flags, b_spans)
        b_cover = (b_narrated + narrated) / max(_LEAST, totals[right, NARRATED])
        b_share = (b_shared + shared) / max(_LEAST, totals[right, EVERYTHING])
        b_covered = b_spans[:size]
        if (
            totals[left, NARRATED] < _NARRATION * totals[left, EVERYTHING]
            and totals[right, NARRATED] < _NARRATION * totals[right, EVERYTHING]
        ):
            a_cover, b_cover = a_share, b_share
        if a_cover >= b_cover:
            penalty = _quoting(a_covered, a_weight, a_flags, totals[left, EVERYTHING])
        else:
            penalty = _quoting(b_covered, b_weight, b_flags, totals[right, EVERYTHING])
        score = unattributed_score(a_cover, b_cover) - ATTRIBUTION * penalty
        opening = 0
        for span in a_covered if a_weight.size >= b_weight.size else b_covered:
            opening += max(0, min(span[1], _OPENING) - span[0])
        figures[pair, COVERAGE_LEFT], figures[pair, COVERAGE_RIGHT] = a_cover, b_cover
        figures[pair, SHARE_LEFT], figures[pair, SHARE_RIGHT] = a_share, b_share
        figures[pair, SCORE] = min(1.0, max(0.0, score))
        figures[pair, OPENING] = opening / min(_OPENING, max(a_weight.size, b_weight.size))
        figures[pair, START] = min(
            _first(a_covered, a_weight) / max(1, a_weight.size), _first(b_covered, b_weight) / max(1, b_weight.size)
        )
    return figures, counts, kept


@numba.njit(cache=True, nogil=True)
def unattributed_score(left, right):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201 -- compiled
    """The score that the coverage of both sides gives a pair of which nothing is attributed."""
    most, least = max(left, right), min(left, right)
    return max((most + _LESSER * least) / (1 + _LESSER), most - _WITHIN)


@numba.njit(cache=True, nogil=True)
def _piece(shareable, bounds, row):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 -- numba infers
    """The shareable grams of one article."""
    grams, at, reach = shareable
    start, stop = bounds[row], bounds[row + 1]
    return grams[start:stop], at[start:stop], reach[start:stop]


@numba.njit(cache=True, nogil=True)
def _passages(runs, kept):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 -- numba infers
    """Keep the longest runs, longest first; returns the shared words and the words of the longest run."""
    shared = longest = end = 0  # the word after the last shared one
    for run in runs:
        words = run[2] + SHINGLE - 1
        shared += run[0] + words - max(end, run[0])
        end = run[0] + words
        longest = max(longest, words)
        for place in range(kept.shape[0]):
            if words > kept[place, 1]:
                for move in range(kept.shape[0] - 1, place, -1):
                    kept[move, 0], kept[move, 1] = kept[move - 1, 0], kept[move - 1, 1]
                kept[place, 0], kept[place, 1] = run[0], words
                break
    return shared, longest


@numba.njit(cache=True, nogil=True, fastmath={"reassoc", "nsz"})  # sums of weights are exact in any order
def _sum(weight):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 -- numba infers
    total = 0.0
    for k in range(weight.size):
        total += np.float64(weight[k])
    return total


@numba.njit(
    cache=True, nogil=True, fastmath={"reassoc", "nsz"}
)  # sums of float32 weights are exact here, so any order will do
def _sum_both(weight, narrative, other):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 -- numba infers
    """The weight of what is narrative on both sides, and of everything."""
    narrated = total = 0.0
    for k in range(weight.size):
        value = np.float64(weight[k])
        total += value
        narrated += value if narrative[k] & other[k] else 0.0
    return narrated, total


@numba.njit(cache=True, nogil=True)
def _matched(runs, weight, narrative, narrative_other):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 -- numba infers
    """The matched weight of the narrative and of everything."""
    narrated = everything = 0.0
    for at, to, grams in runs:
        told, shared = _sum_both(weight[at : at + grams], narrative[at : at + grams], narrative_other[to : to + grams])
        narrated += told
        everything += shared
    return narrated, everything


@numba.njit(cache=True, nogil=True)
def _bridge(runs, weight, narrative, flags, flags_other, spans):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, PLR0913, PLR0917 -- compiled
    """Bridge short gaps and list the covered `spans`.

    Returns the weight of the narrative and of everything in the gaps, and the number of spans.
    """
    narrated = everything = 0.0
    size = 0
    end = other = -1  # the grams after the run before, on either side
    for run in range(runs.shape[0]):
        at, to, grams = runs[run, 0], runs[run, 1], runs[run, 2]
        step, step_other = at - end, to - other
        joined = run > 0 and step == 0
        if run > 0 and 0 < step < _BRIDGE and 1 <= step_other < _BRIDGE and abs(step - step_other) <= _SLACK:
            joined = weight[at] > 0 and weight[end - 1] > 0
            # The words between, if any, must hold no number: nothing but a slot of a form differs there.
            joined = joined and not _holds(flags[end - 1 + SHINGLE : max(at, end - 1 + SHINGLE)], DIGIT)
            joined = joined and not _holds(flags_other[other - 1 + SHINGLE : max(to, other - 1 + SHINGLE)], DIGIT)
        if joined:
            narrated_gap, gap = _sum_both(weight[end:at], narrative[end:at], narrative[end:at])
            narrated += narrated_gap
            everything += gap
            spans[size - 1, 1] = at + grams
        else:
            spans[size, 0], spans[size, 1] = at, at + grams
            size += 1
        end, other = at + grams, to + grams
    return narrated, everything, size


@numba.njit(cache=True, nogil=True)
def _holds(flags, bit):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 -- numba infers
    """Whether a word has a flag."""
    seen = np.uint8(0)
    for k in range(flags.size):
        seen |= flags[k]
    return seen & bit != 0


@numba.njit(cache=True, nogil=True)
def _first(spans, weight):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 -- numba infers
    """The first gram of the first shared run that says something, 0 if none does."""
    for span in range(spans.shape[0]):
        if _sum(weight[spans[span, 0] : spans[span, 1]]) > _RUN:
            return spans[span, 0]
    return 0


@numba.njit(cache=True, nogil=True)
def _quoting(spans, weight, flags, total):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, C901 -- numba infers
    """How much of the shared text is attributed, 0..1, held against how much of the article is its own."""
    runs = attributed = 0.0
    for summing in range(2):  # most pairs have no cue before a run: the first round is all they need
        cued = False
        free = 0  # the first word after the run before
        for span in range(spans.shape[0]):
            begin, end = spans[span, 0], spans[span, 1]
            after_cue = _holds(flags[max(free, begin - _REACH) : max(free, begin)], CUE)
            cued |= after_cue
            if summing:
                run = weight[begin:end].sum()
                if run > _RUN:
                    runs += run
                    attributed += run if after_cue else 0.0
            free = end + SHINGLE - 1
        if not cued:
            return 0.0
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
