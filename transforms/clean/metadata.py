"""What a page says about itself, chosen by agreement of its sources.

JSON-LD, OpenGraph and other meta tags, `h1`, `title`, `time` and links that name an author are read side by side. A
headline, date, description or language collects the weight of every source that gives it; the heaviest wins. Authors,
section and keywords are those of the first source that has any.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from selectolax.lexbor import LexborHTMLParser

from transforms.clean.addresses import domain_of
from transforms.clean.dates import date_in_address, parse_timestamp
from transforms.clean.declared import DEEPEST, Declared, description_of, first_of, fold, most_given, plain, text_of
from transforms.clean.headlines import choose_headline, site_names

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
_PREFIX = re.compile(r"^(?:by|von|par|por|di|text|author|autor)\b[:\s]+", re.IGNORECASE)
_ACCOUNT = re.compile(r"[a-z0-9]+(?:[-_.][a-z0-9]+)+")  # how a system writes a name: "ann-moss"
_JOINED = re.compile(r"\s*(?:,|;|\||\band\b|\bund\b|\by\b|\bet\b|&)\s+")
_MOST_SHOWN = 40  # lines with a date that are looked at
_LANGUAGE = re.compile(r"[a-zA-Z]{2,3}(?=[-_]|$)")


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
    site = first_of(metas, ("og:site_name", "application-name"))
    names = site_names(site, domain_of(declared.canonical or url))
    published, source = _date(tree, articles, metas, datelines, declared.canonical or url)
    return Metadata(
        headline=choose_headline(declared, headings, names),
        description=description_of(articles, metas),
        authors=_authors(tree, articles, metas, names),
        date_published=published,
        date_source=source,
        date_modified=_timestamp(
            [text_of(a.get("dateModified")) for a in articles] + [v for k in _MODIFIED_METAS for v in metas.get(k, ())]
        ),
        language=_language(declared),
        section=plain(next((text_of(a.get("articleSection")) for a in articles if a.get("articleSection")), ""))
        or first_of(metas, _SECTION_METAS),
        keywords=_keywords(articles, metas),
        canonical_url=declared.canonical or url,
        site_name=site,
    )


def _authors(
    tree: LexborHTMLParser, articles: list[dict[str, Any]], metas: dict[str, list[str]], known: tuple[str, ...]
) -> list[str]:
    """The first source that names somebody; what only names the site, or an account, is the last resort."""
    given = [name for key in _AUTHOR_METAS for value in metas.get(key, ())[:8] for name in _names(value)]
    sources = [_names(item.get("author") or item.get("creator")) for item in articles]
    sources = [*(names for names in sources if names), list(dict.fromkeys(given))]
    for names in sources:
        people = [name for name in names if not _ACCOUNT.fullmatch(name)]
        if any(not _names_site(name, known) for name in people):
            return people
    shown = [
        plain(node.text())
        for node in tree.css('[rel~="author"], [itemprop="author"] [itemprop="name"], [itemprop="author"]')[:8]
    ]
    found = list(dict.fromkeys(name for text in shown for name in _names(text)))
    return found or next((names for names in sources if names), [])


def _names_site(name: str, known: tuple[str, ...]) -> bool:
    """Whether an author is the site itself: "The Bay Post", "baypost.example"."""
    folded = fold(name)
    return folded in known or any(len(site) > 3 and folded.startswith(site) for site in known[:1])  # noqa: PLR2004


def _names(value: Any, depth: int = 0) -> list[str]:
    if depth > DEEPEST:
        return []
    if isinstance(value, list):
        return list(dict.fromkeys(name for item in value for name in _names(item, depth + 1)))
    if isinstance(value, dict):
        parts = " ".join(text_of(value[key]) for key in ("givenName", "familyName") if value.get(key))
        return _names(value.get("name") or parts, depth + 1)
    if not isinstance(value, str):
        return []
    text = _PREFIX.sub("", plain(value)).strip(" ,;|")
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
        if (text := next((text_of(item[key]) for key in keys if item.get(key)), ""))
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
    times = (when for text in shown if (when := parse_timestamp(plain(text))))
    day = date_in_address(url)
    if day is None:
        first = next(times, None)
        return first, "page:shown" if first else None
    near = next((when for when in times if abs(when - day - _NOON) <= _DAY), None)
    return near or day, "page:address+shown" if near else "page:address"


def _timestamp(texts: Iterable[str]) -> datetime | None:
    return next((when for text in texts if text and (when := parse_timestamp(text))), None)


def _language(declared: Declared) -> str | None:
    given = [declared.language or "", *(text_of(item.get("inLanguage")) for item in declared.articles[:1])]
    given += declared.metas.get("og:locale", [])[:1] + declared.metas.get("content-language", [])[:1]
    return most_given([match[0].lower() for text in given if (match := _LANGUAGE.match(text))])


def _keywords(articles: list[dict[str, Any]], metas: dict[str, list[str]]) -> list[str]:
    given: list[str] = []
    for value in [item.get("keywords") for item in articles[:1]]:
        given += [text_of(part) for part in value] if isinstance(value, list) else [text_of(value)]
    given += [value for key in _KEYWORD_METAS for value in metas.get(key, ())] if not any(given) else []
    parts = [plain(part) for value in given for part in re.split(r"[,;|]", value)]
    return list(dict.fromkeys(part for part in parts if part))[:50]
