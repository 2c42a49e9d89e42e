"""What would turn the verdict on a pair."""

import pytest

from pipeline.verdict import bands_met, side_by_side, what_would_turn_it
from transforms.cluster.copies import CopyOptions
from transforms.match.options import MatchOptions

OPTIONS = CopyOptions()
PAIR = {"score": 0.3, "shared_words": 100, "left_coverage": 0.3, "right_coverage": 0.3}


def test_a_pair_just_under_the_edge_needs_a_few_more_shared_words() -> None:
    said = what_would_turn_it(PAIR, OPTIONS, together=False)
    assert said.startswith("Score 0.300, strict edge 0.33: it would take about 10 more shared words")


def test_an_attributed_pair_over_the_edge_says_what_the_attribution_costs() -> None:
    pair = PAIR | {"left_coverage": 0.4, "right_coverage": 0.4}
    said = what_would_turn_it(pair, OPTIONS, together=False)
    assert "no attribution of what is shared (it costs 0.100)" in said


def test_a_copy_says_how_many_words_hold_it() -> None:
    pair = PAIR | {"score": 0.46, "left_coverage": 0.46, "right_coverage": 0.46}
    assert "about 50 fewer shared words would part them" in what_would_turn_it(pair, OPTIONS, together=True)


def test_versions_of_one_page_are_one_copy_whatever_they_share() -> None:
    assert "one address" in what_would_turn_it(PAIR | {"score": 1.0}, OPTIONS, together=True)


def test_a_copy_through_others_says_so() -> None:
    assert "through others" in what_would_turn_it(PAIR | {"score": 0.1}, OPTIONS, together=True)


def test_a_passage_is_shown_as_both_sides_write_it() -> None:
    (both,) = side_by_side(["The mayor’s plan"], "Critics say: the Mayors  PLAN, they said.")
    assert both == {"left": "The mayor’s plan", "right": "the Mayors  PLAN"}
    assert side_by_side(["nowhere to be found"], "Another text.") == [{"left": "nowhere to be found", "right": None}]


@pytest.mark.parametrize(("other", "met"), [("same", 128), ("different", 0)])
def test_equal_texts_meet_in_every_band_and_unlike_ones_in_none(other: str, met: int) -> None:
    text = " ".join(f"word{n}" for n in range(80))
    right = text if other == "same" else text.replace("word", "term")
    assert len(bands_met(text, right, MatchOptions())) == met
