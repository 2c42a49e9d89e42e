"""What a run costs for each article that is kept: 2,000 new ones against ever more, the match side, step by step.

    python tests/benchmarks/kept.py ARTICLES [--new 2000] [--sizes 10000,40000] [--json FILE]

ARTICLES is a folder of `*.jsonl.zst` with `text` and `outlet`, as `tests/benchmarks/scale.py --folder` leaves them. The
kept ones are signed in one run, as blocks of 2,000 would be after merging. CPU seconds after the imports, with compiled
code already there; "anonymous" is the growth of memory that is not backed by a file.
"""

import argparse
import io
import itertools
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import zstandard

from pipeline.kept import with_bases
from schemas.blocks import (
    CATALOG,
    CLEAN,
    COPY_LABELS,
    STORY_LABELS,
    BlockRef,
    StoredTable,
    concat,
    load,
    new_block,
    store,
    store_new,
)
from schemas.ids import stable_hash
from schemas.state import NOTHING_KEPT, Kept, kept_articles, kept_catalog
from transforms.match.bare import catalog_of
from transforms.match.candidates import clone_pairs, group_pairs, pairs_of_bucket, unique_pairs
from transforms.match.keeping import make_block, plan_blocks, tasks_of
from transforms.match.options import GRAM_BUCKETS, MatchOptions
from transforms.match.signing import count_stored, sign_block, split_block, store_answers, store_documents
from transforms.match.verify import verified_tables
from transforms.write.keep import open_rows

OPTIONS = MatchOptions()
BLOCK = 1024


def main() -> int:
    """Measure every size, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("articles", type=Path)
    parser.add_argument("--new", type=int, default=2000)
    parser.add_argument("--sizes", default="10000,40000")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if not arguments.articles.exists():
        print(f"bench: skipped, the articles are not here ({arguments.articles})")
        return 0
    sizes = [int(size) for size in arguments.sizes.split(",")]
    articles = read(arguments.articles)
    with tempfile.TemporaryDirectory(prefix="copydesk-bench-") as name:
        folder = Path(name)
        fresh = list(itertools.islice(articles, arguments.new))
        every, known = [], Kept()
        against(blocks_of(fresh[:200], folder), NOTHING_KEPT, folder)  # compiles
        runs = {}
        for size in sizes:
            every = blocks_of(list(itertools.islice(articles, size - known_rows(known))), folder)
            known = against(every, known, folder)[1]
            new = blocks_of(fresh, folder)
            runs[size] = against(new, known, folder)[0] | {"state MB": state_bytes(known) / 1e6}
    show(runs, sizes)
    if arguments.json:
        arguments.json.write_text(json.dumps(runs, indent=1) + "\n")
    return 0


def known_rows(kept: Kept) -> int:
    """Articles that are kept."""
    return int(kept_articles(kept).num_rows)


def state_bytes(kept: Kept) -> int:
    """Size of the blocks."""
    parts = ("tokens", "signed", "keys", "grams")
    return sum(Path(ref.part(part)).stat().st_size for ref in kept.blocks for part in parts)


def against(refs: list[BlockRef], kept: Kept, folder: Path) -> tuple[dict[str, float], Kept]:
    """Match blocks of new articles with kept ones and keep them; CPU seconds by step, and what is then kept."""
    scratch, spent = str(folder), {"anonymous MB": -anonymous()}

    def timed(step: str, function: Callable[..., Any], *given: Any, **named: Any) -> Any:
        began = time.process_time()
        done = function(*given, **named)
        spent[step] = spent.get(step, 0.0) + time.process_time() - began
        return done

    documents = store_documents([timed("split", split_block, ref, GRAM_BUCKETS) for ref in refs], scratch)
    counted = range(GRAM_BUCKETS)
    answers = [timed("count", count_stored, each, documents, OPTIONS, scratch, kept) for each in counted]
    frequencies = store_answers(answers, scratch)
    signed = [timed("sign", sign_block, ref, documents, frequencies, OPTIONS, kept) for ref in refs]
    catalog = timed("catalog", stored_catalog, refs, kept, scratch)
    buckets = range(OPTIONS.key_buckets)
    hot = OPTIONS.hot_articles
    found = [timed("find", pairs_of_bucket, each, signed, catalog, hot, kept)[0] for each in buckets]
    candidates = timed("find", group_pairs, [unique_pairs([*found, clone_pairs(documents, catalog, kept)])])
    pairs = timed("verify", list, verified_tables(candidates, catalog, OPTIONS, kept))
    plan = timed("keep", plan_blocks, load(catalog.path), kept, scratch)
    blocks = tuple(ref for ref in kept.blocks if ref.base not in plan.gone)
    blocks += tuple(timed("keep", make_block, task, OPTIONS, scratch) for task in tasks_of(plan))
    rows = timed("labels kept", labelled, load(catalog.path), kept, documents, plan.places)
    articles = store_new(with_bases(rows, blocks), scratch, "kept").path
    spent["anonymous MB"] += anonymous()
    spent["candidates"], spent["pairs"] = candidates.num_rows, sum(each.num_rows for each in pairs)
    return spent, Kept(articles=articles, blocks=blocks)


def stored_catalog(refs: list[BlockRef], kept: Kept, scratch: str) -> StoredTable:
    """The catalog as the graph makes it."""
    entries = [catalog_of(refs), *([kept_catalog(kept)] if kept.articles else [])]
    return store_new(concat(entries, CATALOG).sort_by("article_id"), scratch, "catalog")


def labelled(catalog: pa.Table, kept: Kept, documents: StoredTable, places: StoredTable) -> pa.Table:
    """KEPT rows, every article a copy of its own."""
    ids = catalog["article_id"]
    lone = pa.table([ids, ids, ids, *(pa.nulls(len(ids), kind) for kind in COPY_LABELS.types[3:])], schema=COPY_LABELS)
    words, stories = load(documents.path), STORY_LABELS.empty_table()
    return open_rows(catalog, kept, copies=lone, stories=stories, texts=words, places=load(places.path))


def anonymous() -> float:
    """Memory of this process that no file backs, MB."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith("RssAnon")).split()[1]) / 1e3


def read(folder: Path) -> Iterator[dict[str, Any]]:
    """The articles in their order."""
    for path in sorted(folder.glob("*.jsonl.zst")):
        with zstandard.open(path, "rb") as source:
            yield from map(orjson.loads, io.BufferedReader(source))


def blocks_of(articles: list[dict[str, Any]], folder: Path) -> list[BlockRef]:
    """Clean blocks of articles as they are."""
    refs = []
    for start in range(0, len(articles), BLOCK):
        part = articles[start : start + BLOCK]
        refs.append(new_block(str(folder), len(part)))
        store(clean_table(part), refs[-1].part("articles"))
    return refs


def clean_table(articles: list[dict[str, Any]]) -> pa.Table:
    """Articles as CLEAN: what matching reads is there."""
    made: dict[str, Any] = {
        name: pa.nulls(len(articles), kind) for name, kind in zip(CLEAN.names, CLEAN.types, strict=True)
    }
    for name in ("text", "outlet"):
        made[name] = pa.array([article.get(name) or "" for article in articles], pa.string())
    made["article_id"] = np.array([stable_hash("bench", orjson.dumps(article)) for article in articles], np.int64)
    for name in ("identity", "position"):
        made[name] = np.zeros(len(articles), np.int64)
    made["words"] = np.zeros(len(articles), np.int32)
    made["source_uri"] = pa.array([""] * len(articles), pa.string())
    for name in ("captions", "credits", "removed"):
        made[name] = pa.array([[]] * len(articles), CLEAN.field(name).type)
    return pa.table([made[name] for name in CLEAN.names], schema=CLEAN)


def show(runs: dict[int, dict[str, float]], sizes: list[int]) -> None:
    """A row a step: seconds at every size, and what one more kept article costs."""
    least, most = sizes[0], sizes[-1]
    print(f"{'step':14}" + "".join(f"{size:>12,}" for size in sizes) + f"{'µs/kept':>12}")
    for step in runs[least]:
        more = (runs[most][step] - runs[least][step]) / max(1, most - least) * 1e6
        print(f"{step:14}" + "".join(f"{runs[size][step]:12.3f}" for size in sizes) + f"{more:12.2f}")


if __name__ == "__main__":
    sys.exit(main())
