"""Stories: speed by step and size, and what simpler methods make of the labelled sets.

    python -m tests.benchmarks.stories SHARED CACHE [--baselines] [--sizes 10000,30000,100000] [--month longer|denser]

CACHE is that of `tests.quality.stories_held_out`. Features are measured on real articles (the base articles), beside
datasketch's `MinHash.update` on some of them as the yardstick. Sizes beyond theirs are made of their features: `longer`
repeats them with the dates of each repetition four weeks later, the words as they are; `denser` keeps all dates within
four weeks and gives each repetition words of its own, each term swapped for one about as common (as `make_scale.py`
does with text), so that as many more articles share a term, but not an event. Features stand in mapped files, as in a
run. CPU seconds of one process, compiled before; the largest resident set is of the process so far, mapped files in it.

The baselines run on the same clean representatives: components of MinHash bands (128 permutations, Jaccard .3), and
TF-IDF of the text with a single pass and with average linkage, at several cuts (with scikit-learn, of the dependency
group `train`). Sentence embeddings are not run: no model is at hand.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from datasketch import MinHash, MinHashLSH
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from schemas import blocks
from tests.quality import measure
from tests.quality.stories_held_out import representatives
from transforms.cluster import events
from transforms.cluster.stories import StoryOptions, features, label_graph, label_stories, story_graph
from transforms.cluster.vocabulary import background

MONTH = 28
CUTS = (0.1, 0.15, 0.2, 0.25, 0.3)
YARDSTICK = 200  # articles


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--sizes", default="10000,30000,100000")
    parser.add_argument("--month", choices=("longer", "denser"), default="denser")
    parser.add_argument("--baselines", action="store_true")
    arguments = parser.parse_args()
    if arguments.baselines:
        baselines(arguments.shared, arguments.cache)
        return
    rows = representatives(arguments.shared, arguments.cache, "base")[0]
    sizes = [int(size) for size in arguments.sizes.split(",")]
    speed(rows, sizes, arguments.month == "denser")


def speed(rows: pa.Table, sizes: list[int], denser: bool) -> None:
    """One line a size: articles per CPU-second of each step and of all."""
    options = StoryOptions()
    label_stories(features(rows.slice(0, 300), options), np.unique(rows["copy_id"].to_numpy()[:300]), options)
    made, once = cpu(
        lambda: pa.concat_tables([features(rows.slice(at, 1024), options) for at in range(0, len(rows), 1024)])
    )
    _, update = cpu(partial(yardstick, rows["text"].to_pylist()[:YARDSTICK]))
    print(f"features {len(rows) / once:.0f}/s, datasketch update {YARDSTICK / update:.0f}/s")
    print(f"{'articles':>9}{'graph/s':>10}{'labels/s':>10}{'all/s':>8}{'x update':>10}", end="")
    print(f"{'pairs/article':>15}{'largest':>9}{'MiB':>8}{'mapped':>8}")
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="copydesk-stories-") as folder:
            given = stored(made, size, denser, folder)
            copy_ids = np.sort(given["copy_id"].to_numpy())
            graph, linking = cpu(partial(story_graph, given, options))
            found, labelling = cpu(partial(label_graph, graph, copy_ids, options.cut))
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            largest = int(np.unique(found["story_id"].to_numpy(), return_counts=True)[1].max())
            rate = 1 / (once / len(rows) + (linking + labelling) / size)
            print(
                f"{size:>9}{size / linking:>10.0f}{size / labelling:>10.0f}{rate:>8.0f}"
                f"{rate * update / YARDSTICK:>10.1f}{len(graph.left) / size:>15.1f}{largest:>9}{peak:>8.0f}"
                f"{given.nbytes / 2**20:>8.0f}",
                flush=True,
            )


def yardstick(texts: list[str]) -> None:
    """Sign texts as datasketch's documentation does: word 5-grams, one `update` each."""
    for text in texts:
        signature, words = MinHash(num_perm=128), text.split()
        for at in range(max(1, len(words) - 4)):
            signature.update(" ".join(words[at : at + 5]).encode())


def stored(made: pa.Table, size: int, denser: bool, folder: str) -> pa.Table:
    """Features of `size` articles in mapped files, one for each repetition of those given."""
    words, draw = background(), np.random.default_rng(0)
    common = np.argsort(-words.body_idf, kind="stable")[::-1]  # terms, the most common first
    rank = np.empty(len(common), np.int64)
    rank[common] = np.arange(len(common))
    terms = made["terms"].combine_chunks()
    flat = terms.flatten().to_numpy()
    by_hash = np.argsort(words.terms)
    at = by_hash[np.minimum(np.searchsorted(words.terms, flat, sorter=by_hash), len(by_hash) - 1)]
    known = words.terms[at] == flat
    paths = []
    for turn in range(-(-size // len(made))):
        part = made
        for name in ("first_day", "last_day"):
            days = part[name].to_numpy()
            moved = days % MONTH if denser else days + turn * MONTH
            moved = np.where(np.abs(days) == events.UNKNOWN, days, moved).astype(np.int32)
            part = part.set_column(part.schema.get_field_index(name), part.schema.field(name), pa.array(moved))
        if denser and turn:
            swapped = permuted(len(common), draw)
            other = words.terms[common[swapped[rank[at]]]]
            new = np.where(known, other, flat * np.uint32(2 * draw.integers(1 << 31) + 1))
            lists = pa.ListArray.from_arrays(terms.offsets, pa.array(new))
            part = part.set_column(part.schema.get_field_index("terms"), part.schema.field("terms"), lists)
        ids = part["copy_id"].to_numpy() ^ np.int64(turn)
        part = part.set_column(0, part.schema.field(0), pa.array(ids)).slice(0, size - turn * len(made))
        paths.append(blocks.store_new(part.combine_chunks(), folder, "stories").path)
    return pa.concat_tables([blocks.load(path) for path in paths])


def permuted(count: int, draw: np.random.Generator) -> np.ndarray:
    """A permutation of ranks that moves none further than to its double or half."""
    out = np.arange(count)
    start = 0
    while start < count:
        stop = min(count, max(start + 30, 2 * start))
        draw.shuffle(out[start:stop])
        start = stop
    return out


def cpu(work: Callable[[], Any]) -> tuple[Any, float]:
    """What `work` gives, and the CPU seconds it took."""
    began = time.process_time()
    return work(), time.process_time() - began


def baselines(shared: Path, cache: Path) -> None:
    """Macro B-cubed F1 and ARI over the seven sets of simpler methods, and of ours."""
    found: dict[str, list[tuple[float, float]]] = {}
    scoring = measure.scorer(shared, "evaluate_clusters")
    print(f"{'':<28}", *(f"{name:>11}" for name in measure.STORY_SETS))
    for name in measure.STORY_SETS:
        rows, copy_of = representatives(shared, cache, name)
        known = {row["id"]: row["story"] for row in measure.rows_of(shared / f"data/stories/{name}.jsonl.gz")}
        ids = rows["copy_id"].to_numpy()
        texts = [
            f"{headline or ''}\n{text}"
            for headline, text in zip(rows["headline"].to_pylist(), rows["text"].to_pylist(), strict=True)
        ]
        made = features(rows, StoryOptions())
        ours = label_stories(made, np.sort(ids), StoryOptions())
        labels = {
            "ours": (ours["copy_id"].to_numpy(), ours["story_id"].to_numpy()),
            "MinHash, components": (ids, minhash(texts)),
        }
        labels |= {method: (ids, label) for method, label in tfidf(texts).items()}
        for method, (owner, label) in labels.items():
            story = dict(zip(owner.tolist(), label.tolist(), strict=True))
            score = scoring.score(known, {source: str(story[copy]) for source, copy in copy_of.items()})
            found.setdefault(method, []).append((score["bcubed_f1"], score["ari"]))
    for method, scores in found.items():
        print(f"{method:<28}", *(f"{100 * f1:5.1f}/{100 * ari:5.1f}" for f1, ari in scores), end="  macro ")
        print("{:.1f} / {:.1f}".format(*(100 * np.mean(scores, axis=0))))


def minhash(texts: list[str]) -> np.ndarray:
    """Components of articles that share a band of MinHash signatures."""
    index = MinHashLSH(threshold=0.3, num_perm=128)
    parent = list(range(len(texts)))

    def root(i: int) -> int:
        while parent[i] != i:
            i = parent[i]
        return i

    for at, text in enumerate(texts):
        words = text.lower().split()
        signature = MinHash(num_perm=128, seed=1)
        signature.update_batch([" ".join(words[k : k + 3]).encode() for k in range(max(1, len(words) - 2))])
        for other in index.query(signature):
            parent[root(at)] = root(other)
        index.insert(at, signature)
    return np.array([root(i) for i in range(len(texts))])


def tfidf(texts: list[str]) -> dict[str, np.ndarray]:
    """A single pass and average linkage over TF-IDF cosines, by cut."""
    from sklearn.feature_extraction.text import TfidfVectorizer  # noqa: PLC0415 -- only here

    matrix = TfidfVectorizer(stop_words="english", sublinear_tf=True).fit_transform(texts)
    similar = (matrix @ matrix.T).toarray()
    out = {f"TF-IDF single pass, cut {cut}": single_pass(similar, cut) for cut in CUTS}
    distance = np.clip(1 - similar, 0, 2)
    np.fill_diagonal(distance, 0)
    tree = linkage(squareform(distance, checks=False), "average")
    return out | {f"TF-IDF average link, cut {cut}": fcluster(tree, 1 - cut, "distance") for cut in CUTS}


def single_pass(similar: np.ndarray, cut: float) -> np.ndarray:
    """Each article in turn joins the story whose centroid is nearest by cosine, if that reaches the cut."""
    label = np.arange(len(similar))
    summed = np.zeros_like(similar)  # of each story, the similarities of its members to every article
    within = np.zeros(len(similar))  # and among its members: the squared length of their sum
    for at in range(len(similar)):
        if at:
            cosine = summed[:at, at] / np.sqrt(np.maximum(within[:at], 1e-12))
            label[at] = np.argmax(cosine) if cosine.max() >= cut else at
        story = label[at]
        within[story] += similar[at, at] + 2 * summed[story, at]
        summed[story] += similar[at]
    return label


if __name__ == "__main__":
    main()
