"""A WARC file like those of Common Crawl's news crawl, from its records to the committed snapshot.

    python tests/benchmarks/warc.py [SHARED] [--pages 10000] [--folder DIR] [--json FILE]

The pages are invented, or those labelled in SHARED, each under several hosts until there are enough. The file holds a
request and a response a page, and besides, the same every time: other answers than 200, other media types, empty
bodies, encoded bodies, and damaged records (a flipped byte in the compressed record, a record cut short).

It runs `copydesk run` in a process of its own, after a small run that compiles; CPU seconds are those of that process
and its children, from its start. Articles, rejects and records that were passed over must be as many as warcio counts
in the file before it was damaged: warcio itself does not read on behind damage. Then such a file of 1,000 pages is read
alone, turn by turn by Copydesk's reader, fastwarc and warcio, all bodies decoded.
"""

import argparse
import gzip
import itertools
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
import uuid
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
from fastwarc import ArchiveIterator
from fastwarc.warc import any_type
from warcio.archiveiterator import ArchiveIterator as Oracle

from transforms.read.articles import read_item
from transforms.read.inputs import ReadOptions, plan_inputs

OTHERS = {  # a page in so many is followed by one of these
    "moved": (20, "301 Moved Permanently", "text/html", b""),
    "gone": (50, "404 Not Found", "text/html", b"<p>Gone.</p>"),
    "image": (40, "200 OK", "image/jpeg", b"\xff\xd8\xff" * 2000),
    "data": (60, "200 OK", "application/json", b"{}" * 500),
    "empty": (90, "200 OK", "text/html", b""),
}
DAMAGED = 100  # likewise, by turns a flipped byte and a record cut short
ENCODED = 5  # likewise: a body under gzip; so many again are chunked
WARM_PAGES = 50
ALONE_PAGES = 1000
ROUNDS = 3
SYLLABLES = [consonant + vowel for consonant in "bdgklmnrst" for vowel in "aeiou"]


def main() -> int:
    """Make the file, run, count, read alone, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path, nargs="?")
    parser.add_argument("--pages", type=int, default=10_000)
    parser.add_argument("--folder", type=Path, help="keep the files here")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="copydesk-bench-") as name:
        folder = arguments.folder or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        write_file(folder / "warm", WARM_PAGES, arguments.shared)
        run(folder / "warm.warc.gz", folder / "warm")
        records = write_file(folder / "news", arguments.pages, arguments.shared)
        found = run(folder / "news.warc.gz", folder / "news")
        size = (folder / "news.warc.gz").stat().st_size
        write_file(folder / "alone", min(ALONE_PAGES, arguments.pages), arguments.shared)
        alone = read_alone(folder / "alone.whole.warc.gz")
    facts = {"pages": arguments.pages, "records": records, "bytes": size, **found}
    facts |= {"pages_per_cpu_second": round(arguments.pages / found["cpu"], 1), "read_alone": alone}
    print(json.dumps(facts, indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps(facts, indent=1) + "\n")
    counted = found["articles"] + sum(found["rejects"].values()) + found["passed_over"]
    if counted != records:
        print(f"bench-warc: {counted} records came out, warcio counts {records}")
        return 1
    return 0


def write_file(stem: Path, pages: int, shared: Path | None) -> int:
    """Write NAME.warc.gz, and NAME.whole.warc.gz with nothing damaged; give the latter's records by warcio."""
    rng = random.Random(7)
    damaged, whole = stem.with_suffix(".warc.gz"), stem.with_suffix(".whole.warc.gz")
    with damaged.open("wb") as sink, whole.open("wb") as twin:
        for number, made in enumerate(records(pages, shared)):
            unit = member(made)
            twin.write(unit)
            if number % DAMAGED == DAMAGED - 1:
                at = rng.randrange(len(unit) // 3, len(unit) - 8)
                unit = unit[:at] + (bytes([unit[at] ^ 0x55]) + unit[at + 1 :] if number // DAMAGED % 2 else b"")
            sink.write(unit)
    with whole.open("rb") as source:
        return sum(1 for _ in Oracle(source))


def records(pages: int, shared: Path | None) -> Iterator[bytes]:
    """The file's records, one after the other."""
    yield record("warcinfo", "", b"software: none\r\n", "application/warc-fields")
    found = labelled_pages(shared) if shared else invented_pages()
    for number, (host, page) in enumerate(itertools.islice(found, pages)):
        url = f"https://{host}/news/{number}"
        request = f"GET /news/{number} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        yield record("request", url, request, "application/http; msgtype=request")
        head, body = "", page
        if number % ENCODED == 0:
            head, body = "Content-Encoding: gzip\r\n", gzip.compress(page, 6, mtime=0)
        if number % ENCODED == 1:
            head, body = "Transfer-Encoding: chunked\r\n", b"%x\r\n%s\r\n0\r\n\r\n" % (len(page), page)
        yield answer(url, "200 OK", "text/html", body, head)
        for name, (share, status, media, other) in OTHERS.items():
            if number % share == share - 1:
                yield answer(f"{url}/{name}", status, media, other)


def answer(url: str, status: str, media: str, body: bytes, head: str = "") -> bytes:
    """A response record."""
    lines = f"HTTP/1.1 {status}\r\nContent-Type: {media}\r\nServer: none\r\n{head}\r\n"
    return record("response", url, lines.encode() + body, "application/http; msgtype=response")


def record(kind: str, url: str, block: bytes, media: str) -> bytes:
    """A WARC record."""
    name = uuid.uuid5(uuid.NAMESPACE_URL, kind + url).urn
    lines = f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <{name}>\r\nWARC-Date: 2024-05-01T08:00:00Z\r\n"
    lines += f"WARC-Target-URI: {url}\r\n" if url else ""
    return f"{lines}Content-Type: {media}\r\nContent-Length: {len(block)}\r\n\r\n".encode() + block + b"\r\n\r\n"


def member(data: bytes) -> bytes:
    """A gzip member."""
    engine = zlib.compressobj(1, wbits=zlib.MAX_WBITS | 16)
    return engine.compress(data) + engine.flush()


def labelled_pages(shared: Path) -> Iterator[tuple[str, bytes]]:
    """The labelled pages as they lie there, over and over, each time under other hosts."""
    lines = (shared / "data/extraction/manifest.jsonl").read_text().splitlines()
    for turn in itertools.count():
        for row in map(json.loads, lines):
            page = gzip.decompress((shared / "data/extraction" / row["html"]).read_bytes())
            host = f"host{turn}-{row['domain']}"
            yield (
                host,
                page.replace(row["domain"].encode(), host.encode()),
            )  # else they would name one canonical address


def invented_pages() -> Iterator[tuple[str, bytes]]:
    """Pages of forty hosts in made-up words, with the furniture of each around the article."""
    rng = random.Random(3)

    def sentence() -> str:
        words = ["".join(rng.choices(SYLLABLES, k=rng.randint(1, 4))) for _ in range(rng.randint(8, 20))]
        return " ".join(words).capitalize() + "."

    hosts = {f"paper{n}.example": [sentence() for _ in range(30)] for n in range(40)}
    for number in itertools.count():
        host, furniture = rng.choice(list(hosts.items()))
        menu = "".join(f'<li><a href="/s/{n}">{line[:20]}</a></li>' for n, line in enumerate(furniture[:20]))
        body = "".join(f"<p>{' '.join(sentence() for _ in range(4))}</p>" for _ in range(rng.randint(4, 20)))
        teasers = "".join(f'<div class="teaser"><a href="/t/{n}">{line}</a></div>' for n, line in enumerate(furniture))
        title = sentence()
        yield (
            host,
            (
                f"<!doctype html><html><head><meta charset=utf-8><title>{title} | {host}</title>"
                f'<meta property="article:published_time" content="2024-05-{1 + number % 28:02d}T06:00:00Z">'
                f"<style>{'.a{color:red}' * 400}</style></head><body><nav><ul>{menu}</ul></nav>"
                f"<article><h1>{title}</h1>{body}</article><aside>{teasers}</aside><footer>{furniture[-1]}</footer></body></html>"
            ).encode(),
        )


def run(source: Path, output: Path) -> dict[str, Any]:
    """Run the command; what came of it, with its CPU seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    words = [sys.executable, "-m", "pipeline", "run", str(source), "--output", str(output), "--json"]
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    summary = json.loads(done.stdout)
    reasons = ds.dataset(output / "current/rejects", format="parquet").to_table(["reason"])["reason"].to_pylist()
    return {
        "cpu": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 2),
        "articles": summary["articles_kept"],
        "passed_over": summary["passed_over"],
        "rejects": dict(Counter(reasons).most_common()),
        "stories": summary["stories"],
    }


def read_alone(path: Path) -> dict[str, float]:
    """CPU seconds of each reader over a file without damage, the least of some turns."""

    def ours() -> int:
        plan = plan_inputs([str(path)], {})
        return sum(1 for item in plan.items for _ in read_item(item, ReadOptions()))

    def fastwarc() -> int:
        with path.open("rb") as source:
            return sum(len(each.reader.read()) > 0 for each in ArchiveIterator(source, any_type, auto_decode="all"))

    def warcio() -> int:
        with path.open("rb") as source:
            return sum(len(each.content_stream().read()) > 0 for each in Oracle(source))

    readers: dict[str, Callable[[], int]] = {"copydesk": ours, "fastwarc": fastwarc, "warcio": warcio}
    spent: dict[str, list[float]] = {name: [] for name in readers}
    for _ in range(ROUNDS):
        for name, reader in readers.items():
            began = time.process_time()
            reader()
            spent[name].append(time.process_time() - began)
    return {name: round(min(seconds), 2) for name, seconds in spent.items()}


if __name__ == "__main__":
    sys.exit(main())
