"""What a pattern cannot match without."""

import re
import tomllib
from importlib import resources

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.clean.literals import necessary
from transforms.clean.phrases import EDGE_LINES, MOST_CHARACTERS, NO_RULE, find_cues
from transforms.clean.textlines import COLON, ELLIPSIS, NO_END, Lines, split_lines

PACK = tomllib.loads((resources.files("transforms.clean") / "data" / "phrases.toml").read_text("utf-8"))
PIECES = sorted(
    {piece for entry in PACK["rule"] for piece in re.findall(r"[\w’']+(?: [\w’']+)*", entry["pattern"])}
    | {word for entry in PACK["rule"] for word in entry["cues"].split()}
)
SIGNS = [" ", " ", " ", ": ", ". ", "/", "@", "(", ")", "-", "?", "“", "”", "ſ", "\u212a", "1", "2020"]


@pytest.mark.parametrize(
    ("pattern", "literals"),
    [
        ("(?i:read (?:more|also))", {"read more", "read also"}),
        (r"\bsign(?:ed)? up\b[^.]*\bnewsletters?\b", {"newsletter"}),
        (r"(?:\d+ )?comments?", {"comment", "comments"}),
        ("colou?r|gr[ae]y", {"color", "colour", "gray", "grey"}),
        ("[a-z]+|©", {""}),
        ("(?i)é[xy]?z", {"xz", "yz", "z"}),
        ("(?:ab)+c", {"ab"}),
        ("a{0,2}b", {"b"}),
    ],
)
def test_the_rarest_strings_that_a_match_needs_are_found(pattern: str, literals: set[str]) -> None:
    assert necessary(pattern) == literals


def test_a_literal_is_cut_where_it_says_enough() -> None:
    assert necessary("a very long literal") == {"a very lon"}


@settings(max_examples=20)
@given(st.lists(st.tuples(st.sampled_from(PIECES), st.sampled_from(SIGNS)), min_size=1, max_size=9))
def test_rules_find_what_they_find_when_every_line_is_asked(words: list[tuple[str, str]]) -> None:
    text = "".join(piece + sign for piece, sign in words)
    lines = split_lines(pa.array([text, text.upper(), text.title()]))
    assert find_cues(lines, np.ones(len(lines.row), np.int32)).rule.tolist() == asked_of_all(lines)


def asked_of_all(lines: Lines) -> list[int]:
    """The first rule for each line, every condition and pattern tried."""
    rules = find_cues(lines, np.ones(len(lines.row), np.int32)).rules[: len(PACK["rule"])]
    found = np.full(len(lines.row), NO_RULE)
    unfinished = np.isin(lines.column("ending"), (NO_END, COLON, ELLIPSIS))
    for index, rule in reversed(list(enumerate(rules))):
        may = (lines.column("words") <= rule.words) & (lines.column("characters") <= MOST_CHARACTERS)
        may &= (lines.cues >> np.uint64(index)) & np.uint64(1) != 0 if rule.cued else True
        may &= unfinished if rule.open else True
        may &= (lines.column("quotes") == 0) if rule.plain else True
        may &= (lines.column("address") > 0) if rule.address else True
        may &= lines.number < EDGE_LINES if rule.edge else True
        matches = pc.match_substring_regex(lines.text, rule.pattern).to_numpy(zero_copy_only=False)
        found[may & matches.astype(bool)] = index
    return found.tolist()


def test_letters_that_fold_to_ascii_are_not_missed() -> None:
    lines = split_lines(pa.array(["Clic\u212a here for more on the harbour"]))
    cues = find_cues(lines, np.ones(1, np.int32))
    assert cues.rule.tolist() == asked_of_all(lines)
    assert cues.rules[cues.rule[0]].name == "click-here"
