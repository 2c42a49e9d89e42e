"""The figures of the quality gate, each measured through `copydesk` and the scorers that come with the data.

The labelled data is not part of the project; its folder is an argument. Scorers run as they are.
"""

import gzip
import hashlib
import importlib.util
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[2]
STORY_SETS = ("g5", "basil", "galaxy", "allsides", "uci", "neus", "ecbplus")
MACRO_SEEDS = {  # story of each seed, by the number its name begins with
    frozenset({"001", "002", "003"}),
    frozenset({"000"}),
    frozenset({"004"}),
}
_COMMAND = Path(sys.executable).with_name("copydesk")

Figures = dict[str, float]


def copydesk(*words: str | Path, seed: int = 0) -> None:
    """Run the command, under a hash seed.

    Raises:
      SystemExit: it failed; its message is shown.
    """
    environment = {**os.environ, "PYTHONHASHSEED": str(seed)}
    done = subprocess.run([_COMMAND, *map(str, words)], check=False, capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(f"copydesk {' '.join(map(str, words))}: exit {done.returncode}\n{done.stderr[-2000:]}")


def scorer(shared: Path, name: str) -> ModuleType:
    """A scorer of the labelled data, as a module."""
    spec = importlib.util.spec_from_file_location(name, shared / "eval" / f"{name}.py")
    if spec is None or spec.loader is None:
        sys.exit(f"{shared / 'eval' / name}.py is missing")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows_of(path: Path) -> list[dict[str, Any]]:
    """Rows of a JSON lines file, gzipped or not."""
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def articles(out: Path, *columns: str) -> list[dict[str, Any]]:
    """Columns of the articles of a dataset."""
    found: list[dict[str, Any]] = pq.read_table(
        out / "current/articles", columns=list(columns), partitioning=None
    ).to_pylist()
    return found


def seeds(shared: Path, work: Path) -> Figures:
    """The five seeds: lines that went astray, and whether stories and pairs are as they should be."""
    out = work / "seeds"
    copydesk("run", ROOT / "seeds", "--output", out)
    kept = {row["source_id"]: set(row["text"].split("\n")) for row in articles(out, "source_id", "text")}
    wrong = 0
    for line in rows_of(shared / "data/seeds_lines.jsonl"):
        text = " ".join(line["text"].split())
        inside = text in {" ".join(each.split()) for each in kept[line["file"].removesuffix(".txt")]}
        wrong += inside != (line["label"] == "body")
    stories: dict[str, set[str]] = {}
    for row in articles(out, "source_id", "story_id"):
        stories.setdefault(row["story_id"], set()).add(row["source_id"][:3])
    pairs = pq.read_table(out / "current/pairs", partitioning=None).to_pylist()
    names = {row["article_id"]: row["source_id"][:3] for row in articles(out, "article_id", "source_id")}
    quotes = [{names[pair["left_id"]], names[pair["right_id"]]} for pair in pairs if pair["relation"] == "quotes"]
    return {
        "seeds.wrong_lines": wrong,
        "seeds.stories_exact": float({frozenset(each) for each in stories.values()} == MACRO_SEEDS),
        "seeds.pairs_exact": float(quotes == [{"002", "003"}] and len(pairs) == 1),
    }


def independence(shared: Path, work: Path) -> Figures:
    """The syndication set in another order, workers, blocks and hash seed: files that differ, of all."""
    rows = rows_of(shared / "data/neardup/dev.jsonl.gz")
    given = work / "ordered.jsonl"
    hashes = []
    config = work / "blocks.toml"
    for seed, workers, split in ((0, 1, 1 << 24), (1, 2, 1 << 20)):
        config.write_text(f"[read]\nsplit_bytes = {split}\n", encoding="utf-8")
        random.Random(seed).shuffle(rows)
        write_rows(given, rows)
        out = work / f"order{seed}"
        copydesk("run", given, "--output", out, "--workers", str(workers), "--config", config, seed=seed)
        manifest = json.loads((out / "manifests/000001.json").read_text(encoding="utf-8"))
        hashes.append({(file["table"], file["partition"], file["part"]): file["sha256"] for file in manifest["files"]})
    first, second = hashes
    differing = sum(first.get(name) != second.get(name) for name in first.keys() | second.keys())
    return {"independence.files": float(len(first)), "independence.files_wrong": float(differing)}


def extraction(shared: Path, work: Path) -> Figures:
    """Pages per set, as shipped: trained on these very pages, so docs/results.md has the cross-validation beside it."""
    scoring = scorer(shared, "evaluate_extraction")
    manifest = shared / "data/extraction/manifest.jsonl"
    texts = {name: row["text"] for name, row in extracted(shared, work).items()}
    pages: dict[str, list[Any]] = {}
    snippets: dict[str, int] = dict.fromkeys(("tp", "fn", "fp", "tn"), 0)
    for truth in rows_of(manifest):
        if "with" in truth:
            for name, count in scoring.score_snippets(truth, texts[truth["id"]]).items():
                snippets[name] += count
        else:
            pages.setdefault(truth["set"], []).append(scoring.score_page(truth, texts[truth["id"]])[0])
    figures: Figures = {}
    for name, scored in pages.items():
        summary = scoring.summarise(scored)
        figures |= {f"extraction.{name}.{key}": summary[key] for key in ("F1", "R", "leakW", "dirty", "empty")}
    figures["extraction.snippets.F1"] = 2 * snippets["tp"] / (2 * snippets["tp"] + snippets["fp"] + snippets["fn"])
    return figures


def metadata(shared: Path, work: Path) -> Figures:
    """Titles, dates (to the minute; without a zone in UTC) and authors of `fundus`, exactly right, as shipped."""
    found = extracted(shared, work)
    right: dict[str, list[bool]] = {"title": [], "date": [], "authors": []}
    for truth in rows_of(shared / "data/extraction/manifest.jsonl"):
        if truth["set"] == "fundus":
            said = found[truth["id"]]
            right["title"].append((said["headline"] or "").split() == truth["title"].split())
            right["date"].append(_minute(said["date_published"]) == _minute(truth["date"]))
            if truth.get("authors"):
                right["authors"].append(said["authors"] == [" ".join(name.split()) for name in truth["authors"]])
    return {f"metadata.{name}": sum(each) / len(each) for name, each in right.items()}


def languages(shared: Path, work: Path) -> Figures:
    """Pages by language, as shipped: F1 of the text and how many come out empty; whether the language is named."""
    scoring = scorer(shared, "evaluate_extraction")
    found = extracted(shared, work)
    pages: dict[str, list[Any]] = {}
    named: list[bool] = []
    for truth in rows_of(shared / "data/extraction/manifest.jsonl"):
        if truth.get("lang"):
            said, language = found[truth["id"]], truth["lang"][:2].replace("nb", "no")
            pages.setdefault(language, []).append(scoring.score_page(truth, said["text"])[0])
            named.append((said["language"] or "")[:2].replace("nb", "no") == language)
    figures = {f"languages.{name}.F1": scoring.summarise(scored)["F1"] for name, scored in sorted(pages.items())}
    figures["languages.empty"] = float(sum(page["empty"] for scored in pages.values() for page in scored))
    return figures | {"languages.named": sum(named) / len(named)}


def extracted(shared: Path, work: Path) -> dict[str, dict[str, Any]]:
    """What `copydesk extract` says of each labelled page; read once for all measures that need it."""
    predictions = work / "extraction.jsonl"
    if not predictions.exists():
        copydesk("extract", shared / "data/extraction/manifest.jsonl", "--output", predictions, "--learn")
    return {row["id"]: row for row in rows_of(predictions)}


def neardup(shared: Path, work: Path) -> Figures:
    """Simulated syndication: copies against the truth."""
    truth = shared / "data/neardup/dev.jsonl.gz"
    out = work / "neardup"
    copydesk("run", truth, "--output", out)
    return {f"neardup.{name}": value for name, value in clusters(shared, truth, out, "cluster", "copy_id").items()}


def stories(shared: Path, work: Path) -> Figures:
    """Seven sets of articles labelled by event, one setting."""
    figures: Figures = {}
    for name in STORY_SETS:
        truth = shared / f"data/stories/{name}.jsonl.gz"
        given = write_rows(work / f"{name}.jsonl", map(without_leaks, rows_of(truth)))
        copydesk("run", given, "--output", work / name)
        found = clusters(shared, truth, work / name, "story", "story_id")
        figures |= {f"stories.{name}.{key}": found[key] for key in ("bcubed_f1", "ari")}
    for key in ("bcubed_f1", "ari"):
        figures[f"stories.macro.{key}"] = sum(figures[f"stories.{name}.{key}"] for name in STORY_SETS) / len(STORY_SETS)
    return figures


def clusters(shared: Path, truth: Path, out: Path, label: str, column: str) -> Figures:
    """ARI, B-cubed and over-merge of a dataset's groups."""
    scoring = scorer(shared, "evaluate_clusters")
    known = {row["id"]: row[label] for row in rows_of(truth)}
    found = {row["source_id"]: row[column] for row in articles(out, "source_id", column)}
    score = scoring.score(known, found)
    return {name: score[name] for name in ("ari", "bcubed_p", "bcubed_r", "bcubed_f1", "biggest_over_merge")} | {
        "missing": float(len(known.keys() - found.keys()))
    }


def fingerprint(shared: Path) -> str:
    """A hash over the labelled data, so that a figure that moves with the data is not taken for ours."""
    digest = hashlib.sha256()
    for path in sorted((shared / "data").rglob("*")):
        if path.is_file():
            digest.update(f"{path.relative_to(shared)} {path.stat().st_size}\n".encode())
    digest.update((shared / "data/extraction/manifest.jsonl").read_bytes())
    return digest.hexdigest()[:16]


def _minute(text: str | None) -> datetime | None:
    """A time in UTC without its seconds."""
    when = datetime.fromisoformat(text) if text else None
    if when is None:
        return None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).astimezone(UTC).replace(second=0, microsecond=0)


def without_leaks(row: Mapping[str, Any]) -> dict[str, Any]:
    """Drop what gives the story away: dates of roundups and of the scraper."""
    leaks = (
        row["source_dataset"].startswith("UCI")
        or row["id"].startswith("uci")
        or row["date_precision"] == "day(roundup)"
    )
    return {name: row[name] for name in ("id", "outlet", "url", "title", "text")} | {
        "published_at": None if leaks else row["published_at"]
    }


MEASURES: Mapping[str, Callable[[Path, Path], Figures]] = {
    "seeds": seeds,
    "extraction": extraction,
    "metadata": metadata,
    "languages": languages,
    "neardup": neardup,
    "independence": independence,
    "stories": stories,
}
