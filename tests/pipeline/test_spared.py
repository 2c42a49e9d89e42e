"""An article that a stage fails on costs nothing but what that stage would say of it."""

import functools
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from schemas.blocks import CLEAN, BlockRef, load, new_block, store
from schemas.spared import spared
from transforms.cluster import stories
from transforms.cluster.stories import StoryOptions, store_features
from transforms.match import signing
from transforms.match.signing import split_block
from transforms.write import cards
from transforms.write.cards import store_cards

BAD = "Bad"
Stage = Callable[[BlockRef], Any]


def articles(texts: list[str]) -> pa.Table:
    lists: dict[str, Any] = {"captions": [], "credits": [], "removed": [], "words": 3, "identity": 0}
    rows = [
        {"article_id": at, "source_uri": "in.jsonl", "position": at, "headline": text, "text": text} | lists
        for at, text in enumerate(texts)
    ]
    return pa.Table.from_pylist(rows, schema=CLEAN)


def lengths(table: pa.Table, unwanted: str = BAD) -> list[int]:
    texts = table["text"].to_pylist()
    if unwanted in texts:
        raise ValueError(unwanted)
    return [len(text) for text in texts]


@pytest.mark.parametrize("bad", [{0}, {6}, {2, 3}, set(range(7)), set()])
def test_only_the_rows_that_fail_are_blank_and_each_is_named(bad: set[int], caplog: pytest.LogCaptureFixture) -> None:
    texts = [BAD if at in bad else "Good" for at in range(7)]
    with caplog.at_level(logging.WARNING):
        assert spared("match", lengths, articles(texts)) == [0 if at in bad else 4 for at in range(7)]
    named = [record.getMessage() for record in caplog.records]
    assert named == [f"in.jsonl record {at}: match failed, it goes on without: ValueError('Bad')" for at in sorted(bad)]


@pytest.mark.parametrize("error", [MemoryError(), OSError(28, "No space left on device"), KeyError("a bug")])
def test_what_is_no_articles_fault_ends_the_run(error: Exception) -> None:
    def broken(_: pa.Table) -> None:
        raise error

    with pytest.raises(type(error)):
        spared("match", broken, articles(["Good", "Good"]))


@pytest.mark.parametrize(
    ("module", "name", "part"),
    [(cards, "cards", "cards"), (stories, "features_of", "features"), (signing, "split_words", "tokens")],
)
def test_a_block_with_an_article_that_a_stage_fails_on_is_stored_row_by_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, part: str
) -> None:
    texts = ["The harbour bridge was closed on Monday.", BAD, "Ministers met in Port Brenn."]
    stages: dict[str, Stage] = {
        "cards": store_cards,
        "features": functools.partial(store_features, options=StoryOptions()),
        "tokens": functools.partial(split_block, buckets=16),
    }
    made = []
    for fails in (False, True):
        real = getattr(module, name)

        def failing(given: Any, *rest: Any, real: Any = real, **more: Any) -> Any:
            if BAD in (given if isinstance(given, pa.Array) else given["text"]).to_pylist():
                raise ValueError(BAD)
            return real(given, *rest, **more)

        block = new_block(str(tmp_path), 3)
        store(articles(texts), block.part("articles"))
        with monkeypatch.context() as patched:
            if fails:
                patched.setattr(module, name, failing)
            stages[part](block)
        made.append(load(block.part(part)))
    others = np.array([0, 2])
    assert made[0].num_rows == made[1].num_rows == 3
    assert made[0].take(others).to_pylist() == made[1].take(others).to_pylist()
    assert made[0].slice(1, 1).to_pylist() != made[1].slice(1, 1).to_pylist()
