"""Pages as text saved from them: every visible line, labelled by the page's truth, to train the plain text model on.

The pages are those of `data/extraction` whose truth comes from selectors (set `fundus`, 89 outlets, many languages). On
pages whose lines came with the data the lines are the same ones (median of 142 pages: 99% in both).
"""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lxml import html

from tests.training.train_pages import decode, held_by

_INLINE_NAMES = """
a b i em strong span u s small big sub sup mark abbr cite code q font time label tt var kbd samp del ins bdi bdo wbr
acronym data img ruby rt rp dfn strike button
"""
_UNSEEN_NAMES = "script style noscript template svg head iframe object select textarea title"
_INLINE, _UNSEEN = frozenset(_INLINE_NAMES.split()), frozenset(_UNSEEN_NAMES.split())


def saved_pages(shared: Path) -> Iterator[dict[str, Any]]:
    """Rows {id, outlet, title, lines: [{text, label: body|not}]}."""
    folder = shared / "data/extraction"
    for row in (folder / "manifest.jsonl").read_text("utf-8").splitlines():
        truth = json.loads(row)
        if truth["set"] != "fundus" or truth.get("suspect_truth"):
            continue
        page = decode(gzip.decompress((folder / truth["html"]).read_bytes()))
        lines = visible_lines(html.document_fromstring(page.encode(), parser=html.HTMLParser(encoding="utf-8")))
        # a line is body by the same test as in the labelled dumps
        inside = held_by(truth.get("text") or "\n".join(truth.get("paragraphs") or []))
        yield {
            "id": truth["id"],
            "outlet": truth["domain"],
            "title": truth.get("title"),
            "lines": [{"text": text, "label": "body" if inside(text) else "not"} for text in lines],
        }


def visible_lines(document: Any) -> list[str]:
    """Text between the starts and ends of blocks, white space squeezed."""
    lines: list[str] = []
    pieces: list[str] = []

    def end_line() -> None:
        text = " ".join("".join(pieces).split())
        pieces.clear()
        if text:
            lines.append(text)

    body = document.find("body")
    open_elements = [(document if body is None else body, False)]
    while open_elements:  # a stack of elements to enter, or to leave
        element, leaving = open_elements.pop()
        seen = isinstance(element.tag, str) and element.tag not in _UNSEEN
        if seen and element.tag not in _INLINE:
            end_line()
        if leaving or not seen:
            pieces.append(element.tail or "")
            continue
        pieces.append(element.text or "")
        open_elements.append((element, True))
        open_elements += [(child, False) for child in reversed(element)]
    end_line()
    return lines
