"""Ten thousand articles under one key: the work stays linear and the true copies inside are found."""

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.cli import main
from schemas.blocks import BlockRef
from schemas.ids import stable_hash
from transforms.match.bare import match_blocks
from transforms.match.options import MatchOptions

pytestmark = pytest.mark.whole

Blocks = Callable[..., list[BlockRef]]
MANY, COPIES = 10_000, 50
OPTIONS = MatchOptions()
STRICT = 0.33  # CopyOptions.strict


def _prose(draw: random.Random, words: int) -> str:
    return " ".join(f"{chr(97 + n % 26)}{n:x}o" for n in (draw.randrange(30_000) for _ in range(words)))


def test_fifty_copies_are_found_among_ten_thousand_articles_that_share_a_furniture_paragraph(
    blocks_of: Blocks, tmp_path: Path
) -> None:
    draw = random.Random(7)
    furniture, wire = _prose(draw, 60), _prose(draw, 100)
    articles: list[dict[str, Any]] = [
        {"id": f"copy-{n}", "outlet": f"outlet-{n}", "text": f"{wire}\n{furniture}\n{_prose(draw, 10)}"}
        for n in range(COPIES)
    ]
    articles += [
        {"id": f"own-{n}", "outlet": f"outlet-{n}", "text": f"{_prose(draw, 60)}\n{furniture}"}
        for n in range(MANY - COPIES)
    ]
    copies = {stable_hash("test", f"copy-{n}") for n in range(COPIES)}
    draw.shuffle(articles)
    pairs = match_blocks(blocks_of(articles), OPTIONS, str(tmp_path))
    strong = pairs.filter(pairs["score"].to_numpy() >= np.float32(STRICT))
    ends = list(zip(strong["left"].to_pylist(), strong["right"].to_pylist(), strict=True))
    assert all(left in copies and right in copies for left, right in ends)
    assert len(ends) == COPIES * (COPIES - 1) // 2
    assert pairs.num_rows < 2 * MANY


def test_ten_thousand_clones_make_a_pair_each_with_the_first(blocks_of: Blocks, tmp_path: Path) -> None:
    text = _prose(random.Random(3), 120)
    pairs = match_blocks(blocks_of([{"id": str(n), "text": text} for n in range(MANY)]), OPTIONS, str(tmp_path))
    first = min(stable_hash("test", str(n)) for n in range(MANY))
    assert pairs.num_rows == MANY - 1
    assert set(pairs["left"].to_pylist()) == {first}
    assert pairs["score"].to_numpy().min() == 1.0


def test_a_whole_run_says_how_many_keys_it_thinned_and_still_finds_the_copies_under_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw = random.Random(11)
    wire = _prose(draw, 120)
    copies = [f"{wire}\n{_prose(draw, 12)}" for _ in range(COPIES)]
    texts = [*copies, *(_prose(draw, 100) for _ in range(6 * COPIES))]
    articles = [{"id": str(n), "outlet": f"outlet-{n}.example", "text": text} for n, text in enumerate(texts)]
    draw.shuffle(articles)
    given, config, out = tmp_path / "in.jsonl", tmp_path / "c.toml", tmp_path / "out"
    given.write_text("".join(json.dumps(article) + "\n" for article in articles), encoding="utf-8")
    config.write_text("[match]\nhot_articles = 20\n[stories]\nenabled = false\n", encoding="utf-8")
    assert main(["run", str(given), "--output", str(out), "--config", str(config)]) == 0
    (manifest,) = (json.loads(path.read_text(encoding="utf-8")) for path in (out / "manifests").glob("*.json"))
    thinned = manifest["summary"]["thinned_keys"]
    assert thinned > 0
    assert re.search(rf"keys thinned\s+{thinned:,} ", capsys.readouterr().out)
    rows = pq.read_table(out / "current/articles", columns=["source_id", "copy_id"], partitioning=None).to_pylist()
    labels = {int(row["source_id"]): row["copy_id"] for row in rows}
    assert len({labels[n] for n in range(COPIES)}) == 1
    assert all(labels[n] != labels[0] for n in range(COPIES, len(texts)))
    assert manifest["thresholds"]["match"]["hot_articles"] == 20
