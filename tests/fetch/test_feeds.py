"""A feed source: what is new is given once, whatever fails is told, and the cursor is all that is remembered."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schemas.blocks import RAW
from schemas.errors import RejectReason, UsageError
from transforms.read import visits
from transforms.read.decode import decode_page
from transforms.read.feeds import FeedSource, feed_list, open_source
from transforms.read.fetcher import Fetcher
from transforms.read.fetchoptions import FetchOptions
from transforms.read.inputs import ReadOptions
from transforms.read.records import read_jsonl

Make = Callable[..., Fetcher]
PAGE = "<html><body><h1>{}</h1><p>The page of {}.</p></body></html>"


def feed(*items: tuple[str, str | None] | str) -> str:
    """RSS of entries: a title and its text, or a title alone; the link is the title's."""
    made = []
    for each in items:
        title, text = each if isinstance(each, tuple) else (each, None)
        content = f"<content:encoded><![CDATA[<p>{text}</p>]]></content:encoded>" if text else ""
        made.append(
            f"<item><title>{title}</title><link>/{title}</link><description>Of {title}</description>{content}</item>"
        )
    name = 'xmlns:content="http://purl.org/rss/1.0/modules/content/"'
    return f'<rss version="2.0" {name}><channel><title>F</title>{"".join(made)}</channel></rss>'


class Desk:
    """Polls a source again and again, each time with the cursor of the last, as JSON."""

    def __init__(self, uri: str, fetcher: Fetcher, spool: Path, clock: Any) -> None:
        self.source, self.spool, self.clock = FeedSource(uri, fetcher), spool, clock
        self.cursor: dict[str, Any] = {}
        self.last: Any = None

    def poll(self, later: float = 100.0) -> list[dict[str, Any]]:
        """The rows of one more poll."""
        self.clock.time += later
        self.last = self.source.poll(self.cursor, self.spool)
        self.cursor = json.loads(json.dumps(self.last.cursor))
        rows = [outcome for item in self.last.items for outcome in read_jsonl(item, ReadOptions())]
        assert not [each.row for each in rows if each.rejected]
        assert all(set(each.row) == set(RAW.names) for each in rows)
        return sorted((each.row for each in rows), key=lambda row: str(row["headline"]))

    def titles(self, later: float = 100.0) -> list[Any]:
        """The headlines of one more poll."""
        return [row["headline"] for row in self.poll(later)]

    def refused(self) -> list[tuple[str, str]]:
        """What the last poll refused: where, and why."""
        return [(each.uri, str(each.reason)) for each in self.last.refused]


@pytest.fixture
def desk(site: Any, fetcher_with: Make, tmp_path: Path, clock: Any) -> Callable[..., Desk]:
    def make(uri: str | None = None, **options: Any) -> Desk:
        return Desk(uri or "feed+" + site.url("/feed"), fetcher_with(**options), tmp_path / "spool", clock)

    return make


def test_an_entry_with_its_text_is_an_article_of_the_feed(site: Any, desk: Callable[..., Desk]) -> None:
    site.says("/feed", feed(("tram", "The tram was late."), ("bus", "The bus was not.")))
    bus, tram = desk().poll()
    assert (tram["headline"], tram["html"], tram["description"]) == ("tram", "<p>The tram was late.</p>", "Of tram")
    assert (tram["source_uri"], tram["url"]) == (site.url("/feed"), site.url("/tram"))
    assert tram["fetched_at"] is not None
    assert tram["outlet"] is None  # comes from the address
    assert bus["source_uri"] == tram["source_uri"]
    assert site.paths() == ["/feed"]


def test_the_page_of_an_entry_without_its_text_is_fetched(site: Any, desk: Callable[..., Desk]) -> None:
    site.says("/feed", feed("tram"))
    site.pages["/tram"] = (302, {"Location": "/2026/tram"}, b"")
    site.says(
        "/2026/tram", PAGE.format("Tram", "the caf\xe9").encode("latin-1"), Content_Type="text/html; charset=latin-1"
    )
    (row,) = desk().poll()
    assert row["html"] == PAGE.format("Tram", "the café")
    assert (row["headline"], row["url"], row["source_uri"]) == ("tram", site.url("/2026/tram"), site.url("/tram"))


def test_without_pages_a_headline_and_its_description_are_an_article(site: Any, desk: Callable[..., Desk]) -> None:
    site.says("/feed", feed("tram"))
    (row,) = desk(pages=False).poll()
    assert (row["headline"], row["description"], row["html"], row["text"]) == ("tram", "Of tram", None, None)
    assert site.paths() == ["/feed"]


def test_entries_without_address_or_title_are_articles_all_the_same(site: Any, desk: Callable[..., Desk]) -> None:
    site.says(
        "/feed", "<rss><channel><item><title>A</title></item><item><description>B.</description></item></channel></rss>"
    )
    first, second = desk().poll()
    assert (first["headline"], first["outlet"], first["url"]) == ("A", "127.0.0.1", None)
    assert (second["headline"], second["text"]) == (None, "B.")


def test_an_entry_is_given_once(site: Any, desk: Callable[..., Desk]) -> None:
    site.says("/feed", feed(("a", "A."), ("b", "B.")))
    one = desk()
    assert one.titles() == ["a", "b"]
    assert one.titles() == []
    site.says("/feed", feed(("c", "C."), ("a", "A."), ("b", "B.")))
    assert one.titles() == ["c"]
    assert one.titles() == []


def test_an_entry_that_changed_is_given_again(site: Any, desk: Callable[..., Desk]) -> None:
    site.says("/feed", feed(("a", "A."), ("b", "B.")))
    one = desk()
    one.poll()
    site.says("/feed", feed(("a", "A, corrected."), ("b", "B.")))
    assert [row["html"] for row in one.poll()] == ["<p>A, corrected.</p>"]


def test_a_page_is_fetched_again_when_its_entry_says_that_it_changed(site: Any, desk: Callable[..., Desk]) -> None:
    entry = '<entry><title>a</title><link href="/a"/><updated>{}</updated></entry>'
    atom = f'<feed xmlns="http://www.w3.org/2005/Atom">{entry}</feed>'
    site.says("/a", PAGE.format("a", "a"))
    one = desk()
    for updated in ("2026-11-01", "2026-11-01", "2026-11-02"):
        site.says("/feed", atom.format(updated))
        one.poll()
    assert site.paths().count("/a") == 2


def test_what_has_left_the_feed_is_forgotten_but_not_at_once(site: Any, desk: Callable[..., Desk]) -> None:
    one = desk()
    for titles, new in (("ab", "ab"), ("bc", "c"), ("ab", ""), ("cd", "d"), ("de", "e"), ("ab", "ab")):
        site.says("/feed", feed(*((title, title) for title in titles)))
        assert "".join(one.titles()) == new
    (state,) = one.cursor["lists"].values()
    assert len(state["seen"]) == len(state["left"]) == 2


def test_an_unchanged_feed_is_asked_with_its_validators_and_not_read(site: Any, desk: Callable[..., Desk]) -> None:
    site.says("/feed", feed(("a", "A.")), ETag='"1"', Last_Modified="Thu, 01 Jan 1970 00:00:10 GMT")
    one = desk()
    one.poll()
    before = one.cursor
    assert one.poll() == []
    _, headers = site.asked[-1]
    assert (headers["if-none-match"], headers["if-modified-since"]) == ('"1"', "Thu, 01 Jan 1970 00:00:10 GMT")
    assert one.last.refused == ()
    states = [next(iter(cursor["lists"].values())) for cursor in (before, one.cursor)]
    assert [{name: value for name, value in state.items() if name != "due"} for state in states[1:]] == [
        {name: value for name, value in state.items() if name != "due"} for state in states[:1]
    ]


def test_a_feed_that_says_how_long_it_is_fresh_is_not_asked_before(site: Any, desk: Callable[..., Desk]) -> None:
    site.says("/feed", feed(("a", "A.")), Cache_Control="max-age=300")
    one = desk()
    for _ in range(4):
        one.poll(100.0)
    assert site.paths() == ["/feed", "/feed"]


def test_a_poll_that_is_lost_is_polled_again_whole(site: Any, desk: Callable[..., Desk]) -> None:
    site.says("/feed", feed(("a", "A."), "b"), ETag='"1"')
    site.says("/b", PAGE.format("b", "b"))
    one = desk()
    assert one.titles() == ["a", "b"]
    one.cursor = {}
    assert one.titles() == ["a", "b"]


def test_a_story_in_two_feeds_is_given_once(site: Any, desk: Callable[..., Desk], tmp_path: Path) -> None:
    (tmp_path / "feeds.txt").write_text(f"{site.url('/feed')}\n{site.url('/other')}\n")
    site.says("/feed", feed("a", ("b", "B.")))
    site.says("/other", feed("a", ("b", "B, and told otherwise."), ("c", "C.")))
    site.says("/a", PAGE.format("a", "a"))
    one = desk(f"feeds:{tmp_path / 'feeds.txt'}")
    assert one.titles() == ["a", "b", "c"]
    assert site.paths().count("/a") == 1
    assert one.titles() == []


def test_a_feed_that_fails_is_told_and_the_others_go_on(site: Any, desk: Callable[..., Desk], tmp_path: Path) -> None:
    names = ["gone", "broken", "page", "feed"]
    (tmp_path / "feeds.txt").write_text("".join(site.url(f"/{name}\n") for name in names))
    site.pages["/broken"] = (500, {}, b"")
    site.says("/page", PAGE.format("a", "a"))
    site.says("/feed", feed(("a", "A.")))
    one = desk(f"feeds:{tmp_path / 'feeds.txt'}")
    assert one.titles() == ["a"]
    assert sorted(one.refused()) == [
        (site.url("/broken"), "unreadable"),
        (site.url("/gone"), "unreadable"),
        (site.url("/page"), "unknown_format"),
    ]


def test_a_feed_that_fails_is_asked_half_as_often_each_time(site: Any, desk: Callable[..., Desk], clock: Any) -> None:
    one = desk()
    asked = []
    began = clock.time
    for _ in range(40):
        before = len(site.paths())
        one.poll(30.0)
        if len(site.paths()) > before:
            asked.append(round(clock.time - began, -1))
    assert [later - earlier for earlier, later in itertools.pairwise(asked)] == [60.0, 120.0, 240.0, 480.0]
    site.says("/feed", feed(("a", "A.")))
    assert one.titles(1000.0) == ["a"]
    assert "failures" not in next(iter(one.cursor["lists"].values()))


def test_back_off_is_in_the_cursor(site: Any, desk: Callable[..., Desk]) -> None:
    site.pages["/feed"] = (429, {"Retry-After": "500"}, b"")
    desk_before = desk()
    desk_before.poll()
    after = desk()  # another process
    after.cursor = desk_before.cursor
    site.says("/feed", feed(("a", "A.")))
    assert after.titles(400.0) == []
    assert after.titles(101.0) == ["a"]
    assert site.paths() == ["/feed", "/feed"]


def test_a_page_that_is_not_to_be_had_now_is_tried_again(site: Any, desk: Callable[..., Desk]) -> None:
    site.says("/feed", feed("a"), ETag='"1"')
    site.pages["/a"] = (500, {}, b"")
    one = desk()
    assert one.titles() == []
    assert one.last.refused == ()
    site.says("/feed", feed(("b", "B.")))  # it has left the feed meanwhile
    site.says("/a", PAGE.format("a", "a"))
    assert one.titles() == ["a", "b"]
    assert one.cursor["pages"] == []


def test_a_page_that_begins_to_wait_is_committed_though_nothing_was_found(site: Any, desk: Callable[..., Desk]) -> None:
    """Its entry may have left the feed when the next process asks."""
    site.says("/feed", feed("a"), ETag='"1"')
    site.pages["/a"] = (500, {}, b"")
    one = desk()
    assert (one.titles(), one.last.begins) == ([], True)
    assert (one.titles(), one.last.begins) == ([], False)


def test_a_page_that_is_never_to_be_had_is_refused_in_the_end(site: Any, desk: Callable[..., Desk]) -> None:
    site.says("/feed", feed("a"), ETag='"1"')
    site.pages["/a"] = (500, {}, b"")
    one = desk()
    refused = []
    for _ in range(8):
        one.poll(2_000.0)
        refused += one.refused()
    assert refused == [(site.url("/a"), "unreadable")]
    assert site.paths().count("/a") == 5


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ((404, {}, b""), RejectReason.UNREADABLE),
        ((200, {"Content-Type": "application/pdf"}, b"%PDF"), RejectReason.UNKNOWN_FORMAT),
        ((200, {"Content-Type": "application/json"}, b"{}"), RejectReason.UNKNOWN_FORMAT),
        ((200, {"Content-Type": "text/html"}, b""), RejectReason.EMPTY),
        ((200, {"Content-Type": "text/html"}, b"x" * 300_000), RejectReason.TOO_LARGE),
        ((302, {"Location": "/a"}, b""), RejectReason.UNREADABLE),
    ],
)
def test_a_page_that_is_of_no_use_is_refused_at_once(
    site: Any, desk: Callable[..., Desk], reply: Any, reason: RejectReason
) -> None:
    site.says("/feed", feed("a"))
    site.pages["/a"] = reply
    one = desk(max_bytes=200_000)
    assert one.titles() == []
    assert one.refused() == [(site.url("/a"), str(reason))]
    assert one.titles() == []
    assert one.refused() == []


def test_a_page_that_robots_txt_forbids_is_refused(site: Any, desk: Callable[..., Desk]) -> None:
    site.says("/robots.txt", "User-agent: *\nDisallow: /a")
    site.says("/feed", feed("a"))
    one = desk()
    one.poll()
    assert one.refused() == [(site.url("/a"), "unreadable")]
    assert site.paths() == ["/feed"]


def test_pages_that_there_is_no_time_for_wait_in_the_cursor(site: Any, desk: Callable[..., Desk]) -> None:
    site.says("/feed", feed(*"abcdefg"), ETag='"1"')
    for title in "abcdefg":
        site.says(f"/{title}", PAGE.format(title, title))
    one = desk(poll_seconds=4.5)
    given = [one.titles() for _ in range(4)]
    assert sorted(itertools.chain(*given)) == list("abcdefg")
    assert len(given[0]) == 3  # a second each, after robots.txt and the feed
    assert site.paths().count("/feed") == 4


def test_a_feed_that_names_too_many_pages_is_read_again(
    site: Any, desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visits, "MOST_WAITING", 2)
    site.says("/feed", feed(*"abcde"), ETag='"1"')
    for title in "abcde":
        site.says(f"/{title}", PAGE.format(title, title))
    one = desk()
    assert sorted(itertools.chain(*[one.titles() for _ in range(4)])) == list("abcde")


def test_a_feed_that_has_moved_for_good_is_asked_where_it_is(site: Any, desk: Callable[..., Desk]) -> None:
    site.pages["/feed"] = (301, {"Location": "/new"}, b"")
    site.says("/new", feed(("a", "A.")), ETag='"1"')
    one = desk()
    assert one.titles() == ["a"]
    one.poll()
    assert site.paths() == ["/feed", "/new", "/new"]
    del site.pages["/new"]
    site.says("/feed", feed(("b", "B.")))
    one.poll()
    assert one.titles() == ["b"]  # back where it was


def test_an_entry_bomb_and_a_huge_feed_are_refused(site: Any, desk: Callable[..., Desk], tmp_path: Path) -> None:
    (tmp_path / "feeds.txt").write_text("".join(site.url(f"/{name}\n") for name in ("huge", "many", "feed")))
    site.says("/huge", "<rss>" + "<item/>" * 100_000)
    site.says("/many", feed(*((str(number), "x") for number in range(2_100))))
    site.says("/feed", feed(("a", "A.")))
    one = desk(f"feeds:{tmp_path / 'feeds.txt'}", max_bytes=500_000)
    assert len(one.poll()) == 2_001
    assert sorted(one.refused()) == [(site.url("/huge"), "too_large"), (site.url("/many"), "too_large")]


def test_a_bug_on_one_feed_costs_that_feed_alone(
    site: Any, desk: Callable[..., Desk], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "feeds.txt").write_text(site.url("/bad\n") + site.url("/feed"))
    site.says("/bad", feed(("b", "B.")))
    site.says("/feed", feed(("a", "A.")))
    parse = decode_page

    def broken(data: bytes, *rest: Any) -> str:
        if b"<title>b" in data:
            raise ZeroDivisionError
        return parse(data, *rest)

    monkeypatch.setattr("transforms.read.entries.decode_page", broken)
    one = desk(f"feeds:{tmp_path / 'feeds.txt'}")
    assert one.titles() == ["a"]
    assert one.refused() == [(site.url("/bad"), "failed")]


def test_a_password_is_used_and_kept_out_of_cursor_and_name(site: Any, desk: Callable[..., Desk]) -> None:
    site.says("/feed", feed(("a", "A.")))
    one = desk("feed+" + site.url("/feed", "ann:secret@127.0.0.1"))
    (row,) = one.poll()
    one.poll()
    assert all("authorization" in headers for path, headers in site.asked if path == "/feed")
    assert "secret" not in json.dumps([one.cursor, one.source.uri, row["source_uri"], one.last.refused])
    assert one.source.uri == "feed+" + site.url("/feed")


def test_the_list_is_read_anew_at_each_poll(site: Any, desk: Callable[..., Desk], tmp_path: Path) -> None:
    listed = tmp_path / "feeds.txt"
    listed.write_text(site.url("/feed"))
    site.says("/feed", feed(("a", "A.")))
    site.says("/more", feed(("b", "B.")))
    one = desk(f"feeds:{listed}")
    assert one.titles() == ["a"]
    listed.write_text(site.url("/more"))
    assert one.titles() == ["b"]
    assert list(one.cursor["lists"]) == [site.url("/more")]
    listed.unlink()
    with pytest.raises(UsageError, match="cannot be read"):
        one.poll()


def test_a_list_of_feeds_may_have_comments_and_doubles() -> None:
    text = "# ours\nhttps://a.example/f#frag  # the first\n\n  https://b.example/f\nhttps://a.example/f#frag\nfeed://c.example/f\n"
    assert feed_list(text, "feeds.txt") == ["https://a.example/f#frag", "https://b.example/f", "http://c.example/f"]


def test_opml_may_be_nested_and_have_doubles() -> None:
    text = """<?xml version="1.0"?><opml version="2.0"><head><title>x</title></head><body>
      <outline text="A"><outline text="B"><outline type="rss" xmlUrl="https://a.example/f?x=1&y=2"/></outline>
      <outline type="rss" xmlUrl="https://b.example/f" htmlUrl="https://b.example/"/></outline>
      <outline xmlurl="https://a.example/f?x=1&amp;y=2"/><outline text="none"/></body></opml>"""
    assert feed_list(text, "feeds.opml") == ["https://a.example/f?x=1&y=2", "https://b.example/f"]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("https://a.example/\nnonsense\n", "feeds.txt, line 2"),
        ("file:///etc/passwd", "neither http nor https"),
        ("# nothing\n", "no feeds"),
        ("<opml></opml>", "no feeds"),
        ("<", "no XML"),
        ('<opml><outline xmlUrl="ftp://a.example/"/></opml>', "neither http nor https"),
    ],
)
def test_a_list_that_cannot_be_meant_is_told_with_the_line(text: str, what: str) -> None:
    with pytest.raises(UsageError, match=what):
        feed_list(text, "feeds.txt")


def test_a_source_that_cannot_be_meant_is_told(tmp_path: Path) -> None:
    fetching = ReadOptions(fetch=FetchOptions(enabled=True))
    with pytest.raises(UsageError, match="enabled = true"):
        open_source("feed+https://a.example/", ReadOptions())
    with pytest.raises(UsageError, match="cannot be read"):
        open_source(f"feeds:{tmp_path / 'none.txt'}", fetching)
    (tmp_path / "bad.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="UTF-8"):
        open_source(f"feeds:{tmp_path / 'bad.txt'}", fetching)
    assert open_source("feed+https://a.example/", fetching).uri == "feed+https://a.example/"
