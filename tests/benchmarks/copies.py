"""Signatures and verified copies against the peers, interleaved in one run; components; a Markdown table.

    python tests/benchmarks/copies.py SHARED [--rows 2000] [--peers PYTHON] [--edges 10000000] [--json FILE]

Everything is CPU time of one thread, the best of three rounds in which the contestants take turns: compare ratios, the
machine drifts. Copydesk and `datasketch` run here; `rensa` and `gaoya` run in the Python of `--peers`, an environment
of their own, over the same texts and the same word 5-grams, and a missing one is named as missing. Copydesk's
"text in, verified copies out" is exact (`match_blocks`, then components over the strict edge); rensa's is its LSH
and components without any verification.
"""

import argparse
import gzip
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from datasketch import MinHash

from schemas.blocks import CLEAN, new_block, slices, store
from schemas.ids import stable_hash
from transforms.cluster.components import components
from transforms.match.bare import match_blocks
from transforms.match.minhash import sign
from transforms.match.options import MatchOptions
from transforms.match.shingles import gram_offsets, hash_grams
from transforms.match.words import split_words

ROUNDS, SLOW = 3, 200  # articles that the slow contestants get
OPTIONS = MatchOptions()
STRICT = 0.33

# Runs in the environment of the peers: names a contestant and a file of texts, prints CPU seconds.
PEER = """
import json, sys, time
name, path = sys.argv[1:3]
texts = json.load(open(path))
def grams(text):
    words = text.lower().split()
    return [" ".join(words[i:i + 5]) for i in range(max(1, len(words) - 4))]
began = time.process_time()
if name.startswith("rensa"):
    import rensa
    began = time.process_time()
    signed = []
    for text in texts:
        signature = rensa.RMinHash(num_perm=256, seed=1)
        signature.update(grams(text))
        signed.append(signature)
    if name == "rensa copies":
        index = rensa.RMinHashLSH(threshold=0.5, num_perm=256, num_bands=128)
        for at, signature in enumerate(signed):
            index.insert(at, signature)
        parent = list(range(len(signed)))
        def root(i):
            while parent[i] != i:
                parent[i] = parent[parent[i]]
                i = parent[i]
            return i
        for at, signature in enumerate(signed):
            for other in index.query(signature):
                if other != at and signature.jaccard(signed[other]) >= 0.5:
                    parent[max(root(at), root(other))] = min(root(at), root(other))
else:
    import gaoya
    began = time.process_time()
    index = gaoya.minhash.MinHashStringIndex(32, 0.5, 128, 2, 256, "word", True, (5, 5))
    index.par_bulk_insert_docs(list(range(len(texts))), texts)
print(time.process_time() - began)
"""


def main() -> int:
    """Let the contestants take turns; print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--peers", type=Path, help="a Python with rensa and gaoya")
    parser.add_argument("--edges", type=int, default=10_000_000)
    parser.add_argument("--json", type=Path, help="write the table here too")
    arguments = parser.parse_args()
    source = arguments.shared / "data/neardup/dev.jsonl.gz"
    if not source.exists():
        print(f"bench: skipped, the articles are not here ({source})")
        return 0
    with gzip.open(source, "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in islice(cycle(list(lines)), arguments.rows)]
    with tempfile.TemporaryDirectory(prefix="copydesk-bench-") as name:
        table = race(texts, Path(name), arguments.peers)
    words = np.mean([len(text.split()) for text in texts])
    print(f"{arguments.rows} articles of {words:.0f} words\n")
    print("| contestant | articles | articles/CPU-s | x datasketch update |\n|---|--:|--:|--:|")
    yardstick = next(row["rate"] for row in table if row["contestant"] == "datasketch update, signatures")
    for row in table:
        rate = "does not run here" if row["rate"] is None else f"{row['rate']:.0f}"
        print(f"| {row['contestant']} | {row['articles']} | {rate} | {(row['rate'] or 0) / yardstick:.1f} |")
    table.append(component_step(arguments.edges))
    if arguments.json:
        arguments.json.write_text(json.dumps(table, indent=1) + "\n")
    return 0


def race(texts: list[str], folder: Path, peers: Path | None) -> list[dict[str, Any]]:
    """Best rate of every contestant over the rounds."""
    given = folder / "texts.json"
    given.write_text(json.dumps(texts))
    column = pa.array(texts)
    table = clean_table(texts)
    contestants: dict[str, tuple[int, Callable[[], float | None]]] = {
        "Copydesk, signatures": (len(texts), lambda: timed(lambda: signatures(column))),
        "Copydesk, text in, verified copies out": (len(texts), lambda: timed(lambda: copies(table, folder))),
        "datasketch update, signatures": (SLOW, lambda: timed(lambda: by_update(texts[:SLOW]))),
        "datasketch bulk, signatures": (SLOW, lambda: timed(lambda: by_bulk(texts[:SLOW]))),
    }
    if peers:
        for peer in ("rensa signatures", "rensa copies", "gaoya signatures and index"):
            contestants[peer] = (len(texts), lambda peer=peer: in_peers(peers, peer, given))  # type: ignore[misc]
    signatures(column)
    copies(table, folder)
    best: dict[str, list[float | None]] = {name: [] for name in contestants}
    for _ in range(ROUNDS):
        for name, (_, run) in contestants.items():
            best[name].append(run())
    rows = []
    for name, (articles, _) in contestants.items():
        seconds = [spent for spent in best[name] if spent is not None]
        rows.append({"contestant": name, "articles": articles, "rate": articles / min(seconds) if seconds else None})
    return rows


def signatures(texts: pa.Array) -> None:
    """Text → signatures, block by block."""
    for start in range(0, len(texts), 1024):
        words = split_words(texts.slice(start, 1024))
        hashes = (hash_grams(words.hashes, words.offsets) >> np.uint64(32)).astype(np.uint32)
        sign(hashes, gram_offsets(words.offsets), OPTIONS.signature)


def copies(table: pa.Table, folder: Path) -> None:
    """Text → verified pairs → components over the strict edge."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        refs = []
        for part in slices(table):
            refs.append(new_block(scratch, part.num_rows))
            store(part, refs[-1].part("articles"))
        pairs = match_blocks(refs, OPTIONS, scratch)
        strong = pairs.filter(pairs["score"].to_numpy() >= np.float32(STRICT))
        components(strong["left"].to_numpy(), strong["right"].to_numpy())


def clean_table(texts: list[str]) -> pa.Table:
    """Articles without an outlet, as CLEAN."""
    empty: dict[str, Any] = {"captions": [], "credits": [], "removed": [], "identity": 0, "source_uri": "bench"}
    rows = [
        empty | {"article_id": stable_hash(str(at)), "position": at, "text": text, "words": len(text.split())}
        for at, text in enumerate(texts)
    ]
    return pa.Table.from_pylist([{name: row.get(name) for name in CLEAN.names} for row in rows], schema=CLEAN)


def by_update(texts: list[str]) -> None:
    """The peer as most use it."""
    for text in texts:
        words, signature = text.lower().split(), MinHash(num_perm=256, seed=1)
        for at in range(len(words) - 4):
            signature.update(" ".join(words[at : at + 5]).encode())


def by_bulk(texts: list[str]) -> None:
    """The peer at its fastest, with its own hash."""
    grams = []
    for text in texts:
        words = text.lower().split()
        grams.append([" ".join(words[at : at + 5]).encode() for at in range(max(1, len(words) - 4))])
    MinHash.bulk(grams, num_perm=256, seed=1)


def in_peers(python: Path, name: str, given: Path) -> float | None:
    """CPU seconds of a peer in its own environment; None where it does not run."""
    done = subprocess.run([str(python), "-c", PEER, name, str(given)], capture_output=True, text=True, check=False)
    return float(done.stdout) if not done.returncode else None


def timed(run: Callable[[], None]) -> float:
    """CPU seconds."""
    began = time.process_time()
    run()
    return time.process_time() - began


def component_step(edges: int) -> dict[str, Any]:
    """The component step over random edges, half as many articles as edges."""
    draw = np.random.default_rng(1)
    left, right = draw.integers(0, 1 << 62, edges // 2)[draw.integers(0, edges // 2, (2, edges))]
    components(left[:10], right[:10])
    spent = timed(lambda: components(left, right))  # type: ignore[arg-type]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\ncomponents of {edges} edges: {spent:.1f} CPU-s, peak of this process {peak:.0f} MiB")
    return {"contestant": "components", "articles": edges, "rate": edges / spent, "peak_mib": peak}


if __name__ == "__main__":
    sys.exit(main())
