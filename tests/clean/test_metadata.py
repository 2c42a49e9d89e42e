"""Metadata are chosen by agreement of their sources."""

from datetime import UTC, datetime

import pytest
from selectolax.lexbor import LexborHTMLParser

from transforms.clean.declared import read_declared
from transforms.clean.metadata import Metadata, choose_metadata


def read(head: str, linked_data: str = "", headings: tuple[str, ...] = (), dates: tuple[str, ...] = ()) -> Metadata:
    tree = LexborHTMLParser(f"<html lang='en-GB'><head>{head}</head><body><p>x</p></body></html>")
    declared = read_declared(tree, [linked_data.encode()] if linked_data else [])
    return choose_metadata(declared, tree, list(headings), list(dates), "https://bay.example/a?utm_source=x")


def test_the_site_name_is_cut_off_a_title() -> None:
    head = "<title>Fog closes the bay - The Bay Post</title><meta property='og:site_name' content='The Bay Post'>"
    assert read(head).headline == "Fog closes the bay"


@pytest.mark.parametrize(
    "title",
    [
        "Fog closes the bay - bay.example",
        "Fog closes the bay | Bay",
        "BAY: Fog closes the bay",
        "Fog closes the bay » Local news | The Bay Post",
    ],
)
def test_the_domain_and_the_names_of_sections_are_cut_off_a_title(title: str) -> None:
    head = f"<meta property='og:title' content='{title}'>"
    assert read(head, headings=("Fog closes the bay",)).headline == "Fog closes the bay"


def test_a_section_before_the_site_stays_unless_a_headline_lacks_it() -> None:
    head = "<meta property='og:site_name' content='Bay Post'><title>Fog - what it means | Bay Post</title>"
    assert read(head).headline == "Fog - what it means"


def test_a_headline_made_for_sharing_yields_to_the_shown_one() -> None:
    head = "".join(f"<meta name='{name}' content='Why this fog matters'>" for name in ("og:title", "twitter:title"))
    linked = '{"@type": "NewsArticle", "headline": "Fog closes the bay"}'
    assert read(head, linked, headings=("Fog closes the bay",)).headline == "Fog closes the bay"


def test_a_headline_is_printed_with_its_typeset_marks() -> None:
    head = "<meta property='og:title' content='The bay&#39;s fog - again'>"
    assert read(head, headings=("The bay\u2019s fog \u2013 again",)).headline == "The bay\u2019s fog \u2013 again"


def test_a_suffix_that_no_other_source_lacks_stays() -> None:
    assert read("<meta property='og:title' content='Fog - and what it means'>").headline == "Fog - and what it means"


def test_sources_that_agree_outvote_a_single_one() -> None:
    head = "<meta name='twitter:title' content='You will not believe this fog'><title>Fog closes the bay</title>"
    linked = '{"@type": "NewsArticle", "headline": "Fog closes the bay"}'
    assert read(head, linked, headings=("Fog closes the bay",)).headline == "Fog closes the bay"


def test_a_time_with_a_zone_outvotes_the_same_wall_clock_without() -> None:
    linked = '{"@type": "NewsArticle", "datePublished": "2024-03-05T09:00:00"}'
    page = read("<meta property='article:published_time' content='2024-03-05T09:00:00+01:00'>", linked)
    assert page.date_published == datetime(2024, 3, 5, 8, 0, tzinfo=UTC)
    assert page.date_source == "page:meta"


def test_a_shown_date_is_the_last_resort_and_none_is_none() -> None:
    assert read("", dates=("5 March 2024",)).date_published == datetime(2024, 3, 5, tzinfo=UTC)
    assert read("").date_published is None
    assert read("").date_source is None


@pytest.mark.parametrize(
    ("shown", "expected", "source"),
    [
        ((), datetime(2024, 3, 5, tzinfo=UTC), "page:address"),
        (
            ("1 March 2024", "Tuesday 5 March 2024, 09:10"),
            datetime(2024, 3, 5, 9, 10, tzinfo=UTC),
            "page:address+shown",
        ),
        (("1 March 2024",), datetime(2024, 3, 5, tzinfo=UTC), "page:address"),
    ],
)
def test_a_day_in_the_address_comes_before_a_shown_one(shown: tuple[str, ...], expected: datetime, source: str) -> None:
    page = read("<link rel='canonical' href='https://bay.example/2024/03/05/fog'>", dates=shown)
    assert (page.date_published, page.date_source) == (expected, source)


def test_a_person_comes_before_the_site_and_before_an_account() -> None:
    site = "<meta property='og:site_name' content='The Bay Post'>"
    linked = '{"@type": "NewsArticle", "author": {"@type": "Organization", "name": "The Bay Post"}}'
    assert read(site + "<meta name='author' content='Ann Example'>", linked).authors == ["Ann Example"]
    assert read(site, linked).authors == ["The Bay Post"]
    metas = "<meta name='author' content='Ann Example'><meta name='parsely-author' content='ann-example'>"
    assert read(metas).authors == ["Ann Example"]


@pytest.mark.parametrize(
    ("author", "names"),
    [
        ('{"@type": "Person", "name": "Ann Example"}', ["Ann Example"]),
        ('[{"name": "Ann Example"}, {"name": "Bob Sample"}]', ["Ann Example", "Bob Sample"]),
        ('"By Ann Example and Bob Sample"', ["Ann Example", "Bob Sample"]),
        ('{"@type": "Person", "givenName": "Ann", "familyName": "Example"}', ["Ann Example"]),
        ('{"name": "Ann Example und Bob Sample, dpa"}', ["Ann Example", "Bob Sample", "dpa"]),
        ('"https://bay.example/ann"', []),
    ],
)
def test_authors_are_names(author: str, names: list[str]) -> None:
    assert read("", f'{{"@type": "NewsArticle", "author": {author}}}').authors == names


def test_a_graph_and_raw_line_breaks_in_linked_data_are_read() -> None:
    linked = '{"@graph": [{"@type": "WebSite"}, {"@type": "NewsArticle", "headline": "Fog closes\nthe bay"}]}'
    assert read("", linked).headline == "Fog closes the bay"


def test_broken_linked_data_loses_nothing_else() -> None:
    page = read("<meta property='og:title' content='Fog'><link rel='canonical' href='https://bay.example/a'>", "{nope")
    assert (page.headline, page.canonical_url, page.language) == ("Fog", "https://bay.example/a", "en")


def test_half_a_surrogate_pair_in_linked_data_is_replaced() -> None:
    linked = """{"@type": "NewsArticle", "headline": "Fog closes \\ud83d", "author": {"name": "Ada \\udc00 Moss"},
        "articleSection": "Bay \\ud800", "keywords": ["fog \\ud800"], "description": "Fog. \\ud83d"}"""
    page = read("", linked)
    assert page.headline == "Fog closes \ufffd"
    assert page.authors == ["Ada \ufffd Moss"]
    assert (page.section, page.keywords, page.description) == ("Bay \ufffd", ["fog \ufffd"], "Fog. \ufffd")


def test_linked_data_that_nests_too_deep_says_nothing() -> None:
    deep = "[" * 1000 + "]" * 1000
    linked = f'{{"@type": "NewsArticle", "headline": {deep}, "author": {deep}, "datePublished": {deep}}}'
    assert read("<title>Fog</title>", linked).headline == "Fog"
