"""Feeds → entries: RSS 0.9 to 2.0, Atom 0.3 and 1.0, JSON Feed; broken ones as far as they can be read.

libxml2 reads them, without entities, external files or network, whatever their document type asks for. A document that
is no XML is mended (bare ampersands, HTML's names of characters) and read again as far as it goes.
Sources: the RSS 2.0, RDF Site Summary 1.0, Atom (RFC 4287) and JSON Feed 1.1 specifications.
"""

import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html.entities import html5
from typing import Any, NamedTuple
from urllib.parse import urljoin

import orjson
from lxml import etree
from selectolax.lexbor import LexborHTMLParser

from schemas.errors import Rejected, RejectReason
from transforms.read.decode import decode_page

MOST_ENTRIES = 2_000  # of one feed; feeds begin with the newest
_WHOLE_WORDS = 150  # a description of so many words is the article, not a summary of it
_XML = "{http://www.w3.org/XML/1998/namespace}"
_PREFIXES = {
    "http://www.w3.org/2005/Atom": "atom:",
    "http://purl.org/atom/ns#": "atom:",
    "http://purl.org/dc/elements/1.1/": "dc:",
    "http://purl.org/dc/terms/": "dcterms:",
    "http://purl.org/rss/1.0/modules/content/": "content:",
    "http://rssnamespace.org/feedburner/ext/1.0": "feedburner:",
    "http://search.yahoo.com/mrss/": "media:",
    "http://purl.org/rss/1.0/": "",
    "http://my.netscape.com/rdf/simple/0.9/": "",
    "http://channel.netscape.com/rdf/simple/0.9/": "",
    "http://backend.userland.com/rss2": "",
}
_ITEMS = {"item", "atom:entry"}
_DECLARATION = re.compile(r"\s*<\?xml[^>]{0,200}\?>")
_NAMED = re.compile(r"&(?!(?:amp|lt|gt|quot|apos);)([a-zA-Z]\w{1,31});", re.ASCII)
_BARE = re.compile(r"&(?!(?:amp|lt|gt|quot|apos|#\d{1,7}|#[xX][0-9a-fA-F]{1,6});)")
_RSS_AUTHOR = re.compile(r"[^\s()]+@[^\s()]+\s*\(([^()]+)\)")
_CUT_OFF = re.compile(r"(?:…|\.\.\.|read more|continue reading)\W*$", re.IGNORECASE)
_MARKUP = re.compile(r"<[a-zA-Z/!]|&[#\w]+;")

Fields = Mapping[str, list[Any]]  # element name with prefix → elements, in the feed's order


@dataclass(frozen=True)
class Entry:
    """What a feed or sitemap says of one article."""

    key: str  # the same in every answer: the address, else the feed's own id, else what there is to read
    url: str | None
    source_id: str | None = None
    headline: str | None = None
    description: str | None = None
    html: str | None = None  # the article, where the feed holds it
    date_published: str | None = None  # as received
    date_modified: str | None = None
    authors: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    language: str | None = None
    old: bool = False  # not new when its list is read for the first time


class Parsed(NamedTuple):
    """What one answer lists."""

    entries: tuple[Entry, ...]
    lists: tuple[tuple[str, str | None], ...] = ()  # further lists, with when they changed
    left_out: int = 0  # entries over the cap


def parse_feed(data: bytes, url: str, charset: str | None = None) -> Parsed:
    """Read a feed.

    Args:
      data: as it came.
      url: where from, to which its links are relative.
      charset: as the server named it.

    Raises:
      Rejected: UNKNOWN_FORMAT, where it is no feed; BAD_ENCODING, EMPTY.
    """
    text = decode_page(data, charset)
    entries = _json_entries(text, url) if text.lstrip("\ufeff \t\r\n")[:1] == "{" else _xml_entries(text, url)
    found = []
    for entry in entries:
        found.append(entry)
        if len(found) > 10 * MOST_ENTRIES:
            break
    return Parsed(tuple(found[:MOST_ENTRIES]), left_out=max(0, len(found) - MOST_ENTRIES))


def read_xml(text: str) -> Any:
    """Parse XML, mended where it is broken; nothing that it refers to is loaded or expanded.

    Raises:
      Rejected: UNKNOWN_FORMAT.
    """
    text = _DECLARATION.sub("", text.lstrip("\ufeff \t\r\n"), count=1)
    try:
        return etree.fromstring(text.encode("utf-8", "replace"), _parser(recover=False))
    except etree.XMLSyntaxError as error:
        broken = str(error)
    mended = "".join(_mended(text)).encode("utf-8", "replace")
    try:
        root = etree.fromstring(mended, _parser(recover=True))
    except etree.XMLSyntaxError:
        root = None
    if root is None:
        raise Rejected(RejectReason.UNKNOWN_FORMAT, f"no XML: {broken}")
    return root


def name_of(element: Any) -> str:
    """An element's name with the prefix that we know its namespace by; "" for comments and unknown namespaces."""
    if not isinstance(element.tag, str):
        return ""
    space, _, local = element.tag.rpartition("}")
    prefix = _PREFIXES.get(space[1:]) if space else ""
    return "" if prefix is None else prefix + local


def text_of(element: Any) -> str:
    """All text in an element, white space at its ends removed."""
    return "".join(element.itertext()).strip()


def _parser(*, recover: bool) -> Any:
    return etree.XMLParser(
        recover=recover, resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_pis=True
    )


def _mended(text: str) -> Iterator[str]:
    """The text with its ampersands escaped and HTML's names put into characters, but for those in CDATA."""
    at = 0
    while at < len(text):
        start = text.find("<![CDATA[", at)
        start = len(text) if start < 0 else start
        stop = text.find("]]>", start)
        stop = len(text) if stop < 0 else stop + 3
        yield _BARE.sub("&amp;", _NAMED.sub(_character, text[at:start]))
        yield text[start:stop]
        at = stop


def _character(found: re.Match[str]) -> str:
    """What a name of HTML stands for, as XML may have it; of another name, itself."""
    character = html5.get(found[1] + ";", found[0])
    return html.escape(character) if character != found[0] else character


def _xml_entries(text: str, url: str) -> Iterator[Entry]:
    root = read_xml(text)
    if name_of(root) not in {"rss", "atom:feed"} and not str(root.tag).endswith("}RDF"):
        raise Rejected(RejectReason.UNKNOWN_FORMAT, f"no feed: its first element is <{str(root.tag)[:100]}>")
    language = root.get(f"{_XML}lang") or next(
        (text_of(each) for each in root.iterfind("channel/language")), root.findtext("{*}channel/{*}language")
    )
    for element in root.iter("{*}item", "{*}entry"):
        if name_of(element) in _ITEMS:
            yield _xml_entry(element, url, language or None)


def _xml_entry(item: Any, feed: str, language: str | None) -> Entry:
    fields: dict[str, list[Any]] = {}
    for child in item:
        fields.setdefault(name_of(child), []).append(child)
    link = _link(item, fields)
    address = _absolute(_base(item, feed), link)
    name = _first(fields, "guid", "atom:id") or item.get("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}about")
    summary = _first(fields, "description", "atom:summary", "dc:description")
    content, plain = _content(fields)
    title = _first(fields, "title", "atom:title", "dc:title")
    return Entry(
        key=address or f"{feed} {name or title or summary or content or ''}",
        url=address,
        source_id=name or None,
        headline=plain_text(title),
        description=plain_text(summary),
        html=_whole(content, summary, plain=plain),
        date_published=_first(
            fields, "pubDate", "atom:published", "dc:date", "dcterms:issued", "dcterms:created", "atom:issued"
        ),
        date_modified=_first(fields, "atom:updated", "dcterms:modified", "atom:modified"),
        authors=tuple(dict.fromkeys(filter(None, _authors(fields)))),
        keywords=tuple(dict.fromkeys(filter(None, _keywords(fields)))),
        language=item.get(f"{_XML}lang") or language,
    )


def _first(fields: Fields, *names: str) -> str | None:
    """The first text that there is, in the order of the names."""
    return next((text for name in names for each in fields.get(name, ()) if (text := _inner(each))), None)


def _inner(element: Any) -> str:
    """Text of an element; of one that holds XHTML, its markup as HTML has it: no prefixes, and no `<iframe/>`."""
    inside = [each for each in element.iterdescendants() if isinstance(each.tag, str)]
    if not inside or "xhtml" not in element.get("type", ""):
        return text_of(element)
    for each in inside:
        each.tag = etree.QName(each).localname
    parts = [html.escape(element.text or "", quote=False)]
    parts += [etree.tostring(child, encoding="unicode", method="html", with_tail=True) for child in element]
    return "".join(parts).strip()


def _link(item: Any, fields: Fields) -> str | None:
    plain = _first(fields, "feedburner:origLink", "link")
    if plain:
        return plain
    alternates = [each for each in fields.get("atom:link", ()) if each.get("rel", "alternate") == "alternate"]
    alternates.sort(key=lambda each: each.get("type", "text/html") != "text/html")
    if alternates and alternates[0].get("href"):
        return str(alternates[0].get("href"))
    for guid in fields.get("guid", ()):
        if guid.get("isPermaLink", "true").lower() == "true" and _is_address(text_of(guid)):
            return text_of(guid)
    about = item.get("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}about") or _first(fields, "atom:id")
    return about if about and _is_address(about) else None


def _base(item: Any, feed: str) -> str:
    """The address that relative ones are relative to: the feed's, changed by each xml:base on the way down."""
    bases = [above.get(f"{_XML}base") for above in (item, *item.iterancestors())]
    base = feed
    for each in reversed([base for base in bases if base]):
        base = _absolute(base, each) or base
    return base


def _absolute(base: str, link: str | None) -> str | None:
    if not link:
        return None
    try:
        found = urljoin(base, link.strip())
    except ValueError:
        return None  # brackets that are no IPv6 address
    return found if _is_address(found) else None


def _is_address(text: str) -> bool:
    return text.lower().startswith(("http://", "https://"))


def _content(fields: Fields) -> tuple[str | None, bool]:
    """The content of an entry, and whether it is plain text."""
    encoded = _first(fields, "content:encoded")
    if encoded:
        return encoded, False
    for content in fields.get("atom:content", ()):
        kind = content.get("type", "text")
        if not content.get("src") and (kind in {"text", "html", "xhtml"} or "html" in kind or kind == "text/plain"):
            return _inner(content) or None, kind in {"text", "text/plain"}
    return None, False


def _whole(content: str | None, summary: str | None, *, plain: bool = False) -> str | None:
    """The article as HTML, unless what the feed holds is a summary or breaks off."""
    if content and content != summary and not _breaks_off(content):
        return _paragraphs(content) if plain else content
    text = summary or ""
    if len(text.split()) < _WHOLE_WORDS or _breaks_off(text):
        return None
    return text if _MARKUP.search(text) else _paragraphs(text)


def _breaks_off(markup: str) -> bool:
    return _CUT_OFF.search(plain_text(markup[-300:]) or "") is not None


def _paragraphs(text: str) -> str:
    return "".join(f"<p>{html.escape(line.strip())}</p>" for line in text.splitlines() if line.strip())


def _authors(fields: Fields) -> Iterator[str]:
    for creator in fields.get("dc:creator", ()):
        yield text_of(creator)
    for author in fields.get("author", ()):
        named = _RSS_AUTHOR.search(text_of(author))
        yield named[1].strip() if named else text_of(author)
    for author in fields.get("atom:author", ()):
        for part in author:
            if name_of(part) == "atom:name":
                yield text_of(part)


def _keywords(fields: Fields) -> Iterator[str]:
    for category in fields.get("category", []) + fields.get("dc:subject", []):
        yield text_of(category)
    for category in fields.get("atom:category", ()):
        yield (category.get("label") or category.get("term") or "").strip()
    for several in fields.get("media:keywords", ()):
        yield from (each.strip() for each in text_of(several).split(","))


def plain_text(markup: str | None) -> str | None:
    """Text of a title or summary, which may be text, HTML or escaped HTML."""
    if not markup:
        return None
    if not _MARKUP.search(markup):
        return " ".join(markup.split()) or None
    return " ".join(LexborHTMLParser(markup).text(separator=" ", skip_empty=True).split()) or None


def _json_entries(text: str, url: str) -> Iterator[Entry]:
    try:
        feed = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Rejected(RejectReason.BAD_JSON, f"no JSON Feed: {error}") from error
    items = feed.get("items")
    if "jsonfeed.org" not in str(feed.get("version")) or not isinstance(items, list):
        raise Rejected(RejectReason.UNKNOWN_FORMAT, "a JSON object, but no JSON Feed")
    for item in items:
        if isinstance(item, dict):
            yield _json_entry(item, url, _string(feed.get("language")))


def _json_entry(item: Mapping[str, Any], feed: str, language: str | None) -> Entry:
    address = _absolute(feed, _string(item.get("url")) or _string(item.get("external_url")))
    name = _string(item.get("id"))
    if not address and name and _is_address(name):
        address = name
    written = [item.get("author"), *_list(item.get("authors"))]
    names = [_string(each.get("name")) for each in written if isinstance(each, dict)]
    markup, plain = _string(item.get("content_html")), _string(item.get("content_text"))
    summary = _string(item.get("summary"))
    return Entry(
        key=address or f"{feed} {name or _string(item.get('title')) or summary or markup or plain or ''}",
        url=address,
        source_id=name,
        headline=plain_text(_string(item.get("title"))),
        description=plain_text(summary),
        html=_whole(markup or plain, summary, plain=not markup),
        date_published=_string(item.get("date_published")),
        date_modified=_string(item.get("date_modified")),
        authors=tuple(dict.fromkeys(filter(None, names))),
        keywords=tuple(dict.fromkeys(filter(None, map(_string, _list(item.get("tags")))))),
        language=_string(item.get("language")) or language,
    )


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _string(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return str(value).strip() or None
