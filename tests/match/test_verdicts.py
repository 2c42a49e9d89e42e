"""What `explain` says would turn a verdict is what comparing then finds."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.verdict import what_would_turn_it
from schemas.blocks import BlockRef
from transforms.cluster.copies import CopyOptions
from transforms.match.alignment import ATTRIBUTION, unattributed_score
from transforms.match.bare import match_blocks
from transforms.match.options import MatchOptions

Blocks = Callable[..., list[BlockRef]]
Prose = Callable[..., str]
OPTIONS = CopyOptions()


@pytest.fixture
def compared(blocks_of: Blocks, prose: Prose, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Compare an article with one that has its first `shared` words, then some of its own."""
    wire = prose(1, 1, 600).split()

    def compare(shared: int, own: int = 300, cue: str = "") -> dict[str, Any]:
        text = f"{' '.join(wire[:shared])}\n{prose(2, 1, own)}"
        refs = blocks_of([{"id": "wire", "text": " ".join(wire)}, {"id": "other", "text": f"{cue}{text}"}])
        (pair,) = match_blocks(refs, MatchOptions(), str(tmp_path)).to_pylist()
        return pair

    return compare


@pytest.mark.parametrize(("shared", "own"), [(150, 500), (250, 300), (250, 20), (500, 60)])
def test_the_score_is_what_both_coverages_say(compared: Callable[..., dict[str, Any]], shared: int, own: int) -> None:
    pair = compared(shared, own)
    assert pair["score"] == pytest.approx(unattributed_score(pair["left_coverage"], pair["right_coverage"]), abs=1e-5)


@pytest.mark.parametrize(("shared", "own"), [(100, 200), (100, 300), (100, 700)])
def test_as_many_more_shared_words_as_it_says_make_a_copy(
    compared: Callable[..., dict[str, Any]], shared: int, own: int
) -> None:
    pair = compared(shared, own)
    words = _words(what_would_turn_it(pair, OPTIONS, together=False), "more")
    assert pair["score"] < OPTIONS.strict
    for share, over in ((0.9, False), (1.1, True)):  # what is shared more was the other's own before
        turned = compared(shared + round(share * words), own - round(share * words))
        assert (turned["score"] >= OPTIONS.strict) == over


def test_attribution_costs_what_it_says(compared: Callable[..., dict[str, Any]]) -> None:
    plain, attributed = compared(230), compared(230, cue="According to the Daily Bugle, ")
    missing = unattributed_score(attributed["left_coverage"], attributed["right_coverage"]) - attributed["score"]
    assert plain["score"] > OPTIONS.strict > attributed["score"]
    assert 0.05 < missing <= ATTRIBUTION + 1e-6
    said = what_would_turn_it(attributed, OPTIONS, together=False)
    assert f"no attribution of what is shared (it costs {missing:.3f})" in said


@pytest.mark.parametrize("own", [100, 300])
def test_as_many_fewer_shared_words_as_it_says_part_two_articles(
    compared: Callable[..., dict[str, Any]], own: int
) -> None:
    words = _words(what_would_turn_it(compared(500, own), OPTIONS, together=True), "fewer")
    assert compared(500 - round(0.9 * words), own + round(0.9 * words))["score"] >= OPTIONS.cut
    assert compared(500 - round(1.1 * words), own + round(1.1 * words))["score"] < OPTIONS.cut


def _words(said: str, kind: str) -> int:
    found = re.search(rf"about (\d+) {kind} shared words", said)
    assert found, said
    return int(found[1])
