"""One request: where it may go, and what an answer may cost."""

import gzip
import socket
import threading
import zlib
from base64 import b64decode
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from schemas.errors import RejectReason
from transforms.read.fetch import NotFetched, ask, public, retry_after
from transforms.read.fetchoptions import FetchOptions

OPEN = FetchOptions(enabled=True, allow_private=True)
GUARDED = FetchOptions(enabled=True)
HASTY = FetchOptions(enabled=True, allow_private=True, max_seconds=0.15)
SMALL = FetchOptions(enabled=True, allow_private=True, max_bytes=100_000)
PUBLIC = "8.8.4.4"


def names(**hosts: list[str]) -> Callable[..., list[Any]]:
    """A name server that gives each host's answers in turn, the last one again and again."""

    def resolve(host: str, port: int, **_: Any) -> list[Any]:
        known = hosts[host.replace(".", "_")]
        addresses = (known.pop(0) if len(known) > 1 else known[0]).split()
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    return resolve


@pytest.fixture
def dialled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Addresses that were connected to; every one of them is led to loopback."""
    found: list[str] = []
    connect = socket.create_connection

    def led(address: tuple[str, int], **how: Any) -> socket.socket:
        found.append(address[0])
        return connect(("127.0.0.1", address[1]), **how)

    monkeypatch.setattr(socket, "create_connection", led)
    return found


@pytest.mark.parametrize(
    "address",
    [
        *(
            "127.0.0.1",
            "10.1.1.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.1",
            "240.0.0.1",
        ),
        *(
            "255.255.255.255",
            "192.0.2.1",
            "224.0.0.1",
            "::",
            "::1",
            "::127.0.0.1",
            "fe80::1%eth0",
            "fc00::1",
            "ff02::1",
        ),
        *(
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "64:ff9b:1::a00:1",
            "2002:808:808::",
            "2001:0:4136:e378::1",
            "2001:db8::1",
        ),
        *("192.0.0.192", "::ffff:192.0.0.192", "192.88.99.1", "fec0::1", "3fff::1"),
    ],
)
def test_an_address_within_is_not_public(address: str) -> None:
    assert not public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert public(address)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]"])
def test_loopback_is_refused_however_it_is_written(site: Any, host: str) -> None:
    with pytest.raises(NotFetched, match="no public address") as refused:
        ask(site.url("/", host), {}, GUARDED)
    assert not refused.value.again
    assert site.asked == []


def test_a_name_that_leads_within_is_refused(site: Any) -> None:
    with pytest.raises(NotFetched, match=r"inner\.example is at 127\.0\.0\.1"):
        ask(site.url("/", "inner.example"), {}, GUARDED, names(inner_example=["127.0.0.1"]))
    assert site.asked == []


def test_a_name_with_one_address_within_is_refused(site: Any, dialled: list[str]) -> None:
    with pytest.raises(NotFetched, match=r"10\.0\.0\.8"):
        ask(site.url("/", "both.example"), {}, GUARDED, names(both_example=[f"{PUBLIC} 10.0.0.8"]))
    assert dialled == []


def test_the_connection_goes_to_the_address_that_was_checked(site: Any, dialled: list[str]) -> None:
    site.says("/", "here")
    resolve = names(turning_example=[PUBLIC, "127.0.0.1"])
    assert ask(site.url("/", "turning.example"), {}, GUARDED, resolve).body == b"here"
    assert dialled == [PUBLIC]
    assert site.asked[0][1]["host"] == f"turning.example:{site.port}"
    with pytest.raises(NotFetched, match="no public address"):
        ask(site.url("/", "turning.example"), {}, GUARDED, resolve)


def test_the_next_address_is_tried_when_one_does_not_answer(site: Any) -> None:
    site.says("/", "here")
    resolve = names(two_example=["127.0.0.9 127.0.0.1"])
    assert ask(site.url("/", "two.example"), {}, OPEN, resolve).body == b"here"


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://north.example/", "north.example", "http://", "http://[", "http:///x"]
)
def test_what_is_no_web_address_is_refused(url: str) -> None:
    with pytest.raises(NotFetched, match="URL"):
        ask(url, {}, OPEN)


def test_a_password_is_sent_and_no_message_holds_it(site: Any) -> None:
    ask(site.url("/", "ann:secret@127.0.0.1"), {}, OPEN)
    assert site.asked[0][1]["authorization"].startswith("Basic ")
    with pytest.raises(NotFetched) as refused:
        ask(site.url("/", "ann:secret@127.0.0.1"), {}, GUARDED)
    assert "secret" not in str(refused.value)


def test_a_password_is_sent_as_it_is_not_as_an_address_has_to_write_it(site: Any) -> None:
    ask(site.url("/", "ann:p%40ss%C3%A9@127.0.0.1"), {}, OPEN)
    assert b64decode(site.asked[0][1]["authorization"].removeprefix("Basic ")) == "ann:p@ssé".encode()


def drip(piece: bytes, site: Any) -> Callable[[BaseHTTPRequestHandler], None]:
    """Send a piece again and again, till the test is over."""

    def reply(handler: BaseHTTPRequestHandler) -> None:
        while not site.over.wait(0.01):
            handler.wfile.write(piece)

    return reply


def test_a_body_that_drips_is_cut_off_at_its_time(site: Any) -> None:
    drops = drip(b"x", site)

    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        drops(handler)

    site.pages["/"] = reply
    with pytest.raises(NotFetched, match=r"within 0\.15 s") as refused:
        ask(site.url("/"), {}, HASTY)
    assert refused.value.again


def test_a_head_that_drips_is_cut_off_at_its_time(site: Any) -> None:
    site.pages["/"] = drip(b"HTTP/1.1 200 OK\r\nX: y\r\n", site)
    with pytest.raises(NotFetched, match=r"within 0\.15 s"):
        ask(site.url("/"), {}, HASTY)


def test_a_server_that_never_finishes_its_handshake_is_cut_off() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(NotFetched, match=r"within 0\.15 s"):
        ask(f"https://127.0.0.1:{silent.getsockname()[1]}/", {}, HASTY)


def test_no_thread_or_connection_is_left(site: Any) -> None:
    site.says("/", "here")
    before = threading.active_count()
    for _ in range(5):
        ask(site.url("/"), {}, OPEN)
    assert not [
        each for each in threading.enumerate() if isinstance(each, threading.Timer) and each.finished.is_set() is False
    ]
    assert threading.active_count() <= before + 5


def test_an_answer_over_the_cap_is_refused(site: Any) -> None:
    site.says("/", b"x" * 100_001)
    with pytest.raises(NotFetched) as refused:
        ask(site.url("/"), {}, SMALL)
    assert refused.value.reason is RejectReason.TOO_LARGE


def test_a_gzip_bomb_is_refused_before_it_unfolds(site: Any) -> None:
    site.says("/", gzip.compress(bytes(20 << 20)), Content_Encoding="gzip")
    with pytest.raises(NotFetched) as refused:
        ask(site.url("/"), {}, SMALL)
    assert refused.value.reason is RejectReason.TOO_LARGE


def test_a_body_without_end_that_says_nothing_is_refused(site: Any) -> None:
    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Encoding", "gzip")
        handler.end_headers()
        empty = gzip.compress(b"") * 500
        while not site.over.is_set():
            handler.wfile.write(empty)

    site.pages["/"] = reply
    with pytest.raises(NotFetched) as refused:
        ask(site.url("/"), {}, SMALL)
    assert refused.value.reason is RejectReason.TOO_LARGE


@pytest.mark.parametrize(
    ("coding", "packed"), [("gzip", gzip.compress(b"here", mtime=0)), ("deflate", zlib.compress(b"here"))]
)
def test_a_compressed_answer_is_unpacked(site: Any, coding: str, packed: bytes) -> None:
    site.says("/", packed, Content_Encoding=coding)
    assert ask(site.url("/"), {}, OPEN).body == b"here"
    assert coding in site.asked[0][1]["accept-encoding"]


def test_a_body_that_ends_early_is_truncated(site: Any) -> None:
    site.says("/", b"half", Content_Length="8")
    with pytest.raises(NotFetched) as refused:
        ask(site.url("/"), {}, OPEN)
    assert refused.value.again


def test_a_compressed_body_of_no_stated_length_that_ends_early_is_truncated(site: Any) -> None:
    def cut(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Encoding", "gzip")
        handler.end_headers()
        handler.wfile.write(gzip.compress(b"The tram was late, and so was the bus.")[:-12])

    site.pages["/"] = cut
    with pytest.raises(NotFetched, match="IncompleteRead") as refused:
        ask(site.url("/"), {}, OPEN)
    assert refused.value.again
    site.says("/", b"", Content_Encoding="gzip")
    assert ask(site.url("/"), {}, OPEN).body == b""


def test_a_damaged_body_is_refused(site: Any) -> None:
    site.says("/", b"\x1f\x8b" + b"no gzip at all", Content_Encoding="gzip")
    with pytest.raises(NotFetched, match="DecodeError"):
        ask(site.url("/"), {}, OPEN)


def test_a_picture_is_refused_unread(site: Any) -> None:
    site.says("/", b"x" * 1000, Content_Type="image/png")
    with pytest.raises(NotFetched) as refused:
        ask(site.url("/"), {}, OPEN)
    assert refused.value.reason is RejectReason.UNKNOWN_FORMAT


def test_a_port_that_nobody_listens_on_may_be_tried_again(site: Any) -> None:
    site.close()
    with pytest.raises(NotFetched) as refused:
        ask(site.url("/"), {}, OPEN)
    assert refused.value.again


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("120", 120.0),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 40.0),
        ("Thu, 01 Jan 1970 00:00:10 GMT", 0.0),
        ("soon", 0.0),
        ("", 0.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(said: str, seconds: float) -> None:
    assert retry_after({"retry-after": said}, now=60.0) == seconds


@pytest.mark.parametrize(
    "wrong", [{"max_bytes": 0}, {"max_seconds": 0}, {"hosts": 0}, {"host_seconds": -1}, {"contact": "a\r\nb"}]
)
def test_options_that_cannot_be_meant_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        FetchOptions(**wrong)
