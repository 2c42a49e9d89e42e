"""Stories inside a pool of 10,000 other articles: the seeds, and the labelled sets that have dates.

Merges that a small run cannot show turn up here: words that are rare in one set are common in the pool.
"""

import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from tests.quality import measure
from tests.quality.measure import Figures
from tests.quality.stories_held_out import BASE_ARTICLES, representatives, score
from transforms.cluster.stories import StoryOptions, features

EMBEDDED = ("g5", "basil", "galaxy", "allsides")
SEED_DAYS = (19_010, 19_070)  # 2022-01-18 to 2022-03-19, as days since 1970


def pool(shared: Path, work: Path) -> Figures:
    """Stories inside 10,000 other articles."""
    return seeds_in_pool(shared, work) | sets_in_pool(shared, work)


def seeds_in_pool(shared: Path, work: Path) -> Figures:
    """Whether one run over the seeds and 10,000 articles of the same weeks gives the seeds' stories, and no others.

    The articles are real; their dates are drawn from January to March 2022.
    """
    rows = sorted(measure.rows_of(shared / "data/neardup/base.jsonl.gz"), key=lambda row: row["id"])
    draw = random.Random(0)
    draw.shuffle(rows)
    given = (
        {name: row[name] for name in ("id", "outlet", "url", "title", "text") if name in row}
        | {"published_at": datetime.fromtimestamp(86_400 * draw.randrange(*SEED_DAYS), UTC).isoformat()}
        for row in rows[:BASE_ARTICLES]
    )
    out = work / "seeds-in-pool"
    measure.copydesk("run", measure.ROOT / "seeds", measure.write_rows(work / "pool.jsonl", given), "--output", out)
    found = measure.articles(out, "source_id", "source_uri", "story_id")
    stories: dict[str, set[str]] = {}
    for row in found:
        of_seeds = row["source_uri"].endswith(".txt")
        stories.setdefault(row["story_id"], set()).add(row["source_id"][:3] if of_seeds else "other")
    told = {frozenset(each) for each in stories.values() if each != {"other"}}
    return {
        "pool.articles": float(len(found)),
        "pool.seeds_exact": float(told == measure.MACRO_SEEDS),
    }


def sets_in_pool(shared: Path, work: Path) -> Figures:
    """B-cubed F1 and ARI of four sets, each among 10,000 other articles, and the largest story."""
    base = features(representatives(shared, work, "base")[0], StoryOptions())
    largest: list[int] = []
    figures: Figures = {}
    for name in EMBEDDED:
        rows, copy_of = representatives(shared, work, name)
        own = features(rows, StoryOptions())
        others = base.filter(pa.array(~np.isin(base["copy_id"].to_numpy(), own["copy_id"].to_numpy())))
        together = pa.concat_tables([own, others])
        found = score(shared, name, together, copy_of, StoryOptions(), largest)
        figures |= {f"pool.{name}.{key}": value for key, value in zip(("bcubed_f1", "ari"), found, strict=True)}
    for key in ("bcubed_f1", "ari"):
        figures[f"pool.mean.{key}"] = sum(figures[f"pool.{name}.{key}"] for name in EMBEDDED) / len(EMBEDDED)
    return figures | {"pool.largest_story": float(max(largest))}


MEASURES: Mapping[str, Callable[[Path, Path], Figures]] = {"pool": pool}
