"""Snippets out of feeds and records."""

import pytest

from schemas.errors import Rejected, RejectReason
from schemas.labels import Label
from transforms.clean.fragments import is_fragment, read_fragment, select_out
from transforms.clean.page import PageLimits

LIMITS = PageLimits()
SNIPPET = (
    "<p>The ferry <a href='/a'>left early</a> &amp; came late.<br>Nobody complained.</p>"
    "<ul><li><a href='/b'>Ten more ferries</a></li></ul><figure><figcaption>The pier at noon</figcaption></figure>"
)


def test_a_snippet_is_told_from_a_page() -> None:
    assert is_fragment(SNIPPET)
    assert not is_fragment("<!DOCTYPE html><html><body><p>x</p></body></html>")


def test_inline_markup_is_joined_and_breaks_end_a_line() -> None:
    texts = [line.text for line in read_fragment(SNIPPET, None, LIMITS).lines]
    assert texts == [
        "The ferry left early & came late.",
        "Nobody complained.",
        "Ten more ferries",
        "The pier at noon",
    ]


def test_a_line_that_is_all_link_is_furniture_and_a_caption_a_caption() -> None:
    labels = [line.label for line in read_fragment(SNIPPET, None, LIMITS).lines]
    assert labels == [Label.BODY, Label.BODY, Label.FURNITURE, Label.CAPTION]


def test_a_snippet_of_links_alone_keeps_them_and_says_so() -> None:
    page = read_fragment("<a href='/a'>One ferry</a>", None, LIMITS)
    assert [line.label for line in page.lines] == [Label.BODY]
    assert page.quality_flags == ["fragment:all-links"]


def test_a_snippet_without_text_is_rejected() -> None:
    with pytest.raises(Rejected) as error:
        read_fragment("<p> </p>", None, LIMITS)
    assert error.value.reason is RejectReason.NO_BODY


def test_configured_selectors_are_cut_out() -> None:
    cut = select_out("<div><p>Kept.</p><p class='promo'>Buy.</p></div>", [".promo"])
    assert "Kept." in cut
    assert "Buy." not in cut
