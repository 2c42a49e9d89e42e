"""A sitemap source: what is new by its dates, or by not having been there; the pages are fetched."""

import datetime as dt
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import Rejected, RejectReason, UsageError
from transforms.read import sitemaps, visits
from transforms.read.fetcher import Fetcher
from transforms.read.fetchoptions import FetchOptions
from transforms.read.inputs import ReadOptions
from transforms.read.records import read_jsonl
from transforms.read.sitemaps import SitemapSource, open_source, parse_sitemap

Make = Callable[..., Fetcher]
SPACES = (
    'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" '
    'xmlns:news="http://www.google.com/schemas/sitemap-news/0.9" xmlns:image="http://i.example/"'
)
NOW = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
TODAY, LATER, OLD = "2026-11-21T22:00:00Z", "2026-11-22T01:00:00+01:00", "2026-11-19"


def urlset(*urls: str) -> str:
    return f'<?xml version="1.0"?><urlset {SPACES}>{"".join(f"<url>{url}</url>" for url in urls)}</urlset>'


def index(*maps: str) -> str:
    return f"<sitemapindex {SPACES}>{''.join(f'<sitemap>{each}</sitemap>' for each in maps)}</sitemapindex>"


def dated(loc: str, lastmod: str | None = None) -> str:
    return f"<loc>{loc}</loc>" + (f"<lastmod>{lastmod}</lastmod>" if lastmod else "")


class Desk:
    """Polls a sitemap again and again."""

    def __init__(self, site: Any, fetcher: Fetcher, spool: Path) -> None:
        self.site, self.source, self.spool = site, SitemapSource("sitemap+" + site.url("/map.xml"), fetcher), spool
        self.cursor: dict[str, Any] = {}
        self.last: Any = None

    def poll(self) -> list[dict[str, Any]]:
        """The rows of one more poll."""
        self.last = self.source.poll(self.cursor, self.spool)
        self.cursor = json.loads(json.dumps(self.last.cursor))
        rows = [outcome.row for item in self.last.items for outcome in read_jsonl(item, ReadOptions())]
        return sorted(rows, key=lambda row: str(row["url"]))

    def pages(self) -> list[str]:
        """The paths of the pages that one more poll gives."""
        return [row["url"].removeprefix(self.site.url("")) for row in self.poll()]


@pytest.fixture
def desk(site: Any, fetcher_with: Make, tmp_path: Path, clock: Any) -> Desk:
    clock.time = NOW.timestamp()
    for name in "abcdef":
        site.says(f"/{name}", f"<html><p>{name}</p></html>", Content_Type="text/html")
    return Desk(site, fetcher_with(), tmp_path / "spool")


def test_a_news_sitemap_gives_pages_with_what_it_says_of_them(site: Any, desk: Desk) -> None:
    news = (
        "<news:news><news:publication><news:name>North</news:name><news:language>en</news:language></news:publication>"
        f"<news:publication_date>{TODAY}</news:publication_date><news:title>Tram &amp; bus</news:title>"
        "<news:keywords>tram, bus</news:keywords></news:news><image:image><image:loc>http://x.example/</image:loc></image:image>"
    )
    site.says("/map.xml", urlset(dated(site.url("/a"), LATER) + news))
    (row,) = desk.poll()
    assert (row["url"], row["source_uri"]) == (site.url("/a"), site.url("/a"))
    assert (row["headline"], row["html"]) == ("Tram & bus", "<html><p>a</p></html>")
    assert (row["date_published"], row["date_modified"]) == (TODAY, LATER)
    assert (row["language"], row["keywords"]) == ("en", ["tram", "bus"])


def test_only_the_last_two_days_are_new(site: Any, desk: Desk) -> None:
    site.says(
        "/map.xml",
        urlset(dated(site.url("/a"), TODAY), dated(site.url("/b"), OLD), dated(site.url("/c"), "2026-11-21")),
    )
    assert desk.pages() == ["/a", "/c"]
    assert desk.pages() == []


def test_what_is_not_dated_is_new_if_it_was_not_there_at_first(site: Any, desk: Desk) -> None:
    site.says("/map.xml", urlset(dated(site.url("/a")), dated(site.url("/b"), "some day")))
    assert desk.pages() == []
    site.says("/map.xml", urlset(dated(site.url("/c")), dated(site.url("/a"))))
    assert desk.pages() == ["/c"]


def test_a_first_reading_that_passes_over_what_is_there_is_to_be_committed(site: Any, desk: Desk) -> None:
    """Else each scheduled run reads for the first time, and passes over what came since the last one."""
    site.says("/map.xml", urlset(dated(site.url("/a"))))
    assert (desk.pages(), desk.last.begins) == ([], True)
    assert (desk.pages(), desk.last.begins) == ([], False)


def test_a_page_that_one_sitemap_passed_over_is_given_when_another_dates_it(site: Any, desk: Desk, clock: Any) -> None:
    """As it would be if the other had answered at once."""
    site.says("/map.xml", index(dated(site.url("/all.xml")), dated(site.url("/news.xml"))))
    site.says("/all.xml", urlset(dated(site.url("/a")), dated(site.url("/b"))))
    assert desk.pages() == []
    site.says("/news.xml", urlset(dated(site.url("/a"), TODAY)))
    clock.time += 100.0  # its back-off is over
    assert desk.pages() == ["/a"]
    assert desk.pages() == []


def test_a_page_whose_date_changes_is_fetched_again(site: Any, desk: Desk) -> None:
    site.says("/map.xml", urlset(dated(site.url("/a"), TODAY)))
    assert desk.pages() == ["/a"]
    site.says("/map.xml", urlset(dated(site.url("/a"), LATER)))
    assert desk.pages() == ["/a"]


def test_an_index_leads_to_sitemaps_and_only_to_those_that_changed(site: Any, desk: Desk) -> None:
    maps = [dated(site.url("/one.xml"), TODAY), dated(site.url("/two.xml")), dated(site.url("/past.xml"), OLD)]
    site.says("/map.xml", index(*maps), ETag='"1"')
    site.says("/one.xml", urlset(dated(site.url("/a"), TODAY)))
    site.says("/two.xml", urlset(dated(site.url("/b"), TODAY)))
    assert desk.pages() == ["/a", "/b"]
    site.asked.clear()
    site.says("/one.xml", urlset(dated(site.url("/c"), TODAY)))
    site.says("/two.xml", urlset(dated(site.url("/d"), TODAY)))
    assert desk.pages() == ["/d"]
    assert sorted(site.paths()) == [
        "/d",
        "/map.xml",
        "/two.xml",
    ]  # the index was not modified; the first has its old date
    site.says("/map.xml", index(dated(site.url("/one.xml"), LATER)), ETag='"2"')
    assert desk.pages() == ["/c"]
    assert sorted(desk.cursor["lists"]) == [site.url("/map.xml"), site.url("/one.xml")]


def test_a_sitemap_with_more_pages_than_can_wait_is_read_again_though_its_index_dates_it_as_before(
    site: Any, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visits, "MOST_WAITING", 2)
    site.says("/map.xml", index(dated(site.url("/one.xml"), TODAY)))
    site.says("/one.xml", urlset(*(dated(site.url(f"/{name}"), TODAY) for name in "abcde")))
    assert [page for _ in range(4) for page in desk.pages()] == ["/a", "/b", "/c", "/d", "/e"]


def test_an_index_that_leads_to_itself_ends(site: Any, desk: Desk) -> None:
    site.says("/map.xml", index(dated(site.url("/map.xml")), dated(site.url("/other.xml"))))
    site.says("/other.xml", index(dated(site.url("/map.xml")), dated(site.url("/other.xml"))))
    assert desk.pages() == []
    assert site.paths() == ["/map.xml", "/other.xml"]


def test_an_index_of_too_many_sitemaps_is_cut(site: Any, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visits, "MOST_LISTS", 3)
    site.says("/map.xml", index(*(dated(site.url(f"/{number}.xml")) for number in range(5))))
    desk.poll()
    assert len(site.paths()) == 3
    assert [each.uri for each in desk.last.refused if each.reason is RejectReason.TOO_LARGE] == [site.url("/2.xml")]


@pytest.mark.parametrize("media", ["application/x-gzip", "application/octet-stream"])
def test_a_sitemap_may_be_a_gzip_file(site: Any, desk: Desk, media: str) -> None:
    site.says("/map.xml", gzip.compress(urlset(dated(site.url("/a"), TODAY)).encode()), Content_Type=media)
    assert desk.pages() == ["/a"]


def test_a_gzip_file_of_several_members_is_read_to_its_end(site: Any, desk: Desk) -> None:
    text = urlset(*(dated(site.url(f"/{name}"), TODAY) for name in "abc")).encode()
    site.says("/map.xml", b"".join(gzip.compress(text[at : at + 100]) for at in range(0, len(text), 100)) + b"\0\0")
    assert desk.pages() == ["/a", "/b", "/c"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (gzip.compress(bytes(11 << 20)), "too_large"),
        (gzip.compress(bytes(6 << 20)) * 2, "too_large"),
        (gzip.compress(b"<urlset/>", mtime=0)[:-9], "truncated"),
        (b"\x1f\x8bx", "truncated"),
    ],
)
def test_a_gzip_file_that_is_a_bomb_or_damaged_is_refused(site: Any, desk: Desk, data: bytes, reason: str) -> None:
    site.says("/map.xml", data)
    desk.poll()
    assert [str(each.reason) for each in desk.last.refused] == [reason]


@pytest.mark.parametrize(
    "data", [b"<rss/>", b"nothing", b'<!DOCTYPE urlset [<!ENTITY a "b">]><html/>', b"https://a.example/"]
)
def test_what_is_no_sitemap_is_told(data: bytes) -> None:
    with pytest.raises(Rejected) as refused:
        parse_sitemap(data, "https://a.example/map.xml", None, NOW)
    assert refused.value.reason is RejectReason.UNKNOWN_FORMAT


def test_a_sitemap_that_is_too_long_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sitemaps, "MOST_ADDRESSES", 50)
    data = urlset(*(dated(f"https://a.example/{number}") for number in range(53)))
    parsed = parse_sitemap(data.encode(), "https://a.example/map.xml", None, NOW)
    assert (len(parsed.entries), parsed.left_out) == (50, 3)


def test_a_sitemap_without_pages_makes_no_sense() -> None:
    with pytest.raises(UsageError, match="pages"):
        open_source("sitemap+https://a.example/", ReadOptions(fetch=FetchOptions(enabled=True, pages=False)))
    with pytest.raises(UsageError, match="http"):
        open_source("sitemap+ftp://a.example/", ReadOptions(fetch=FetchOptions(enabled=True)))
    source = open_source("sitemap+https://ann:secret@a.example/x", ReadOptions(fetch=FetchOptions(enabled=True)))
    assert source.uri == "sitemap+https://a.example/x"
