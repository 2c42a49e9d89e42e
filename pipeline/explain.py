"""`copydesk explain`: why an article, a pair or a line is where it is, out of the current snapshot."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from pydantic import ValidationError
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from pipeline.config import Config
from pipeline.reading import open_dataset, read_rows
from pipeline.verdict import bands_met, side_by_side, what_would_turn_it
from schemas.errors import UsageError
from schemas.ids import parse_id
from schemas.tables import ARTICLES
from transforms.cluster.reasons import nearness

_MOST_LINES = 20
_SHOWN = 160  # characters of a line or passage
_ABOUT_BANDS = (
    "Computed again from the two texts alone: the run also leaves out what is furniture or too frequent in its corpus, "
    "so its own bands can differ."
)

Facts = dict[str, Any]


def explain_article(output: Path, article: str) -> Facts:
    """An article's labels, why it is in its story, its copies and pairs, and every line that was taken out of it.

    Raises:
      UsageError: no such article.
    """
    row = _article(output, article)
    article = row["article_id"]
    row["text"] = row["text"].split("\n", 1)[0]
    pairs = _rows(output, "pairs", (ds.field("left_id") == article) | (ds.field("right_id") == article))
    return {
        "article": row,
        "copy": _one(output, "copies", "copy_id", row["copy_id"]),
        "story": _one(output, "stories", "story_id", row["story_id"]),
        **_why_in_story(output, article),
        "pairs": sorted(pairs, key=lambda pair: -pair["score"]),
        "removed": _rows(output, "removed", ds.field("article_id") == article, ["line", "label", "rule", "text"]),
    }


def _why_in_story(output: Path, article: str) -> Facts:
    """The members of its story nearest to an article, by which terms and days, and the story that came second."""
    row = _article(output, article)
    own, rival = row["story_id"], row["story_runner_up_id"]
    if own is None:
        return {"story_members": []}
    others = [mate for mate in _rows(output, "articles", ds.field("story_id") == own) if mate["article_id"] != article]
    rivals = _rows(output, "articles", ds.field("story_id") == rival) if rival is not None else []
    compared = nearness(pa.Table.from_pylist([row, *others, *rivals], schema=ARTICLES.schema))
    near = [
        {
            "similarity": found.similarity,
            "days": found.days,
            "hours_apart": _hours_apart(row, mate),
            **{name: mate[name] for name in ("article_id", "copy_id", "outlet", "headline")},
            "terms": found.terms,
        }
        for mate, found in zip(others + rivals, compared, strict=True)
    ]
    members = sorted(near[: len(others)], key=lambda mate: -mate["similarity"] * mate["days"])
    told = _one(output, "stories", "story_id", rival) if rival is not None else None
    best = max(near[len(others) :], key=lambda mate: mate["similarity"] * mate["days"], default=None)
    return {
        "story_members": members,
        "runner_up": told
        and {name: told[name] for name in ("story_id", "headline", "n_articles", "first_published")}
        | {"score": row["story_runner_up_score"], "nearest": best},
    }


def _hours_apart(row: Facts, other: Facts) -> float | None:
    a, b = row["date_published"], other["date_published"]
    return abs((a - b).total_seconds()) / 3600 if a is not None and b is not None else None


def explain_pair(output: Path, left: str, right: str) -> Facts:
    """What two articles share, and what was made of it, by the thresholds that the dataset was made with.

    Raises:
      UsageError: one of them is not there, or both are one.
    """
    left, right = sorted((left.lower(), right.lower()))
    if left == right:
        raise UsageError(f"{left}: the same article twice; a pair has two")
    a, b = _article(output, left), _article(output, right)
    config, whose = _thresholds(output)
    found = _rows(output, "pairs", (ds.field("left_id") == left) & (ds.field("right_id") == right))
    keep = ("article_id", "copy_id", "story_id", "outlet", "headline", "date_published", "words")
    same = {name: a[name] == b[name] and a[name] is not None for name in ("copy_id", "story_id")}
    facts: Facts = {
        "left": {name: a[name] for name in keep},
        "right": {name: b[name] for name in keep},
        "pair": found[0] if found else None,
        "same_copy": same["copy_id"],
        "same_story": same["story_id"],
        "thresholds": whose,
        "bands": bands_met(a["text"], b["text"], config.match),
        "about_bands": _ABOUT_BANDS,
    }
    if not found:
        return facts | {"verdict": _why_no_pair(config.match.quote_words, together=same["copy_id"])}
    (pair,) = found
    return facts | {
        "side_by_side": side_by_side(pair["passages"], b["text"]),
        "verdict": f"They were compared: {pair['relation']}, score {pair['score']:.3f}, Jaccard {pair['jaccard']:.3f}.",
        "other_verdict": what_would_turn_it(pair, config.copies, together=same["copy_id"]),
    }


def _why_no_pair(quote_words: int, *, together: bool) -> str:
    if together:
        return "One copy through others, with which both were compared: no pair of their own."
    return (
        "No band, fingerprint or address brought them together, "
        f"or they make no copy and share no run of {quote_words} words: no pair."
    )


def explain_line(output: Path, text: str) -> Facts:
    """Where a line was taken out, by which rules, and where it was left in a text.

    Raises:
      UsageError: the text is empty, or no Unicode.
    """
    if not text.strip() or text != text.encode(errors="ignore").decode():
        raise UsageError("explain line: needs a part of a line, as UTF-8")
    table = read_rows(output, "removed")
    hits = table.filter(pc.match_substring(table["text"], text, ignore_case=True)).sort_by("article_id")
    kept = read_rows(output, "articles", ["article_id", "outlet", "text"])
    left_in = kept.filter(pc.match_substring(kept["text"], text, ignore_case=True)).sort_by("article_id")
    rules = hits.group_by(["label", "rule"], use_threads=False).aggregate([([], "count_all")])
    return {
        "removed": hits.slice(0, _MOST_LINES).to_pylist(),
        "removed_times": hits.num_rows,
        "rules": rules.sort_by([("count_all", "descending"), ("rule", "ascending")]).to_pylist(),
        "kept_in": left_in.drop_columns(["text"]).slice(0, _MOST_LINES).to_pylist(),
        "kept_times": left_in.num_rows,
    }


def show(console: Console, facts: Facts) -> None:
    """Print what an `explain_…` found, a section for each part."""
    for name, value in facts.items():
        console.print(Text(name.replace("_", " "), style="bold"))
        console.print(_shown(value))


def _shown(value: Any) -> RenderableType:
    if isinstance(value, dict):
        grid = Table.grid(padding=(0, 2))
        for key, item in value.items():
            if item is not None and item != []:
                grid.add_row(f"  {key}", Text(_short(item)))
        return grid
    if isinstance(value, list) and value and isinstance(value[0], int):
        return Text("  " + ", ".join(map(str, value)))
    if isinstance(value, list):
        lines = [Text("  " + "  ".join(_short(item) for item in row.values() if item is not None)) for row in value]
        return Group(*lines) if lines else Text("  none")
    return Text(f"  {value if value is not None else 'none'}")


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, list):
        return " | ".join(_short(item) for item in value)
    if isinstance(value, dict):
        return " ".join(_short(item) for item in value.values() if item is not None)
    text = str(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _thresholds(output: Path) -> tuple[Config, str]:
    """The options of match and copies that the newest snapshot was made with, or the shipped ones; and which."""
    manifest = open_dataset(output)
    if not manifest.thresholds:
        return Config(), "The shipped ones are assumed: this snapshot's manifest does not hold its own."
    try:
        return Config.model_validate(manifest.thresholds), f"Those that snapshot {manifest.snapshot} was made with."
    except ValidationError:
        return Config(), f"The shipped ones are assumed: Copydesk {manifest.version} made this snapshot by others."


def _article(output: Path, article: str) -> Facts:
    try:
        parse_id(article)
    except ValueError as error:
        raise UsageError(str(error)) from error
    row = _one(output, "articles", "article_id", article.lower())
    if row is None:
        raise UsageError(f"{article}: no such article in {output / 'current'}")
    return row


def _one(output: Path, table: str, key: str, value: str | None) -> Facts | None:
    rows = _rows(output, table, ds.field(key) == value) if value is not None else []
    return rows[0] if rows else None


def _rows(output: Path, table: str, where: ds.Expression, columns: list[str] | None = None) -> list[Facts]:
    rows: list[Facts] = read_rows(output, table, columns, where).to_pylist()
    return rows
