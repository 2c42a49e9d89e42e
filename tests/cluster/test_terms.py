"""Terms are cut where characters begin, whatever the text."""

from itertools import accumulate

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from transforms.cluster.terms import cut, tokenise

_ALIKE = "aZ5.,'’s -山川がア。한е́é̈ßŁ𠮷😀\u200d\u3000Ａ\u00a0\n"  # of each kind that the tokeniser tells apart
_TEXT = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(_ALIKE), max_size=120)


def pieces(*texts: str, limit: int = 1000) -> list[str]:
    column = pa.array(texts, pa.string())
    found = tokenise(column, limit)
    return [piece.as_py() for piece in cut(column, found.starts, found.stops)]


@pytest.mark.parametrize("text", ["山7川", "山x川", "2024年5月3日", "山’川"])
def test_characters_that_something_stands_between_are_no_pair(text: str) -> None:
    assert pieces(text) == (["2024"] if "2024" in text else [])


def test_a_pair_of_characters_is_cut_where_it_stands() -> None:
    assert pieces("山7川路", "x山川x路山") == ["川路", "山川", "路山"]


@given(st.lists(_TEXT, min_size=1, max_size=4), st.integers(1, 12))
@example(["山7川"], 12)
def test_terms_begin_and_end_between_characters_of_their_own_text(texts: list[str], limit: int) -> None:
    column = pa.array(texts, pa.string())
    found = tokenise(column, limit)
    ends = accumulate((len(character.encode()) for text in texts for character in text), initial=0)
    assert {*found.starts.tolist(), *found.stops.tolist()} <= set(ends)
    cut(column, found.starts, found.stops).validate(full=True)
    at = 0
    for number, text in enumerate(texts):
        size = len(text.encode())
        mine = slice(found.offsets[number], found.offsets[number + 1])
        assert mine.stop - mine.start <= limit + 1  # a word and the pair behind it
        for start, stop in zip(found.starts[mine], found.stops[mine], strict=True):
            assert at <= start < stop <= at + size
        at += size
