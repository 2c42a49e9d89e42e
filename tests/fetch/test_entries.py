"""What is read of a feed, of whatever kind and however broken."""

import json
import time
from typing import Any

import pytest
from selectolax.lexbor import LexborHTMLParser

from schemas.errors import Rejected, RejectReason
from transforms.read.entries import MOST_ENTRIES, Entry, parse_feed, plain_text

FEED = "https://north.example/feeds/news.xml"
RSS = (
    '<rss version="2.0" xmlns:content="http://purl.org/rss/1.0/modules/content/" '
    'xmlns:dc="http://purl.org/dc/elements/1.1/" '
    'xmlns:media="http://search.yahoo.com/mrss/" xmlns:feedburner="http://rssnamespace.org/feedburner/ext/1.0">'
    "<channel><title>North</title><link>https://north.example/</link><language>en-GB</language>{}</channel></rss>"
)
ATOM = '<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="de" {}><title>F</title>{}</feed>'


def entries(feed: str | bytes, charset: str | None = None) -> tuple[Entry, ...]:
    return parse_feed(feed.encode() if isinstance(feed, str) else feed, FEED, charset).entries


def entry(feed: str | bytes) -> Entry:
    (one,) = entries(feed)
    return one


def item(inner: str) -> Entry:
    return entry(RSS.format(f"<item>{inner}</item>"))


def test_an_rss_item_with_all_there_is() -> None:
    assert item(
        "<title>Tram &amp;amp; bus</title><link>/2026/tram</link><guid isPermaLink='false'>n-1</guid>"
        "<pubDate>Mon, 02 Nov 2026 08:00:00 GMT</pubDate><description>A &lt;b&gt;short&lt;/b&gt; word</description>"
        "<author>desk@north.example (Ann Ash)</author><dc:creator>Bo Birch</dc:creator><category>Transport</category>"
        "<category>City</category><media:keywords>tram, City</media:keywords>"
        "<content:encoded><![CDATA[<p>The tram &amp; the bus.</p>]]></content:encoded>"
    ) == Entry(
        key="https://north.example/2026/tram",
        url="https://north.example/2026/tram",
        source_id="n-1",
        headline="Tram & bus",
        description="A short word",
        html="<p>The tram &amp; the bus.</p>",
        date_published="Mon, 02 Nov 2026 08:00:00 GMT",
        authors=("Bo Birch", "Ann Ash"),
        keywords=("Transport", "City", "tram"),
        language="en-GB",
    )


def test_an_atom_entry_with_all_there_is() -> None:
    feed = ATOM.format(
        'xml:base="https://south.example/a/"',
        "<entry xml:lang='fr'><id>tag:s,1</id><title type='html'>A &amp;lt; B</title><link rel='self' href='x.atom'/>"
        "<link rel='alternate' type='application/pdf' href='x.pdf'/><link rel='alternate' href='story'/>"
        "<published>2026-11-02T00:00:00+02:00</published><updated>2026-11-03T00:00:00+02:00</updated>"
        "<author><name>Ann Ash</name><email>a@b.example</email></author><author><name>Bo</name></author>"
        "<category term='k1' label='Key One'/><category term='k2'/><summary>Short.</summary>"
        "<content type='xhtml'>"
        "<div xmlns='http://www.w3.org/1999/xhtml'><p>The <b>body</b>.</p></div></content></entry>",
    )
    found = entry(feed)
    assert found.html is not None
    assert "<p>The <b>body</b>.</p>" in found.html
    assert found.url == "https://south.example/a/story"
    assert found.headline == "A < B"
    assert found.date_published == "2026-11-02T00:00:00+02:00"
    assert found.date_modified == "2026-11-03T00:00:00+02:00"
    assert (found.authors, found.keywords, found.language) == (("Ann Ash", "Bo"), ("Key One", "k2"), "fr")
    assert (found.description, found.source_id) == ("Short.", "tag:s,1")


@pytest.mark.parametrize("kind", ["xhtml", "application/xhtml+xml"])
def test_xhtml_is_read_whatever_its_prefix_and_empty_elements(kind: str) -> None:
    found = entry(
        ATOM.format(
            'xmlns:h="http://www.w3.org/1999/xhtml"',
            f"<entry><id>x</id><title>T</title><content type='{kind}'><h:div><h:iframe src='v'/>"
            "<h:p>One &amp; &lt;two&gt;.</h:p><h:br/><h:p>Three.</h:p></h:div></content></entry>",
        )
    )
    assert found.html is not None
    assert [each.text() for each in LexborHTMLParser(found.html).css("p")] == ["One & <two>.", "Three."]


def test_updated_is_never_taken_for_published() -> None:
    found = entry(ATOM.format("", "<entry><id>x</id><title>T</title><updated>2026-11-03T00:00:00Z</updated></entry>"))
    assert (found.date_published, found.date_modified) == (None, "2026-11-03T00:00:00Z")


def test_rss_1_is_read() -> None:
    found = entry(
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/"><channel rdf:about="u"><title>t</title></channel>'
        '<item rdf:about="https://east.example/1"><title>One</title><link>https://east.example/1</link>'
        "<dc:date>2026-11-01T00:00:00Z</dc:date><dc:creator>Cy</dc:creator><dc:subject>s</dc:subject></item></rdf:RDF>"
    )
    assert (found.url, found.headline, found.date_published) == (
        "https://east.example/1",
        "One",
        "2026-11-01T00:00:00Z",
    )
    assert (found.authors, found.keywords) == (("Cy",), ("s",))


def test_atom_0_3_is_read() -> None:
    found = entry(
        '<feed version="0.3" xmlns="http://purl.org/atom/ns#"><entry><title>T</title><id>i</id><issued>2005-01-01</issued>'
        '<modified>2005-01-02</modified><link rel="alternate" type="text/html" href="http://w.example/1"/>'
        '<content type="text/html" mode="escaped">&lt;p&gt;Old.&lt;/p&gt;</content></entry></feed>'
    )
    assert (found.url, found.html) == ("http://w.example/1", "<p>Old.</p>")
    assert (found.date_published, found.date_modified) == ("2005-01-01", "2005-01-02")


def test_a_json_feed_is_read() -> None:
    feed = {
        "version": "https://jsonfeed.org/version/1.1",
        "title": "West",
        "language": "en",
        "items": [
            {
                "id": 7,
                "url": "/7",
                "title": "Seven &amp; eight",
                "content_html": "<p>Seven.</p>",
                "summary": "S",
                "date_published": "2026-11-01T00:00:00Z",
                "date_modified": "2026-11-02T00:00:00Z",
                "authors": [{"name": "Di"}, {"name": "Di"}, {}, 3],
                "tags": ["a", "b", 4, None],
            },
            {"id": "https://west.example/8", "content_text": "One.\n<Two>."},
            "nonsense",
        ],
    }
    first, second = entries(json.dumps(feed))
    assert first == Entry(
        key="https://north.example/7",
        url="https://north.example/7",
        source_id="7",
        headline="Seven & eight",
        description="S",
        html="<p>Seven.</p>",
        date_published="2026-11-01T00:00:00Z",
        date_modified="2026-11-02T00:00:00Z",
        authors=("Di",),
        keywords=("a", "b", "4"),
        language="en",
    )
    assert (second.url, second.html) == ("https://west.example/8", "<p>One.</p><p>&lt;Two&gt;.</p>")


@pytest.mark.parametrize(
    ("inner", "url"),
    [
        ("<link>https://a.example/1</link><guid>https://a.example/2</guid>", "https://a.example/1"),
        ("<guid>https://a.example/2</guid>", "https://a.example/2"),
        ("<guid isPermaLink='false'>https://a.example/2</guid>", None),
        ("<link>../x?y=1&amp;z=2</link>", "https://north.example/x?y=1&z=2"),
        ("<link>  https://a.example/1\n</link>", "https://a.example/1"),
        (
            "<link>https://fb.example/~r/1</link><feedburner:origLink>https://a.example/1</feedburner:origLink>",
            "https://a.example/1",
        ),
        ("<link>javascript:alert(1)</link>", None),
        ("<link>http://[bad</link>", None),
        ("", None),
    ],
)
def test_the_address_of_an_item(inner: str, url: str | None) -> None:
    assert item(f"<title>T</title>{inner}").url == url


def test_an_item_without_address_or_id_is_known_by_its_title() -> None:
    one, two = item("<title>One</title>"), item("<title>Two</title>")
    assert one.key != two.key
    assert one.date_published is None


def test_entries_that_have_no_more_than_a_text_are_told_apart_by_it() -> None:
    notes = [{"content_text": "One."}, {"content_html": "<p>Two.</p>"}, {"summary": "Three."}]
    feed = {"version": "https://jsonfeed.org/version/1", "items": notes}
    assert len({each.key for each in entries(json.dumps(feed))}) == 3
    assert item("<description>One.</description>").key != item("<description>Two.</description>").key


@pytest.mark.parametrize(
    "content",
    [
        "<p>The tram was late […]</p>",
        "<p>The tram was...</p>",
        "<p>The tram.</p><a href='/x'>Read more</a>",
        "<p>Cut &hellip;</p>",
    ],
)
def test_content_that_breaks_off_is_no_article(content: str) -> None:
    assert item(f"<title>T</title><content:encoded><![CDATA[{content}]]></content:encoded>").html is None


def test_content_that_is_the_summary_again_is_no_article() -> None:
    assert item("<description>The tram.</description><content:encoded>The tram.</content:encoded>").html is None


def test_a_description_as_long_as_an_article_is_one() -> None:
    assert item(f"<description>&lt;p&gt;{'word ' * 150}&lt;/p&gt;</description>").html is not None
    assert item(f"<description>{'word ' * 149}</description>").html is None


def test_content_kept_elsewhere_is_no_content() -> None:
    inner = "<entry><title>T</title><content type='{}' {}>AAAA</content></entry>"
    assert entry(ATOM.format("", inner.format("video/mp4", "src='x.mp4'"))).html is None
    assert entry(ATOM.format("", inner.format("image/png", ""))).html is None
    assert entry(ATOM.format("", inner.format("text", ""))).html == "<p>AAAA</p>"


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("a < b", "a < b"),
        ("R&D", "R&D"),
        ("<b>a</b> b", "a b"),
        ("a &amp; b", "a & b"),
        (" a\n b ", "a b"),
        ("<p> </p>", None),
        ("", None),
    ],
)
def test_titles_are_text(markup: str, text: str | None) -> None:
    assert plain_text(markup) == text


def test_bare_ampersands_and_html_names_are_mended() -> None:
    found = entries(
        "<rss><channel><item><title>R&D caf&eacute; &nbsp; x &unknown; &AMP; &#233; Q&A</title><link>/?a=1&b=2</link>"
        "<description><![CDATA[a &nbsp; b & c]]></description></item></channel></rss>"
    )
    assert found[0].headline == "R&D café x &unknown; & é Q&A"
    assert found[0].url == "https://north.example/?a=1&b=2"
    assert found[0].description == "a b & c"


def test_a_feed_that_is_cut_off_is_read_as_far_as_it_goes() -> None:
    whole = RSS.format("".join(f"<item><title>{n}</title><link>/{n}</link></item>" for n in range(5)))
    assert [each.headline for each in entries(whole[: whole.index("<title>3")])][:3] == ["0", "1", "2"]


def declared(charset: str) -> str:
    return f'<?xml version="1.0" encoding="{charset}"?><rss><channel><item><title>Café</title></item></channel></rss>'


@pytest.mark.parametrize(
    ("data", "charset"),
    [
        (declared("iso-8859-1").encode("latin-1"), None),
        (declared("utf-8").encode("latin-1"), "iso-8859-1"),
        (declared("iso-8859-1").encode(), "us-ascii"),
        (("\ufeff" + declared("utf-16")).encode("utf-16-le"), None),
        (("\n " + declared("utf-8")).encode(), None),
    ],
)
def test_a_charset_wrongly_named_does_no_harm(data: bytes, charset: str | None) -> None:
    assert [each.headline for each in entries(data, charset)] == ["Café"]


def bomb(root: str) -> str:
    names = "".join(f'<!ENTITY {chr(98 + n)} "{("&" + chr(97 + n) + ";") * 10}">' for n in range(9))
    return f'<!DOCTYPE rss [<!ENTITY a "lollollol">{names}]>{root}'


@pytest.mark.parametrize(
    "root",
    [
        "<rss><channel><item><title>&j;</title></item></channel></rss>",
        '<rss version="&j;"><channel><item><title>T</title></item></channel></rss>',
        "<rss><channel><item><title>&j;</title></item><item><title>T & U</title></item></channel></rss>",
    ],
)
def test_entities_are_not_expanded(root: str) -> None:
    began = time.process_time()
    try:
        found = entries(bomb(root))
    except Rejected as error:
        assert error.reason is RejectReason.UNKNOWN_FORMAT  # noqa: PT017 -- either is fine
    else:
        assert sum(len(each.headline or "") for each in found) < 100
    assert time.process_time() - began < 1


def test_files_are_not_read(tmp_path: Any) -> None:
    (tmp_path / "secret").write_text("secret")
    uri = (tmp_path / "secret").as_uri()
    feed = (
        f'<!DOCTYPE rss [<!ENTITY x SYSTEM "{uri}">]><rss><channel><item><title>a &x; b</title></item></channel></rss>'
    )
    assert "secret" not in (entry(feed).headline or "").replace(uri, "")


@pytest.mark.parametrize(
    "unit", ["<", "&", "<![CDATA[", "<!--", "<a ", "<b>", "<?", "<!A ", '<a b="', "&lt;b ", "<!DOCTYPE [", "]]>"]
)
def test_a_hostile_feed_costs_no_more_than_its_length(unit: str) -> None:
    began = time.process_time()
    try:
        entries("<rss><channel><item><title>x</title><description>" + unit * (200_000 // len(unit)))
    except Rejected as error:
        assert error.reason is RejectReason.UNKNOWN_FORMAT  # noqa: PT017 -- either is fine
    assert time.process_time() - began < 3


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"<html><body>Not here</body></html>", RejectReason.UNKNOWN_FORMAT),
        (b"<opml><body/></opml>", RejectReason.UNKNOWN_FORMAT),
        (b"nothing of the kind", RejectReason.UNKNOWN_FORMAT),
        (b'{"items": []}', RejectReason.UNKNOWN_FORMAT),
        (b'{"version": "https://jsonfeed.org/version/1"', RejectReason.BAD_JSON),
        (b"", RejectReason.EMPTY),
        (b" \n ", RejectReason.EMPTY),
        (b"<rss>\0</rss>", RejectReason.BAD_ENCODING),
    ],
)
def test_what_is_no_feed_is_told(data: bytes, reason: RejectReason) -> None:
    with pytest.raises(Rejected) as refused:
        entries(data)
    assert refused.value.reason is reason


def test_a_feed_of_too_many_entries_gives_the_first_and_counts_the_rest() -> None:
    feed = RSS.format("".join(f"<item><title>{n}</title></item>" for n in range(MOST_ENTRIES + 7)))
    parsed = parse_feed(feed.encode(), FEED)
    assert (len(parsed.entries), parsed.left_out) == (MOST_ENTRIES, 7)
    assert parsed.entries[0].headline == "0"


def test_a_feed_without_entries_is_a_feed() -> None:
    assert entries(RSS.format("")) == ()
