"""SitemapSource: what a sitemap for news, a sitemap or an index of them names that is new; the pages are fetched.

    sitemap+https://north.example/news-sitemap.xml

What is dated (`news:publication_date`, `lastmod`) is new for two days, as in Google's rules for news; what is not dated
is new if it was not there when the sitemap was first read. A sitemap that its index dates is asked for when that date
changes. Source: sitemaps.org, protocol 0.9; Google's news sitemap 0.9.
"""

import datetime as dt
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from schemas.errors import Rejected, RejectReason, UsageError
from transforms.read.decode import decode_page
from transforms.read.entries import Entry, Parsed, plain_text, read_xml, text_of
from transforms.read.feeds import checked_address
from transforms.read.fetcher import Fetcher, shared_fetcher
from transforms.read.inputs import ReadOptions
from transforms.read.source import Cursor, Polled
from transforms.read.visits import bare, visit

MOST_ADDRESSES = 50_000  # of one sitemap, as in the protocol
_SCHEME = "sitemap+"
_NEW = dt.timedelta(days=2)


def open_source(uri: str, options: ReadOptions) -> "SitemapSource":
    """Open the source that a URI names, with the fetcher of this process.

    Raises:
      UsageError: as SitemapSource, or fetching is not enabled.
    """
    return SitemapSource(uri, shared_fetcher(options.fetch))


class SitemapSource:
    """A sitemap or an index of sitemaps, asked for pages that are new or have changed."""

    def __init__(self, uri: str, fetcher: Fetcher) -> None:
        """Take a `sitemap+http(s)://` URI; sources of one process share a fetcher.

        Raises:
          UsageError: the URI is none, or pages are not to be fetched.
        """
        self._address = checked_address(uri.removeprefix(_SCHEME), uri)
        self._fetcher = fetcher
        if not fetcher.options.pages:
            raise UsageError(f"{self.uri}: a sitemap holds no articles: let read.fetch.pages be true")

    @property
    def uri(self) -> str:
        """The source's name, without a password."""
        return _SCHEME + bare(self._address)

    def poll(self, cursor: Cursor, spool: Path) -> Polled:
        """Ask for what is new, and for its pages."""
        today = dt.datetime.fromtimestamp(self._fetcher.now(), dt.UTC)
        return visit([self._address], functools.partial(parse_sitemap, now=today), self._fetcher, cursor, spool)


def parse_sitemap(data: bytes, url: str, charset: str | None, now: dt.datetime) -> Parsed:
    """Read a sitemap or an index of sitemaps; what is older than two days is left out.

    Args:
      data: as it came, decompressed.
      url: where from.
      charset: as the server named it.
      now: what the age of an entry is measured by.

    Raises:
      Rejected: UNKNOWN_FORMAT, where it is neither; BAD_ENCODING, EMPTY.
    """
    root = read_xml(decode_page(data, charset))
    kind = _local(root)
    children = [{_local(field): field for field in child} for child in root if _local(child) in {"url", "sitemap"}]
    if kind == "sitemapindex":
        lists = ((_text(child, "loc"), _text(child, "lastmod")) for child in children)
        return Parsed((), tuple((at, said) for at, said in lists if at and not _old(said, now)))
    if kind != "urlset":
        raise Rejected(RejectReason.UNKNOWN_FORMAT, f"no sitemap at {url[:200]}: its first element is <{kind[:100]}>")
    entries = tuple(_entries(children[:MOST_ADDRESSES], now))
    return Parsed(entries, left_out=max(0, len(children) - MOST_ADDRESSES))


def _entries(children: list[dict[str, Any]], now: dt.datetime) -> Iterator[Entry]:
    for child in children:
        address = _text(child, "loc")
        news = {_local(field): field for field in child["news"]} if "news" in child else {}
        published, modified = _text(news, "publication_date"), _text(child, "lastmod")
        dates = [date for date in (published, modified) if _moment(date)]
        if not address or (dates and all(_old(date, now) for date in dates)):
            continue
        publication = {_local(field): field for field in news["publication"]} if "publication" in news else {}
        yield Entry(
            key=address,
            url=address,
            headline=plain_text(_text(news, "title")),
            date_published=published,
            date_modified=modified,
            keywords=tuple(each.strip() for each in (_text(news, "keywords") or "").split(",") if each.strip()),
            language=_text(publication, "language"),
            old=not dates,
        )


def _local(element: Any) -> str:
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def _text(fields: dict[str, Any], name: str) -> str | None:
    return text_of(fields[name]) or None if name in fields else None


def _moment(date: str | None) -> dt.datetime | None:
    try:
        moment = dt.datetime.fromisoformat(date or "")
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def _old(date: str | None, now: dt.datetime) -> bool:
    moment = _moment(date)
    return moment is not None and moment < now - _NEW
