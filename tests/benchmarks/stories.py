"""Stories: speed by step and size, and what simpler methods make of the labelled sets.

    python -m tests.benchmarks.stories SHARED CACHE [--baselines] [--sizes 5000,10000,20000]

CACHE is that of `tests.quality.stories_held_out`. The sizes are the base articles, repeated under other ids and with
the dates of each repetition a month later, so that a size is a longer stretch of news. CPU seconds of one process,
compiled before; the largest resident set is of the whole process so far. The baselines run on the same clean
representatives: MinHash components alone (128 permutations, Jaccard .3), and TF-IDF of the text with average linkage
at several cuts. Sentence embeddings are not run: no model is at hand.
"""

import argparse
import resource
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
from sklearn.feature_extraction.text import TfidfVectorizer

from tests.quality import measure
from tests.quality.stories_held_out import representatives
from transforms.cluster import events
from transforms.cluster.stories import StoryOptions, features, group, label_stories, story_graph

MONTH = 30
CUTS = (0.1, 0.15, 0.2, 0.25, 0.3)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--sizes", default="5000,10000,20000")
    parser.add_argument("--baselines", action="store_true")
    arguments = parser.parse_args()
    rows = representatives(arguments.shared, arguments.cache, "base")[0]
    speed(rows, [int(size) for size in arguments.sizes.split(",")])
    if arguments.baselines:
        baselines(arguments.shared, arguments.cache)


def speed(rows: pa.Table, sizes: list[int]) -> None:
    """One line a size: articles per CPU-second of each step and of all."""
    options = StoryOptions()
    label_stories(features(rows.slice(0, 300), options), np.unique(rows["copy_id"].to_numpy()[:300]), options)
    print(f"{'articles':>9}{'features/s':>12}{'graph/s':>10}{'group/s':>10}{'all/s':>8}{'pairs/article':>15}{'MiB':>7}")
    made, once = cpu(
        lambda: pa.concat_tables([features(rows.slice(at, 1024), options) for at in range(0, len(rows), 1024)])
    )
    for size in sizes:
        given = repeated(made, size)
        graph, linking = cpu(partial(story_graph, given, options))
        _, grouping = cpu(partial(group, graph, graph.articles["format"].to_numpy(), options.cut))
        _, labels = cpu(partial(label_stories, given, np.sort(given["copy_id"].to_numpy()), options))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        total = once / len(rows) + labels / size
        print(
            f"{size:>9}{len(rows) / once:>12.0f}{size / linking:>10.0f}{size / grouping:>10.0f}{1 / total:>8.0f}"
            f"{len(graph.left) / size:>15.1f}{peak:>7.0f}"
        )


def repeated(made: pa.Table, size: int) -> pa.Table:
    """Features of `size` articles: those given, as often as needed, each time a month later."""
    parts = []
    for turn in range(-(-size // len(made))):
        part = made.slice(0, min(len(made), size - turn * len(made)))
        for name in ("first_day", "last_day"):
            days = part[name].to_numpy()
            moved = np.where(np.abs(days) == events.UNKNOWN, days, days + turn * MONTH).astype(np.int32)
            part = part.set_column(part.schema.get_field_index(name), part.schema.field(name), pa.array(moved))
        ids = part["copy_id"].to_numpy() ^ np.int64(turn)
        parts.append(part.set_column(0, part.schema.field(0), pa.array(ids)))
    return pa.concat_tables(parts)


def cpu(work: Callable[[], Any]) -> tuple[Any, float]:
    """What `work` gives, and the CPU seconds it took."""
    began = time.process_time()
    return work(), time.process_time() - began


def baselines(shared: Path, cache: Path) -> None:
    """Macro B-cubed F1 and ARI over the seven sets of simpler methods, and of ours."""
    found: dict[str, list[tuple[float, float]]] = {}
    scoring = measure.scorer(shared, "evaluate_clusters")
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
        labels = {"ours": (ours["copy_id"].to_numpy(), ours["story_id"].to_numpy()), "MinHash": (ids, minhash(texts))}
        labels |= {f"TF-IDF, cut {cut}": (ids, found) for cut, found in tfidf(texts).items()}
        for method, (owner, label) in labels.items():
            story = dict(zip(owner.tolist(), label.tolist(), strict=True))
            score = scoring.score(known, {source: str(story[copy]) for source, copy in copy_of.items()})
            found.setdefault(method, []).append((score["bcubed_f1"], score["ari"]))
    for method, scores in found.items():
        print(f"{method:<20}", *(f"{100 * f1:6.1f}/{100 * ari:5.1f}" for f1, ari in scores), end="  macro ")
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


def tfidf(texts: list[str]) -> dict[float, np.ndarray]:
    """Average linkage of TF-IDF cosines, by cut."""
    matrix = TfidfVectorizer(stop_words="english", sublinear_tf=True).fit_transform(texts)
    distance = np.clip(1 - (matrix @ matrix.T).toarray(), 0, 2)
    np.fill_diagonal(distance, 0)
    tree = linkage(squareform(distance, checks=False), "average")
    return {cut: fcluster(tree, 1 - cut, "distance") for cut in CUTS}


if __name__ == "__main__":
    main()
