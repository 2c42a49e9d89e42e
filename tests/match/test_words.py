"""Words as numbers."""

import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.build_characters import character_tables
from transforms.match import words
from transforms.match.words import (
    CUE,
    DIGIT,
    LISTED,
    PARAGRAPH,
    POSTED,
    QUOTED,
    RETURNS,
    Words,
    flag_returning,
    split_words,
)


def _split(text: str) -> list[tuple[str, int]]:
    words = split_words(pa.array([text]))
    data = text.encode()
    return [
        (data[at : at + length].decode(), int(flags))
        for at, length, flags in zip(words.start, words.length, words.flags, strict=True)
    ]


def _hashes(text: str) -> list[int]:
    return split_words(pa.array([text])).hashes.tolist()


def test_words_are_runs_of_letters_and_digits_with_inner_apostrophes() -> None:
    assert [word for word, _ in _split("The mayor's plan, don’t ask: 3 of 4-ish.")] == [
        *("The", "mayor's", "plan", "don’t", "ask", "3", "of", "4", "ish"),
    ]


def test_case_accents_width_and_apostrophes_do_not_matter() -> None:
    assert _hashes("Café DON'T Ｗｉｄｅ") == _hashes("cafe dont wide") == _hashes("cafe\u0301 don’t wide")


def test_scripts_without_spaces_give_a_word_a_character() -> None:
    assert [word for word, _ in _split("東京 news ไทย")] == ["東", "京", "news", "ไ", "ท", "ย"]


def test_quotation_marks_reach_to_their_end_and_never_past_the_paragraph() -> None:
    quoted = [bool(flags & QUOTED) for _, flags in _split('He “so he said” left "in haste" now "and never\nback')]
    assert quoted == [False, True, True, True, False, True, True, False, True, True, False]
    assert [bool(flags & QUOTED) for _, flags in _split("Er „sagte dies“ laut")] == [False, True, True, False]


def test_digits_cues_and_paragraphs_are_flagged() -> None:
    words = _split("One report says 12\nThe list:\nend")
    assert [word for word, flags in words if flags & DIGIT] == ["12"]
    assert [word for word, flags in words if flags & CUE] == ["report", "list"]
    assert [word for word, flags in words if flags & PARAGRAPH] == ["One", "The", "end"]


def test_an_embedded_post_is_told_by_the_handle_and_date_it_ends_with() -> None:
    words = _split("Big news today! — A. Mayor (@mayor) May 5, 2020\nHe (@mayor) said more than that to us later on.")
    assert " ".join(word for word, flags in words if flags & POSTED) == "Big news today A Mayor mayor May 5 2020"


def test_a_short_line_without_an_end_mark_is_listed() -> None:
    words = _split("Ten best lakes\nThe lake rose.\nHe said “so”\n" + "word " * 50)
    assert [word for word, flags in words if flags & LISTED] == ["Ten", "best", "lakes"]


def test_words_of_a_line_that_its_outlet_told_before_are_flagged_where_that_is_known() -> None:
    texts = pa.array(["left out", "One two\nthree\nfour", "", "five", "six"]).slice(1)
    stories = pa.array([[3], [3, 0, 2], [], None, [4]], pa.list_(pa.int32())).slice(1)
    words = flag_returning(split_words(texts), texts, stories, least=3)
    assert [bool(flags & RETURNS) for flags in words.flags] == [True, True, False, False, False, True]


def test_a_slice_of_a_block_and_an_empty_one_are_split_alike() -> None:
    texts = pa.array(["one two", "three", "", "four five six"])
    words = split_words(texts.slice(1))
    assert words.offsets.tolist() == [0, 1, 1, 4]
    assert split_words(pa.array([], pa.string())).offsets.tolist() == [0]
    assert split_words(pa.array([""])).hashes.size == 0


@given(st.lists(st.text(), max_size=5))
@settings(max_examples=150, deadline=None)
def test_any_text_gives_words_that_lie_in_it_and_do_not_depend_on_their_neighbours(texts: list[str]) -> None:
    encodable = [text.encode("utf-8", "ignore").decode() for text in texts]
    words = split_words(pa.array(encodable, pa.string()))
    for row, text in enumerate(encodable):
        alone: Words = split_words(pa.array([text]))
        part = slice(words.offsets[row], words.offsets[row + 1])
        assert words.hashes[part].tolist() == alone.hashes.tolist()
        for at, length in zip(alone.start.tolist(), alone.length.tolist(), strict=True):
            assert text.encode()[at : at + length].decode()


def test_the_shipped_characters_are_those_of_their_unicode_version() -> None:
    if unicodedata.unidata_version != "14.0.0":
        pytest.skip("the table was built under Unicode 14.0.0, which Python 3.11 has and this one has not")
    classes, folded = words._unicode_tables()  # noqa: SLF001 -- the data under test
    built_classes, built_folded = character_tables()
    assert np.array_equal(classes, built_classes)
    assert np.array_equal(folded, built_folded)
