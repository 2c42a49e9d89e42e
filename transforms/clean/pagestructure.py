"""How a page is built around its lines: what repeats, what stands beside the headline, what opens like other lines.

A comment thread, a list of teasers and a live blog are runs of sibling elements of one kind with several lines each;
furniture opens with the same words; and class names say more about a line when those that the headline shares are left
out, since the classes of the whole page ("comments-open") stand above every line.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from transforms.clean.linetext import LINE_FEATURES
from transforms.clean.pagecues import FNV_OFFSET, FNV_PRIME, load_cues
from transforms.clean.pagescan import Scan

STRUCTURE = (
    "run_count", "run_item_lines", "run_item_words", "run_place", "run_share", "run_steps", "run_dated", "run_comment",
    "item_words", "from_headline", "headline_above",
    "more_before", "comment_before", "offer_before", "since_cue", "opening_repeats", "opening_share",
)  # fmt: skip
_OPENING_WORDS, _OPENING_BYTES = 2, 60


class Structure(NamedTuple):
    """What is known of the lines that are considered."""

    columns: NDArray[np.float32]  # (lines, STRUCTURE)
    runs: NDArray[np.int64]  # (lines,) the run of siblings a line stands in, 0 for none
    paths: NDArray[np.int64]  # (lines,) hash of tags and classes from the top down to its block
    classes: NDArray[np.int64]  # (lines,) class cue groups below what the headline shares, a bit each


def page_structure(scan: Scan, rows: NDArray[np.int64]) -> Structure:
    """Look at how the elements of a page repeat.

    A line's run is the one with the most words among those of its ancestors that have a sibling of the same tag and
    class, and 1.5 lines an item or more. The headline is the h1 that shares most words with the page's title.

    Args:
      scan: the page.
      rows: the lines that are considered, ascending.
    """
    cues = load_cues()
    bits = {name: 1 << i for i, name in enumerate(cues.text_groups)}
    blocks = scan.blocks[rows].astype(np.int64)
    h1 = scan.tags[blocks] == cues.line_tags.index("h1") + 1
    titled = h1 * (1 + scan.features[rows, LINE_FEATURES.index("title_share")])
    words = scan.features[rows, 0].astype(np.float64)
    sums = _sums(scan.parents, blocks, words, scan.cues[rows], bits["published"], bits["comment"])
    filled = np.flatnonzero(sums[:, 1] > 0)
    filled = filled[filled > 0]
    kinds = (scan.signatures[filled] ^ scan.parents[filled].astype(np.uint64)) * FNV_PRIME
    order = np.argsort(kinds, kind="stable")
    columns, runs, paths, classes = _describe(
        (scan.parents, scan.signatures, scan.depths, scan.own_cues),
        blocks,
        scan.inner[rows].astype(np.int64),
        words,
        scan.cues[rows],
        np.array([bits["more"], bits["comment"], bits["subscribe"] | bits["support"] | bits["app"]]),
        int(np.argmax(titled)) if h1.any() else -1,
        sums,
        filled[order],
        kinds[order],
        len(STRUCTURE),
    )
    starts = np.concatenate((np.zeros(1, np.int64), np.flatnonzero(scan.text == ord("\n")) + 1))[rows]
    _, opening, counts = np.unique(_openings(scan.text, starts), return_inverse=True, return_counts=True)
    columns[:, -2] = counts[opening]
    columns[:, -1] = counts[opening] / max(1, len(rows))
    return Structure(columns, runs, paths, classes)


@njit(cache=True, nogil=True)
def _openings(text, starts):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 -- compiled
    """Hash of the first words of lines, lower-cased and without digits."""
    out = np.zeros(len(starts), np.uint64)
    for i in range(len(starts)):
        h = FNV_OFFSET
        words = 0
        k = starts[i]
        stop = min(len(text), k + _OPENING_BYTES)
        while k < stop and text[k] != 10 and words < _OPENING_WORDS:  # noqa: PLR2004 -- newline
            b = text[k]
            words += b == 32  # noqa: PLR2004 -- space
            if not 48 <= b <= 57:  # noqa: PLR2004 -- digits
                h = (h ^ np.uint64(b + 32 if 65 <= b <= 90 else b)) * FNV_PRIME  # noqa: PLR2004 -- capitals
            k += 1
        out[i] = h
    return out


@njit(cache=True, nogil=True)
def _sums(parents, blocks, words, cues, published, comment):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, PLR0913, PLR0917 -- compiled
    """Words, lines, lines with a date and lines with a comment cue in each element."""
    out = np.zeros((len(parents), 4))
    for i in range(len(blocks)):
        row = out[blocks[i]]
        row[0] += words[i]
        row[1] += 1
        row[2] += (cues[i] & published) != 0
        row[3] += (cues[i] & comment) != 0
    for e in range(len(parents) - 1, 0, -1):
        for k in range(4):
            out[parents[e], k] += out[e, k]
    return out


@njit(cache=True, nogil=True)
def _describe(elements, blocks, inner, words, cues, marks, head, sums, filled, kinds, width):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, C901, PLR0913, PLR0915, PLR0917 -- compiled
    parents, signatures, depths, own_cues = elements
    n = len(parents)
    run = np.zeros(n, np.int64)  # of an element: the first of its like beside it
    place = np.zeros(n, np.int64)
    count = np.zeros(n, np.int64)  # of the first of a run: how many there are, and what they hold together
    held = np.zeros((n, 4))
    a = 0
    while a < len(filled):
        b = a
        first = filled[a]
        while b < len(filled) and kinds[b] == kinds[a]:
            e = filled[b]
            run[e] = first
            place[e] = b - a
            for k in range(4):
                held[first, k] += sums[e, k]
            b += 1
        count[first] = b - a
        a = b
    shared = np.zeros(n, np.bool_)  # the headline stands in it
    e = blocks[head] if head >= 0 else 0
    while e > 0:
        shared[e] = True
        e = parents[e]
    shared[0] = True
    best = np.zeros(n, np.int64)  # of an element: the item, at or above it, of the run with the most words
    path = np.zeros(n, np.uint64)
    meets = np.zeros(n, np.int64)  # the innermost element around it that holds the headline
    classes = np.zeros(n, np.int64)
    for e in range(1, n):
        p = parents[e]
        best[e] = best[p]
        meets[e] = e if shared[e] else meets[p]
        classes[e] = 0 if shared[e] else classes[p] | own_cues[e]
        path[e] = (path[p] ^ signatures[e]) * FNV_PRIME
        f = run[e]
        if count[f] > 1 and held[f, 1] >= 1.5 * count[f] and (best[e] == 0 or held[f, 0] > held[run[best[e]], 0]):
            best[e] = e
    lines = len(blocks)
    columns = np.zeros((lines, width), np.float32)
    runs = np.zeros(lines, np.int64)
    paths = np.zeros(lines, np.int64)
    lines_classes = np.zeros(lines, np.int64)
    total = max(1.0, words.sum())
    seen = np.zeros(3, np.int64)
    last = -30
    for i in range(lines):
        e = blocks[i]
        b = best[e]
        row = columns[i]
        paths[i] = np.int64(path[e] >> np.uint64(1))
        lines_classes[i] = classes[inner[i]]
        if b > 0:
            f = run[b]
            runs[i] = f
            row[0] = count[f]
            row[1] = held[f, 1] / count[f]
            row[2] = held[f, 0] / count[f]
            row[3] = place[b]
            row[4] = held[f, 0] / total
            row[5] = depths[e] - depths[b]
            row[6] = held[f, 2] / count[f]
            row[7] = held[f, 3] / count[f]
            row[8] = sums[b, 0]
        row[9] = depths[e] - depths[meets[e]] if head >= 0 else -1
        row[10] = depths[blocks[head]] - depths[meets[e]] if head >= 0 else -1
        for k in range(3):
            row[11 + k] = seen[k]
        row[14] = min(30, i - last)
        if words[i] < 10 and i > head:  # noqa: PLR2004 -- a heading or a link rather than a sentence
            for k in range(3):
                if (cues[i] & marks[k]) != 0:
                    seen[k] += 1
                    last = i
    return columns, runs, paths, lines_classes
