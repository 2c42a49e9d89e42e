"""Stories over the seven labelled sets: any setting, and each set under the setting that is best on the others.

    python -m tests.quality.stories_held_out SHARED CACHE [--grid cut=.03,.04,.05 crowd_share=.4,.5,.6]

Cleans and finds copies once through `copydesk run` (kept under CACHE), then clusters by the functions. Prints B-cubed
F1 and ARI of every set at the shipped setting, the macro figures of each setting of the grid, and the leave-one-set-out
figures: each set scored at the setting whose macro sum over the six others is highest. Sets inside 10,000 other
articles: `tests/quality/pool.py`, a measure of the gate.
"""

import argparse
import itertools
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.ids import parse_id
from tests.quality import measure
from transforms.cluster.stories import StoryOptions, features, label_stories

BASE_ARTICLES = 10_000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--grid", nargs="*", default=[], metavar="OPTION=VALUE,…")
    arguments = parser.parse_args()
    prepared = {name: representatives(arguments.shared, arguments.cache, name) for name in measure.STORY_SETS}
    names = [each.split("=")[0] for each in arguments.grid]
    kinds = [type(getattr(StoryOptions(), name)) for name in names]
    values = [each.split("=")[1].split(",") for each in arguments.grid]
    grid = [
        StoryOptions(**dict(zip(names, (kind(v) for kind, v in zip(kinds, chosen, strict=True)), strict=True)))
        for chosen in (itertools.product(*values) if values else ())
    ]
    made = {name: features(rows, StoryOptions()) for name, (rows, _) in prepared.items()}
    table = np.array(
        [
            [score(arguments.shared, name, made[name], prepared[name][1], setting) for name in measure.STORY_SETS]
            for setting in [StoryOptions(), *grid]
        ]
    )  # settings, sets, (F1, ARI)
    for name, (f1, ari) in zip(measure.STORY_SETS, table[0], strict=True):
        print(f"{name:<10}{f1:8.4f}{ari:8.4f}")
    print(f"{'macro':<10}{table[0, :, 0].mean():8.4f}{table[0, :, 1].mean():8.4f}")
    for setting, figures in zip(grid, table[1:], strict=True):
        print({name: getattr(setting, name) for name in names}, figures.mean(axis=0).round(4).tolist())
    if grid:
        print("leave one set out:", held_out(table).round(4).tolist())


def held_out(table: np.ndarray) -> np.ndarray:
    """Macro figures with each set scored under the setting that is best on the others."""
    total = table.sum(axis=2)
    chosen = [int(np.argmax(np.delete(total, at, axis=1).sum(axis=1))) for at in range(table.shape[1])]
    return np.array([table[setting, at] for at, setting in enumerate(chosen)]).mean(axis=0)


def representatives(shared: Path, cache: Path, name: str) -> tuple[pa.Table, dict[str, int]]:
    """Clean articles that represent their copy, and the copy of every id at the source."""
    out = cache / "out" / name
    if not (out / "current").exists():
        if name == "base":
            rows = sorted(measure.rows_of(shared / "data/neardup/base.jsonl.gz"), key=lambda row: row["id"])
            random.Random(0).shuffle(rows)
            measure.copydesk("run", measure.write_rows(cache / "base.jsonl", rows[:BASE_ARTICLES]), "--output", out)
        else:
            given = map(measure.without_leaks, measure.rows_of(shared / f"data/stories/{name}.jsonl.gz"))
            measure.copydesk("run", measure.write_rows(cache / f"{name}.jsonl", given), "--output", out)
    articles = pq.read_table(out / "current/articles", partitioning=None)
    copies = pq.read_table(out / "current/copies", columns=["copy_id", "representative_id"], partitioning=None)
    chosen = dict(zip(*(column.to_pylist() for column in copies.columns), strict=True))
    ids = articles["article_id"].to_pylist()
    copy_ids = articles["copy_id"].to_pylist()
    kept = [chosen.get(copy, article) == article for article, copy in zip(ids, copy_ids, strict=True)]
    numbers = pa.array([parse_id(copy) for copy in copy_ids], pa.int64())
    rows = articles.set_column(articles.schema.get_field_index("copy_id"), "copy_id", numbers).filter(pa.array(kept))
    return rows, dict(zip(articles["source_id"].to_pylist(), numbers.to_pylist(), strict=True))


def score(
    shared: Path,
    name: str,
    rows: pa.Table,
    copy_of: dict[str, int],
    setting: StoryOptions,
    most: list[int] | None = None,
) -> tuple[float, float]:
    """B-cubed F1 and ARI of one set; `most` takes the size of the largest story."""
    labels = label_stories(rows, np.unique(rows["copy_id"].to_numpy()), setting)
    story_of = dict(zip(labels["copy_id"].to_pylist(), labels["story_id"].to_pylist(), strict=True))
    if most is not None:
        most.append(int(np.unique(labels["story_id"].to_numpy(), return_counts=True)[1].max()))
    scoring = measure.scorer(shared, "evaluate_clusters")
    known = {row["id"]: row["story"] for row in measure.rows_of(shared / f"data/stories/{name}.jsonl.gz")}
    found = scoring.score(known, {source: str(story_of[copy]) for source, copy in copy_of.items()})
    return found["bcubed_f1"], found["ari"]


if __name__ == "__main__":
    main()
