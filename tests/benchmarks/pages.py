"""Copydesk and other extractors over the same labelled pages, interleaved in one process: quality, speed, metadata.

    python -m tests.benchmarks.pages SHARED [--predictions CV.jsonl] [--pages N] [--json FILE]

SHARED is the folder with the labelled pages and their scorer. Pages are decoded first; then all systems read the same
few pages before any reads the next, each time in another order, on one core, measured in CPU time, with the garbage of
the one collected before the next starts. Copydesk's time is the whole clean path in process: from the decoded page to
the cleaned article with its metadata; the others' is the call that gives the text.

Copydesk's line model was trained on these pages, so its quality is only printed from `--predictions`: texts by models
that never saw a page's domain, as `tests/training/train_pages.py --predictions` writes them.
"""

import argparse
import gc
import gzip
import itertools
import json
import logging
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.benchmarks.extractors import Extractor, Facts, Page, installed
from tests.quality.measure import rows_of, scorer
from transforms.clean.articles import CleanOptions, clean_tables
from transforms.clean.label import MemoryOptions
from transforms.read.decode import decode_page
from transforms.read.rows import raw_row, raw_table

TOGETHER = 64  # pages that a system reads before the next system's turn: Copydesk works on blocks
YARDSTICK = "trafilatura"
COPYDESK = "Copydesk"
SETS = ("aeb", "fe", "fundus")
_OPTIONS = CleanOptions(memory=MemoryOptions(learn=False))

Row = dict[str, Any]


def main() -> int:
    """Read all pages by every system, print one table and what it does not show."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path)
    parser.add_argument("--predictions", type=Path, help="cross-validated texts of Copydesk, for its quality")
    parser.add_argument("--pages", type=int, help="only so many pages, spread over the sets: a quick look")
    parser.add_argument("--json", type=Path, help="write the table here too")
    arguments = parser.parse_args()
    manifest = arguments.shared / "data/extraction/manifest.jsonl"
    if not manifest.exists():
        print(f"bench-pages: skipped, the labelled pages are not here ({manifest})")
        return 0
    logging.disable(logging.WARNING)  # the peers' own, by the page
    warnings.simplefilter("ignore")
    truths = rows_of(manifest)
    truths = truths[:: max(1, len(truths) // arguments.pages)] if arguments.pages else truths
    pages = [page_of(manifest.parent, truth) for truth in truths]
    peers, missing = installed()
    systems = [Extractor(COPYDESK, copydesk_texts, copydesk_facts), *peers]
    seconds, texts = timed(systems, pages)
    scoring = scorer(arguments.shared, "evaluate_extraction")
    texts[COPYDESK] = {}
    if arguments.predictions:
        texts[COPYDESK] = {row["id"]: row["text"] for row in rows_of(arguments.predictions)}
    table = [
        {"system": system.name, **quality(scoring, truths, texts[system.name])}
        | {"CPU s": seconds[system.name], "pages": len(pages)}
        | metadata(system, truths, pages)
        for system in systems
    ]
    print(markdown(table, missing, cross_validated=arguments.predictions is not None))
    if arguments.json:
        arguments.json.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    return 0


def page_of(folder: Path, truth: Mapping[str, Any]) -> Page:
    """A page of the manifest, decoded."""
    html = decode_page(gzip.decompress((folder / truth["html"]).read_bytes()))
    return Page(truth["id"], html, truth["url"], (truth.get("lang") or "en")[:2])


def copydesk_texts(pages: Sequence[Page]) -> list[str]:
    """The clean path as a run takes it, without an outlet memory; a page that is rejected gives no text."""
    rows = [
        raw_row({"id": page.name, "html": page.html, "url": page.url}, page.name, number, {})
        for number, page in enumerate(pages)
    ]
    articles, _ = clean_tables([raw_table(rows)], _OPTIONS)
    found = dict(zip(articles["source_id"].to_pylist(), articles["text"].to_pylist(), strict=True))
    return [found.get(page.name) or "" for page in pages]


def copydesk_facts(page: Page) -> Facts:
    """Headline, date and authors as they land in the tables."""
    row = raw_row({"id": page.name, "html": page.html, "url": page.url}, page.name, 0, {})
    articles, _ = clean_tables([raw_table([row])], _OPTIONS)
    if not articles.num_rows:
        return Facts(None, None, [])
    article = articles.select(["headline", "date_published", "authors"]).to_pylist()[0]
    published = article["date_published"]
    return Facts(article["headline"], published.isoformat() if published else None, article["authors"] or [])


def timed(systems: Sequence[Extractor], pages: Sequence[Page]) -> tuple[dict[str, float], dict[str, dict[str, str]]]:
    """CPU seconds of each system, and the texts by page; every system is warmed up on the first pages before."""
    for system in systems:
        system.texts(pages[:TOGETHER])
    gc.collect()
    gc.freeze()
    seconds = {system.name: 0.0 for system in systems}
    texts: dict[str, dict[str, str]] = {system.name: {} for system in systems}
    turn = itertools.cycle(range(len(systems)))
    for start in range(0, len(pages), TOGETHER):
        some, first = pages[start : start + TOGETHER], next(turn)
        for system in [*systems[first:], *systems[:first]]:
            gc.collect()
            began = time.process_time()
            read = system.texts(some)
            seconds[system.name] += time.process_time() - began
            texts[system.name].update(zip((page.name for page in some), read, strict=True))
    gc.unfreeze()
    return seconds, texts


def quality(scoring: ModuleType, truths: Iterable[Mapping[str, Any]], texts: Mapping[str, str]) -> Row:
    """F1 a set, leaked words and dirty pages of `fe`, F1 of the snippets; nothing where there are no texts."""
    if not texts:
        return {}
    pages: dict[str, list[Any]] = {}
    snippets: Counter[str] = Counter()
    for truth in truths:
        text = texts.get(truth["id"], "")
        if "with" in truth:
            snippets.update(scoring.score_snippets(truth, text))
            continue
        page = scoring.score_page(truth, text)[0]
        pages.setdefault(truth["set"], []).append(page)
        if truth["set"] == "fundus" and not truth.get("suspect_truth"):
            pages.setdefault("fundus clean", []).append(page)
    summaries = {name: scoring.summarise(scored) for name, scored in pages.items()}
    row: Row = {f"{name} F1": summary["F1"] for name, summary in summaries.items()}
    if snippets:
        row["snippets F1"] = 2 * snippets["tp"] / (2 * snippets["tp"] + snippets["fp"] + snippets["fn"])
    if "fe" in summaries:
        row |= {"fe leakW": summaries["fe"]["leakW"], "fe dirty": summaries["fe"]["dirty"]}
    return row


def metadata(system: Extractor, truths: Sequence[Mapping[str, Any]], pages: Sequence[Page]) -> Row:
    """Shares of the annotated pages whose title, day and authors are exactly right; nothing if it gives none."""
    if system.facts is None:
        return {}
    right: Counter[str] = Counter()
    known: Counter[str] = Counter()
    for truth, page in zip(truths, pages, strict=True):
        if truth["set"] == "fundus":
            try:
                facts = system.facts(page)
            except Exception:  # noqa: BLE001 -- whatever a peer raises, it said nothing
                facts = Facts(None, None, [])
            for name, exact in exactness(truth, facts).items():
                known[name] += 1
                right[name] += exact
    return {name: right[name] / known[name] for name in known}


def exactness(truth: Mapping[str, Any], facts: Facts) -> dict[str, bool]:
    """Whether each annotated fact is right: a title up to white space, a day in the zone of the truth, all authors."""
    found: dict[str, bool] = {}
    if truth.get("title"):
        found["title"] = (facts.title or "").split() == truth["title"].split()
    if truth.get("date"):
        found["day"] = facts.date is not None and same_day(facts.date, datetime.fromisoformat(truth["date"]))
    if truth.get("authors"):
        found["authors"] = [" ".join(name.split()) for name in truth["authors"]] == facts.authors
    return found


def same_day(given: str, truth: datetime) -> bool:
    """Whether a day, or a time, lies on the true day as it was where the truth was written."""
    when = datetime.fromisoformat(given)
    if when.tzinfo is not None and truth.tzinfo is not None:
        when = when.astimezone(truth.tzinfo)
    return when.date() == truth.date()


_QUALITY = [*(f"{name} F1" for name in (*SETS, "fundus clean", "snippets")), "fe leakW", "fe dirty"]
_FACTS = ["title", "day", "authors"]


def markdown(table: Sequence[Row], missing: Sequence[str], *, cross_validated: bool) -> str:
    """The table, the yardstick's speed as 1, and notes on what it does not show."""
    yardstick = next((row["CPU s"] for row in table if row["system"] == YARDSTICK), None)
    lines = [
        f"| system | {' | '.join(_QUALITY)} | × {YARDSTICK} | pages/CPU-s | {' | '.join(_FACTS)} |",
        f"|---|{'--:|' * (len(_QUALITY) + 2 + len(_FACTS))}",
    ]
    for row in table:
        speed = "–" if yardstick is None else f"{yardstick / row['CPU s']:.2f}"
        cells = [
            row["system"],
            *(_cell(row.get(name)) for name in _QUALITY),
            speed,
            f"{row['pages'] / row['CPU s']:.0f}",
            *(_cell(row.get(name)) for name in _FACTS),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines.append("")
    if cross_validated:
        lines.append(f"{COPYDESK}'s quality is cross-validated: no page was read by a model that saw its domain.")
    else:
        lines.append(f"{COPYDESK}'s quality is left out: it was trained on these pages (see --predictions).")
    lines.append(f"{COPYDESK}'s metadata is as shipped; its weights were chosen on these pages.")
    lines += [f"Not installed: {name} (`make peers` installs all)." for name in missing]
    return "\n".join(lines)


def _cell(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}".removeprefix("0")


if __name__ == "__main__":
    sys.exit(main())
