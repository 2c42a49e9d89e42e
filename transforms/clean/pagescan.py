# ruff: noqa: PLR2004, PLR1714 -- bytes of HTML and of UTF-8 are clearer as they stand
"""A serialised page → its lines, with what is known of each: one compiled pass over the bytes.

The parser has made the bytes well-formed, so a stack is enough: block tags and `br` end a line, inline ones only mark
links and emphasis. Nothing is looked up in a tree afterwards; an element is a row of small arrays.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from transforms.clean.linetext import LINE_FEATURES, describe, word_table
from transforms.clean.pagecues import (
    BOLD,
    BREAK,
    FNV_OFFSET,
    FNV_PRIME,
    INLINE,
    LINK,
    RAW,
    SKIPPED,
    VOID,
    find,
    load_cues,
    packed,
)

_K = len(LINE_FEATURES)
MAX_DEPTH = 2048
_IMG = np.uint64(packed("img"))

_LT, _GT, _SLASH, _AMP, _SPACE, _QUOTE, _BANG, _EQUALS = 60, 62, 47, 38, 32, 34, 33, 61
_NUMBER = 255


class Scan(NamedTuple):
    """Lines and elements of a page. A line belongs to its innermost block; both count from 0 in page order."""

    text: NDArray[np.uint8]  # all lines, each ended by a newline, UTF-8
    features: NDArray[np.float32]  # (lines, LINE_FEATURES)
    cues: NDArray[np.int64]  # (lines,) text cue groups, a bit each
    hashes: NDArray[np.uint64]  # (lines,) of the lower-cased words
    blocks: NDArray[np.int32]  # (lines,) element
    inner: NDArray[np.int32]  # (lines,) innermost element of the first text, inline ones too
    parents: NDArray[np.int32]  # (elements,) -1 at the top
    tags: NDArray[np.int32]  # (elements,) 1 + place in `Cues.line_tags`, else 0
    kinds: NDArray[np.int64]  # (elements,) bits of ancestor tags, the element included
    own_cues: NDArray[np.int64]  # (elements,) class cue groups
    all_cues: NDArray[np.int64]  # (elements,) likewise, ancestors included
    signatures: NDArray[np.uint64]  # (elements,) of tag and class, digits out
    depths: NDArray[np.int32]  # (elements,)
    hidden: NDArray[np.bool_]  # (elements,) style or attribute hides it or an ancestor


def scan_page(html: bytes, title: str, description: str) -> Scan | None:
    """Cut a body, as lexbor serialises it, into lines.

    Args:
      html: UTF-8; well-formed.
      title: what the page calls itself; lines share words with it.
      description: what it says it is about; likewise.

    Returns:
      None when elements nest deeper than `MAX_DEPTH`.
    """
    cues = load_cues()
    words = word_table(title, description)
    result = _scan(
        np.frombuffer(html, np.uint8),
        (cues.tags.keys, cues.tags.values),
        (cues.ancestors.keys, cues.ancestors.values),
        (cues.attributes.keys, cues.attributes.values),
        (words.keys, words.values),
        (cues.classes.classes, cues.classes.moves, cues.classes.hits),
        (cues.texts.classes, cues.texts.moves, cues.texts.hits),
    )
    *arrays, complete = result
    return Scan(*(array[:size] for array, size in arrays)) if complete else None


@njit(cache=True, nogil=True)
def _scan(html, tag_table, ancestor_table, attribute_table, known, class_cues, text_cues):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, C901, PLR0912, PLR0913, PLR0915, PLR0917 -- compiled: one pass, one state
    # taken out once: each access to a tuple of arrays counts a reference
    tag_keys, tag_values = tag_table
    ancestor_keys, ancestor_values = ancestor_table
    attribute_keys, attribute_values = attribute_table
    class_bytes, class_moves, class_hits = class_cues
    n = len(html)
    room = 2
    for b in html:
        room += b == _LT
    parents = np.full(room, -1, np.int32)
    tags = np.zeros(room, np.int32)
    kinds = np.zeros(room, np.int64)
    own_cues = np.zeros(room, np.int64)
    all_cues = np.zeros(room, np.int64)
    signatures = np.zeros(room, np.uint64)
    depths = np.zeros(room, np.int32)
    hidden = np.zeros(room, np.bool_)
    nearest = np.zeros(room, np.int32)
    bits = np.zeros(room, np.int64)
    out = np.empty(n + room, np.uint8)
    features = np.zeros((room, _K), np.float32)
    cues = np.zeros(room, np.int64)
    hashes = np.zeros(room, np.uint64)
    blocks = np.zeros(room, np.int32)
    inner = np.zeros(room, np.int32)
    stack = np.zeros(MAX_DEPTH + 1, np.int32)

    elements = 1  # 0 stands for what surrounds the body
    nearest[0] = 0
    depth = 0
    links = 0
    bolds = 0
    skips = 0
    lines = 0
    start = 0  # of the line in `out`
    end = 0
    link_bytes = 0
    link_count = 0
    bold_bytes = 0
    first = -1
    starts_link = False
    images = 0
    ok = True
    i = 0
    while i <= n:
        flush = i == n
        step = 1
        child = 0
        e = stack[depth]
        if i < n and html[i] != _LT:
            j = i
            if skips > 0:
                while j < n and html[j] != _LT:
                    j += 1
                i = j
                continue
            before = end
            while j < n and html[j] != _LT:
                b = html[j]
                size = 1
                blank = b <= _SPACE
                if b == _AMP:
                    if j + 4 < n and html[j + 1] == 97 and html[j + 2] == 109 and html[j + 4] == 59:  # &amp;
                        size = 5
                    elif j + 3 < n and html[j + 3] == 59 and html[j + 2] == 116:  # &lt; &gt;
                        b = np.uint8(_LT if html[j + 1] == 108 else _GT)
                        size = 4
                    elif j + 5 < n and html[j + 1] == 110 and html[j + 2] == 98 and html[j + 5] == 59:  # &nbsp;
                        blank = True
                        size = 6
                    elif j + 5 < n and html[j + 1] == 113 and html[j + 2] == 117 and html[j + 5] == 59:  # &quot;
                        b = np.uint8(_QUOTE)
                        size = 6
                elif b < 0xC2:
                    pass
                elif b == 0xE2 and j + 2 < n and html[j + 1] == 0x80:
                    c = html[j + 2]
                    if c <= 0x8B or c == 0xA8 or c == 0xA9 or c == 0xAF:
                        size = 3
                        blank = True
                elif b == 0xC2 and j + 1 < n and (html[j + 1] == 0x85 or html[j + 1] == 0xA0):
                    size = 2
                    blank = True
                elif b == 0xE3 and j + 2 < n and html[j + 1] == 0x80 and html[j + 2] == 0x80:
                    size = 3
                    blank = True
                elif b == 0xEF and j + 2 < n and html[j + 1] == 0xBB and html[j + 2] == 0xBF:
                    j += 3
                    continue
                if blank:
                    if end > start and out[end - 1] != _SPACE:
                        out[end] = _SPACE
                        end += 1
                else:
                    if first < 0:
                        first = e
                        starts_link = links > 0
                    out[end] = b
                    end += 1
                j += size
            if links > 0:
                link_bytes += end - before
            if bolds > 0:
                bold_bytes += end - before
            i = j
            continue
        if i < n:
            c = html[i + 1] if i + 1 < n else np.uint8(_GT)
            if c == _SLASH:
                j = i
                while j < n and html[j] != _GT:
                    j += 1
                step = j + 1 - i
                if depth > 0:
                    if bits[e] & LINK:
                        links -= 1
                    if bits[e] & BOLD:
                        bolds -= 1
                    if bits[e] & SKIPPED:
                        skips -= 1
                    flush = not (bits[e] & INLINE)
                    depth -= 1
            elif c == _BANG or c == 63:
                if i + 3 < n and html[i + 2] == 45 and html[i + 3] == 45:
                    j = i + 4
                    while j < n and not (html[j] == _GT and html[j - 1] == 45 and html[j - 2] == 45):
                        j += 1
                else:
                    j = i
                    while j < n and html[j] != _GT:
                        j += 1
                step = j + 1 - i
            else:
                j = i + 1
                name = np.uint64(0)
                while j < n and html[j] != _SPACE and html[j] != _GT and html[j] != _SLASH:
                    if j - i <= 8:
                        name |= np.uint64(html[j]) << np.uint64(8 * (j - i - 1))
                    j += 1
                kind = find(tag_keys, tag_values, name)
                own = np.int64(0)
                sign = (FNV_OFFSET ^ name) * FNV_PRIME
                hides = False
                while j < n and html[j] != _GT:
                    if html[j] <= _SPACE or html[j] == _SLASH:
                        j += 1
                        continue
                    a = j
                    key = np.uint64(0)
                    while j < n and html[j] != _EQUALS and html[j] != _GT and html[j] > _SPACE:
                        if j - a < 8:
                            key |= np.uint64(html[j]) << np.uint64(8 * (j - a))
                        j += 1
                    if key == 0x6E6564646968:  # hidden
                        hides = True
                    if j + 1 < n and html[j] == _EQUALS and html[j + 1] == _QUOTE:
                        j += 2
                        wanted = find(attribute_keys, attribute_values, key)
                        if wanted > 0 and depth > 0 and skips == 0:
                            state = np.int64(0)
                            stop_at = j + 400
                            while j < n and html[j] != _QUOTE:
                                if j < stop_at:
                                    state = np.int64(class_moves[state, class_bytes[html[j]]])
                                    own |= class_hits[state]
                                    if wanted == 1 and not 48 <= html[j] <= 57:
                                        sign = (sign ^ np.uint64(html[j])) * FNV_PRIME
                                j += 1
                        elif key == 0x656C797473:  # style
                            while j < n and html[j] != _QUOTE:
                                if html[j] == 110 and j + 3 < n and html[j + 1] == 111 and html[j + 3] == 101:  # none
                                    k = j - 1
                                    while html[k] == _SPACE or html[k] == 58:
                                        k -= 1
                                    hides |= html[k] == 121 and html[k - 1] == 97  # display:
                                j += 1
                        else:
                            while j < n and html[j] != _QUOTE:
                                j += 1
                        j += 1
                step = j + 1 - i
                if name == _IMG:
                    images += 1
                if kind & BREAK:
                    flush = True
                elif not (kind & VOID):
                    flush = not (kind & INLINE)
                    child = elements
                    elements += 1
                    parents[child] = e
                    tags[child] = kind & _NUMBER
                    bits[child] = kind
                    place = find(ancestor_keys, ancestor_values, name)
                    kinds[child] = kinds[e] | (np.int64(1) << place if place else 0)
                    own_cues[child] = own
                    all_cues[child] = all_cues[e] | own
                    signatures[child] = sign
                    depths[child] = depth
                    hidden[child] = hidden[e] or hides
                    nearest[child] = nearest[e] if kind & INLINE else child
                    if depth >= MAX_DEPTH:
                        ok = False
                        break
                    if kind & LINK:
                        links += 1
                        link_count += 1
                    if kind & BOLD:
                        bolds += 1
                    if kind & SKIPPED:
                        skips += 1
                    if kind & RAW:  # its text is not escaped: go to its end tag
                        j = i + step
                        while j + 9 < n:
                            if html[j] == _LT and html[j + 1] == _SLASH:
                                other = np.uint64(0)
                                k = j + 2
                                while k < n and html[k] != _GT and k < j + 10:
                                    other |= np.uint64(html[k]) << np.uint64(8 * (k - j - 2))
                                    k += 1
                                if other == name:
                                    break
                            j += 1
                        step = j - i
        if flush:
            if end > start and out[end - 1] == _SPACE:
                end -= 1
            if first >= 0 and end > start:
                size = end - start
                row = features[lines]
                bit, total, some = describe(out[start:end], row, known, text_cues)
                if some:
                    row[2] = min(1.0, link_bytes / size)
                    row[3] = link_count
                    row[4] = min(1.0, bold_bytes / size)
                    row[20] = 1.0 if starts_link else 0.0
                    row[22] = images
                    images = 0
                    cues[lines] = bit
                    hashes[lines] = total
                    blocks[lines] = nearest[first]
                    inner[lines] = first
                    lines += 1
                    out[end] = 10
                    start = end + 1
                else:
                    for k in range(_K):
                        row[k] = 0
            end = start
            link_bytes = 0
            link_count = 1 if links > 0 else 0
            bold_bytes = 0
            first = -1
        if child > 0:
            depth += 1
            stack[depth] = child
        i += step
    return (
        (out, start),
        (features, lines),
        (cues, lines),
        (hashes, lines),
        (blocks, lines),
        (inner, lines),
        (parents, elements),
        (tags, elements),
        (kinds, elements),
        (own_cues, elements),
        (all_cues, elements),
        (signatures, elements),
        (depths, elements),
        (hidden, elements),
        ok,
    )
