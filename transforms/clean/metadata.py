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
from datetime import datetime, timedelta
from typing import Any

import orjson
from selectolax.lexbor import LexborHTMLParser, LexborNode

from transforms.clean.addresses import domain_of
from transforms.clean.dates import date_in_address, parse_timestamp

_ARTICLE_TYPES = re.compile(r"Article|Posting|Report|Review|NewsItem|Blog$|Story")
_PAGE_TYPES = re.compile(r"Page$|Video|Event|Recipe|Gallery|Podcast|Movie")
_SEPARATOR = re.compile(
    r"\s+[-\u2013\u2014|·•:»\u203a<\u2502\u01c0/]+\s+|\s*[|»\u2502\u01c0]\s*|\uff1a|(?<=\w):\s+"
    r"|-(?=[\u3400-\u9fff\uac00-\ud7af]{2,8}$)"
)
_MOST_PARTS = 3  # of a title that are looked at from its end: "headline - section | site"
_LONGEST_PREFIX, _LONGEST_SITE = 45, 60  # characters
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
    "og:article:published_time",
    "dc:date",
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
    "articleauthor",
    "citation_author",
)
_SECTION_METAS = ("article:section", "parsely-section", "section", "cxenseparse:recs:section")
_KEYWORD_METAS = ("news_keywords", "keywords", "article:tag", "parsely-tags", "sailthru.tags")
_ZONED = re.compile(r"\d\d:\d\d.*(?:Z|[+-]\d\d:?\d\d|[A-Z]{3,4})\s*$")
_NOON, _DAY = timedelta(hours=12), timedelta(days=1)  # a day of the address is the site's, a time is in UTC
_LONGEST_NAME = 60
_NO_NAME = re.compile(r"https?://|[@/]|^\W*$|^\d+$", re.IGNORECASE)
_TOKENS = re.compile(r"\w+")
_PREFIX = re.compile(r"^(?:by|von|par|por|di|text|author|autor)\b[:\s]+", re.IGNORECASE)
_ACCOUNT = re.compile(r"[a-z0-9]+(?:[-_.][a-z0-9]+)+")  # how a system writes a name: "ann-moss"
_JOINED = re.compile(r"\s*(?:,|;|\||\band\b|\bund\b|\by\b|\bet\b|&)\s+")
_MOST_BLOCKS, _MOST_OBJECTS, _DEEPEST = 30, 2_000, 12
_MOST_SHOWN = 40  # lines with a date that are looked at
_TYPESET = re.compile(r"[\u2018-\u201f\u00ab\u00bb\u2013\u2014]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_LANGUAGE = re.compile(r"[a-zA-Z]{2,3}(?=[-_]|$)")
_LONGEST_BLOCK = 2_000_000
_LONGEST_VALUE = 50_000  # characters of a value that are read: no headline or list of keywords is as long
# JSON-LD and OpenGraph alike; h1 decides between them; a form that title or twitter:title repeats was rather written
# for search or sharing. docs/decisions/0013-metadata.md has the other rules, and what such weights are worth elsewhere.
_WEIGHTS = {"og": 1.7, "ld": 1.6, "h1": 0.3, "title": -0.4, "twitter": -0.4}


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
    names = _site_names(site, domain_of(declared.canonical or url))
    published, source = _date(tree, articles, metas, datelines, declared.canonical or url)
    return Metadata(
        headline=_headline(declared, headings, names),
        description=_description(articles, metas),
        authors=_authors(tree, articles, metas, names),
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


def _headline(declared: Declared, headings: list[str], names: tuple[str, ...]) -> str | None:
    candidates = [("ld", _plain(_text(item.get("headline") or item.get("name")))) for item in declared.articles[:2]]
    candidates += [("h1", _plain(text)) for text in headings[:4]]
    candidates += [("og", text) for text in declared.metas.get("og:title", ())[:1]]
    candidates += [("twitter", text) for text in declared.metas.get("twitter:title", ())[:1]]
    candidates += [("title", declared.title)]
    shown = {_fold(text) for source, text in candidates if source in ("ld", "h1")}
    votes: dict[str, float] = {}
    forms: dict[str, list[tuple[str, str]]] = {}
    for source, text in candidates:
        form = _without_site(text, shown, names)
        key = _fold(form)
        if key and not (source == "h1" and key in names):
            given = forms.setdefault(key, [])
            if source not in {each for each, _ in given}:
                votes[key] = votes.get(key, 0.0) + _WEIGHTS[source]
            given.append((source, form))
    return _best_form(forms[max(votes, key=lambda key: votes[key])]) if votes else None


def _best_form(forms: list[tuple[str, str]]) -> str:
    """How to print a headline: with a typesetter's marks if a source has them, else as the heaviest source does."""
    return max(forms, key=lambda form: (len(_TYPESET.findall(form[1])), _WEIGHTS[form[0]]))[1]


def _site_names(site: str | None, domain: str | None) -> tuple[str, ...]:
    """Folded names of the site: what it calls itself, its domain, and the domain's label."""
    given = (site or "", domain or "", (domain or "").partition(".")[0])
    return tuple(dict.fromkeys(name for text in given if len(name := _fold(text)) > 1))


def _without_site(text: str, shown: set[str], names: tuple[str, ...]) -> str:
    """Cut the site's name off a title, where a name of the site or the shown headlines say that it is one."""
    cuts = list(_SEPARATOR.finditer(text))
    if not cuts:
        return text
    alone = _fold(text) not in shown
    shorter = None
    for cut in reversed(cuts[-_MOST_PARTS:]):
        head, tail = text[: cut.start()].strip(), _fold(text[cut.end() :])
        if alone and head and _fold(head) in shown:
            return head
        if shorter is None and head and _is_site(tail, names):
            shorter = head
    if shorter:
        return shorter
    head, tail = text[: cuts[0].start()], text[cuts[0].end() :].strip()
    if tail and head and (_fold(head) in names or (alone and len(head) < _LONGEST_PREFIX and _fold(tail) in shown)):
        return tail
    return text


def _is_site(tail: str, names: tuple[str, ...]) -> bool:
    """Whether what stands after the last separator of a title is the site's name, or holds or begins it."""
    if tail in names:
        return True
    name = names[0] if names else ""
    return len(tail) < _LONGEST_SITE and (
        (len(name) > 3 and name in tail) or (len(tail) > 5 and name.startswith(tail))  # noqa: PLR2004 -- no chance hit
    )


def _description(articles: list[dict[str, Any]], metas: dict[str, list[str]]) -> str | None:
    found = [
        *metas.get("og:description", ())[:1],
        *metas.get("description", ())[:1],
        *metas.get("twitter:description", ())[:1],
    ]
    found += [_plain(_text(item.get("description"))) for item in articles[:2]]
    return _most([text for text in found if text])


def _authors(
    tree: LexborHTMLParser, articles: list[dict[str, Any]], metas: dict[str, list[str]], site_names: tuple[str, ...]
) -> list[str]:
    """The first source that names somebody; what only names the site, or an account, is the last resort."""
    given = [name for key in _AUTHOR_METAS for value in metas.get(key, ())[:8] for name in _names(value)]
    sources = [_names(item.get("author") or item.get("creator")) for item in articles]
    sources = [*(names for names in sources if names), list(dict.fromkeys(given))]
    for names in sources:
        people = [name for name in names if not _ACCOUNT.fullmatch(name)]
        if any(not _names_site(name, site_names) for name in people):
            return people
    shown = [
        _plain(node.text())
        for node in tree.css('[rel~="author"], [itemprop="author"] [itemprop="name"], [itemprop="author"]')[:8]
    ]
    found = list(dict.fromkeys(name for text in shown for name in _names(text)))
    return found or next((names for names in sources if names), [])


def _names_site(name: str, site_names: tuple[str, ...]) -> bool:
    """Whether an author is the site itself: "The Bay Post", "baypost.example"."""
    folded = _fold(name)
    return folded in site_names or any(len(site) > 3 and folded.startswith(site) for site in site_names[:1])  # noqa: PLR2004


def _names(value: Any, depth: int = 0) -> list[str]:
    if depth > _DEEPEST:
        return []
    if isinstance(value, list):
        return list(dict.fromkeys(name for item in value for name in _names(item, depth + 1)))
    if isinstance(value, dict):
        parts = " ".join(_text(value[key]) for key in ("givenName", "familyName") if value.get(key))
        return _names(value.get("name") or parts, depth + 1)
    if not isinstance(value, str):
        return []
    text = _PREFIX.sub("", _plain(value)).strip(" ,;|")
    several = depth == 0 or len(text) > _LONGEST_NAME or text.count(" ") > 3  # noqa: PLR2004 -- "Ann Moss and Bo Tide"
    return [
        part
        for part in (p.strip() for p in (_JOINED.split(text) if several else [text]))
        if part and len(part) <= _LONGEST_NAME and not _NO_NAME.search(part)
    ]


def _date(
    tree: LexborHTMLParser,
    articles: list[dict[str, Any]],
    metas: dict[str, list[str]],
    datelines: list[str],
    url: str | None,
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
        return _shown_date(tree, datelines, url)
    votes: dict[datetime, float] = {}
    for rank, (_, when, zoned) in enumerate(times):
        key = when.replace(second=0, microsecond=0)
        votes[key] = votes.get(key, 0.0) + (1.6 if rank == 0 else 1.0) * (1.0 if zoned else 0.4)
    best = max(votes, key=lambda key: votes[key])
    agreeing = [(source, when) for source, when, _ in times if when.replace(second=0, microsecond=0) == best]
    return agreeing[0][1], "page:" + "+".join(dict.fromkeys(source for source, _ in agreeing))


def _shown_date(tree: LexborHTMLParser, datelines: list[str], url: str | None) -> tuple[datetime | None, str | None]:
    """The day that the address names, with the time of a line of that day; else the first line that is a date."""
    shown = [node.attributes.get("datetime") or node.text() for node in tree.css("time")[:6]] + datelines[:_MOST_SHOWN]
    times = (when for text in shown if (when := parse_timestamp(_plain(text))))
    day = date_in_address(url)
    if day is None:
        first = next(times, None)
        return first, "page:shown" if first else None
    near = next((when for when in times if abs(when - day - _NOON) <= _DAY), None)
    return near or day, "page:address+shown" if near else "page:address"


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
