"""One poll of lists (feeds, sitemaps): what they name that is new, with the pages that have to be fetched for it.

What was given is remembered by list, as hashes of address and content, until it has left the list for two answers; an
entry that changed is given again. A page that is not to be had now waits in the cursor and is tried again. All that was
fetched is written to the poll's spool as JSONL, whose records say where they came from.
"""

import contextlib
import datetime as dt
import io
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import orjson

from schemas.blocks import BLOCK_BYTES
from schemas.errors import Rejected, RejectReason
from schemas.ids import stable_hash
from transforms.read.decode import decode_page, gunzip
from transforms.read.entries import Entry, Parsed
from transforms.read.fetch import NotFetched, location
from transforms.read.fetcher import LONGEST_REST, Fetched, Fetcher, Wish, back_off
from transforms.read.inputs import InputFile, Refused, WorkItem
from transforms.read.source import Cursor, Polled

MOST_WAITING = 5_000  # pages in a cursor; the lists that name more are read again once there is room
MOST_LISTS = 500  # sitemaps that one index may lead to
_TRIES = 5  # of one page
_PATIENCE = 3 * 86_400.0  # seconds that a page may wait
_FRESHEST = 3_600.0  # seconds for which a server's word that nothing will change is taken
_GZIP = b"\x1f\x8b"
_PASSED = "-"  # before the hash of an entry that was not new when its list was first read, so that none was given
_PAGES = {"", "text/html", "application/xhtml+xml", "text/plain", "application/xml", "text/xml"}

Parse = Callable[[bytes, str, str | None], Parsed]
State = dict[str, Any]


def visit(roots: Iterable[str], parse: Parse, fetcher: Fetcher, cursor: Cursor, spool: Path) -> Polled:
    """Ask lists for what is new since the cursor.

    Args:
      roots: addresses of the lists, each once.
      parse: reads an answer, given the address it came from and the charset that the server named.
      fetcher: what asks.
      cursor: as the last visit gave it, or empty.
      spool: where to write.
    """
    return _Visit(parse, fetcher, cursor, spool).run(roots)


class Spool:
    """Records on disk, in files of about a block's size."""

    def __init__(self, folder: Path) -> None:
        """Write into `folder`, which is made with the first record."""
        self._folder = folder
        self._lines: list[bytes] = []
        self._size = 0
        self._items: list[WorkItem] = []

    def write(self, record: Mapping[str, Any]) -> None:
        """Add a record, which has a `source_uri`."""
        self._lines.append(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
        self._size += len(self._lines[-1])
        if self._size >= BLOCK_BYTES:
            self._flush()

    def items(self) -> tuple[WorkItem, ...]:
        """What workers are to read."""
        if self._lines:
            self._flush()
        return tuple(self._items)

    def _flush(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"fetched-{len(self._items):04}.jsonl"
        path.write_bytes(b"".join(self._lines))
        self._items.append(WorkItem("jsonl", (InputFile(str(path), self._size, spooled=True),)))
        self._lines, self._size = [], 0


class _Visit:
    def __init__(self, parse: Parse, fetcher: Fetcher, cursor: Cursor, spool: Path) -> None:
        self._parse, self._fetcher, self._spool = parse, fetcher, Spool(spool)
        self._lists: dict[str, State] = {url: dict(state) for url, state in cursor.get("lists", {}).items()}
        self._pages: dict[str, State] = {page["url"]: dict(page) for page in cursor.get("pages", ())}
        self._waited = set(self._pages)
        self._begins = False
        self._given: set[str] = set()  # pages that this visit has dealt with
        self._known = {
            key
            for state in self._lists.values()
            for name in ("seen", "left")
            for key, content in state.get(name, {}).items()
            if not content.startswith(_PASSED)
        }
        self._refused: list[Refused] = []
        self._secrets: dict[str, str] = {}  # list → its address with the password
        self._wished: set[str] = set()
        self._round = fetcher.round()
        fetcher.recall(cursor.get("hosts", {}))

    def run(self, roots: Iterable[str]) -> Polled:
        self._secrets = {bare(url): url for url in roots}
        self._lists = {
            url: state
            for url, state in self._lists.items()
            if url in self._secrets or state.get("index") in self._lists
        } | {url: {} for url in self._secrets if url not in self._lists}
        for url in self._lists:
            self._want_list(url)
        for url, page in list(self._pages.items()):
            if page["since"] + _PATIENCE < self._fetcher.now():
                self._refuse(self._pages.pop(url)["url"], RejectReason.UNREADABLE, "not to be had in three days")
            elif self._due(page):
                self._round.add(Wish(page["due"], url))
        for wish, outcome in self._round:
            if wish.about is None:
                self._page(wish.url, outcome)
            else:
                self._list(wish.about, outcome)
        for state in self._lists.values():
            for name in [name for name, value in state.items() if value in (None, {}) and name != "seen"]:
                del state[name]
        cursor = {"lists": self._lists, "pages": list(self._pages.values()), "hosts": self._fetcher.rests()}
        begins = self._begins or not self._waited.issuperset(self._pages)
        return Polled(self._spool.items(), tuple(self._refused), cursor, begins)

    def _due(self, state: State) -> bool:
        now = self._fetcher.now()
        return not now < state.get("due", 0.0) <= now + LONGEST_REST  # further off, the clock was set back

    def _want_list(self, url: str) -> None:
        """Ask for a list, if it is due and its index does not say that it is as it was."""
        state = self._lists[url]
        unchanged = state.get("stamp") is not None and state["stamp"] == state.get("read")
        if self._due(state) and not unchanged and url not in self._wished:
            self._wished.add(url)
            at = state.get("at") or self._secrets.get(url, url)
            self._round.add(Wish(state.get("due", 0.0), at, url, state.get("etag"), state.get("modified")))

    def _list(self, url: str, outcome: Fetched | NotFetched) -> None:
        state = self._lists.get(url)
        if state is None:
            return  # its index has dropped it meanwhile
        now = self._fetcher.now()
        try:
            if isinstance(outcome, NotFetched):
                raise outcome
            whole = not outcome.changed or self._read(url, state, outcome)
        except Rejected as error:
            state["failures"] = state.get("failures", 0) + 1
            state["due"] = now + back_off(state["failures"])
            state.pop("at", None)
            self._refuse(url, error.reason, error.detail)
            return
        state["due"] = now + min(outcome.fresh, _FRESHEST)
        state.pop("failures", None)
        state["read"] = state.get("stamp") if whole else None
        if outcome.moved and self._secrets.get(url, url) == url:
            state["at"] = outcome.url
        for name, value in (("etag", outcome.etag), ("modified", outcome.modified)):
            if not whole:
                state.pop(name, None)
            elif value or outcome.changed:
                state[name] = value

    def _read(self, url: str, state: State, answer: Fetched) -> bool:
        """Take what is new out of a list; whether there was room for all of it."""
        digest = f"{stable_hash(answer.body):x}"
        if digest == state.get("body"):
            return True
        body = _unzipped(answer.body, self._fetcher.options.max_bytes)
        try:
            parsed = self._parse(body, answer.url, answer.charset)
        except Rejected:
            raise
        except Exception as error:  # a bug on one list is reported with it, and the rest goes on
            raise Rejected(RejectReason.FAILED, f"{type(error).__name__}: {error}") from error
        if parsed.left_out:
            self._refuse(url, RejectReason.TOO_LARGE, f"{parsed.left_out} or more entries are left out")
        self._follow(url, parsed.lists)
        first, before = "seen" not in state, state.get("left", {}) | state.get("seen", {})
        seen: dict[str, str] = {}
        whole = True
        for entry in parsed.entries:
            key, content = f"{stable_hash(entry.key):x}", _content_hash(entry)
            if key in seen:
                continue
            if before.get(key) == _PASSED + content or (first and entry.old):
                seen[key] = _PASSED + content
                self._begins = self._begins or first
                continue
            if before.get(key) != content and not self._elsewhere(key, before):
                if not self._give(entry, url):
                    whole = False
                    continue
                self._known.add(key)
            seen[key] = content
        state["left"] = {key: value for key, value in state.get("seen", {}).items() if key not in seen}
        state["seen"] = seen
        state["body"] = digest if whole else None
        return whole

    def _elsewhere(self, key: str, before: Mapping[str, str]) -> bool:
        """Whether the entry is new to this list, but another list has given it."""
        return key not in before and key in self._known

    def _follow(self, index: str, lists: Iterable[tuple[str, str | None]]) -> None:
        """Ask for the lists that an index names; forget those that it no longer does."""
        named = dict(lists)
        for url in [url for url, state in self._lists.items() if state.get("index") == index and url not in named]:
            del self._lists[url]
        for url, stamp in named.items():
            if url not in self._lists and len(self._lists) >= MOST_LISTS:
                self._refuse(url, RejectReason.TOO_LARGE, f"over {MOST_LISTS} lists of one source")
                return
            state = self._lists.setdefault(url, {"index": index})
            if "index" in state:
                state["stamp"] = stamp
                self._want_list(url)

    def _give(self, entry: Entry, url: str) -> bool:
        """Write the article, or ask for its page; whether there was room."""
        if entry.html or not entry.url or not self._fetcher.options.pages:
            self._write(entry.__dict__, url, {"html": entry.html})
            return True
        if entry.url in self._given:
            return True
        waiting = self._pages.get(entry.url)
        if waiting is None and len(self._pages) >= MOST_WAITING:
            return False
        now = self._fetcher.now()
        said = {name: value for name, value in entry.__dict__.items() if value and name not in {"key", "html", "old"}}
        self._pages[entry.url] = {"since": now, "due": now, "tries": 0} | (waiting or {}) | said
        if waiting is None:
            self._round.add(Wish(now, entry.url))
        return True

    def _page(self, url: str, outcome: Fetched | NotFetched) -> None:
        page = self._pages.pop(url)
        try:
            if isinstance(outcome, NotFetched):
                raise outcome
            if outcome.media not in _PAGES:
                raise Rejected(RejectReason.UNKNOWN_FORMAT, f"{outcome.media[:100]}: no page")  # noqa: TRY301 -- as above
            html = decode_page(outcome.body, outcome.charset)
        except Rejected as error:
            page["tries"] += 1
            if getattr(error, "again", False) and page["tries"] < _TRIES:
                self._pages[url] = page | {"due": self._fetcher.now() + back_off(page["tries"])}
            else:
                self._given.add(url)
                self._refuse(url, error.reason, error.detail)
            return
        self._given.add(url)
        self._write(page | {"url": outcome.url}, url, {"html": html})

    def _write(self, said: Mapping[str, Any], source_uri: str, body: Mapping[str, str | None]) -> None:
        names = ("url", "headline", "description", "date_published", "date_modified", "authors", "keywords", "language")
        record = {name: said[name] for name in names if said.get(name)} | {"id": said.get("source_id")} | dict(body)
        if not record["html"] and "headline" not in record:
            record["text"] = record.pop("description", None)  # of an entry without a title, this is all
        if "url" not in record:
            record["outlet"] = location(source_uri).host
        fetched = dt.datetime.fromtimestamp(self._fetcher.now(), dt.UTC).isoformat()
        self._spool.write(record | {"source_uri": source_uri, "fetched_at": fetched})

    def _refuse(self, uri: str, reason: RejectReason, detail: str) -> None:
        self._refused.append(Refused(uri, reason, detail))


def bare(url: str) -> str:
    """A list's address without its password; as it is, where it is none."""
    with contextlib.suppress(Rejected):
        parts = location(url)
        return parts._replace(auth=None).url if parts.auth else url
    return url


def _content_hash(entry: Entry) -> str:
    """Changes with what is read of an entry; with its date too where that alone says that its page has changed."""
    parts = [entry.headline, entry.description, entry.html or entry.date_modified]
    return f"{stable_hash(*(part or '' for part in parts)):x}"[:8]


def _unzipped(body: bytes, most: int) -> bytes:
    """A file that is compressed of itself, as sitemaps are.

    Raises:
      Rejected: TOO_LARGE, TRUNCATED.
    """
    if not body.startswith(_GZIP):
        return body
    parts, size = [], 0
    for part in gunzip(io.BytesIO(body)):
        parts.append(part)
        size += len(part)
        if size > most:
            raise Rejected(RejectReason.TOO_LARGE, f"over {most} bytes, decompressed (read.fetch.max_bytes)")
    return b"".join(parts)
