"""What a line classifier sees: the columns of one line, and of the company it keeps on its page.

Stage one looks at the line, its element and the class names above it. Stage two adds what stage one thinks of the rest
of the page: of lines that stand in the same kind of place, in the same container, and before and after.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from transforms.clean.linetext import LINE_FEATURES
from transforms.clean.pagecues import FNV_PRIME, load_cues
from transforms.clean.pagescan import Scan
from transforms.clean.pagestructure import STRUCTURE, Structure

Matrix = NDArray[np.float32]

_PLACE = ("depth", "hidden", "repeats", "position", "lines_since_h1", "lines", "words_before", "h1_seen")
_GROUPS = ("signature", "block", "parent", "grandparent", "tag", "run", "path")
_GROUP_STATISTICS = ("good_share", "p", "words", "links", "count")
_CONTEXT = (
    "p", "p-1", "p+1", "p-2", "p+2", "words-1", "words+1", "links-1", "links+1", "window", "before", "after",
    "good_before", "steps_to_container", "in_segment", "from_segment", "good_words", "page_p",
)  # fmt: skip
_GOOD = 0.25  # p from which a line's words count as good (RECIPES "Pages" 4)
_WORD_CAP = 80
_FAR = 12
_SILENT, _LIKELY = 0.02, 0.5


def line_columns() -> list[str]:
    """Names of the columns of `line_matrix`."""
    cues = load_cues()
    return [
        *LINE_FEATURES,
        *(f"text:{name}" for name in cues.text_groups),
        *(f"tag:{name}" for name in cues.line_tags),
        *(f"within:{name}" for name in cues.ancestor_tags),
        *(f"near:{name}" for name in cues.class_groups),
        *(f"below:{name}" for name in cues.class_groups),
        *_PLACE,
        *STRUCTURE,
    ]


def context_columns() -> list[str]:
    """Names of the columns of `context_matrix`."""
    return [*_CONTEXT, *(f"{group}:{name}" for group in _GROUPS for name in _GROUP_STATISTICS)]


def line_matrix(scan: Scan, rows: NDArray[np.int64], structure: Structure) -> Matrix:
    """Stage-one columns of some lines of a page.

    Args:
      scan: the page.
      rows: the lines that are considered, ascending.
      structure: of these lines.

    Returns:
      shape (rows, line_columns())
    """
    cues = load_cues()
    blocks, inner = scan.blocks[rows], scan.inner[rows]
    parents = np.maximum(scan.parents[blocks], 0)
    near = scan.own_cues[blocks] | scan.own_cues[parents] | scan.own_cues[inner]
    tags = scan.tags[blocks].astype(np.int64)
    n = len(rows)
    place = np.empty((n, len(_PLACE)), np.float32)
    place[:, 0] = scan.depths[inner]
    place[:, 1] = scan.hidden[inner]
    place[:, 2] = _repeats(scan.hashes[rows])
    place[:, 3] = np.arange(n) / max(1, n)
    h1 = scan.tags[blocks] == cues.line_tags.index("h1") + 1
    first = int(np.argmax(h1)) if h1.any() else -1
    place[:, 4] = np.clip(np.arange(n) - first, -20, 60) if first >= 0 else -30
    place[:, 5] = n
    words = scan.features[rows, 0]
    place[:, 6] = (np.cumsum(words) - words) / max(1.0, float(words.sum()))
    place[:, 7] = first >= 0
    return np.concatenate(
        (
            scan.features[rows],
            _bits(scan.cues[rows], len(cues.text_groups)),
            _bits(1 << tags >> 1, len(cues.line_tags)),
            _bits(scan.kinds[inner] >> 1, len(cues.ancestor_tags)),
            _bits(near, len(cues.class_groups)),
            _bits(structure.classes, len(cues.class_groups)),
            place,
            structure.columns,
        ),
        axis=1,
        dtype=np.float32,
    )


def considered(scan: Scan) -> NDArray[np.int64]:
    """Lines outside the page's own header, footer and asides.

    Those are cut where they stand in no article or main and hold neither these nor an h1: they held at most 0.17% of
    true words (RECIPES "Pages" 1).
    """
    cues = load_cues()
    names = [*cues.ancestor_tags]
    frame = sum(1 << (1 + names.index(name)) for name in ("header", "footer", "aside"))
    inside = sum(1 << (1 + names.index(name)) for name in ("article", "main"))
    return np.flatnonzero(
        ~_pruned(scan.parents, scan.kinds, scan.tags, frame, inside, cues.line_tags.index("h1") + 1)[scan.inner]
    )


def never_body(scan: Scan, rows: NDArray[np.int64], structure: Structure) -> NDArray[np.bool_]:
    """Captions and readers' comments, by their elements: 0.1% of the words in such places belong to a body.

    Class names above the headline do not count.
    """
    cues = load_cues()
    classes = sum(1 << cues.class_groups.index(name) for name in ("comment", "caption"))
    figcaption = 1 << (1 + cues.ancestor_tags.index("figcaption"))
    return (structure.classes & classes | scan.kinds[scan.inner[rows]] & figcaption) != 0


def silenced(p: NDArray[np.float64], never: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Put lines out that are never body, unless no other line of the page looks like one."""
    return np.where(never, np.minimum(p, _SILENT), p) if some_left(p, never) else p


def some_left(p: NDArray[np.float64], never: NDArray[np.bool_]) -> bool:
    """Whether a line that may be body looks like it."""
    return bool((p[~never] > _LIKELY).any())


def line_signatures(scan: Scan, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where lines stood: a 63-bit hash of tag and class of their block and its parent."""
    blocks = scan.blocks[rows]
    signs = scan.signatures[blocks] * FNV_PRIME ^ scan.signatures[np.maximum(scan.parents[blocks], 0)]
    return (signs >> np.uint64(1)).astype(np.int64)


def context_matrix(scan: Scan, rows: NDArray[np.int64], structure: Structure, p: NDArray[np.float64]) -> Matrix:
    """Stage-two columns.

    Args:
      scan: the page.
      rows: the lines that are considered.
      structure: of these lines.
      p: shape (rows,), what stage one gives them.

    Returns:
      shape (rows, context_columns())
    """
    words = scan.features[rows, 0].astype(np.float64)
    blocks = scan.blocks[rows].astype(np.int64)
    parents = np.maximum(scan.parents[blocks], 0)
    grandparents = np.maximum(scan.parents[parents], 0)
    tags = scan.signatures[blocks].astype(np.int64)
    keys = np.stack((line_signatures(scan, rows), blocks, parents, grandparents, tags, structure.runs, structure.paths))
    capped = np.minimum(words, _WORD_CAP)
    return _context(
        p.astype(np.float64),
        words,
        scan.features[rows, 2].astype(np.float64),
        capped,
        np.where(p > _GOOD, p * capped, 0.0),
        keys,
        np.argsort(keys, axis=1, kind="stable"),
        scan.parents,
        len(_CONTEXT),
    )


@njit(cache=True, nogil=True)
def _bits(values, count):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 -- compiled
    out = np.empty((len(values), count), np.float32)
    for i in range(len(values)):
        for bit in range(count):
            out[i, bit] = (values[i] >> bit) & 1
    return out


def _repeats(hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
    ordered = np.sort(hashes)
    return np.searchsorted(ordered, hashes, "right") - np.searchsorted(ordered, hashes, "left")


@njit(cache=True, nogil=True)
def _pruned(parents, kinds, tags, frame, inside, h1):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, PLR0913, PLR0917 -- compiled
    n = len(parents)
    holds = np.zeros(n, np.bool_)
    out = np.zeros(n, np.bool_)
    for e in range(n - 1, 0, -1):
        above = kinds[parents[e]]
        if tags[e] == h1 or (kinds[e] & ~above & inside) != 0:
            holds[e] = True
        if holds[e]:
            holds[parents[e]] = True
    for e in range(1, n):
        own = kinds[e] & ~kinds[parents[e]]
        out[e] = out[parents[e]] or ((own & frame) != 0 and (kinds[e] & inside) == 0 and not holds[e])
    return out


@njit(cache=True, nogil=True)
def _group(keys, order, good, p, words, links, total, out, at):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, PLR0913, PLR0917 -- compiled
    n = len(keys)
    a = 0
    while a < n:
        b = a
        g = 0.0
        sp = 0.0
        sw = 0.0
        sl = 0.0
        while b < n and keys[order[b]] == keys[order[a]]:
            k = order[b]
            g += good[k]
            sp += p[k]
            sw += words[k]
            sl += links[k]
            b += 1
        c = b - a
        for i in range(a, b):
            row = out[order[i]]
            row[at] = g / total
            row[at + 1] = sp / c
            row[at + 2] = sw / c
            row[at + 3] = sl / c
            row[at + 4] = c
        a = b


@njit(cache=True, nogil=True)
def _context(p, words, links, capped, good, keys, orders, parents, first):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, C901, PLR0912, PLR0913, PLR0915, PLR0917 -- compiled
    n = len(p)
    out = np.zeros((n, first + 5 * len(keys)), np.float32)
    if n == 0:
        return out
    total = 0.0
    weight = 0.0
    expected = 0.0
    for i in range(n):
        total += good[i]
        weight += capped[i]
        expected += p[i] * capped[i]
    total = max(1.0, total)
    page = expected / max(1.0, weight)
    for k in range(len(keys)):
        _group(keys[k], orders[k], good, p, words, links, total, out, first + 5 * k)
    own = keys[1]
    up = keys[2]
    best = 0
    value = -1.0
    for i in range(n):
        for e, v in (
            (up[i], out[i, first + 10] + 0.5 * out[i, first + 15]),
            (own[i], out[i, first + 5] + 0.5 * out[i, first + 10]),
        ):
            if v > value + 1e-9:
                value = v
                best = e
    # the run of lines with the most good words
    top = -1.0
    run = 0.0
    start = 0
    a = 0
    b = 0
    for i in range(n):
        run += (p[i] - 0.35) * min(capped[i], 40.0)
        if run > top:
            top = run
            a = start
            b = i
        if run < 0:
            run = 0.0
            start = i + 1
    seen = 0.0
    for i in range(n):
        row = out[i]
        row[0] = p[i]
        row[1] = p[i - 1] if i > 0 else 0.0
        row[2] = p[i + 1] if i + 1 < n else 0.0
        row[3] = p[i - 2] if i > 1 else 0.0
        row[4] = p[i + 2] if i + 2 < n else 0.0
        row[5] = words[i - 1] if i > 0 else 0.0
        row[6] = words[i + 1] if i + 1 < n else 0.0
        row[7] = links[i - 1] if i > 0 else 0.0
        row[8] = links[i + 1] if i + 1 < n else 0.0
        before = 0.0
        after = 0.0
        weight_before = 0.0
        weight_after = 0.0
        for k in range(1, 5):
            if i - k >= 0:
                before += p[i - k] * capped[i - k]
                weight_before += capped[i - k]
            if i + k < n:
                after += p[i + k] * capped[i + k]
                weight_after += capped[i + k]
        row[9] = (before + after) / max(1.0, weight_before + weight_after)
        row[10] = before / max(1.0, weight_before)
        row[11] = after / max(1.0, weight_after)
        row[12] = seen / total
        seen += good[i]
        e = own[i]
        steps = 0
        while e != best and e > 0 and steps < _FAR:
            e = parents[e]
            steps += 1
        row[13] = steps if e == best else _FAR
        row[14] = 1.0 if a <= i <= b else 0.0
        row[15] = min(20, a - i) if i < a else (min(20, i - b) if i > b else 0)
        row[16] = total
        row[17] = page
    return out
