"""Where the CPU time of the page path goes, stage by stage, and its ratio to trafilatura in the same process.

    python tests/benchmarks/pages_stages.py SHARED/data/extraction [--every 1] [--json FILE]

Pages are read one after another, as a worker does; a stage's time includes those indented under it. With trafilatura
importable, it extracts each page right after Copydesk, so that both meet the same machine.
"""

import argparse
import gzip
import importlib
import json
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from schemas.errors import Rejected
from transforms.clean import linemodel, page
from transforms.clean.page import PageLimits, read_page
from transforms.read.decode import decode_page

STAGES = {
    "check_limits": page,
    "  strip_page": page,
    "LexborHTMLParser": page,
    "read_declared": page,
    "scan_page": page,
    "considered": page,
    "is_dateline": page,
    "choose_metadata": page,
    "body_scores": page,
    "  line_matrix": linemodel,
    "  context_matrix": linemodel,
    "  _probabilities": linemodel,
    "choose_lines": page,
    "_label": page,
    "line_signatures": page,
}


def main() -> None:
    """Time all pages twice: whole pages beside trafilatura, then by stage, which costs time itself."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", type=int, default=1, help="take each n-th page only")
    parser.add_argument("--json", type=Path, help="write the table here too")
    arguments = parser.parse_args()
    rows = [json.loads(line) for line in (arguments.folder / "manifest.jsonl").open(encoding="utf-8")]
    pages = [decode_page(gzip.decompress((arguments.folder / row["html"]).read_bytes())) for row in rows]
    pages = pages[:: arguments.every]
    peer = extractor()
    read(pages[0])
    peer(pages[0])
    ours = theirs = worst = 0.0
    for html in pages:
        spent = timed(read, html)
        ours, worst = ours + spent, max(worst, spent)
        theirs += timed(peer, html)
    table = {"whole page": ours / len(pages), "worst page": worst, "trafilatura": theirs / len(pages)}
    spent_in: dict[str, float] = defaultdict(float)
    for name, module in STAGES.items():
        watch(module, name, spent_in)
    for html in pages:
        read(html)
    table |= {name: spent_in[name] / len(pages) for name in STAGES}
    for name, seconds in table.items():
        print(f"{name:<20}{1000 * seconds:>9.3f} ms")
    if theirs > ours:
        print(f"{theirs / ours:.2f} x trafilatura on {len(pages)} pages")
    if arguments.json:
        arguments.json.write_text(json.dumps(table, indent=1), encoding="utf-8")


def read(html: str) -> None:
    """Read a page; what is rejected took its time too."""
    try:
        read_page(html, None, PageLimits())
    except Rejected as refusal:
        print(refusal)


def extractor() -> Callable[[str], Any]:
    """`trafilatura.extract`, or nothing where it is not installed."""
    try:
        extract: Callable[[str], Any] = importlib.import_module("trafilatura").extract
    except ImportError:
        print("trafilatura is not installed: no ratio")
        return lambda _: None
    return extract


def timed(function: Callable[[str], Any], html: str) -> float:
    """CPU seconds of one call."""
    began = time.process_time()
    function(html)
    return time.process_time() - began


def watch(module: Any, name: str, spent_in: dict[str, float]) -> None:
    """Let a function of a module add up its own time."""
    function = getattr(module, name.strip())

    def watched(*arguments: Any) -> Any:
        began = time.process_time()
        try:
            return function(*arguments)
        finally:
            spent_in[name] += time.process_time() - began

    setattr(module, name.strip(), watched)


if __name__ == "__main__":
    main()
