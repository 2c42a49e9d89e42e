"""Ids of articles: what they depend on, and what not."""

import unicodedata

import pytest

from schemas.ids import article_id, format_id, parse_id


def test_an_id_does_not_depend_on_the_unicode_form_of_the_text() -> None:
    text = "Cafe\u0301 \u2013 caf\u00e9"
    assert article_id("a", text, text) == article_id("a", text, unicodedata.normalize("NFC", text))
    assert article_id("a", text, text) != article_id("a", text, text + "s")


def test_a_page_is_taken_byte_for_byte() -> None:
    page = "<p>Cafe\u0301</p>"
    assert article_id("a", "b", page.encode()) != article_id("a", "b", unicodedata.normalize("NFC", page).encode())
    assert article_id("a", "b", page.encode()) == article_id("a", "b", page.encode())


@pytest.mark.parametrize("text", ["abc", "zzzzzzzzzzzzzzzz", "+00000000000000f", "0_000000000000_f"])
def test_what_is_no_id_is_told_what_an_id_is(text: str) -> None:
    with pytest.raises(ValueError, match="expected 16 hexadecimal digits"):
        parse_id(text)
    assert parse_id(format_id(255)) == 255
