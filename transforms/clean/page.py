"""A news page → its lines, labelled, and what it says about itself.

One lexbor parse, one compiled pass over the serialised body, a two-stage line model, then a decision a line. Pages that
would cost too much are refused before they are parsed.
"""

import re
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from selectolax.lexbor import LexborHTMLParser

from schemas.errors import Rejected, RejectReason
from schemas.labels import Label
from transforms.clean.dates import is_dateline
from transforms.clean.declared import read_declared
from transforms.clean.linemodel import body_scores
from transforms.clean.linetext import LINE_FEATURES
from transforms.clean.metadata import Metadata, choose_metadata
from transforms.clean.pagecues import load_cues
from transforms.clean.pagefeatures import considered, line_signatures
from transforms.clean.pagescan import MAX_DEPTH, Scan, scan_page
from transforms.clean.pagestrip import Stripped, strip_page

_THRESHOLDS = (0.6, 0.3, 0.15)  # the lower ones when too little is left (RECIPES "Pages" 6)
_FLOOR = 0.15  # lines above it may be body
_LEAST_SHARE = 0.35
_LONG_REPEAT = 40  # characters from which a line said twice is furniture the second time
_BYLINE = re.compile(
    r"(?:by|von|par|por|di|da|af|av|door|oleh|autor|author|text|words by|written by|reporting by)\b[:\s]", re.IGNORECASE
)
_MOST_NUMBERED = 5_000  # lines with a digit that may be a dateline; the most measured is 2,600
_NEAR = 10  # lines from the h1 within which a short line with a date dates the page
_SHORT = 120  # characters
_ALIKE = 0.7  # share of a line's words in the headline or description from which they are compared
_TITLE, _DESCRIPTION, _DIGITS = map(LINE_FEATURES.index, ("title_share", "description_share", "digit_share"))
_LONGEST_KEY = 50_000  # characters in which a line is compared with the headline and its like
_LT = ord("<")

# One object a decision: tens of thousands of new pairs set the garbage collector off.
_TITLE_LINE, _H1 = (Label.HEADLINE, "headline"), (Label.HEADLINE, "h1")
_BODY, _FURNITURE = (Label.BODY, "line-model"), (Label.FURNITURE, "line-model")
_STANDFIRST, _CAPTION = (Label.DESCRIPTION, "description"), (Label.CAPTION, "caption-element")
_DATELINE, _BYLINE_LINE = (Label.DATELINE, "dateline"), (Label.BYLINE, "byline")
_WORDS = re.compile(r"\w+")


@dataclass(frozen=True)
class PageLimits:
    """Caps on one page; a page over them is rejected, before or while it is parsed.

    The defaults are set so that no page takes more than a second of CPU time.
    """

    characters: int = 4_000_000  # of decoded HTML; the longest real page that was measured has 1,700,000
    nodes: int = 50_000  # "<" in it; the most measured is 20,000
    depth: int = 512  # elements open at once, as in browsers; the deepest real page that was measured has 38
    work: int = 5_000_000  # sum over tags of the elements open there; the most measured is 140,000
    formats: int = 300_000  # likewise of formatting elements, opened anew in every block; the most measured is 6,000
    attributes: int = 256  # in one tag; the most measured is 60

    def __post_init__(self) -> None:
        """Refuse values that make no sense.

        Raises:
          ValueError: names the option and what is allowed.
        """
        for cap in fields(self):
            if getattr(self, cap.name) < 1:
                raise ValueError(f"{cap.name} must be 1 or more, not {getattr(self, cap.name)}")
        if self.depth > MAX_DEPTH:
            raise ValueError(f"depth must be at most {MAX_DEPTH}, not {self.depth}")


class PageLine(NamedTuple):
    """One line of a page."""

    text: str
    label: Label
    rule: str  # why that label
    score: float  # how likely it is body, 0..1
    signature: int  # 63-bit hash of where it stood in the page, for the outlet's memory


@dataclass(frozen=True)
class Page:
    """What was read: every line that was considered, in page order."""

    lines: list[PageLine]
    metadata: Metadata
    quality_flags: list[str]


def read_page(html: str | bytes, url: str | None, limits: PageLimits) -> Page:
    """Label the lines of a page and collect its metadata.

    Args:
      html: a whole page, decoded or as UTF-8.
      url: where it was found, if known.
      limits: caps.

    Raises:
      Rejected: TOO_COMPLEX over a cap; NO_BODY when no line is left.
    """
    stripped = check_limits(html, limits)
    tree = LexborHTMLParser(stripped.html)
    declared = read_declared(tree, stripped.linked_data)
    body = tree.body
    scan = scan_page((body.html or "").encode("utf-8", "replace") if body else b"", declared.titles, declared.summary)
    if scan is None:
        raise Rejected(RejectReason.TOO_COMPLEX, f"elements nest deeper than {MAX_DEPTH}")
    rows = considered(scan)
    if not len(rows):
        raise Rejected(RejectReason.NO_BODY, "the page has no visible text")
    texts = scan.text.tobytes().decode("utf-8", "replace").split("\n")
    lines = [texts[row] for row in rows.tolist()]
    h1 = scan.tags[scan.blocks] == load_cues().line_tags.index("h1") + 1
    headings = np.flatnonzero(h1).tolist()
    near = texts[max(0, headings[0] - _NEAR) : headings[0] + _NEAR] if headings else []
    dated = [False] * len(lines)
    for i in np.flatnonzero(scan.features[rows, _DIGITS] > 0)[:_MOST_NUMBERED].tolist():
        dated[i] = is_dateline(lines[i])
    dates = [line for line in near if len(line) < _SHORT and any(map(str.isdigit, line))]
    dates += [line for line, date in zip(lines, dated, strict=True) if date]
    metadata = choose_metadata(declared, tree, [texts[i] for i in headings], dates, url)
    scores, undone = body_scores(scan, rows)
    keep, flags = choose_lines(lines, scores, scan.features[rows, 0])
    labels = _label(lines, keep, dated, scan, rows, metadata)
    signatures = line_signatures(scan, rows).tolist()
    return Page(
        [
            PageLine(text, label, rule, score, signature)
            for text, (label, rule), score, signature in zip(lines, labels, scores.tolist(), signatures, strict=True)
        ],
        metadata,
        [*undone, *flags],
    )


def check_limits(html: str | bytes, limits: PageLimits) -> Stripped:
    """Refuse what would cost too much to parse; give what is left of the rest without its scripts.

    Raises:
      Rejected: TOO_COMPLEX.
    """
    if len(html) > limits.characters:
        characters = len(html) if isinstance(html, str) else len(html.decode("utf-8", "replace"))
        if characters > limits.characters:
            raise Rejected(RejectReason.TOO_COMPLEX, f"{characters} characters, more than {limits.characters}")
    encoded = html.encode("utf-8", "replace") if isinstance(html, str) else html
    nodes = int(np.count_nonzero(np.frombuffer(encoded, np.uint8) == _LT))  # four times as fast as bytes.count
    if nodes > limits.nodes:
        raise Rejected(RejectReason.TOO_COMPLEX, f"{nodes} tags, more than {limits.nodes}")
    stripped = strip_page(encoded)
    if stripped.depth > limits.depth or stripped.work > limits.work or stripped.formats > limits.formats:
        raise Rejected(
            RejectReason.TOO_COMPLEX, f"elements nest {stripped.depth} deep, more than {limits.depth}, or too often"
        )
    if stripped.attributes > limits.attributes:
        raise Rejected(
            RejectReason.TOO_COMPLEX, f"a tag has {stripped.attributes} attributes, more than {limits.attributes}"
        )
    return stripped


def choose_lines(
    lines: list[str], scores: NDArray[np.float64], words: NDArray[np.float32]
) -> tuple[list[bool], list[str]]:
    """Decide which lines are body.

    Args:
      lines: of a page, in order.
      scores: shape (lines,), how likely each is body.
      words: shape (lines,), how many each has.

    Returns:
      a decision a line, and flags that say what had to be undone so that something is left.
    """
    hopeful = float(words[scores > _FLOOR].sum())
    for threshold in _THRESHOLDS:
        keep = scores >= threshold
        if float(words[keep].sum()) >= _LEAST_SHARE * hopeful:
            break
    flags = [] if threshold == _THRESHOLDS[0] else [f"threshold:{threshold}"]
    if not keep.any():
        keep[int(np.argmax(words * scores))] = True
        flags = ["threshold:best-line"]
    seen: set[str] = set()
    out = keep.tolist()
    for i, line in enumerate(lines):
        if out[i] and len(line) > _LONG_REPEAT:
            out[i] = line not in seen
            seen.add(line)
    return out, flags


def _label(  # noqa: PLR0913, PLR0917 -- what is known of the lines, side by side
    lines: list[str], keep: list[bool], dated: list[bool], scan: Scan, rows: NDArray[np.int64], metadata: Metadata
) -> list[tuple[Label, str]]:
    cues = load_cues()
    blocks = scan.blocks[rows]
    h1 = (scan.tags[blocks] == cues.line_tags.index("h1") + 1).tolist()
    within = (scan.kinds[scan.inner[rows]] >> (1 + cues.ancestor_tags.index("figcaption"))) & 1
    named = ((scan.own_cues[blocks] | scan.own_cues[scan.inner[rows]]) >> cues.class_groups.index("caption")) & 1
    captions = (within | named).tolist()
    headline, description = _key(metadata.headline), _key(metadata.description)
    authors = [key for author in metadata.authors if (key := _key(author))]
    titled = (scan.features[rows, _TITLE] > _ALIKE).tolist()
    described = (scan.features[rows, _DESCRIPTION] > _ALIKE).tolist()
    out = []
    for i, line in enumerate(lines):
        short = len(line) < _SHORT
        if titled[i] and _key(line) == headline:
            out.append(_TITLE_LINE)
        elif keep[i]:
            out.append(_BODY)
        elif h1[i]:
            out.append(_H1)
        elif described[i] and _key(line) == description:
            out.append(_STANDFIRST)
        elif captions[i]:
            out.append(_CAPTION)
        elif dated[i]:
            out.append(_DATELINE)
        elif short and authors and _is_byline(line, authors):
            out.append(_BYLINE_LINE)
        else:
            out.append(_FURNITURE)
    return out


def _is_byline(line: str, authors: list[str]) -> bool:
    """Whether a short line is an author's name, or names one after "By" or its like."""
    folded = line.casefold()
    near = [author for author in authors if author.partition(" ")[0] in folded]  # nearly always none
    if not near:
        return False
    key = _key(line)
    return key in near or (_BYLINE.match(line) is not None and any(author in key for author in near))


def _key(text: str | None) -> str:
    return " ".join(_WORDS.findall((text or "")[:_LONGEST_KEY].casefold()))
