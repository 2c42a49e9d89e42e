"""Fetcher: many polite requests. robots.txt, a rest for each host, back-off, redirects, conditional GET.

What a host is owed is known here, for all sources of a process that share the fetcher. Back-off outlives the process:
a source keeps `rests` in its cursor and gives it back to `recall`.
"""

import functools
import heapq
import http.client
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, NamedTuple
from urllib.parse import urljoin

from protego import Protego

from schemas.errors import RejectReason, UsageError
from transforms.read.fetch import Answer, NotFetched, Resolve, ask, location, retry_after
from transforms.read.fetchoptions import FetchOptions

LONGEST_REST = 86_400.0  # seconds; no back-off, and no word of a server, is longer
_FIRST_REST = 60.0
_LONGEST_PAUSE = 30.0  # seconds within one fetch, from robots.txt or a redirect to the next request: a thread waits
_ROBOTS_SECONDS = 86_400.0  # RFC 9309: not to be kept longer
_ROBOTS_BYTES = 512 << 10  # RFC 9309: at least 500 KiB are read
_ROBOTS_KEPT = 16 << 20  # bytes of them, with _ROBOTS_ENTRY for each origin; those asked for first go first
_ROBOTS_ENTRY = 1 << 10
_MOVED = {301, 302, 303, 307, 308}
_MOVED_FOR_GOOD = {301, 308}
_BUSY = {429, 503}
_FRESH = re.compile(r"(?:^|[\s,])max-age=(\d{1,9})")
_CHARSET = re.compile(r"(?:^|[;\s])charset\s*=\s*[\"']?([^\"';\s]+)")
_NAME = "Copydesk"


class Fetched(NamedTuple):
    """An answer of use."""

    url: str  # that answered, after redirects
    changed: bool  # False: still what the validators were given for
    body: bytes
    media: str  # type of the content, in lower case; "" where it is not said
    charset: str | None  # as the server names it
    etag: str | None
    modified: str | None
    fresh: float  # seconds for which the server says that asking again is no use
    moved: bool  # every redirect on the way was for good


@dataclass(order=True)
class Wish:
    """Something to fetch."""

    due: float  # the longest due comes first
    url: str
    about: Any = field(default=None, compare=False)  # the asker's own
    etag: str | None = field(default=None, compare=False)
    modified: str | None = field(default=None, compare=False)

    @property
    def host(self) -> str:
        """Whose rate it counts towards; "" where the URL is none."""
        try:
            return location(self.url).host or ""
        except NotFetched:
            return ""


class Fetcher:
    """Fetches from many hosts at once, from each one at a time."""

    def __init__(
        self,
        options: FetchOptions,
        resolve: Resolve = socket.getaddrinfo,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Take what a test would put in the place of the name server and the clocks.

        Raises:
          UsageError: fetching is not enabled.
        """
        if not options.enabled:
            raise UsageError("fetching is off: put `enabled = true` under [read.fetch] of the configuration")
        self.options, self.now, self.clock = options, now, clock
        self._resolve, self._sleep = resolve, sleep
        self._agent = f"{_NAME}/{version('copydesk')}" + (f" (+{options.contact})" if options.contact else "")
        self._lock = threading.Lock()
        self._turns: dict[str, threading.Lock] = {}  # host → held by who asks it
        self._ready: dict[str, float] = {}  # host → when it has had its rest, by `clock`
        self._rests: dict[str, tuple[float, int]] = {}  # host → asked again from then on, by `now`; failures in a row
        self._robots: dict[str, tuple[float, Protego, int]] = {}  # origin → good until, by `clock`; rules; bytes

    def recall(self, rests: Mapping[str, list[float]]) -> None:
        """Learn of the back-off that a cursor kept."""
        with self._lock:
            for host, (until, failures) in rests.items():
                if until > self._rests.get(host, (0.0, 0))[0]:
                    self._rests[host] = (until, int(failures))

    def rests(self) -> dict[str, list[float]]:
        """Back-off by host, for a cursor; hosts that were to be asked again a day ago or more are forgotten."""
        oldest = self.now() - LONGEST_REST
        with self._lock:
            return {host: [until, n] for host, (until, n) in sorted(self._rests.items()) if until > oldest}

    def resting(self, host: str) -> bool:
        """Whether a host is to be left alone."""
        until = self._rests.get(host, (0.0, 0))[0]
        return self.now() < until <= self.now() + LONGEST_REST  # further off, the clock was set back

    def get(self, url: str, etag: str | None = None, modified: str | None = None) -> Fetched:
        """Fetch, as robots.txt lets us and after the host's rest; redirects are followed, each hop as carefully.

        Raises:
          NotFetched: as `fetch.ask`; UNREADABLE for what robots.txt forbids, for any status but 200 and 304 and for
            too many redirects.
        """
        validators = {
            name: value for name, value in (("if-none-match", etag), ("if-modified-since", modified)) if value
        }
        at, moved = url, True
        for _ in range(self.options.max_redirects + 1):
            if self.options.robots and not self._robots_of(at).can_fetch(at, _NAME):
                raise NotFetched(RejectReason.UNREADABLE, f"{_bare(at)}: robots.txt asks not to fetch it", again=False)
            answer = self._ask(at, validators, self.options)
            if answer.status not in _MOVED or "location" not in answer.headers:
                break
            moved = moved and answer.status in _MOVED_FOR_GOOD
            at = _joined(at, answer.headers["location"])
        else:
            detail = f"more than {self.options.max_redirects} redirects (read.fetch.max_redirects)"
            raise NotFetched(RejectReason.UNREADABLE, detail, again=False)
        if answer.status != http.client.OK and not (answer.status == http.client.NOT_MODIFIED and validators):
            raise _useless(answer.status)
        media, _, rest = answer.headers.get("content-type", "").lower().partition(";")
        charset = _CHARSET.search(rest)
        fresh = _FRESH.search(answer.headers.get("cache-control", "").lower())
        return Fetched(
            _bare(at),
            answer.status == http.client.OK,
            answer.body,
            media.strip(),
            charset[1] if charset else None,
            answer.headers.get("etag"),
            answer.headers.get("last-modified"),
            float(fresh[1]) if fresh else 0.0,
            moved and at != url,
        )

    def round(self) -> "Round":
        """Begin to fetch what a poll wants."""
        return Round(self, self.clock() + self.options.poll_seconds)

    def ready(self, host: str) -> float:
        """When a host has had its rest, by `clock`."""
        return self._ready.get(host, 0.0)

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self._sleep(seconds)

    def _ask(self, url: str, headers: Mapping[str, str], options: FetchOptions) -> Answer:
        """One request in the host's turn; what it says of the host is kept."""
        host = location(url).host or ""
        with self._lock:
            turn = self._turns.setdefault(host, threading.Lock())
        with turn:
            if self.resting(host):
                raise NotFetched(RejectReason.UNREADABLE, f"{host} is being left alone for a while", again=True)
            pause = min(self.ready(host) - self.clock(), _LONGEST_PAUSE)
            if pause > 0:
                self._sleep(pause)
            try:
                answer = ask(url, {"user-agent": self._agent} | dict(headers), options, self._resolve)
            except NotFetched as error:
                if error.again:
                    self._back_off(host, 0.0)
                raise
            finally:
                self._ready[host] = self.clock() + self._pace(url)
            if answer.status in _BUSY:
                self._back_off(host, retry_after(answer.headers, self.now()))
                raise _useless(answer.status)
            if answer.status < http.client.INTERNAL_SERVER_ERROR:
                with self._lock:
                    self._rests.pop(host, None)
            return answer

    def _pace(self, url: str) -> float:
        """Seconds between requests to the host of `url`."""
        _, robots, _ = self._robots.get(_origin(url), (0.0, None, 0))
        return max(self.options.host_seconds, (robots and robots.crawl_delay(_NAME)) or 0.0)

    def _back_off(self, host: str, asked_for: float) -> None:
        with self._lock:
            failures = self._rests.get(host, (0.0, 0))[1] + 1
            self._rests[host] = (self.now() + (min(asked_for, LONGEST_REST) or back_off(failures)), failures)

    def _robots_of(self, url: str) -> Protego:
        """The rules of an origin: RFC 9309. None there: all is allowed; none to be had: nothing is, for now.

        Raises:
          NotFetched: they were not to be had.
        """
        origin = _origin(url)
        until, known, _ = self._robots.get(origin, (0.0, None, 0))
        if known is not None and self.clock() < until:
            return known
        at = f"{origin}/robots.txt"
        limits = FetchOptions(**{**vars(self.options), "max_bytes": _ROBOTS_BYTES})
        for _ in range(self.options.max_redirects + 1):
            answer = self._ask(at, {}, limits)
            if answer.status not in _MOVED or "location" not in answer.headers:
                break
            at = _joined(at, answer.headers["location"])
        if answer.status >= http.client.INTERNAL_SERVER_ERROR:
            self._back_off(location(at).host or "", 0.0)
            raise NotFetched(RejectReason.UNREADABLE, f"{at} answered {answer.status}", again=True)
        rules = Protego.parse(answer.body.decode("utf-8-sig", "replace"))  # an empty one allows all
        with self._lock:
            self._robots.pop(origin, None)
            self._robots[origin] = (self.clock() + _ROBOTS_SECONDS, rules, len(answer.body) + _ROBOTS_ENTRY)
            kept = sum(size for _, _, size in self._robots.values())
            while kept > _ROBOTS_KEPT:
                kept -= self._robots.pop(next(iter(self._robots)))[2]
        return rules


@functools.cache
def shared_fetcher(options: FetchOptions) -> Fetcher:
    """The one fetcher of this process with these options, so that all its sources share each host's rate.

    Raises:
      UsageError: fetching is not enabled.
    """
    return Fetcher(options)


class Round:
    """What one poll fetches: hosts in parallel, each in the order of what is longest due, until time is up.

    Iterate over it for each wish with what came of it. More may be added meanwhile. A wish is not given at all, and
    stays due, when its host is being left alone or the time was up.
    """

    def __init__(self, fetcher: Fetcher, until: float) -> None:
        """Begin."""
        self._fetcher, self._until = fetcher, until
        self._wishes: dict[str, list[Wish]] = {}

    def add(self, wish: Wish) -> None:
        """Want something."""
        heapq.heappush(self._wishes.setdefault(wish.host, []), wish)

    def __iter__(self) -> Iterator[tuple[Wish, Fetched | NotFetched]]:
        running: dict[Future[Fetched | NotFetched], tuple[str, Wish]] = {}
        with ThreadPoolExecutor(self._fetcher.options.hosts, thread_name_prefix="fetch") as pool:
            while True:
                busy = {host for host, _ in running.values()}
                soonest = self._start(pool, running, busy)
                if running:
                    pause = None if soonest is None else max(soonest - self._fetcher.clock(), 0.0)
                    done, _ = wait(running, pause, FIRST_COMPLETED)
                    for each in done:
                        yield running.pop(each)[1], each.result()
                elif soonest is not None:
                    self._fetcher.wait(soonest - self._fetcher.clock())
                else:
                    return

    def _start(
        self, pool: ThreadPoolExecutor, running: dict[Future[Fetched | NotFetched], tuple[str, Wish]], busy: set[str]
    ) -> float | None:
        """Send off what can be; when the next can be, if any is left and time too."""
        fetcher, later = self._fetcher, []
        if fetcher.clock() >= self._until:
            return None
        for host in [host for host, wishes in self._wishes.items() if wishes and host not in busy]:
            if fetcher.resting(host):
                continue
            if fetcher.ready(host) > fetcher.clock():
                later.append(fetcher.ready(host))
            elif len(running) < fetcher.options.hosts:
                wish = heapq.heappop(self._wishes[host])
                running[pool.submit(self._get, wish)] = host, wish
        soonest = min(later, default=None)
        return soonest if soonest is not None and soonest < self._until else None

    def _get(self, wish: Wish) -> Fetched | NotFetched:
        try:
            return self._fetcher.get(wish.url, wish.etag, wish.modified)
        except NotFetched as error:
            return error
        except Exception as error:  # noqa: BLE001 -- a bug on one answer is reported with it, and the rest goes on
            return NotFetched(RejectReason.FAILED, f"{type(error).__name__}: {error}", again=False)


def back_off(failures: int) -> float:
    """Seconds to wait after so many failures in a row."""
    return min(_FIRST_REST * 2.0 ** min(failures - 1, 32), LONGEST_REST)


def _useless(status: int) -> NotFetched:
    again = status in _BUSY or status >= http.client.INTERNAL_SERVER_ERROR or status == http.client.REQUEST_TIMEOUT
    return NotFetched(RejectReason.UNREADABLE, f"the server answered {status}", again=again)


def _joined(base: str, target: str) -> str:
    """Where a redirect goes; a password stays with the host that it was given for."""
    try:
        joined = urljoin(base, target.strip())
    except ValueError as error:  # brackets that are no IPv6 address
        raise NotFetched(RejectReason.UNREADABLE, f"a redirect to no URL: {error}", again=False) from error
    old, new = location(base), location(joined)
    if old.auth and not new.auth and (old.scheme, old.host, old.port) == (new.scheme, new.host, new.port):
        return new._replace(auth=old.auth).url
    return joined


def _bare(url: str) -> str:
    """The URL without a password."""
    return location(url)._replace(auth=None).url


def _origin(url: str) -> str:
    parts = location(url)
    return f"{parts.scheme}://{parts.netloc}"
