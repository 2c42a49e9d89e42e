"""A text that repeats itself is one text, and what it repeats is no crowd."""

from collections.abc import Callable
from pathlib import Path

from schemas.blocks import BlockRef, load
from transforms.match.bare import match_blocks
from transforms.match.keys import BAND_BIT
from transforms.match.options import MatchOptions
from transforms.match.signing import count_stored, sign_block, split_block, store_answers, store_documents

_TIMES = 60_000


def test_a_word_repeated_without_end_is_one_run(  # how often it is searched for: tests/match/test_runs.py
    blocks_of: Callable[..., list[BlockRef]], prose: Callable[..., str], tmp_path: Path
) -> None:
    blocks = blocks_of([{"id": name, "text": "spam " * _TIMES + prose(ord(name))} for name in "ab"])
    pairs = match_blocks(blocks, MatchOptions(), str(tmp_path))
    assert pairs["longest_run"].to_pylist() == [_TIMES]


def test_a_passage_that_one_article_repeats_is_not_taken_for_many_articles(
    blocks_of: Callable[..., list[BlockRef]], prose: Callable[..., str], tmp_path: Path
) -> None:
    options, passage = MatchOptions(), prose(1, 1, 30)
    texts = {name: "\n".join(f"{passage} {prose(ord(name) * 300 + n, 1, 5)}" for n in range(250)) for name in "abc"}
    refs = blocks_of([{"id": name, "text": text} for name, text in texts.items()])
    documents = store_documents([split_block(ref, 4) for ref in refs], str(tmp_path))
    answers = [count_stored(bucket, documents, options, str(tmp_path)) for bucket in range(4)]
    frequencies = store_answers(answers, str(tmp_path))
    keys = load(sign_block(refs[0], documents, frequencies, options).part("keys"))
    assert len(set(zip(keys["key"].to_pylist(), keys["row"].to_pylist(), strict=True))) == keys.num_rows
    assert keys.filter(keys["key"].to_numpy() < BAND_BIT).num_rows > 0


def test_what_an_outlet_is_known_to_have_told_before_makes_no_copy(
    blocks_of: Callable[..., list[BlockRef]], prose: Callable[..., str], tmp_path: Path
) -> None:
    history, options = prose(1, 3), MatchOptions()
    made = [{"id": name, "outlet": name, "text": f"{prose(n, 2)}\n{history}"} for n, name in enumerate("ab", 2)]
    (score,) = match_blocks(blocks_of(made), options, str(tmp_path))["score"].to_pylist()
    told = [made[0] | {"line_stories": [0, 0, *[options.furniture_articles] * 3]}, made[1]]
    assert score > 0.3
    assert match_blocks(blocks_of(told), options, str(tmp_path)).num_rows == 0
