"""The phrase pack as data."""

import tomllib
from importlib import resources

import pyarrow as pa
import pytest

from schemas.labels import Label
from transforms.clean.phrases import phrase_of

PACK = tomllib.loads((resources.files("transforms.clean") / "data" / "phrases.toml").read_text("utf-8"))


def test_every_rule_says_why() -> None:
    assert all(len(entry["reason"]) >= 9 for entry in PACK["rule"] + PACK["block"])


def test_names_are_unique() -> None:
    names = [entry["name"] for entry in PACK["rule"] + PACK["block"]]
    assert len(names) == len(set(names))


def test_there_is_a_bit_for_every_rule() -> None:
    assert len(PACK["rule"]) <= 59


def test_a_rule_has_no_unknown_fields() -> None:
    known = {
        "name",
        "label",
        "where",
        "pattern",
        "cues",
        "words",
        "open",
        "edge",
        "plain",
        "address",
        "cased",
        "reason",
    }
    assert all(set(entry) <= known for entry in PACK["rule"])
    assert {Label(entry.get("label", "furniture")) for entry in PACK["rule"]} <= {
        Label.FURNITURE,
        Label.CAPTION,
        Label.CREDIT,
    }


@pytest.mark.parametrize("entry", PACK["rule"], ids=lambda entry: entry["name"])
def test_a_rule_without_cue_words_only_asks_short_lines(entry: dict[str, object]) -> None:
    assert entry["cues"] or int(str(entry.get("words", 40))) <= 25


def test_patterns_are_cheap_on_hostile_lines() -> None:
    hostile = "share " * 300 + "x"
    for entry in PACK["rule"]:
        pa.compute.match_substring_regex(pa.array([hostile]), f"(?i:{entry['pattern']})")


def test_a_rule_can_be_asked_about_one_line() -> None:
    assert phrase_of("Sign up for our newsletter") == "newsletter"
    assert phrase_of("The sea was calm.") is None
