"""Two feed servers with 200 feeds, polled for some minutes: were they treated as they asked? Their logs tell.

    python -m tests.benchmarks.feeds [--minutes 10] [--feeds 200] [--every 60] [--log FOLDER]

Each server is a process of its own with an address of its own (127.0.0.1, 127.0.0.2). Of a hundred feeds half change
every 90 seconds, with an ETag, a Last-Modified or neither; some say how long they are fresh, have moved, are gone, fail
at first, name pages, or are busy. The source is polled with all options at their defaults, but for
`allow_private`. Asserted from the logs: a second of rest for a host, back-off (Retry-After, and 60 s doubled where a
server names none), conditional GET, freshness, robots.txt, redirects for good; and each entry served was given once.
"""

import argparse
import itertools
import json
import multiprocessing
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from transforms.read.feeds import FeedSource
from transforms.read.fetcher import Fetcher
from transforms.read.fetchoptions import FetchOptions

HOSTS = ("127.0.0.1", "127.0.0.2")
KINDS = (  # of feeds 0 to 99 of a server, in this order
    ("etag", 40),
    ("modified", 15),
    ("bare", 10),
    ("fresh", 10),
    ("failing", 10),
    ("gone", 5),
    ("moved", 5),
    ("pages", 3),
    ("busy", 2),
)
CHANGES, SELDOM = 90, 900  # seconds between new entries of feeds with an odd number, an even one
FRESH = 150
BUSY = 80  # Retry-After of the first server; the second names none
FAILS_UNTIL = 240
ENTRIES = 10
SLACK = 0.001  # seconds
Row = dict[str, Any]


def kind_of(number: int) -> str:
    """What kind of feed a number stands for."""
    left = number % 100
    for kind, count in KINDS:
        if left < count:
            return kind
        left -= count
    raise AssertionError


def serve(host: str, log: Path, began: float, stop: Event, port: Any) -> None:
    """Run one server until told to stop; a line of the log for each request."""
    asked: dict[str, int] = defaultdict(int)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            start = time.monotonic()
            asked[self.path] += 1
            status, headers, body = answer(host, self.path, start - began, asked[self.path])
            now = headers.get("ETag") or headers.get("Last-Modified")
            if status == 200 and now and now in {self.headers["If-None-Match"], self.headers["If-Modified-Since"]}:
                status, body = 304, b""
            self.send_response(status)
            for name, value in (headers | {"Content-Length": str(len(body))}).items():
                self.send_header(name, value)
            row = {
                "start": start,
                "end": time.monotonic(),  # the client cannot have it before: nothing has been sent
                "path": self.path,
                "status": status,
                "etag": headers.get("ETag"),
                "modified": headers.get("Last-Modified"),
                "if_etag": self.headers["If-None-Match"],
                "if_modified": self.headers["If-Modified-Since"],
                "served": [each.split("<")[0] for each in body.decode().split("<link>")[2:]] if status == 200 else [],
                "agent": self.headers["User-Agent"],
            }
            with log.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(row) + "\n")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer((host, 0), Handler) as server:
        port.value = server.server_port
        server.timeout = 0.2
        while not stop.is_set():
            server.handle_request()


def answer(host: str, path: str, seconds: float, times: int) -> tuple[int, dict[str, str], bytes]:  # noqa: PLR0911 -- one a kind
    """Status, headers and body that a path has so many seconds into the run, when asked for the n-th time."""
    if path == "/robots.txt":
        return 200, {"Content-Type": "text/plain"}, b"User-agent: *\nDisallow: /closed/\n"
    if path.startswith("/page/"):
        return 200, {"Content-Type": "text/html"}, f"<html><body><p>{path}</p></body></html>".encode()
    number = int(path.rpartition("/")[2].removesuffix(".xml"))
    kind = kind_of(number)
    if kind == "gone":
        return 404, {}, b""
    if kind == "failing" and seconds < FAILS_UNTIL:
        return 500, {}, b""
    if kind == "moved" and path.startswith("/feed/"):
        return 301, {"Location": f"/new/{number}.xml"}, b""
    if kind == "busy" and times % 2:
        return 503, {"Retry-After": str(BUSY)} if host == HOSTS[0] else {}, b""
    changes = CHANGES if number % 2 else SELDOM
    newest = int(seconds // changes)
    headers = {"Content-Type": "application/rss+xml"}
    if kind == "modified":
        headers["Last-Modified"] = formatdate(1_700_000_000 + newest * changes, usegmt=True)
    elif kind != "bare":
        headers["ETag"] = f'"{number}-{newest}"'
    if kind == "fresh":
        headers["Cache-Control"] = f"public, max-age={FRESH}"
    return 200, headers, feed(number, newest, kind).encode()


def feed(number: int, newest: int, kind: str) -> str:
    """A feed of ten entries, the newest first."""
    items = []
    for entry in range(newest, newest - ENTRIES, -1):
        folder = "closed" if kind == "pages" and entry % 5 == 0 else "page"
        body = "" if kind == "pages" else f"&lt;p&gt;{'words of an article ' * 40} {entry}.&lt;/p&gt;"
        items.append(f"<item><title>{number} {entry}</title><link>/{folder}/{number}/{entry}</link>")
        items.append(f"<description>{body}</description></item>")
    return f'<rss version="2.0"><channel><title>{number}</title><link>/</link>{"".join(items)}</channel></rss>'


def poll(source: FeedSource, minutes: float, every: float, folder: Path) -> Row:
    """Ask until the time is up; what was given, and what it cost."""
    cursor: Any = {}
    given: list[str] = []
    refused: list[str] = []
    polls = []
    stop = time.monotonic() + 60 * minutes
    while (began := time.monotonic()) < stop:
        cpu = time.process_time()
        polled = source.poll(cursor, folder / "spool")
        cursor = json.loads(json.dumps(polled.cursor))
        for item in polled.items:
            given += [json.loads(line)["url"] for line in Path(item.files[0].uri).read_text().splitlines()]
        shutil.rmtree(folder / "spool", ignore_errors=True)
        refused += [f"{each.uri} {each.detail}" for each in polled.refused]
        polls.append((time.monotonic() - began, time.process_time() - cpu))
        print(f"poll {len(polls)}: {polls[-1][0]:.1f} s, {polls[-1][1]:.2f} CPU-s, {len(given)} given", flush=True)
        time.sleep(max(0.0, min(began + every, stop) - time.monotonic()))
    return {"given": given, "refused": refused, "polls": polls, "cursor_bytes": len(json.dumps(cursor))}


def check(host: str, rows: list[Row]) -> Row:
    """Hold one server's log against the rules; what was seen of each.

    Raises:
      AssertionError: a rule was broken.
    """
    rows.sort(key=lambda row: row["start"])
    pauses = [later["start"] - earlier["end"] for earlier, later in itertools.pairwise(rows)]
    assert min(pauses) >= 1.0 - SLACK, f"{host}: {min(pauses):.3f} s between two requests"
    assert [row["path"] for row in rows].index("/robots.txt") == 0, f"{host}: robots.txt was not asked for first"
    assert sum(row["path"] == "/robots.txt" for row in rows) == 1, f"{host}: robots.txt was asked for again"
    assert not [row for row in rows if row["path"].startswith("/closed/")], f"{host}: robots.txt was not obeyed"
    assert all(row["agent"].startswith("Copydesk/") for row in rows)
    rested = _rests(host, rows)
    by_path: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_path[row["path"]].append(row)
    seen: dict[str, int] = defaultdict(int)
    for path, asked in by_path.items():
        _check_path(path, asked, seen)
    assert any(row["status"] == 304 for row in rows), f"{host}: nothing was left unchanged"
    statuses: dict[int, int] = defaultdict(int)
    for row in rows:
        statuses[row["status"]] += 1
    return {
        "requests": len(rows),
        "statuses": dict(sorted(statuses.items())),
        "shortest_pause": round(min(pauses), 4),
        "rests": [round(each, 2) for each in rested],
        **seen,
    }


def _rests(host: str, rows: list[Row]) -> list[float]:
    """How long a server that was busy was left alone."""
    rested = []
    failures = 0
    for earlier, later in itertools.pairwise(rows):
        failures = failures + 1 if earlier["status"] == 503 else 0
        if failures:
            rest = later["start"] - earlier["end"]
            owed = BUSY if host == HOSTS[0] else 60 * 2 ** (failures - 1)
            assert rest >= owed - SLACK, f"{host}: busy, and asked again after {rest:.2f} s, not {owed}"
            rested.append(rest)
    return rested


def _check_path(path: str, asked: list[Row], seen: dict[str, int]) -> None:
    last: Row | None = None
    failures = 0
    for row in asked:
        if last is not None and last["status"] in {404, 500}:
            wait, owed = row["start"] - last["end"], 60 * 2 ** (failures - 1)
            assert wait >= owed - SLACK, f"{path}: failed {failures} times, asked again after {wait:.1f} s"
            seen["backed_off"] += 1
        failures = failures + 1 if row["status"] in {404, 500} else 0
        got = next((each for each in reversed(asked[: asked.index(row)]) if each["status"] in {200, 304}), None)
        if got is not None:
            assert row["if_etag"] == got["etag"], f"{path}: ETag {got['etag']} was not sent back"
            assert row["if_modified"] == got["modified"], f"{path}: {got['modified']} was not sent back"
            seen["conditional" if row["if_etag"] or row["if_modified"] else "no_validator"] += 1
            if kind_of(int(path.rpartition("/")[2].removesuffix(".xml"))) == "fresh":
                assert row["start"] - got["end"] >= FRESH - SLACK, f"{path}: asked again while fresh"
                seen["fresh_kept"] += 1
        assert row["status"] != 301 or row is asked[0], f"{path}: asked again after it moved for good"
        last = row


def main() -> None:
    """Serve, poll, check, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--feeds", type=int, default=200)
    parser.add_argument("--every", type=float, default=60)
    parser.add_argument("--log", type=Path, help="keep the servers' logs there")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    logs = options.log or folder
    logs.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("fork")
    stop, began = context.Event(), time.monotonic()
    servers: list[tuple[str, Path, Any, Any]] = []
    for host in HOSTS:
        log, port = logs / f"{host}.jsonl", context.Value("i", 0)
        log.unlink(missing_ok=True)
        process = context.Process(target=serve, args=(host, log, began, stop, port))
        process.start()
        servers.append((host, log, process, port))
    try:
        wait_for(lambda: all(port.value for *_, port in servers))
        feeds = [
            f"http://{host}:{port.value}/feed/{number}.xml"
            for number in range(options.feeds // len(HOSTS))
            for host, _, _, port in servers
        ]
        (folder / "feeds.txt").write_text("\n".join(feeds))
        fetcher = Fetcher(FetchOptions(enabled=True, allow_private=True))
        result = poll(FeedSource(f"feeds:{folder / 'feeds.txt'}", fetcher), options.minutes, options.every, folder)
    finally:
        stop.set()
        for _, _, process, _ in servers:
            process.join()
    served = set()
    for host, log, _, port in servers:
        rows = [json.loads(line) for line in log.read_text().splitlines()]
        served |= {f"http://{host}:{port.value}{path}" for row in rows for path in row["served"]}
        print(json.dumps({"server": host, **check(host, rows)}))
    given = result["given"]
    assert len(given) == len(set(given)), "an entry was given twice"
    closed = {url for url in served if "/closed/" in url}
    left = served - set(given) - closed
    waiting = {url for url in left if kind_of(int(url.split("/")[-2])) == "pages"}
    assert left == waiting, f"lost: {sorted(left - waiting)[:5]}"
    assert set(given) <= served
    seconds, cpu = (sorted(column) for column in zip(*result["polls"], strict=True))
    figures = {
        "polls": len(seconds),
        "longest_poll_s": round(seconds[-1], 1),
        "cpu_s": round(sum(cpu), 2),
        "entries_served": len(served),
        "given": len(given),
        "forbidden_by_robots": len(closed),
        "pages_still_waiting": len(waiting),
        "refused": len(result["refused"]),
        "cursor_bytes": result["cursor_bytes"],
    }
    print(json.dumps(figures))
    shutil.rmtree(folder)


def wait_for(ready: Callable[[], bool]) -> None:
    """Wait until servers are up."""
    for _ in range(500):
        if ready():
            return
        time.sleep(0.02)
    raise TimeoutError("the servers did not start")


if __name__ == "__main__":
    main()
