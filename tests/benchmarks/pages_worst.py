"""CPU seconds and peak memory of one worker on hostile pages at each cap of `PageLimits`, in one table.

    python tests/benchmarks/pages_worst.py [--json FILE]

Every page is read in a process of its own, forked after the compiled code is warm, so that the peak is that page's.
Exits 1 when a page takes over a second of CPU or a worker over a gigabyte.
"""

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from schemas.blocks import RAW
from transforms.clean.page import PageLimits
from transforms.clean.parse import parse_block

MOST_SECONDS, MOST_MIB = 1.0, 1024.0
LIMITS = PageLimits()
WARM = "<html><head><title>A ferry sinks</title></head><body><h1>A ferry sinks</h1><p>It sank on 3 May 2021.</p>"


def _filled(piece: str, most: int = LIMITS.nodes, characters: int = LIMITS.characters - 100) -> str:
    """A body of one piece again and again, as far as tags and characters allow."""
    tags = piece.count("<")
    fit = characters // len(piece)
    return "<html><body>" + piece * (min((most - 2) // tags, fit) if tags else fit)


def _texted(piece: str) -> str:
    """A body at the cap of tags and, with words between the tags, near that of characters."""
    tags = piece.count("<")
    pieces = (LIMITS.nodes - 2) // tags
    room = (LIMITS.characters - 100) // pieces - len(piece)
    return _filled(piece.replace("@", "word, " * (room // 6)))


CASES: dict[str, Callable[[], str]] = {
    "one line of words": lambda: _filled("word "),
    "one line of words, no blank": lambda: _filled("w"),
    "one line of Han": lambda: _filled("\u65b0\u805e"),
    "one line of emoji": lambda: _filled("\U0001f600 "),
    "one line of digits and marks": lambda: _filled("12.03.2021, | "),
    "entities": lambda: _filled("&amp;&lt;&nbsp;&quot;&eacute;&#8217;&bogus; "),
    "named entities without end": lambda: _filled("&CounterClockwiseContourIntegral"),
    "short lines": lambda: _filled("<p>a b c"),
    "lines at both caps": lambda: _texted("<p>@</p>"),
    "lines with dates at both caps": lambda: _filled("<p>3 May 2021 10:32 a.m. ET, 12 hours ago, Published 4 May 2021"),
    "lines of bare numbers": lambda: _filled("<p>12 05 20"),
    "lines with names": lambda: _filled("<p>By Ann Lee and Bob Ray"),
    "same long line": lambda: _texted("<p>@ and so on"),
    "depth at the cap": lambda: _filled("<div>" * 500 + "a b" + "</div>" * 500, 19_000),
    "depth at the cap of work": lambda: "<html><body>" + "<div>" * 80 + "<i>a b</i>" * 29_000,
    "unclosed inline tags": lambda: _filled("<span>" * 160 + "a b" + "</span>" * 160),
    "formatting at the cap": lambda: _filled("<p>" + "<b>" * 4 + "a b</p>" + "</b>" * 4),
    "formatting, misnested": lambda: _filled("<b><i><p>a b</b></i></p>"),
    "formatting, distinct and open": lambda: (
        "<html><body><p>" + "".join(f"<b id=a{i}>" for i in range(9)) + "</p>" + "<p>x y" * 30_000
    ),
    "links": lambda: _filled("<a href=x>a b</a> "),
    "links, never closed": lambda: _filled("<a href=x>a b "),
    "table": lambda: "<html><body><table>" + "<tr><td>a b" * 29_000,
    "tables in tables": lambda: _filled("<table><tr><td>" * 100 + "a b" + "</table>" * 100),
    "words thrown out of a table": lambda: "<html><body><table>" + "a b<tr>c d<p>" * 29_000,
    "lists never closed": lambda: _filled("<li>a b"),
    "definition lists": lambda: _filled("<dl><dt>a b<dd>c d</dl>"),
    "options": lambda: "<html><body><select>" + "<option>a b" * 59_000,
    "256 attributes a tag": lambda: _texted("<p " + " ".join(f"a{i}=1" for i in range(256)) + ">@"),
    "256 attributes a tag, all read": lambda: _filled("<p " + " ".join(f"name{i}=x" for i in range(256)) + ">a b"),
    "classes at both caps": lambda: _filled("<p class='" + "comment share related " * 2 + "'>a b"),
    "one class of 4 MB": lambda: "<html><body><p class='" + "comment-share " * 280_000 + "'>a b</p>",
    "styles": lambda: _filled("<p style='display : none'>a b"),
    "comments": lambda: _filled("<!-- a -- b > c -->a "),
    "one comment of 4 MB": lambda: "<html><body>a b<!--" + "-" * 3_900_000,
    "comment of dashes": lambda: "<html><body>a b<!--" + "--!" * 1_300_000,
    "CDATA": lambda: _filled("<![CDATA[ a b ]]>"),
    "CDATA in drawings": lambda: "<html><body><math>" + "<![CDATA[ a b ]]>" * 59_000,
    "processing instructions": lambda: _filled("<?xml a b?>c "),
    "scripts": lambda: _filled("<script>a < b</script>c d"),
    "a script without end": lambda: "<html><body>a b<script>" + "x</scrip " * 59_000,
    "drawings without end": lambda: "<html><body>a b" + "<svg>" * 80 + "<path d=x />" * 400,
    "JSON-LD at the cap": lambda: (
        "<html><body>a b<script type='application/ld+json'>["
        + ",".join(['{"@type":"NewsArticle","headline":"a b","author":["c"]}'] * 32_000)
        + "]</script>"
    ),
    "JSON-LD, deep": lambda: "<html><body>a b<script type='application/ld+json'>" + "[" * 3_900_000 + "</script>",
    "many JSON-LD": lambda: _filled('<script type=\'application/ld+json\'>{"@type":"Article"}</script>a'),
    "JSON-LD author of 1 MB": lambda: (
        '<html><body>a b<script type=\'application/ld+json\'>{"@type":"Article","author":"'
        + "Ann Lee and " * 80_000
        + '","keywords":"'
        + "a," * 480_000
        + '"}</script>'
    ),
    "metas": lambda: "<html><head>" + "<meta name=author content='By Ann Lee, Bob Ray'>" * 59_000 + "</head><body>a b",
    "one meta of 4 MB": lambda: "<html><head><meta name=keywords content='" + "a, " * 1_300_000 + "'></head><body>a b",
    "title of 4 MB": lambda: "<html><head><title>" + "a - b " * 650_000 + "</title></head><body>a b",
    "title of blanks": lambda: "<html><head><title>a" + " " * 3_900_000 + "b</title></head><body>a b",
    "og:title of bars": lambda: (
        "<html><head><meta property=og:title content='" + "a | " * 900_000 + "'></head><body><h1>a b</h1>"
    ),
    "headings": lambda: _texted("<h1>@</h1>"),
    "one heading of 4 MB": lambda: "<html><body><h1>" + "a | b " * 650_000,
    "times": lambda: _filled("<time datetime='3 May 2021'>a b</time>"),
    "one time of 4 MB": lambda: "<html><body>a b<time>" + "3 May 2021 " * 350_000,
    "authors": lambda: _filled("<a rel=author>Ann Lee</a>"),
    "one author of 4 MB": lambda: "<html><body><p itemprop=author>" + "Ann Lee and " * 320_000,
    "NUL bytes": lambda: _filled("\0"),
    "plaintext": lambda: "<html><body>a b<plaintext>" + "<p>c d" * 59_000,
    "textareas and titles": lambda: _filled("<textarea><p>a b</textarea>"),
    "templates": lambda: _filled("<template><p>a b</template>"),
    "frames": lambda: "<html><frameset>" + "<frame>" * 59_000,
    "body tags": lambda: _filled("<body class=a id=b>a b"),
    "foreign tags": lambda: _filled("<math><mi>a b<p>c d"),
    "buttons and forms": lambda: _filled("<form><button>a b"),
    "rubies": lambda: _filled("<ruby>a<rt>b<rp>c"),
    "a snippet at its cap": lambda: "<p>a <b>b</b>" * 3_300,
    "a snippet of one line": lambda: "word " * 799_000 + "<b>a</b>",
    "a snippet, deep": lambda: "<div>" * 500 + "a b",
}


def main() -> int:
    """Measure every case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the table here too")
    parser.add_argument("--only", default="", help="cases whose name holds this")
    arguments = parser.parse_args()
    parse_block(raw_block(WARM), LIMITS)
    parse_block(raw_block("<p>a <b>b</b>"), LIMITS)
    table = [{"case": name, **in_child(make)} for name, make in CASES.items() if arguments.only in name]
    print(f"{'case':<34}{'characters':>11}{'CPU s':>8}{'peak MiB':>10}  outcome")
    for row in sorted(table, key=lambda row: -row["cpu"]):
        print(f"{row['case']:<34}{row['characters']:>11}{row['cpu']:>8.3f}{row['peak_mib']:>10.0f}  {row['outcome']}")
    if arguments.json:
        arguments.json.write_text(json.dumps(table, indent=1), encoding="utf-8")
    over = [row["case"] for row in table if row["cpu"] > MOST_SECONDS or row["peak_mib"] > MOST_MIB]
    print(f"over {MOST_SECONDS} s or {MOST_MIB:.0f} MiB: {', '.join(over) or 'none'}")
    return 1 if over else 0


def in_child(make: Callable[[], str]) -> dict[str, Any]:
    """Read one page in a forked process; its CPU time, its peak memory and what came of the page."""
    source, sink = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(source)
        raw = raw_block(make())
        began = time.process_time()
        articles, lines, rejects = parse_block(raw, LIMITS)
        cpu = time.process_time() - began
        outcome = rejects["detail"][0].as_py()[:60] if rejects.num_rows else f"{lines.num_rows} lines"
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        size = len(raw["html"][0].as_py())
        os.write(sink, json.dumps({"characters": size, "cpu": cpu, "peak_mib": peak, "outcome": outcome}).encode())
        os._exit(0 if articles.num_rows + rejects.num_rows == 1 else 1)
    os.close(sink)
    with os.fdopen(source, "rb") as file:
        told = file.read()
    _, status = os.waitpid(child, 0)
    if status or not told:
        raise RuntimeError(f"the worker ended with status {status}")
    result: dict[str, Any] = json.loads(told)
    return result


def raw_block(html: str) -> pa.Table:
    """RAW with one page."""
    row = {field.name: None for field in RAW} | {"source_uri": "worst", "position": 0, "html": html}
    return pa.Table.from_pylist([row | {"headline_inline": False}], RAW)


if __name__ == "__main__":
    sys.exit(main())
