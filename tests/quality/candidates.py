"""What each kind of key finds: recall on true pairs, candidates an article, CPU time, before any verification.

    python -m tests.quality.candidates SHARED [--only simulated,real]

Articles are cleaned by `copydesk run`; true pairs are those of one cluster of the labelled set, and the real pairs
labelled as copies. A pair counts as found when the first articles with the same words as its two meet under a key;
clones of one text always do. Every kind goes through `pairs_of_bucket` as the run does, hot keys thinned.
"""

import argparse
import itertools
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.blocks import CLEAN, BlockRef, load, new_block, slices, store, store_new
from tests.quality.copies import base_file, run_without_stories
from tests.quality.measure import articles, rows_of, write_rows
from transforms.match.bare import catalog_of, match_blocks
from transforms.match.candidates import pairs_of_bucket, unique_pairs
from transforms.match.frequencies import bucket_bounds
from transforms.match.keys import BAND_BIT
from transforms.match.options import MatchOptions
from transforms.match.shingles import by_bucket, gram_offsets, hash_grams

OPTIONS = MatchOptions()
Keys = tuple[NDArray[np.uint64], NDArray[np.int32]]


def stored_keys(ref: BlockRef) -> Keys:
    """The keys that signing made, bands and fingerprints, and the row of each."""
    part = load(ref.part("keys"))
    return part["key"].to_numpy(), part["row"].to_numpy()


def rare_grams(ref: BlockRef) -> Keys:
    """Grams in 2 to `max_frequency` articles that are no furniture, of the articles that have keys at all."""
    words, signed = load(ref.part("tokens"))["word"].combine_chunks(), load(ref.part("signed"))
    word_offsets = words.offsets.to_numpy().astype(np.int64)
    grams, offsets = hash_grams(words.values.to_numpy(), word_offsets), gram_offsets(word_offsets)
    rows = np.repeat(np.arange(ref.rows, dtype=np.int32), np.diff(offsets))
    frequency = signed["frequency"].combine_chunks().values.to_numpy()
    leads = np.bincount(stored_keys(ref)[1], minlength=ref.rows) > 0
    rare = (frequency > 1) & (frequency <= OPTIONS.frequency_cap) & leads[rows]
    return grams[rare] & ~BAND_BIT, rows[rare]


def only(chosen: Callable[[Keys], NDArray[np.bool_]]) -> Callable[[BlockRef], Keys]:
    """Some of the stored keys."""

    def keys_of(ref: BlockRef) -> Keys:
        keys, rows = stored_keys(ref)
        return keys[chosen((keys, rows))], rows[chosen((keys, rows))]

    return keys_of


def both(ref: BlockRef) -> Keys:
    """The stored keys and rare grams, two of which must be shared."""
    (keys, rows), (grams, of) = stored_keys(ref), rare_grams(ref)
    return np.concatenate([keys, grams | BAND_BIT]), np.concatenate([rows, of])


def marked(ref: BlockRef) -> Keys:
    """Rare grams, two of which must be shared."""
    keys, rows = rare_grams(ref)
    return keys | BAND_BIT, rows


KINDS: dict[str, Callable[[BlockRef], Keys]] = {
    "two MinHash bands of 128": only(lambda keys: keys[0] >= BAND_BIT),
    "a fingerprint": only(lambda keys: keys[0] < BAND_BIT),
    "two bands or a fingerprint (shipped)": stored_keys,
    "two rare grams": marked,
    "a rare gram": rare_grams,
    "shipped or two rare grams": both,
}


def measure(rows: list[dict[str, Any]], true: set[tuple[str, str]], folder: Path) -> None:
    """Sign the articles once, find pairs by every kind, print a row each."""
    blocks = folder / "blocks"
    blocks.mkdir()
    ids = {row["source_id"]: at for at, row in enumerate(rows)}
    empty: dict[str, Any] = {"captions": [], "credits": [], "removed": [], "identity": 0, "source_uri": "quality"}
    given = [empty | row | {"article_id": at + 1, "position": at, "words": 0} for at, row in enumerate(rows)]
    table = pa.Table.from_pylist([{name: row.get(name) for name in CLEAN.names} for row in given], schema=CLEAN)
    refs = []
    for part in slices(table):
        refs.append(new_block(str(blocks), part.num_rows))
        store(part, refs[-1].part("articles"))
    match_blocks(refs, OPTIONS, str(blocks))
    catalog = store_new(catalog_of(refs), str(blocks), "catalog")
    texts = np.concatenate([load(ref.part("signed"))["text"].to_numpy() for ref in refs])
    _, first, text = np.unique(texts, return_index=True, return_inverse=True)
    leader = first[text]
    ends = np.array([sorted((leader[ids[a]], leader[ids[b]])) for a, b in true if a in ids and b in ids])
    wanted = ends[:, 0] << 32 | ends[:, 1]
    for name, keys_of in KINDS.items():
        began = time.process_time()
        for ref in refs:
            keys, of = keys_of(ref)
            order, keys, bounds = by_bucket(keys, OPTIONS.key_buckets)
            schema = pa.schema({"key": pa.uint64(), "row": pa.int32()}, {b"buckets": bounds.tobytes()})
            store(pa.table([keys, of[order]], schema=schema), ref.part("tried"))
        met = [_pairs(bucket, refs, catalog) for bucket in range(OPTIONS.key_buckets)]
        found = unique_pairs(met)
        spent = time.process_time() - began
        pairs = found["left"].to_numpy().astype(np.int64) << 32 | found["right"].to_numpy()
        recall = np.mean(np.isin(wanted, pairs) | (ends[:, 0] == ends[:, 1]))
        figures = (
            f"{recall:.4f} | {found.num_rows:,} | {found.num_rows / len(rows):.1f} | {1e6 * spent / len(rows):.0f}"
        )
        print(f"| {name} | {figures} |", flush=True)


class _Tried(BlockRef):
    """A block whose keys are those on trial."""

    def part(self, name: str) -> str:
        """Path of one part."""
        return super().part("tried" if name == "keys" else name)


def _pairs(bucket: int, refs: list[BlockRef], catalog: Any) -> pa.Table:
    load.cache_clear()
    assert bucket_bounds(load(_Tried(*refs[0]).part("keys"))).size == OPTIONS.key_buckets + 1
    return pairs_of_bucket(bucket, [_Tried(*ref) for ref in refs], catalog, OPTIONS.hot_articles)[0]


def simulated(shared: Path, work: Path) -> tuple[Path, set[tuple[str, str]]]:
    """The labelled syndication set: all pairs of one cluster."""
    given = shared / "data/neardup/dev.jsonl.gz"
    clusters = defaultdict(list)
    for row in rows_of(given):
        clusters[row["cluster"]].append(str(row["id"]))
    return run_without_stories(work, given), {
        pair for members in clusters.values() for pair in itertools.combinations(members, 2)
    }


def real(shared: Path, work: Path) -> tuple[Path, set[tuple[str, str]]]:
    """The pairs labelled as copies, among the base articles."""
    rows = {row["id"]: row for row in rows_of(base_file(shared))}
    pairs = list(rows_of(shared / "data/neardup/real_pairs.jsonl.gz"))
    for pair in pairs:
        rows |= {pair[side]["id"]: pair[side] for side in "ab"}
    true = {(str(pair["a"]["id"]), str(pair["b"]["id"])) for pair in pairs if pair["copy"]}
    return run_without_stories(work, write_rows(work / "real.jsonl", rows.values())), true


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path, help="the folder with data/ and eval/")
    parser.add_argument("--only", default="simulated,real")
    arguments = parser.parse_args()
    for name in arguments.only.split(","):
        with tempfile.TemporaryDirectory(prefix="copydesk-candidates-") as folder:
            out, true = {"simulated": simulated, "real": real}[name](arguments.shared.resolve(), Path(folder))
            rows = list(articles(out, "source_id", "outlet", "text"))
            print(f"\n{name}: {len(rows):,} articles, {len(true):,} true pairs\n")
            print("| kind | recall | candidates | an article | µs an article |\n|---|--:|--:|--:|--:|")
            measure(rows, true, Path(folder))


if __name__ == "__main__":
    main()
