"""Signatures and verified copies against the peers, interleaved in one run; components; a Markdown table.

    python tests/benchmarks/copies.py SHARED [--rows 2000] [--peers PYTHON] [--edges 10000000] [--json FILE]

Everything is CPU time of one thread, the best of three rounds in which the contestants take turns, each in a fresh
process: compare ratios, the machine drifts. Memory is the peak of that process, and what of it was there before the
work (interpreter, imports, compiled code, texts). Copydesk and `datasketch` run here; the peers (`copies_peers.py`)
run in the Python of `--peers`, an environment of their own, over the same texts and word 5-grams; one that does not
run there is named as not raced. Copydesk's "text in, verified copies out" is exact (`match_blocks`, then components
over the strict edge); rensa's is its LSH and components without any verification.
"""

import argparse
import gzip
import json
import runpy
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
PEERS = Path(__file__).with_name("copies_peers.py")
SLOW_PEERS = {"text-dedup, signatures", "datatrove, signatures"}


def main() -> int:
    """Let the contestants take turns; print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--peers", type=Path, help="a Python with rensa, gaoya, text-dedup, datatrove, or some of them")
    parser.add_argument("--edges", type=int, default=10_000_000)
    parser.add_argument("--json", type=Path, help="write the table here too")
    parser.add_argument("--alone", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.alone:
        print(json.dumps(alone(arguments.alone[0], Path(arguments.alone[1]))))
        return 0
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
    print("| contestant | articles | articles/CPU-s | x datasketch update | peak MiB | before the work |")
    print("|---|--:|--:|--:|--:|--:|")
    broken = [row for row in table if "not_raced" in row and row["contestant"] in OURS]
    if broken:
        sys.exit("\n".join(f"{row['contestant']}: {row['not_raced']}" for row in broken))
    yardstick = next(row["rate"] for row in table if row["contestant"] == "datasketch update, signatures")
    for row in table:
        if "not_raced" in row:
            print(f"| {row['contestant']} | not raced: {row['not_raced']} |||||")
            continue
        figures = f"{row['rate']:.0f} | {row['rate'] / yardstick:.1f} | {row['peak']:.0f} | {row['before']:.0f}"
        print(f"| {row['contestant']} | {row['articles']} | {figures} |")
    table.append(component_step(arguments.edges))
    if arguments.json:
        arguments.json.write_text(json.dumps(table, indent=1) + "\n")
    return 0


def race(texts: list[str], folder: Path, peers: Path | None) -> list[dict[str, Any]]:
    """Best rate and peak memory of every contestant over the rounds."""
    all_of_them, some = folder / "texts.json", folder / "some.json"
    all_of_them.write_text(json.dumps(texts))
    some.write_text(json.dumps(texts[:SLOW]))
    contestants: dict[str, tuple[list[str], Path]] = {}
    for name in OURS:
        given = some if name.startswith("datasketch") else all_of_them
        contestants[name] = ([sys.executable, __file__, str(folder), "--alone", name, str(given)], given)
    for name in peer_names() if peers else ():
        given = some if name in SLOW_PEERS else all_of_them
        contestants[name] = ([str(peers), str(PEERS), name, str(given)], given)
    found: dict[str, list[list[float]]] = {name: [] for name in contestants}
    faults: dict[str, str] = {}
    for _ in range(ROUNDS):
        for name in contestants:
            if name in faults:
                continue
            done = subprocess.run(contestants[name][0], capture_output=True, text=True, check=False)
            if done.returncode:
                faults[name] = (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1][:120]
            else:
                found[name].append(json.loads(done.stdout.splitlines()[-1]))
    rows: list[dict[str, Any]] = []
    for name, (_, given) in contestants.items():
        if name in faults:
            rows.append({"contestant": name, "not_raced": faults[name]})
            continue
        articles = SLOW if given == some else len(texts)
        seconds, peak, before = np.array(found[name]).min(axis=0).tolist()
        rows.append(
            {"contestant": name, "articles": articles, "rate": articles / seconds, "peak": peak, "before": before}
        )
    return rows


def peer_names() -> list[str]:
    """What `copies_peers.py` can run."""
    return list(runpy.run_path(str(PEERS))["PEERS"])


def alone(name: str, given: Path) -> list[float]:
    """Run one of `OURS`, warm; CPU seconds, peak MiB, MiB before the work."""
    texts, (prepare, run) = json.loads(given.read_text()), OURS[name]
    with tempfile.TemporaryDirectory(dir=given.parent) as scratch:
        run(prepare(texts[:20]), Path(scratch))
        articles = prepare(texts)
        before, began = peak_mib(), time.process_time()
        run(articles, Path(scratch))
        return [time.process_time() - began, peak_mib(), before]


def peak_mib() -> float:
    """Largest resident set of this process so far; `ru_maxrss` would begin with the parent's."""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


def signatures(texts: pa.Array, _: Path) -> None:
    """Text → signatures, block by block."""
    for start in range(0, len(texts), 1024):
        words = split_words(texts.slice(start, 1024))
        hashes = (hash_grams(words.hashes, words.offsets) >> np.uint64(32)).astype(np.uint32)
        sign(hashes, gram_offsets(words.offsets), OPTIONS.signature)


def copies(table: pa.Table, folder: Path) -> None:
    """Text → verified pairs → components over the strict edge."""
    refs = []
    for part in slices(table):
        refs.append(new_block(str(folder), part.num_rows))
        store(part, refs[-1].part("articles"))
    pairs = match_blocks(refs, OPTIONS, str(folder))
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


def by_update(texts: list[str], _: Path) -> None:
    """The peer as most use it."""
    for text in texts:
        words, signature = text.lower().split(), MinHash(num_perm=256, seed=1)
        for at in range(len(words) - 4):
            signature.update(" ".join(words[at : at + 5]).encode())


def by_bulk(texts: list[str], _: Path) -> None:
    """The peer at its fastest, with its own hash."""
    grams = []
    for text in texts:
        words = text.lower().split()
        grams.append([" ".join(words[at : at + 5]).encode() for at in range(max(1, len(words) - 4))])
    MinHash.bulk(grams, num_perm=256, seed=1)


def component_step(edges: int) -> dict[str, Any]:
    """The component step over random edges, half as many articles as edges."""
    draw = np.random.default_rng(1)
    left, right = draw.integers(0, 1 << 62, edges // 2)[draw.integers(0, edges // 2, (2, edges))]
    components(left[:10], right[:10])
    began = time.process_time()
    components(left, right)
    spent, peak = time.process_time() - began, peak_mib()
    print(f"\ncomponents of {edges} edges: {spent:.1f} CPU-s, peak of this process {peak:.0f} MiB")
    return {"contestant": "components", "articles": edges, "rate": edges / spent, "peak_mib": peak}


OURS: dict[str, tuple[Callable[[list[str]], Any], Callable[[Any, Path], None]]] = {
    "Copydesk, signatures": (pa.array, signatures),
    "Copydesk, text in, verified copies out": (clean_table, copies),
    "datasketch update, signatures": (list, by_update),
    "datasketch bulk, signatures": (list, by_bulk),
}

if __name__ == "__main__":
    sys.exit(main())
