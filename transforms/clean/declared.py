"""What a page declares of itself: meta tags, JSON-LD, title, canonical link and language, as plain text."""

import functools
import html as entities
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson
from selectolax.lexbor import LexborHTMLParser, LexborNode

_ARTICLE_TYPES = re.compile(r"Article|Posting|Report|Review|NewsItem|Blog$|Story")
_PAGE_TYPES = re.compile(r"Page$|Video|Event|Recipe|Gallery|Podcast|Movie")
_TOKENS = re.compile(r"\w+")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_LONGEST_BLOCK = 2_000_000
_LONGEST_VALUE = 50_000  # characters of a value that are read: no headline or list of keywords is as long
DEEPEST = 12  # lists and objects in each other that are followed
_MOST_BLOCKS, _MOST_OBJECTS = 30, 2_000


@dataclass(frozen=True)
class Declared:
    """What the page's head and its JSON-LD say, before the body is looked at."""

    articles: list[dict[str, Any]]  # objects that describe an article, the most telling first
    metas: dict[str, list[str]]  # by lower-cased name
    title: str
    canonical: str | None
    language: str | None

    @property
    def titles(self) -> str:
        """All the headlines that are declared, for lines to be compared with."""
        given = [text_of(item.get("headline")) for item in self.articles[:1]]
        return " ".join([*given, *self.metas.get("og:title", ())[:1], self.title])

    @property
    def summary(self) -> str:
        """The description that is declared."""
        return description_of(self.articles, self.metas) or ""


def read_declared(tree: LexborHTMLParser, linked_data: list[bytes]) -> Declared:
    """Read the head of a parsed page and the JSON-LD scripts that were cut out of it."""
    head = tree.head
    metas = _metas(head.css("meta")) if head else {}
    if "og:title" not in metas:
        metas = _metas(tree.css("meta"))
    link = head.css_first('link[rel="canonical"]') if head else None
    url = ((link.attributes.get("href") if link else None) or first_of(metas, ("og:url",)) or "").strip()
    title = head.css_first("title") if head else None
    root = tree.root
    return Declared(
        articles=list(_articles(linked_data)),
        metas=metas,
        title=plain(title.text()) if title else "",
        canonical=url if url.startswith(("http://", "https://")) else None,
        language=(root.attributes.get("lang") or root.attributes.get("xml:lang")) if root else None,
    )


def description_of(articles: list[dict[str, Any]], metas: dict[str, list[str]]) -> str | None:
    """The description that most sources give."""
    found = [
        *metas.get("og:description", ())[:1],
        *metas.get("description", ())[:1],
        *metas.get("twitter:description", ())[:1],
    ]
    found += [plain(text_of(item.get("description"))) for item in articles[:2]]
    return most_given([text for text in found if text])


def first_of(metas: dict[str, list[str]], keys: Iterable[str]) -> str | None:
    """The first value of any of these meta tags, in the order of the keys."""
    return next((value for key in keys for value in metas.get(key, ()) if value), None)


def most_given(values: list[str]) -> str | None:
    """The value given most often, the earliest of equals."""
    return max(values, key=values.count) if values else None


def text_of(value: Any) -> str:
    """The text of a value, the first of a list, the name of an object."""
    while not isinstance(value, str):  # pages can nest deeper than Python recurses
        if isinstance(value, list) and value:
            value = value[0]
        elif isinstance(value, dict):
            value = value.get("@value") or value.get("name") or value.get("@id")
        else:
            return ""
    return value


def plain(text: str) -> str:
    """One line of text: entities that were escaped twice resolved, white space and soft hyphens out.

    JSON-LD that was cut inside a character ends in half a surrogate pair, which no UTF-8 can hold.
    """
    text = entities.unescape(text[:_LONGEST_VALUE])
    if not text.isascii():
        text = _SURROGATE.sub("\ufffd", text).replace("\u00ad", "")
    return " ".join(text.split())


@functools.lru_cache(maxsize=1024)
def fold(text: str) -> str:
    """The words of a text, for comparing: case and punctuation do not matter."""
    return " ".join(_TOKENS.findall(text.casefold()))


def _metas(nodes: Iterable[LexborNode]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for node in nodes:
        attributes = node.attributes
        content = attributes.get("content")
        if content:
            for key in ("property", "name", "itemprop"):
                name = attributes.get(key)
                if name:
                    found.setdefault(name.lower(), []).append(plain(content))
    return found


def _articles(linked_data: list[bytes]) -> Iterator[dict[str, Any]]:
    objects = [
        item for text in linked_data[:_MOST_BLOCKS] if len(text) <= _LONGEST_BLOCK for item in _objects(_parse(text), 0)
    ]
    kinds = [(text_of(item.get("@type")), item) for item in objects[:_MOST_OBJECTS]]
    yield from (item for kind, item in kinds if _ARTICLE_TYPES.search(kind))
    yield from (item for kind, item in kinds if _PAGE_TYPES.search(kind) and not _ARTICLE_TYPES.search(kind))


def _parse(source: bytes) -> Any:
    """JSON as pages write it: some with raw line breaks in strings or in a comment."""
    try:
        return orjson.loads(source)
    except ValueError:
        pass
    text = (
        source.decode("utf-8", "replace")
        .strip()
        .removeprefix("<!--")
        .removesuffix("-->")
        .removeprefix("//<![CDATA[")
        .removesuffix("//]]>")
        .strip()
        .rstrip(";")
    )
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None


def _objects(value: Any, depth: int) -> Iterator[dict[str, Any]]:
    if depth > DEEPEST:
        return
    if isinstance(value, list):
        for item in value:
            yield from _objects(item, depth + 1)
    elif isinstance(value, dict):
        yield value
        for key in ("@graph", "mainEntity", "mainEntityOfPage"):
            yield from _objects(value.get(key), depth + 1)
