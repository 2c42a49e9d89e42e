"""Small invented articles as CLEAN blocks."""

import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from schemas.blocks import CLEAN, BlockRef, new_block, store
from schemas.ids import stable_hash

Article = dict[str, Any]
Blocks = Callable[..., list[BlockRef]]
_SYLLABLES = ["ba", "de", "fi", "go", "hu", "ka", "le", "mi", "no", "pu", "ra", "se", "ti", "vo", "zu"]


@pytest.fixture
def prose() -> Callable[..., str]:
    """Make paragraphs of invented words, the same for the same seed."""

    def make(seed: int, paragraphs: int = 4, words: int = 60) -> str:
        draw = random.Random(seed)
        word = ["".join(draw.choice(_SYLLABLES) for _ in range(3)) for _ in range(paragraphs * words)]
        return "\n".join(" ".join(word[start : start + words]) + "." for start in range(0, len(word), words))

    return make


@pytest.fixture
def blocks_of(tmp_path: Path) -> Blocks:
    """Store articles as clean blocks of `rows`; an article gives `id`, `text` and what else it wants."""

    def make(articles: list[Article], rows: int = 1024) -> list[BlockRef]:
        refs = []
        for start in range(0, len(articles), rows):
            table = _clean_table(articles[start : start + rows])
            refs.append(new_block(str(tmp_path), table.num_rows))
            store(table, refs[-1].part("articles"))
        return refs

    return make


def _clean_table(articles: Iterable[Article]) -> pa.Table:
    rows = []
    for position, article in enumerate(articles):
        row: Article = {
            "article_id": stable_hash("test", article["id"]),
            "identity": 0,
            "source_uri": "test",
            "position": position,
            "source_id": article["id"],
            "captions": [],
            "credits": [],
            "removed": [],
            "words": len(article["text"].split()),
        }
        row.update({name: value for name, value in article.items() if name != "id"})
        rows.append({field.name: row.get(field.name) for field in CLEAN})
    return pa.Table.from_pylist(rows, schema=CLEAN)
