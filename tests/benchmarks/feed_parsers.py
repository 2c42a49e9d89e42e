"""Our reading of feeds beside other projects': the same invented feeds, CPU time and what each makes of them.

    python -m tests.benchmarks.feed_parsers

Needs feedparser and fastfeedparser (the `peers` group). Each feed has fifty entries; in `broken` an ampersand stands
bare, and HTML's names of characters are used; `hostile` ends in 200 KB of one unclosed tag after the other. Figures are
the least of three interleaved runs. An entry agrees when its address, title, publication date, authors and keywords do.
"""

import json
import random
import time
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import fastfeedparser
import feedparser

from transforms.read.entries import parse_feed

FEED = "https://north.example/feed"
Entries = list[tuple[Any, ...]]


def made(kind: str, rng: random.Random) -> tuple[bytes, Entries]:
    """A feed of fifty entries, and what should be read of them."""

    def prose(count: int) -> str:
        return " ".join("".join(rng.choice(["ka", "mo", "li", "ne", "tu"]) for _ in range(3)) for _ in range(count))

    items, truth = [], []
    for number in range(50):
        title = prose(8) + (" R&D caf&eacute; Q&A" if kind == "broken" else "")
        day = datetime(2026, 11, 1 + number % 20, 8, number, tzinfo=UTC)
        authors, words = [prose(2), prose(2)], [f"{prose(1)} 1", f"{prose(1)} 2"]
        said = title.replace("&eacute;", "é")
        truth.append((f"https://north.example/{number}", said, day, authors, words))
        body = "".join(f"<p>{prose(60)}</p>" for _ in range(8))
        if kind == "atom":
            names = "".join(f"<author><name>{each}</name></author>" for each in authors)
            terms = "".join(f'<category term="{each}"/>' for each in words)
            items.append(
                f'<entry><id>t:{number}</id><title>{title}</title><link href="/{number}"/>{names}{terms}'
                f"<published>{day.isoformat()}</published><updated>2026-12-01T00:00:00Z</updated>"
                f'<content type="html"><![CDATA[{body}]]></content></entry>'
            )
        else:
            names = "".join(f"<dc:creator>{each}</dc:creator>" for each in authors)
            terms = "".join(f"<category>{each}</category>" for each in words)
            items.append(
                f"<item><guid>t:{number}</guid><title>{title}</title><link>https://north.example/{number}</link>{names}{terms}"
                f"<pubDate>{format_datetime(day)}</pubDate><content:encoded><![CDATA[{body}]]></content:encoded></item>"
            )
    if kind == "atom":
        return f'<feed xmlns="http://www.w3.org/2005/Atom">{"".join(items)}</feed>'.encode(), truth
    spaces = 'xmlns:content="http://purl.org/rss/1.0/modules/content/" xmlns:dc="http://purl.org/dc/elements/1.1/"'
    end = "<b>" * 66_000 if kind == "hostile" else "</channel></rss>"
    return f'<rss version="2.0" {spaces}><channel>{"".join(items)}{end}'.encode(), truth


def ours(data: bytes) -> Entries:
    """What we read."""
    found = parse_feed(data, FEED).entries
    return [(each.url, each.headline, each.date_published, list(each.authors), list(each.keywords)) for each in found]


def feedparsers(data: bytes) -> Entries:
    """What feedparser reads; it neither cleans nor resolves what it need not."""
    feed = feedparser.parse(data, response_headers={"content-location": FEED}, sanitize_html=False)
    return [_fields(each) for each in feed.entries]


def fastfeedparsers(data: bytes) -> Entries:
    """What fastfeedparser reads."""
    return [_fields(each) for each in fastfeedparser.parse(data).entries]


def _fields(each: Any) -> tuple[Any, ...]:
    authors = [name["name"] for name in each.get("authors", [])]
    return (
        each.get("link"),
        each.get("title"),
        each.get("published"),
        authors,
        [tag["term"] for tag in each.get("tags", [])],
    )


def _agree(found: tuple[Any, ...], true: tuple[Any, ...]) -> bool:
    day = true[2]
    dates = {day.isoformat(), format_datetime(day), day.isoformat().replace("+00:00", "Z")}
    return (found[0], found[1], found[3], found[4]) == (true[0], true[1], true[3], true[4]) and found[2] in dates


def main() -> None:
    """Read, time, compare, print."""
    readers = {"ours": ours, "feedparser": feedparsers, "fastfeedparser": fastfeedparsers}
    rng = random.Random(7)
    for kind in ("rss", "atom", "broken", "hostile"):
        data, truth = made(kind, rng)
        least: dict[str, float] = {}
        agreed: dict[str, int] = {}
        for _ in range(3):
            for name, read in readers.items():
                began = time.process_time()
                found = read(data)
                least[name] = min(least.get(name, 1e9), time.process_time() - began)
                agreed[name] = sum(map(_agree, found, truth))
        row = {name: {"ms": round(1000 * least[name], 1), "agree": agreed[name]} for name in readers}
        print(json.dumps({"feed": kind, "bytes": len(data), "entries": len(truth), **row}))


if __name__ == "__main__":
    main()
