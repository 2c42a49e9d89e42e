"""What a user knows better than anything that was learned: lines and page elements of an outlet, pinned or vetoed.

    [clean.outlets."harbour.example"]
    remove = ["Read it in our app", "/^(More|Also) on this/"]     lines, or patterns between slashes (RE2)
    keep = ["Weather: see page 7"]                                likewise; wins over `remove`
    select = ["div.story-text"]                                   CSS: the body, all of it and nothing else
    remove_selectors = [".promo", "aside.newsletter"]             CSS: never body

A line matches whatever its digits, case, punctuation and spacing. Selectors are applied with BeautifulSoup: it marks
where the elements begin and end, the page is then read as any other, and the marks say which lines, or parts of a line,
were inside.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import soupsieve
from bs4 import BeautifulSoup
from numpy.typing import NDArray

from schemas.errors import Rejected, RejectReason
from schemas.labels import Label
from transforms.clean.page import Page, PageLine
from transforms.clean.textlines import line_keys

REMOVE, KEEP = "outlet-remove", "outlet-keep"  # rules, as the table `removed` names them
SELECT, REMOVE_SELECTOR = "outlet-select", "outlet-remove-selector"
_OUT, _END_OUT = "\ufdd0", "\ufdd1"  # Unicode noncharacters, around what is removed
_IN, _END_IN = "\ufdd2", "\ufdd3"  # … and around what is selected
_MARKS = _OUT + _END_OUT + _IN + _END_IN
_UNMARKED = str.maketrans("", "", _MARKS)
_NO_TEXT = frozenset(
    ["area", "base", "br", "col", "embed", "head", "hr", "img", "input", "link", "meta", "source", "wbr"]
)
_NO_OWN_TEXT = frozenset(["table", "tbody", "thead", "tfoot", "tr", "html"])  # a parser moves text that stands there
_PATTERN = "/"
_SHORTEST_PATTERN = 3


@dataclass(frozen=True)
class OutletRules:
    """What is pinned or vetoed in one outlet."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    remove: tuple[str, ...] = ()  # lines, or /patterns/, that are furniture
    keep: tuple[str, ...] = ()  # … that are body
    select: tuple[str, ...] = ()  # CSS of the body
    remove_selectors: tuple[str, ...] = ()  # CSS of what is not

    @property
    def selects(self) -> bool:
        """Whether pages of the outlet have to be marked."""
        return bool(self.select or self.remove_selectors)

    def __post_init__(self) -> None:
        """Refuse what is neither CSS nor a pattern.

        Raises:
          ValueError: names the selector or pattern.
        """
        for selector in (*self.select, *self.remove_selectors):
            try:
                soupsieve.compile(selector)
            except (soupsieve.SelectorSyntaxError, RuntimeError) as error:  # the second for `::before`, `@media`, depth
                raise ValueError(f"{selector!r} is no CSS selector: {str(error).splitlines()[0]}") from error
        for pattern in filter(_is_pattern, (*self.remove, *self.keep)):
            try:
                pc.match_substring_regex(pa.array([""]), pattern[1:-1])
            except pa.ArrowInvalid as error:
                raise ValueError(f"{pattern!r} is no pattern: {error}") from error
        for line in (*self.remove, *self.keep):
            if not _is_pattern(line) and not line.strip():
                raise ValueError("an empty line matches nothing: take it out of `remove` or `keep`")


NO_RULES: Mapping[str, OutletRules] = {}


def mark_elements(html: str, rules: OutletRules) -> str:
    """Mark what an outlet's selectors match in a page or snippet."""
    soup = BeautifulSoup(html.translate(_UNMARKED), "lxml")
    for selectors, begin, end in ((rules.select, _IN, _END_IN), (rules.remove_selectors, _OUT, _END_OUT)):
        found = {id(element): element for selector in selectors for element in soup.select(selector)}
        for element in found.values():
            cells = element.select("td, th, caption, body") if element.name in _NO_OWN_TEXT else [element]
            for holder in cells:
                if holder.name not in _NO_TEXT:
                    holder.insert(0, begin)
                    holder.append(end)
    return str(soup)


def settle_marks(page: Page, rules: OutletRules) -> Page:
    """Turn the marks in a page's lines into labels; a line that is inside in part is cut where the mark stands.

    Raises:
      Rejected: NO_BODY when nothing that is selected has text: the outlet has changed its pages.
    """
    depth = {_OUT: 0, _IN: 0}
    lines: list[PageLine] = []
    for line in page.lines:
        for text, removed, selected in _pieces(line.text, depth):
            if removed:
                label, rule = Label.FURNITURE, REMOVE_SELECTOR
            elif selected:
                label, rule = Label.BODY, SELECT
            elif rules.select and line.label is Label.BODY:
                label, rule = Label.FURNITURE, SELECT
            else:
                label, rule = line.label, line.rule
            lines.append(PageLine(text, label, rule, line.score, line.signature))
    if rules.select and not any(line.rule == SELECT and line.label is Label.BODY for line in lines):
        raise Rejected(RejectReason.NO_BODY, f"no line is in {', '.join(rules.select)}: see `select` of its outlet")
    return Page(lines, page.metadata, page.quality_flags)


def override(
    outlets: pa.Array, text: pa.Array, row: NDArray[np.int32], rules: Mapping[str, OutletRules]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which lines a user pinned or vetoed.

    Args:
      outlets: of each article.
      text: the lines.
      row: shape (lines,), the article of each.
      rules: by outlet.

    Returns:
      lines to remove and lines to keep; shape (lines,) both, never both true.
    """
    remove, keep = np.zeros(len(row), bool), np.zeros(len(row), bool)
    for outlet, outlet_rules in rules.items():
        at = np.flatnonzero(
            pc.fill_null(pc.equal(outlets, outlet), fill_value=False).to_numpy(zero_copy_only=False)[row]
        )
        if len(at):
            lines = text.take(pa.array(at))
            keep[at] = _matching(lines, outlet_rules.keep)
            remove[at] = _matching(lines, outlet_rules.remove) & ~keep[at]
    return remove, keep


def _matching(lines: pa.Array, wanted: Sequence[str]) -> NDArray[np.bool_]:
    hit = np.zeros(len(lines), bool)
    texts = [each for each in wanted if not _is_pattern(each)]
    if texts:
        hit |= np.isin(line_keys(lines), line_keys(pa.array(texts, pa.string())))
    for pattern in filter(_is_pattern, wanted):
        hit |= pc.match_substring_regex(lines, pattern[1:-1]).to_numpy(zero_copy_only=False)
    return hit


def _is_pattern(line: str) -> bool:
    return len(line) >= _SHORTEST_PATTERN and line.startswith(_PATTERN) and line.endswith(_PATTERN)


def _pieces(text: str, depth: dict[str, int]) -> list[tuple[str, bool, bool]]:
    """Parts of a line without its marks, and whether each is in what is removed and in what is selected."""
    pieces: list[tuple[str, bool, bool]] = []
    begun = 0
    for at, character in enumerate([*text, ""]):
        if character and character not in _MARKS:
            continue
        piece = " ".join(text[begun:at].split())
        state = (depth[_OUT] > 0, depth[_IN] > 0)
        if piece and pieces and pieces[-1][1:] == state:
            pieces[-1] = (f"{pieces[-1][0]} {piece}", *state)
        elif piece:
            pieces.append((piece, *state))
        if character in {_OUT, _IN}:
            depth[character] += 1
        elif character:
            opening = _OUT if character == _END_OUT else _IN
            depth[opening] = max(0, depth[opening] - 1)
        begun = at + 1
    return pieces
