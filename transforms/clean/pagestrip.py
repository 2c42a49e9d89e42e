# ruff: noqa: PLR2004 -- bytes of HTML are clearer as they stand
"""Raw HTML → what is worth parsing, and whether it is safe to parse: one compiled pass before the parser.

Scripts, styles, comments and drawings are half of a page's bytes; cut here they cost neither parsing nor serialising,
and JSON-LD is found on the way. The same pass bounds what the parser will do: its time grows with nesting times tags
(a `<div>` looks through all open elements) and with the square of one tag's attributes.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from transforms.clean.pagecues import find, packed, table

_LT, _GT, _SLASH, _SPACE, _BANG, _DASH, _EQUALS = 60, 62, 47, 32, 33, 45, 61
_MOST_SCRIPTS = 64
_A, _HREF = np.uint64(packed("a")), np.uint64(packed("href"))
_KEPT = table(
    {
        packed(name): 1
        for name in [
            "class",
            "id",
            "itemprop",
            "role",
            "data-component",
            "data-testid",
            "data-module",
            "data-type",
            "data-qa",
            "data-name",
            "aria-label",
            "hidden",
            "style",
            "href",
            "content",
            "property",
            "name",
            "rel",
            "datetime",
            "lang",
            "xml:lang",
            "type",
            "http-equiv",
        ]
    }
)


_SCRIPT = np.uint64(packed("script"))
_CUT = ("script", "style", "noscript", "iframe", "svg")
_UNNESTED = (
    *("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"),
    *("p", "li", "td", "th", "tr", "dd", "dt", "option", "tbody", "thead", "tfoot", "colgroup", "html", "body", "head"),
)
_FORMATTING = ("a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u")
_ENDS_PAGE = 2  # the first of `_CUT`, script and style, run to the end of the page where they are not closed
_RARE = ("option", "html", "body")
_MOST_RARE = 2_000  # the parser's time grows with the square of options, its memory with body tags; measured: 392, 8
_IS_UNNESTED, _IS_FORMATTING, _IS_RARE, _CUT_SHIFT = 1, 2, 4, 3  # bits of a tag's kind; above them 1 + place in `_CUT`
_TAGS = table(
    {packed(name): _IS_UNNESTED | (_IS_RARE if name in _RARE else 0) for name in _UNNESTED}
    | {packed(name): _IS_FORMATTING for name in _FORMATTING}
    | {packed(name): place << _CUT_SHIFT for place, name in enumerate(_CUT, start=1)}
)


class Stripped(NamedTuple):
    """A page without its scripts, and what parsing it would cost."""

    html: bytes
    linked_data: list[bytes]  # JSON-LD scripts
    depth: int  # elements open at once, about
    work: int  # sum over tags of the elements open there
    attributes: int  # most in one tag
    formats: int  # sum over tags of the formatting elements open there, which the parser opens anew in each block


def strip_page(html: bytes) -> Stripped:
    """Cut scripts, styles, frames, drawings and comments out of UTF-8 HTML."""
    out, size, spans, found, depth, work, attributes, formats = _strip(
        np.frombuffer(html, np.uint8),
        np.frombuffer(html, np.uint64, len(html) // 8),
        _TAGS.keys,
        _TAGS.values,
        _KEPT.keys,
        _KEPT.values,
    )
    return Stripped(
        out[:size].tobytes(), [html[a:b] for a, b in spans[:found].tolist()], depth, work, attributes, formats
    )


@njit(cache=True, nogil=True)
def _name(html, i):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 -- compiled
    """The lower-cased tag name that starts at i, packed, and where it ends."""
    name = np.uint64(0)
    j = i
    while j < len(html) and html[j] > _SPACE and html[j] != _GT and html[j] != _SLASH and html[j] != _LT:
        if j - i < 8:
            b = html[j]
            name |= np.uint64(b + 32 if 65 <= b <= 90 else b) << np.uint64(8 * (j - i))
        j += 1
    return name, j


@njit(cache=True, nogil=True, inline="never")
def _seek(html, words, i, byte):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 -- compiled
    """The first place from i on that holds a byte, else the end; eight at a time (Warren, "Hacker's Delight", 6-1)."""
    n = len(html)
    while i < n and i & 7:
        if html[i] == byte:
            return i
        i += 1
    same = np.uint64(0x0101010101010101) * np.uint64(byte)
    word = i >> 3
    while word < len(words):
        x = words[word] ^ same
        if (x - np.uint64(0x0101010101010101)) & ~x & np.uint64(0x8080808080808080):
            break
        word += 1
    i = max(i, word << 3)
    while i < n and html[i] != byte:
        i += 1
    return i


@njit(cache=True, nogil=True)
def _copy(out, size, html, a, b):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 -- compiled
    """Append a span; numba compiles a loop in a tenth of the time that it takes for a slice assignment."""
    for k in range(a, b):
        out[size] = html[k]
        size += 1
    return size


@njit(cache=True, nogil=True)
def _strip(html, words, tag_keys, tag_values, kept_keys, kept_values):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, C901, PLR0912, PLR0913, PLR0915, PLR0917 -- compiled: one pass
    n = len(html)
    out = np.empty(2 * n + 2, np.uint8)
    spans = np.zeros((_MOST_SCRIPTS, 2), np.int64)
    endless = np.zeros(len(_CUT), np.bool_)
    found = 0
    size = 0
    depth = 0
    deepest = 0
    work = 0
    most = 0
    formats = 0
    open_formats = 0
    rare = 0
    i = 0
    while i < n:
        j = _seek(html, words, i, _LT)
        size = _copy(out, size, html, i, j)
        i = j
        if i + 1 >= n:
            break
        c = html[i + 1]
        if c == _BANG and i + 3 < n and html[i + 2] == _DASH and html[i + 3] == _DASH:
            j = _seek(html, words, i + 2, _DASH)
            while j + 2 < n and not (
                html[j + 1] == _DASH and (html[j + 2] == _GT or (html[j + 2] == _BANG and j > i + 3))
            ):
                j = _seek(html, words, j + 1, _DASH)
            i = _seek(html, words, min(j, n - 2), _GT) + 1
            continue
        closing = c == _SLASH
        if not (closing or 65 <= c <= 90 or 97 <= c <= 122):
            out[size] = _LT
            size += 1
            i += 1
            continue
        name, j = _name(html, i + 1 + closing)
        tag = size
        size = _copy(out, size, html, i, j)
        attributes = 0
        ld = False
        while j < n and html[j] != _GT:
            if html[j] <= _SPACE or html[j] == _SLASH:
                j += 1
                continue
            a = j
            key = np.uint64(0)
            while (
                j < n and html[j] > _SPACE and html[j] != _GT and (html[j] != _EQUALS or j == a) and html[j] != _SLASH
            ):
                b = html[j]
                if j - a < 8:
                    key |= np.uint64(b + 32 if 65 <= b <= 90 else b) << np.uint64(8 * (j - a))
                j += 1
            end = j
            while j < n and html[j] <= _SPACE:
                j += 1
            if j < n and html[j] == _EQUALS:
                j += 1
                while j < n and html[j] <= _SPACE:
                    j += 1
                if j < n and (html[j] == 34 or html[j] == 39):
                    j = _seek(html, words, j + 1, html[j]) + 1
                else:
                    while j < n and html[j] > _SPACE and html[j] != _GT:
                        j += 1
                if name == _SCRIPT:
                    for k in range(end + 1, min(j, n - 1)):
                        ld |= html[k] == 43 and html[k - 1] == 100 and html[k + 1] == 106  # ld+json
                end = min(j, n)
            attributes += 1
            if find(kept_keys, kept_values, key) and not (key == _HREF and name == _A):
                out[size] = _SPACE
                size = _copy(out, size + 1, html, a, end)
        most = max(most, attributes)
        end = min(n, j + 1)
        if end > j:
            out[size] = _GT
            size += 1
        kind = find(tag_keys, tag_values, name)
        place = -1 if closing else (kind >> _CUT_SHIFT) - 1
        if place >= 0 and not endless[place]:
            a = _seek(html, words, end, _LT)
            stop = -1
            while a + 2 < n:
                if html[a + 1] == _SLASH:
                    other, _ = _name(html, a + 2)
                    if other == name:
                        stop = a
                        break
                a = _seek(html, words, a + 1, _LT)
            if stop < 0:
                endless[place] = True
                if place < _ENDS_PAGE:
                    size = tag
                    break
            else:
                if name == _SCRIPT and ld and found < _MOST_SCRIPTS:
                    spans[found, 0] = end
                    spans[found, 1] = stop
                    found += 1
                i = _seek(html, words, stop, _GT) + 1
                out[tag] = _SPACE
                size = tag + 1
                continue
        if kind & _IS_RARE:
            rare += 1
            if rare > _MOST_RARE:
                size = tag
        if not kind & _IS_UNNESTED:
            depth += -1 if closing else 1
            depth = max(0, depth)
            deepest = max(deepest, depth)
            if kind & _IS_FORMATTING:
                open_formats = max(0, open_formats + (-1 if closing else 1))
        work += depth
        formats += open_formats
        i = end
    return out, size, spans, found, deepest, work, most, formats
