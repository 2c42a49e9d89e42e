"""One guarded GET: to public addresses alone, within caps on bytes and time, and not at all unless asked for.

Whoever names a URL (a feed's publisher, a redirect, a name server) must not reach what only this machine can reach.
So a name is resolved here, every address that it has is checked, and the connection goes to the very address that was
checked; TLS still verifies the name. Proxies of the environment are not used: one would resolve the name again.
"""

import contextlib
import email.utils
import http.client
import io
import ipaddress
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, LocationParseError
from urllib3.response import HTTPResponse
from urllib3.util import Url, make_headers, parse_url

from schemas.errors import Rejected, RejectReason
from transforms.read.fetchoptions import FetchOptions

_BITE = 1 << 16  # decompressed bytes read at a time
_PORTS = {"http": 80, "https": 443}
_NO_TEXT = ("image/", "audio/", "video/", "font/", "application/pdf", "application/zip")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_NOT_PUBLIC = tuple(  # though Python 3.11 takes them for global
    map(ipaddress.ip_network, ("192.0.0.0/24", "192.88.99.0/24", "3fff::/20", "fec0::/10"))
)

Resolve = Callable[..., list[Any]]
"""`socket.getaddrinfo`, or what a test puts in its place."""


class NotFetched(Rejected):
    """An answer that was not had, or is of no use."""

    def __init__(self, reason: RejectReason, detail: str, *, again: bool) -> None:
        """Keep whether a later try may fare better."""
        super().__init__(reason, detail)
        self.again = again


class Answer(NamedTuple):
    """What a server said to one request."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes  # empty unless the status is 200


def location(url: str) -> Url:
    """Take a URL apart, its host in ASCII, its path percent-encoded.

    Raises:
      NotFetched: UNREADABLE, where it is none of http or https.
    """
    try:
        parts = parse_url(url)
    except LocationParseError as error:
        raise NotFetched(RejectReason.UNREADABLE, "not a URL", again=False) from error
    if parts.scheme not in _PORTS or not parts.host:
        raise NotFetched(RejectReason.UNREADABLE, "a URL that is neither http nor https", again=False)
    return parts


def public(address: str) -> bool:
    """Whether an IP address is one of the public internet, also where it embeds another (mapped, NAT64)."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped or found in _NAT64:
            return public(str(ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)))
        if found.sixtofour or found.teredo:
            return False  # tunnels of old, to whatever they embed
    there = found.is_global and not found.is_multicast and not found.is_reserved
    return there and not any(found in network for network in _NOT_PUBLIC)


def ask(url: str, headers: Mapping[str, str], options: FetchOptions, resolve: Resolve = socket.getaddrinfo) -> Answer:
    """Send one GET and read the answer; redirects are given back, not followed. One connection a request.

    Raises:
      NotFetched: UNREADABLE (no public address, no connection, out of time), TOO_LARGE, TRUNCATED.
    """
    parts = location(url)
    line = _Line(parts, options, resolve)
    sent = make_headers(accept_encoding=True, basic_auth=parts.auth and unquote(parts.auth, "latin-1")) | dict(headers)
    try:
        with line.limited():
            line.connection.request("GET", parts.request_uri, headers=sent, preload_content=False, decode_content=False)
            response = line.connection.getresponse()
            with contextlib.closing(response):
                said = {name.lower(): value for name, value in response.headers.items()}
                if response.status == http.client.OK and (kind := said.get("content-type", "")).lower().startswith(
                    _NO_TEXT
                ):
                    raise NotFetched(RejectReason.UNKNOWN_FORMAT, f"{kind[:100]}: no text", again=False)
                body = _body(response, options.max_bytes) if response.status == http.client.OK else b""
                if line.late:
                    raise TimeoutError  # a body of no stated length seems to end where it was cut
                return Answer(response.status, said, body)
    except (HTTPError, http.client.HTTPException, OSError) as error:
        if line.late:
            detail = f"no whole answer within {options.max_seconds:g} s (read.fetch.max_seconds)"
            raise NotFetched(RejectReason.UNREADABLE, detail, again=True) from error
        lasting = isinstance(error, ssl.SSLCertVerificationError)
        raise NotFetched(RejectReason.UNREADABLE, f"{type(error).__name__}: {error}", again=not lasting) from error


def retry_after(headers: Mapping[str, str], now: float) -> float:
    """Seconds that a server asks to be left alone; 0 where it does not say."""
    value = headers.get("retry-after", "").strip()
    if value.isdecimal():
        return float(min(int(value), 1 << 31)) if len(value) < 20 else float(1 << 31)  # noqa: PLR2004 -- digits
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - now)
    return 0.0


def _body(response: HTTPResponse, most: int) -> bytes:
    """The body, decompressed; what arrives is capped, and then what comes of it.

    Raises:
      NotFetched: TOO_LARGE.
      HTTPError: it ends early, or cannot be decompressed.
    """
    over = NotFetched(RejectReason.TOO_LARGE, f"an answer of over {most} bytes (read.fetch.max_bytes)", again=False)
    if (response.length_remaining or 0) > most:
        raise over
    arrived = _read(response, most, over, decode=False)
    packed = HTTPResponse(io.BytesIO(arrived), response.headers, preload_content=False, enforce_content_length=False)
    body = _read(packed, most, over, decode=True)
    if response.headers.get("content-encoding", "").strip().lower() in {"gzip", "x-gzip"} and _is_cut(arrived):
        raise http.client.IncompleteRead(arrived)  # urllib3 takes it as far as it came
    return body


def _is_cut(packed: bytes) -> bool:
    """Whether gzip ends before its first member does; nothing at all is not cut."""
    engine = zlib.decompressobj(zlib.MAX_WBITS | 16)
    if not packed:
        return False
    while packed and not engine.eof:
        engine.decompress(packed, _BITE)
        packed = engine.unconsumed_tail
    return not engine.eof


def _read(response: HTTPResponse, most: int, over: NotFetched, *, decode: bool) -> bytes:
    parts, size = [], 0
    while bite := response.read(_BITE, decode_content=decode):
        parts.append(bite)
        size += len(bite)
        if size > most:
            raise over
    return b"".join(parts)


class _Line:
    """A connection that is cut when its time is up."""

    def __init__(self, parts: Url, options: FetchOptions, resolve: Resolve) -> None:
        self.late = False
        self._options, self._resolve = options, resolve
        self._handle: socket.socket | None = None
        self._lock = threading.Lock()
        host, scheme = (parts.host or "").strip("[]"), parts.scheme or ""
        port = parts.port or _PORTS[scheme]
        line = self

        class Plain(HTTPConnection):
            def _new_conn(self) -> socket.socket:
                return line.connect(host, port)

        class Secure(HTTPSConnection):
            def _new_conn(self) -> socket.socket:
                return line.connect(host, port)

        self.connection: HTTPConnection = (
            Plain(host, port)
            if scheme == "http"
            else Secure(host, port, cert_reqs="CERT_REQUIRED", ssl_context=ssl.create_default_context())
        )

    @contextlib.contextmanager
    def limited(self) -> Iterator[None]:
        """Cut the connection when the time is up, wherever its reader waits; close it in the end."""
        watch = threading.Timer(self._options.max_seconds, self._cut)
        watch.daemon = True
        try:
            watch.start()
            yield
        finally:
            watch.cancel()
            self.connection.close()
            with self._lock:
                if self._handle:
                    self._handle.close()
                self._handle = None

    def connect(self, host: str, port: int) -> socket.socket:
        """Connect to a checked address of the host."""
        try:
            found = [each[4][0] for each in self._resolve(host, port, type=socket.SOCK_STREAM)]
        except (socket.gaierror, UnicodeError) as error:
            raise NotFetched(RejectReason.UNREADABLE, f"{host}: no such host: {error}", again=True) from error
        if not self._options.allow_private and (private := [each for each in found if not public(each)]):
            detail = f"{host} is at {private[0]}, no public address: read.fetch.allow_private lets it be asked"
            raise NotFetched(RejectReason.UNREADABLE, detail, again=False)
        failed: OSError = OSError(f"{host}: no address")
        began = time.monotonic()
        for address in dict.fromkeys(found):
            left = self._options.connect_seconds - (time.monotonic() - began)
            if self.late or left <= 0:
                break
            try:
                sock = socket.create_connection((address, port), timeout=left)
            except OSError as error:
                failed = error
                continue
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(2 * self._options.max_seconds)  # `limited` comes first
            with self._lock:
                self._handle = sock.dup()  # TLS takes `sock` over: this one still ends the connection
            return sock
        raise failed

    def _cut(self) -> None:
        self.late = True
        with self._lock, contextlib.suppress(OSError):
            if self._handle:
                self._handle.shutdown(socket.SHUT_RDWR)
