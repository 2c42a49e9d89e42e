"""One peer over a file of texts, in the environment of the peers: `python copies_peers.py NAME TEXTS`.

Prints the CPU seconds, the peak memory of the process and what of it was there before the work (MiB) as JSON. Every
peer gets lower-case word 5-grams made in Python, as its users make them, and 256 permutations; nothing of Copydesk.
"""

import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PRIME, MOST = (1 << 61) - 1, (1 << 32) - 1


def main() -> int:
    """Run the named peer."""
    name, given = sys.argv[1], Path(sys.argv[2])
    texts = json.loads(given.read_text())
    run = PEERS[name](given.parent)
    before, began = peak(), time.process_time()
    run(texts)
    print(json.dumps([time.process_time() - began, peak(), before]))
    return 0


def peak() -> float:
    """Largest resident set of this process so far, MiB; `ru_maxrss` would begin with the parent's."""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


def grams(text: str) -> list[str]:
    """Word 5-grams."""
    words = text.lower().split()
    return [" ".join(words[at : at + 5]) for at in range(max(1, len(words) - 4))]


def rensa_signatures(_: Path) -> Callable[[list[str]], Any]:
    """`RMinHash` alone."""
    rensa = importlib.import_module("rensa")

    def sign(texts: list[str]) -> list[Any]:
        signed = []
        for text in texts:
            signed.append(rensa.RMinHash(num_perm=256, seed=1))
            signed[-1].update(grams(text))
        return signed

    return sign


def rensa_copies(folder: Path) -> Callable[[list[str]], Any]:
    """Signatures, LSH of 128 bands, components over estimated Jaccard; no exact verification."""
    rensa, sign = importlib.import_module("rensa"), rensa_signatures(folder)

    def join(texts: list[str]) -> list[int]:
        signed = sign(texts)
        index = rensa.RMinHashLSH(threshold=0.5, num_perm=256, num_bands=128)
        for at, signature in enumerate(signed):
            index.insert(at, signature)
        parent = list(range(len(signed)))

        def root(i: int) -> int:
            while parent[i] != i:
                parent[i] = parent[parent[i]]
                i = parent[i]
            return i

        for at, signature in enumerate(signed):
            for other in index.query(signature):
                if other != at and signature.jaccard(signed[other]) >= 0.5:
                    parent[max(root(at), root(other))] = min(root(at), root(other))
        return parent

    return join


def gaoya_index(_: Path) -> Callable[[list[str]], Any]:
    """Signatures and the index, out of the texts: it makes its own grams."""
    gaoya = importlib.import_module("gaoya")

    def insert(texts: list[str]) -> Any:
        index = gaoya.minhash.MinHashStringIndex(32, 0.5, 128, 2, 256, "word", True, (5, 5))
        index.par_bulk_insert_docs(list(range(len(texts))), texts)
        return index

    return insert


def text_dedup_signatures(_: Path) -> Callable[[list[str]], Any]:
    """`embed_func` of its MinHash script, which makes its own grams."""
    np, minhash = importlib.import_module("numpy"), importlib.import_module("text_dedup.minhash")
    draw = np.random.RandomState(1)
    options = {
        "num_perm": 256,
        "ngram_size": 5,
        "min_length": 5,
        "hashranges": [(at, at + 2) for at in range(0, 256, 2)],
        "permutations": tuple(draw.randint(low, PRIME, 256, dtype=np.uint64) for low in (1, 0)),
        "hash_func": minhash.xxh3_32hash,
        "dtype": np.uint64,
        "max_hash": np.uint64(MOST),
        "modulo_prime": np.uint64(PRIME),
    }
    return lambda texts: [minhash.embed_func(text, at, **options) for at, text in enumerate(texts)]


def datatrove_signatures(folder: Path) -> Callable[[list[str]], Any]:
    """`MinhashDedupSignature.get_signature` over hashed grams; its own word splitter wants a tokenizer beside it."""
    np, minhash = importlib.import_module("numpy"), importlib.import_module("datatrove.pipeline.dedup.minhash")
    hashing = importlib.import_module("datatrove.utils.hashing").HashConfig(precision=32)
    config = minhash.MinhashConfig(n_grams=5, num_buckets=128, hashes_per_bucket=2, hash_config=hashing)
    step = minhash.MinhashDedupSignature(str(folder), config)
    hashed = minhash.create_hash_func(hashing, bytes)
    return lambda texts: [
        step.get_signature(np.fromiter((hashed(gram.encode()) for gram in grams(text)), dtype=np.uint64).reshape(-1, 1))
        for text in texts
    ]


PEERS: dict[str, Callable[[Path], Callable[[list[str]], Any]]] = {
    "rensa, signatures": rensa_signatures,
    "rensa, index and components, not verified": rensa_copies,
    "gaoya, signatures and index": gaoya_index,
    "text-dedup, signatures": text_dedup_signatures,
    "datatrove, signatures": datatrove_signatures,
}

if __name__ == "__main__":
    sys.exit(main())
