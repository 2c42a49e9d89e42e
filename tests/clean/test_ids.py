"""Ids of articles rest on text in normal form C, however that was found."""

import unicodedata

from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.ids import article_id, composed


@settings(max_examples=30)
@given(st.text(st.characters(codec="utf-8"), max_size=30))
@example("e\u0301 \u0439 \u2003\u2000 \u2011\u20ac \uac00\u11a8 \u65b0 \U0001f600\u0300")
def test_utf8_is_composed_as_its_characters_are(text: str) -> None:
    assert composed(text.encode()) == unicodedata.normalize("NFC", text).encode()


def test_every_character_but_the_surrogates_is_composed_as_unicode_says() -> None:
    for plane in range(0, 0x30000, 0x1000):
        points = [point for point in range(plane, plane + 0x1000) if not 0xD800 <= point < 0xE000]
        text = " ".join(map(chr, points))
        assert composed(text.encode()) == unicodedata.normalize("NFC", text).encode()


def test_an_id_is_the_same_from_text_and_from_its_utf8() -> None:
    text = "<p>Cafe\u0301 \u2013 caf\u00e9</p>"
    assert article_id("a", "b", text) == article_id("a", "b", text.encode())
    assert article_id("a", "b", text) == article_id("a", "b", unicodedata.normalize("NFC", text))
