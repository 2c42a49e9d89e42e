"""What the outlet memory brings on pages, by how many sister pages of the outlet are known.

    PYTHONPATH=. python tests/training/measure_memory.py DATA SHARED/eval --scores SCORES.npz

DATA is a folder with `manifest.jsonl` and its pages; the other folder holds `evaluate_extraction.py`. Pages are
scored by models that never saw their domain (as `train_pages.py` cross-validates; kept in SCORES.npz, delete it when
the model changes). Every page of an outlet is then cleaned beside draws of 0, 1, 2, 5, 10 others of the same outlet.

Two bases: the lines that the model keeps as shipped, and all that it thinks possible (score ≥ .15), as an extractor
without our model would leave more. `words` and `places` show each part of the memory alone. A row compares the same
pages with and without memory; recall is of the truth's words in lines that the base keeps.
"""

import argparse
import gzip
import json
import random
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import train_pages  # type: ignore[import-not-found] # beside this script
from numpy.typing import NDArray

from schemas.blocks import RAW
from schemas.labels import LABEL_CODES, Label
from transforms.clean import page
from transforms.clean.label import MemoryOptions, misplaced_lines, remembered_furniture
from transforms.clean.outlets import memory_of
from transforms.clean.pagescan import Scan
from transforms.clean.parse import line_statistics, parse_block

SISTERS = (0, 1, 2, 5, 10)
DRAWS = 3
POSSIBLE = 0.15
BODY, FURNITURE = LABEL_CODES[Label.BODY], LABEL_CODES[Label.FURNITURE]


def main() -> None:
    """Score, draw, clean, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("eval", type=Path)
    parser.add_argument("--scores", type=Path, required=True)
    arguments = parser.parse_args()
    sys.path.insert(0, str(arguments.eval))
    truths = [json.loads(row) for row in (arguments.data / "manifest.jsonl").read_text("utf-8").splitlines()]
    parsed, lines = parsed_pages(arguments.data, truths, arguments.scores)
    print_table(truths, parsed, lines)


def parsed_pages(folder: Path, truths: list[dict[str, Any]], scores: Path) -> tuple[pa.Table, pa.Table]:
    """PARSED and LINES of all pages, by scores of models that never saw their domain."""
    if not scores.exists():
        np.savez(scores, allow_pickle=False, **cross_validated(folder, truths))
    known = np.load(scores)

    def foreign_scores(scan: Scan, rows: NDArray[np.int64]) -> tuple[NDArray[np.float64], list[str]]:
        found: NDArray[np.float64] = known[fingerprint(scan)]
        if len(found) != len(rows):
            raise ValueError(f"{scores} was made of other lines: delete it")
        return found, []

    vars(page)["body_scores"] = foreign_scores
    rows = [
        {
            "source_uri": "manifest.jsonl",
            "position": at,
            "source_id": truth["id"],
            "url": truth.get("url"),
            "outlet": truth["domain"],
            "html": train_pages.decode(gzip.decompress((folder / truth["html"]).read_bytes())),
            "headline_inline": False,
        }
        for at, truth in enumerate(truths)
    ]
    parsed, lines, rejects = parse_block(pa.Table.from_pylist(rows, RAW), page.PageLimits())
    if rejects.num_rows:
        raise ValueError(f"{rejects.num_rows} pages could not be read: {rejects['detail'][0]}")
    return parsed, lines


def cross_validated(folder: Path, truths: list[dict[str, Any]]) -> dict[str, NDArray[np.float64]]:
    """Scores of every page's lines by what its words are."""
    examples = [train_pages.read_example(folder, truth) for truth in truths]
    scores = {}
    for fold in range(train_pages.FOLDS):
        stages = train_pages.Stages([e for e in examples if train_pages.fold_of(e, train_pages.FOLDS) != fold])
        for example in (e for e in examples if train_pages.fold_of(e, train_pages.FOLDS) == fold):
            scores[fingerprint(example.scan)] = stages.scores(example)
    return scores


def fingerprint(scan: Scan) -> str:
    """A name for a page by its text."""
    return f"p{train_pages.zlib.crc32(scan.text.tobytes()):08x}{len(scan.text)}"


def print_table(truths: list[dict[str, Any]], parsed: pa.Table, lines: pa.Table) -> None:
    """One row for each base, number of sisters and part of the memory."""
    from evaluate_extraction import Haystack, tokens  # type: ignore[import-not-found] # noqa: PLC0415 -- lies outside

    row, text = lines["row"].to_numpy(), lines["text"].to_pylist()
    words = np.array([len(tokens(line)) for line in text])
    starts = np.searchsorted(row, np.arange(len(truths) + 1))
    outlets = defaultdict(list)
    for at, truth in enumerate(truths):
        outlets[truth["domain"]].append(at)
    true = np.zeros(len(text), bool)
    judged = [at for at, t in enumerate(truths) if "with" not in t and not t.get("suspect_truth")]
    judged = [at for at in judged if len(outlets[truths[at]["domain"]]) > 1]
    for at in judged:
        truth = truths[at]
        body = truth.get("text") or "\n".join(truth.get("paragraphs") or [])
        inside = Haystack("\n".join([truth.get("title") or "", *(truth.get("optional") or []), body]))
        for line in range(starts[at], starts[at + 1]):
            true[line] = inside.holds(text[line], 0.7)
    print("| base | sister pages | pages | memory | leakW without | leakW with | change | recall lost |")
    print("|---|--:|--:|---|--:|--:|--:|--:|")
    label, score = lines["label"].to_numpy(), lines["score"].to_numpy()
    loose = np.where((label == FURNITURE) & (score >= POSSIBLE), BODY, label).astype(np.int8)
    for base, labels in (("as shipped", label), ("all possible lines", loose)):
        table = lines.set_column(lines.column_names.index("label"), lines.schema.field("label"), pa.array(labels))
        for sisters in SISTERS:
            groups = [(at, [o for o in outlets[truths[at]["domain"]] if o != at]) for at in judged]
            draws = [
                [at, *random.Random(f"{at} {draw}").sample(others, sisters)]
                for at, others in groups
                if len(others) >= sisters
                for draw in range(DRAWS)
            ]
            sums = {name: np.zeros(4) for name in ("lines", "places", "both")}
            for chosen in draws:
                own = slice(starts[chosen[0]], starts[chosen[0] + 1])
                body, bad, size = labels[own] == BODY, ~true[own], words[own]
                by_line, by_place = taken(parsed, table, starts, chosen)
                for name, gone in (("lines", by_line), ("places", by_place), ("both", by_line | by_place)):
                    kept = body & ~gone
                    sums[name] += [size[each].sum() for each in (body & bad, body, kept & bad, kept)]
            for name, counted in sums.items():
                print_row([base, str(sisters), str(len(draws) // DRAWS), name], *counted.tolist())


def print_row(names: list[str], leak: float, kept: float, leak_after: float, kept_after: float) -> None:
    """One row of the table out of words that leak and words that are kept, without memory and with it."""
    if not leak:
        print(f"| {' | '.join(names)} | – | – | – | – |")
        return
    before, now = leak / kept, leak_after / kept_after
    lost = 1 - (kept_after - leak_after) / (kept - leak)
    print(f"| {' | '.join(names)} | {before:.4f} | {now:.4f} | {(now / before - 1) * 100:+.1f}% | {lost:.5f} |")


def taken(
    parsed: pa.Table, lines: pa.Table, starts: NDArray[np.int64], pages: list[int]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Lines of the first page that a memory of all of them takes, by their words and by their place."""
    parts = [lines.slice(starts[at], starts[at + 1] - starts[at]) for at in pages]
    rows = np.repeat(np.arange(len(pages), dtype=np.int32), [part.num_rows for part in parts])
    some = parsed.take(pages)
    table = pa.concat_tables(parts).set_column(0, lines.schema.field("row"), pa.array(rows)).combine_chunks()
    memory = memory_of(line_statistics(some, table))
    options = MemoryOptions()
    own = parts[0].num_rows
    return (
        remembered_furniture(some, table, memory, options)[:own],
        misplaced_lines(some, table, memory, options)[:own],
    )


if __name__ == "__main__":
    main()
