"""FeedSource: RSS, Atom and JSON Feed, one feed or a list of them.

    feed+https://north.example/news.xml    one
    feeds:FILE                             one address a line (# begins a comment), or OPML

An entry that holds its article is read from the feed; of another the page is fetched, unless `read.fetch.pages` is
off: then its headline and description are an article, flagged as that.
"""

import re
from pathlib import Path
from typing import Any

from schemas.errors import Rejected, UsageError
from transforms.read.entries import parse_feed, read_xml
from transforms.read.fetch import location
from transforms.read.fetcher import Fetcher, shared_fetcher
from transforms.read.inputs import ReadOptions
from transforms.read.source import Cursor, Polled
from transforms.read.visits import bare, visit

_ONE, _LIST = "feed+", "feeds:"
_COMMENT = re.compile(r"(?:^|\s)#.*")


def open_source(uri: str, options: ReadOptions) -> "FeedSource":
    """Open the source that a URI names, with the fetcher of this process.

    Raises:
      UsageError: as FeedSource, or fetching is not enabled.
    """
    return FeedSource(uri, shared_fetcher(options.fetch))


class FeedSource:
    """Feeds, asked for entries that are new or have changed."""

    def __init__(self, uri: str, fetcher: Fetcher) -> None:
        """Take a `feed+http(s)://` or `feeds:` URI; sources of one process share a fetcher.

        Raises:
          UsageError: the URI is none, or its file cannot be used.
        """
        self._fetcher = fetcher
        self._given = uri
        self._addresses()

    @property
    def uri(self) -> str:
        """The source's name, without a password."""
        return _ONE + bare(self._given.removeprefix(_ONE)) if self._given.startswith(_ONE) else self._given

    def poll(self, cursor: Cursor, spool: Path) -> Polled:
        """Ask the feeds that are due; a list file is read anew each time.

        Raises:
          UsageError: the list file is gone or cannot be used.
        """
        return visit(self._addresses(), parse_feed, self._fetcher, cursor, spool)

    def _addresses(self) -> list[str]:
        if self._given.startswith(_ONE):
            return [checked_address(self._given.removeprefix(_ONE), self.uri)]
        path = Path(self._given.removeprefix(_LIST))
        try:
            return feed_list(path.read_text(encoding="utf-8-sig"), str(path))
        except OSError as error:
            raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise UsageError(f"{path}: not UTF-8 at byte {error.start}") from error


def feed_list(text: str, name: str) -> list[str]:
    """Addresses in a list of feeds, each once, in its order.

    Args:
      text: OPML, its outlines nested as they may be, or one address a line.
      name: of the file, for messages.

    Raises:
      UsageError: a line is no address, the OPML no XML, or there is no feed in it.
    """
    if text.lstrip().startswith("<"):
        found = list(_outlined(text, name))
    else:
        lines = ((number, _COMMENT.sub("", line).strip()) for number, line in enumerate(text.splitlines(), start=1))
        found = [checked_address(line, f"{name}, line {number}") for number, line in lines if line]
    if not found:
        raise UsageError(f"{name}: no feeds in it")
    return list(dict.fromkeys(found))


def checked_address(url: str, where: str) -> str:
    """An http(s) address.

    Raises:
      UsageError: it is none.
    """
    url = re.sub(r"^feed:(?://)?(?=https?://)|^feed(?=://)", lambda found: "" if ":" in found[0] else "http", url)
    try:
        location(url)
    except Rejected as error:
        raise UsageError(f"{where}: {error.detail}") from error
    return url


def _outlined(text: str, name: str) -> Any:
    try:
        root = read_xml(text)
    except Rejected as error:
        raise UsageError(f"{name}: {error.detail}") from error
    for outline in root.iter("outline"):
        for attribute, value in outline.attrib.items():
            if attribute.lower() == "xmlurl" and value.strip():
                yield checked_address(value.strip(), name)
