"""Settings of matching that make no sense are refused."""

from typing import Any

import pytest

from transforms.match.options import FURNITURE_BIT, MatchOptions, SignatureRule


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"bands": 100}, "bands must divide the 256 permutations"),
        ({"bands": 0}, "bands must be 1 or more"),
        ({"key_buckets": 12}, "key_buckets must be a power of two"),
        ({"key_buckets": 0}, "key_buckets must be 1 or more"),
        ({"furniture_articles": 1}, "furniture_articles must be 2 or more"),
        ({"max_frequency": 1}, "max_frequency must be 2 or more"),
        ({"min_evidence": 0}, "min_evidence must be 1 or more"),
        ({"quote_words": 7}, "quote_words must be 8 or more"),
        ({"hot_articles": 0}, "hot_articles must be 1 or more"),
        ({"passages": -1}, "passages must be 0 or more"),
        ({"passage_least": 0}, "passage_least must be 1 or more"),
        ({"passage_words": 0}, "passage_words must be 1 or more"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named_with_what_is_allowed(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MatchOptions(**values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"scheme": "mersenne61"}, "scheme must be 'affine32'"),
        ({"shingle": "words-3"}, "shingle must be 'fold-words-5'"),
        ({"seed": -1}, "seed must be within"),
        ({"permutations": 0}, "permutations must be 1 or more"),
    ],
)
def test_a_rule_that_the_kernels_do_not_follow_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SignatureRule(**values)


def test_bands_are_held_against_the_permutations_that_are_set() -> None:
    assert MatchOptions(signature=SignatureRule(permutations=200), bands=100).bands == 100


def test_furniture_is_above_the_cap_on_evidence_however_large_it_is_set() -> None:
    assert MatchOptions(max_frequency=10**6).frequency_cap < FURNITURE_BIT - 1
