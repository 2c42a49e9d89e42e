"""HTML snippets out of feeds and records, and selectors that a user configures: BeautifulSoup over lxml."""

import re

from bs4 import BeautifulSoup

from schemas.errors import Rejected, RejectReason
from schemas.labels import Label
from transforms.clean.metadata import Metadata
from transforms.clean.page import Page, PageLimits, PageLine, check_limits, read_page

FRAGMENT_START = 20_000  # characters within which a page says that it is one
_PAGE = re.compile(r"<(?:html|body|head|!doctype)\b", re.IGNORECASE)
_SKIPPED = ("script", "style", "noscript", "iframe", "template", "svg", "button", "select", "textarea", "nav", "form")
_BLOCKS = frozenset(
    [
        "address",
        "article",
        "aside",
        "blockquote",
        "body",
        "dd",
        "details",
        "div",
        "dl",
        "dt",
        "fieldset",
        "figcaption",
        "figure",
        "footer",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "header",
        "hr",
        "html",
        "li",
        "main",
        "ol",
        "p",
        "pre",
        "section",
        "summary",
        "table",
        "tbody",
        "td",
        "tfoot",
        "th",
        "thead",
        "tr",
        "ul",
        "br",
        "center",
    ]
)
_MOST_TAGS = 10_000  # half a second of BeautifulSoup; above it a snippet is read as a page
_WHOLE_LINK = 0.8  # share of a line's characters inside links from which it is a link, not a sentence


def is_fragment(html: str) -> bool:
    """Whether this is a snippet: no html, head or body tag and no doctype near its start."""
    return _PAGE.search(html, 0, FRAGMENT_START) is None


def read_fragment(html: str, url: str | None, limits: PageLimits) -> Page:
    """Label the lines of an HTML snippet.

    Block elements and `br` end a line, inline mark-up is joined. A line that is all link is furniture, a figure's
    caption a caption, the rest body: a feed sends little else.

    Raises:
      Rejected: TOO_COMPLEX over a cap; NO_BODY when no text is left.
    """
    if html.count("<") > _MOST_TAGS:
        return read_page(html, url, limits)
    check_limits(html, limits)
    soup = BeautifulSoup(html, "lxml")
    for element in soup.find_all(_SKIPPED):
        element.decompose()
    lines = [(text, *_judge(text, linked, caption)) for text, linked, caption in _lines(soup)]
    if not lines:
        raise Rejected(RejectReason.NO_BODY, "the snippet has no visible text")
    flags: list[str] = []
    if not any(label is Label.BODY for _, label, _ in lines):
        lines = [(text, Label.BODY, "fragment:all-links") for text, _, _ in lines]
        flags = ["fragment:all-links"]
    return Page(
        [PageLine(text, label, rule, float(label is Label.BODY), 0) for text, label, rule in lines],
        Metadata(canonical_url=url),
        flags,
    )


def select_out(html: str, selectors: list[str]) -> str:
    """Cut what CSS selectors match out of a page or snippet.

    Raises:
      soupsieve.SelectorSyntaxError: a selector that is not CSS.
    """
    soup = BeautifulSoup(html, "lxml")
    for selector in selectors:
        for element in soup.select(selector):
            element.extract()
    return str(soup)


def _judge(text: str, linked: int, caption: bool) -> tuple[Label, str]:
    if caption:
        return Label.CAPTION, "caption-element"
    if linked >= _WHOLE_LINK * len(text):
        return Label.FURNITURE, "whole-link"
    return Label.BODY, "fragment"


def _lines(soup: BeautifulSoup) -> list[tuple[str, int, bool]]:
    """Lines with how many of their characters are linked and whether they stand in a caption."""
    out: list[tuple[str, int, bool]] = []
    parts: list[tuple[str, bool, bool]] = []

    def flush() -> None:
        text = " ".join("".join(part for part, _, _ in parts).split())
        if text:
            linked = sum(len("".join(part.split())) for part, link, _ in parts if link)
            spaces = text.count(" ")
            out.append((text, linked + (spaces if linked else 0), any(caption for _, _, caption in parts)))
        parts.clear()

    for kind, node, link, caption in _walk(soup):
        if kind == "text":
            parts.append((node, link, caption))
        else:
            flush()
    flush()
    return out


def _walk(soup: BeautifulSoup):  # type: ignore[no-untyped-def] # noqa: ANN202
    """Depth first without recursion: texts and breaks."""
    stack = [(soup, False, False, False)]
    while stack:
        node, link, caption, close = stack.pop()
        name = getattr(node, "name", None)
        if name is None:
            if type(node).__name__ == "NavigableString":
                yield "text", str(node), link, caption
            continue
        block = name in _BLOCKS
        if block:
            yield "break", "", link, caption
        if close:
            continue
        if block:
            stack.append((node, link, caption, True))
        inner_link, inner_caption = link or name == "a", caption or name == "figcaption"
        stack.extend((child, inner_link, inner_caption, False) for child in reversed(getattr(node, "contents", [])))
