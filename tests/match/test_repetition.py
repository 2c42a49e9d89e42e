"""A text that repeats itself costs no more than another of its length."""

import time
from collections.abc import Callable
from pathlib import Path

from schemas.blocks import BlockRef
from transforms.match.bare import match_blocks
from transforms.match.options import MatchOptions

_TIMES = 60_000
_SECONDS = 2.0  # of CPU; 6 to 15 when the places of a gram were searched from the first one


def test_a_word_repeated_without_end_is_compared_in_time_linear_in_the_length(
    blocks_of: Callable[..., list[BlockRef]], prose: Callable[..., str], tmp_path: Path
) -> None:
    match_blocks(
        blocks_of([{"id": name, "text": prose(1)} for name in "ab"]), MatchOptions(), str(tmp_path)
    )  # compiles
    blocks = blocks_of([{"id": name, "text": "spam " * _TIMES + prose(ord(name))} for name in "ab"])
    before = time.process_time()
    pairs = match_blocks(blocks, MatchOptions(), str(tmp_path))
    assert time.process_time() - before < _SECONDS
    assert pairs["longest_run"].to_pylist() == [_TIMES]
