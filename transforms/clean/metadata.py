"""What a page says about itself, chosen by agreement of its sources.

JSON-LD, OpenGraph and other meta tags, `h1`, `title`, `time` and links that name an author are read side by side. Each
value collects the weight of every source that gives it; the heaviest wins, and the order of sources only breaks ties.
"""

import functools
import html as entities
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

import orjson
from selectolax.lexbor import LexborHTMLParser, LexborNode

from transforms.clean.dates import parse_timestamp

_ARTICLE_TYPES = re.compile(r"Article|Posting|Report|Review|NewsItem|Blog$|Story")
_PAGE_TYPES = re.compile(r"Page$|Video|Event|Recipe|Gallery|Podcast|Movie")
_SUFFIX = re.compile(r"\s*[-\u2013\u2014|·•:»\u203a<]\s+[^-\u2013\u2014|·•»\u203a]{2,45}$|\uff1a[^\uff1a]{2,20}$")
_PUBLISHED_METAS = (
    "article:published_time",
    "datepublished",
    "parsely-pub-date",
    "sailthru.date",
    "date",
    "dc.date",
    "dc.date.issued",
    "dcterms.created",
    "dc.terms.issued",
    "dcterms.date",
    "publish-date",
    "pubdate",
    "publishdate",
    "publication_date",
    "og:published_time",
    "cxenseparse:recs:publishtime",
    "article.published",
    "published_time",
    "published-date",
    "article:published",
    "datecreated",
    "citation_online_date",
    "og:pubdate",
    "last-modified-date",
)
_MODIFIED_METAS = (
    "article:modified_time",
    "datemodified",
    "og:updated_time",
    "last-modified",
    "dcterms.modified",
    "article:modified",
)
_AUTHOR_METAS = (
    "author",
    "article:author",
    "parsely-author",
    "sailthru.author",
    "dc.creator",
    "byl",
    "cxenseparse:author",
    "dcterms.creator",
    "article:author_name",
    "citation_author",
)
_SECTION_METAS = ("article:section", "parsely-section", "section", "cxenseparse:recs:section")
_KEYWORD_METAS = ("news_keywords", "keywords", "article:tag", "parsely-tags", "sailthru.tags")
_ZONED = re.compile(r"\d\d:\d\d.*(?:Z|[+-]\d\d:?\d\d|[A-Z]{3,4})\s*$")
_LONGEST_NAME = 60
_NO_NAME = re.compile(r"https?://|[@/]|^\W*$|^\d+$", re.IGNORECASE)
_TOKENS = re.compile(r"\w+")
_PREFIX = re.compile(r"^(?:by|von|par|por|di|text|author|autor)\b[:\s]+", re.IGNORECASE)
_JOINED = re.compile(r"\s*(?:,|;|\||\band\b|\bund\b|\by\b|\bet\b|&)\s+")
_MOST_BLOCKS, _MOST_OBJECTS, _DEEPEST = 30, 2_000, 12
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_LANGUAGE = re.compile(r"[a-zA-Z]{2,3}(?=[-_]|$)")
_LONGEST_BLOCK = 2_000_000
_LONGEST_VALUE = 50_000  # characters of a value that are read: no headline or list of keywords is as long
# By a grid over 157 annotated pages: a headline that only twitter:title shares is written for sharing.
_WEIGHTS = {"og": 2.4, "ld": 1.3, "h1": 0.6, "title": 0.4, "twitter": -0.4}


@dataclass(frozen=True)
class Metadata:
    """Fields as schema.org's NewsArticle names them; unknown ones are None or empty."""

    headline: str | None = None
    description: str | None = None
    authors: list[str] = field(default_factory=list)
    date_published: datetime | None = None
    date_source: str | None = None  # "page:" and the sources that gave it, joined by "+"
    date_modified: datetime | None = None
    language: str | None = None
    section: str | None = None
    keywords: list[str] = field(default_factory=list)
    canonical_url: str | None = None
    site_name: str | None = None


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
        given = [_text(item.get("headline")) for item in self.articles[:1]]
        return " ".join([*given, *self.metas.get("og:title", ())[:1], self.title])

    @property
    def summary(self) -> str:
        """The description that is declared."""
        return _description(self.articles, self.metas) or ""


def read_declared(tree: LexborHTMLParser, linked_data: list[bytes]) -> Declared:
    """Read the head of a parsed page and the JSON-LD scripts that were cut out of it."""
    head = tree.head
    metas = _metas(head.css("meta")) if head else {}
    if "og:title" not in metas:
        metas = _metas(tree.css("meta"))
    link = head.css_first('link[rel="canonical"]') if head else None
    url = ((link.attributes.get("href") if link else None) or _first(metas, ("og:url",)) or "").strip()
    title = head.css_first("title") if head else None
    root = tree.root
    return Declared(
        articles=list(_articles(linked_data)),
        metas=metas,
        title=_plain(title.text()) if title else "",
        canonical=url if url.startswith(("http://", "https://")) else None,
        language=(root.attributes.get("lang") or root.attributes.get("xml:lang")) if root else None,
    )


def choose_metadata(
    declared: Declared, tree: LexborHTMLParser, headings: list[str], datelines: list[str], url: str | None
) -> Metadata:
    """Weigh what is declared against what is shown.

    Args:
      declared: from `read_declared`.
      tree: the page.
      headings: its h1 lines, in order.
      datelines: lines that are dates, in order.
      url: where it was found; the canonical URL when the page names none.
    """
    articles, metas = declared.articles, declared.metas
    site = _first(metas, ("og:site_name", "application-name"))
    published, source = _date(tree, articles, metas, datelines)
    return Metadata(
        headline=_headline(declared, headings, site),
        description=_description(articles, metas),
        authors=_authors(tree, articles, metas),
        date_published=published,
        date_source=source,
        date_modified=_timestamp(
            [_text(a.get("dateModified")) for a in articles] + [v for k in _MODIFIED_METAS for v in metas.get(k, ())]
        ),
        language=_language(declared),
        section=_plain(next((_text(a.get("articleSection")) for a in articles if a.get("articleSection")), ""))
        or _first(metas, _SECTION_METAS),
        keywords=_keywords(articles, metas),
        canonical_url=declared.canonical or url,
        site_name=site,
    )


def _metas(nodes: Iterable[LexborNode]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for node in nodes:
        attributes = node.attributes
        content = attributes.get("content")
        if content:
            for key in ("property", "name", "itemprop"):
                name = attributes.get(key)
                if name:
                    found.setdefault(name.lower(), []).append(_plain(content))
    return found


def _articles(linked_data: list[bytes]) -> Iterator[dict[str, Any]]:
    objects = [
        item for text in linked_data[:_MOST_BLOCKS] if len(text) <= _LONGEST_BLOCK for item in _objects(_parse(text), 0)
    ]
    kinds = [(_text(item.get("@type")), item) for item in objects[:_MOST_OBJECTS]]
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
    if depth > _DEEPEST:
        return
    if isinstance(value, list):
        for item in value:
            yield from _objects(item, depth + 1)
    elif isinstance(value, dict):
        yield value
        for key in ("@graph", "mainEntity", "mainEntityOfPage"):
            yield from _objects(value.get(key), depth + 1)


def _headline(declared: Declared, headings: list[str], site: str | None) -> str | None:
    candidates = [("ld", _plain(_text(item.get("headline") or item.get("name")))) for item in declared.articles[:2]]
    candidates += [("h1", _plain(text)) for text in headings[:4]]
    candidates += [("og", text) for text in declared.metas.get("og:title", ())[:1]]
    candidates += [("twitter", text) for text in declared.metas.get("twitter:title", ())[:1]]
    candidates += [("title", declared.title)]
    candidates = [(source, text) for source, text in candidates if text]
    shown = [_fold(text) for source, text in candidates if source in ("ld", "h1")]
    cleaned = [(source, _without_site(text, shown, site)) for source, text in candidates]
    votes: dict[str, float] = {}
    given: set[tuple[str, str]] = set()
    for source, text in cleaned:
        if (source, _fold(text)) not in given and not (source == "h1" and site and _fold(text) == _fold(site)):
            given.add((source, _fold(text)))
            votes[_fold(text)] = votes.get(_fold(text), 0.0) + _WEIGHTS[source]
    if not votes:
        return None
    best = max(votes, key=lambda key: (votes[key], -list(votes).index(key)))
    return max((item for item in cleaned if _fold(item[1]) == best), key=lambda item: _WEIGHTS[item[0]])[1]


def _without_site(text: str, others: list[str], site: str | None) -> str:
    """Cut the site's name off the end of a title, where the site's name or the other sources show that it is one."""
    cut = text
    for _ in range(3):
        shorter = _SUFFIX.sub("", cut)
        if shorter == cut or not shorter:
            break
        if site and _fold(site) in _fold(cut[len(shorter) :]):
            return shorter
        if _fold(shorter) in others and _fold(text) not in others:
            return shorter
        cut = shorter
    return text


def _description(articles: list[dict[str, Any]], metas: dict[str, list[str]]) -> str | None:
    found = [
        *metas.get("og:description", ())[:1],
        *metas.get("description", ())[:1],
        *metas.get("twitter:description", ())[:1],
    ]
    found += [_plain(_text(item.get("description"))) for item in articles[:2]]
    return _most([text for text in found if text])


def _authors(tree: LexborHTMLParser, articles: list[dict[str, Any]], metas: dict[str, list[str]]) -> list[str]:
    lists = [_names(item.get("author") or item.get("creator")) for item in articles]
    linked = next((names for names in lists if names), [])
    if linked:
        return linked
    named = [name for key in _AUTHOR_METAS for value in metas.get(key, ())[:8] for name in _names(value)]
    if named:
        return list(dict.fromkeys(named))
    shown = [
        _plain(node.text())
        for node in tree.css('[rel~="author"], [itemprop="author"] [itemprop="name"], [itemprop="author"]')[:8]
    ]
    return list(dict.fromkeys(name for text in shown for name in _names(text)))


def _names(value: Any, depth: int = 0) -> list[str]:
    if depth > _DEEPEST:
        return []
    if isinstance(value, list):
        return list(dict.fromkeys(name for item in value for name in _names(item, depth + 1)))
    if isinstance(value, dict):
        return _names(value.get("name"), depth + 1)
    if not isinstance(value, str):
        return []
    text = _PREFIX.sub("", _plain(value))
    parts = _JOINED.split(text) if depth == 0 or len(text) > _LONGEST_NAME else [text]
    return [
        part for part in (p.strip() for p in parts) if part and len(part) <= _LONGEST_NAME and not _NO_NAME.search(part)
    ]


def _date(
    tree: LexborHTMLParser, articles: list[dict[str, Any]], metas: dict[str, list[str]], datelines: list[str]
) -> tuple[datetime | None, str | None]:
    """The published time that most sources give, the first of them counting for more than any other one."""
    keys = ("datePublished", "dateCreated", "uploadDate")
    found = [
        ("json-ld", text)
        for item in articles
        if (text := next((_text(item[key]) for key in keys if item.get(key)), ""))
    ][:2]
    found += [("meta", value) for key in _PUBLISHED_METAS for value in metas.get(key, ())[:1]]
    times = [
        (source, when, _ZONED.search(text) is not None) for source, text in found if (when := parse_timestamp(text))
    ]
    if not times:
        shown = [node.attributes.get("datetime") or node.text() for node in tree.css("time")[:6]] + datelines
        times = list(islice((("shown", when, True) for text in shown if (when := parse_timestamp(_plain(text)))), 1))
    if not times:
        return None, None
    votes: dict[datetime, float] = {}
    for rank, (_, when, zoned) in enumerate(times):
        key = when.replace(second=0, microsecond=0)
        votes[key] = votes.get(key, 0.0) + (1.6 if rank == 0 else 1.0) * (1.0 if zoned else 0.4)
    best = max(votes, key=lambda key: votes[key])
    agreeing = [(source, when) for source, when, _ in times if when.replace(second=0, microsecond=0) == best]
    return agreeing[0][1], "page:" + "+".join(dict.fromkeys(source for source, _ in agreeing))


def _timestamp(texts: Iterable[str]) -> datetime | None:
    return next((when for text in texts if text and (when := parse_timestamp(text))), None)


def _language(declared: Declared) -> str | None:
    given = [declared.language or "", *(_text(item.get("inLanguage")) for item in declared.articles[:1])]
    given += declared.metas.get("og:locale", [])[:1] + declared.metas.get("content-language", [])[:1]
    return _most([match[0].lower() for text in given if (match := _LANGUAGE.match(text))])


def _keywords(articles: list[dict[str, Any]], metas: dict[str, list[str]]) -> list[str]:
    given: list[str] = []
    for value in [item.get("keywords") for item in articles[:1]]:
        given += [_text(part) for part in value] if isinstance(value, list) else [_text(value)]
    given += [value for key in _KEYWORD_METAS for value in metas.get(key, ())] if not any(given) else []
    parts = [_plain(part) for value in given for part in re.split(r"[,;|]", value)]
    return list(dict.fromkeys(part for part in parts if part))[:50]


def _first(metas: dict[str, list[str]], keys: Iterable[str]) -> str | None:
    return next((value for key in keys for value in metas.get(key, ()) if value), None)


def _most(values: list[str]) -> str | None:
    """The value given most often, the earliest of equals."""
    return max(values, key=values.count) if values else None


def _text(value: Any) -> str:
    """The text of a value, the first of a list, the name of an object."""
    while not isinstance(value, str):  # pages can nest deeper than Python recurses
        if isinstance(value, list) and value:
            value = value[0]
        elif isinstance(value, dict):
            value = value.get("@value") or value.get("name") or value.get("@id")
        else:
            return ""
    return value


def _plain(text: str) -> str:
    """One line of text: entities that were escaped twice resolved, white space and soft hyphens out.

    JSON-LD that was cut inside a character ends in half a surrogate pair, which no UTF-8 can hold.
    """
    text = entities.unescape(text[:_LONGEST_VALUE])
    if not text.isascii():
        text = _SURROGATE.sub("\ufffd", text).replace("\u00ad", "")
    return " ".join(text.split())


@functools.lru_cache(maxsize=1024)
def _fold(text: str) -> str:
    return " ".join(_TOKENS.findall(text.casefold()))
