"""Web servers on loopback that say what a test tells them to, and a clock that only sleeping moves."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from transforms.read.fetcher import Fetcher
from transforms.read.fetchoptions import FetchOptions

Reply = tuple[int, dict[str, str], bytes] | Callable[[BaseHTTPRequestHandler], None]


class Site:
    """A server: `pages` by path, what it was `asked` for, with the request's headers."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        self.pages: dict[str, Reply] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.over = threading.Event()  # what a handler that dawdles waits for
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
                reply = site.pages.get(self.path, (404, {}, b""))
                if callable(reply):
                    reply(self)
                    return
                status, headers, body = reply
                if headers.get("ETag") and headers["ETag"] == self.headers["If-None-Match"]:
                    status, body = 304, b""
                self.send_response(status)
                for name, value in ({"Content-Length": str(len(body))} | headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        class Quiet(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                """A client that hangs up is what some tests are about."""

        self._server = Quiet((address, 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.host = address
        self.port = self._server.server_port

    def url(self, path: str, host: str | None = None) -> str:
        """Where a path is."""
        return f"http://{host or self.host}:{self.port}{path}"

    def says(self, path: str, body: str | bytes, **headers: str) -> None:
        """Answer 200 from now on."""
        data = body.encode() if isinstance(body, str) else body
        self.pages[path] = (200, {name.replace("_", "-"): value for name, value in headers.items()}, data)

    def paths(self) -> list[str]:
        """What was asked for, robots.txt left out."""
        return [path for path, _ in self.asked if path != "/robots.txt"]

    def close(self) -> None:
        """Stop."""
        self.over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Clock:
    """Time that passes when somebody sleeps."""

    def __init__(self) -> None:
        self.time = 1_790_000_000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        """Pass the time."""
        self.slept.append(seconds)
        self.time += seconds


@pytest.fixture
def site() -> Iterator[Site]:
    one = Site()
    yield one
    one.close()


@pytest.fixture
def other_site() -> Iterator[Site]:
    one = Site("127.0.0.2")
    yield one
    one.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def fetcher_with(clock: Clock) -> Callable[..., Fetcher]:
    """Make a fetcher by the test's clock that may ask loopback."""

    def make(**options: Any) -> Fetcher:
        return Fetcher(
            FetchOptions(**{"enabled": True, "allow_private": True} | options),
            now=clock,
            clock=clock,
            sleep=clock.sleep,
        )

    return make
