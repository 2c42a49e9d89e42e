"""The phrase pack: cues of furniture, captions and credits that hold on outlets never seen before.

The pack is data (`data/phrases.toml`, which explains the fields). A rule's pattern runs, in RE2, only over lines that
hold one of its cue words, which `textlines` found in its one pass: a union of all patterns costs 300 µs a line.
"""

import functools
import re
import tomllib
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas.labels import LABEL_CODES, Label
from transforms.clean.textlines import COLON, ELLIPSIS, NO_END, Lines

BoolArray = NDArray[np.bool_]
NO_RULE = -1
EDGE_LINES = 4
MOST_CHARACTERS = 2000
_FRAMES = {"line": "^(?:{})$", "start": "^(?:{})", "end": "(?:{})$", "anywhere": "(?:{})"}


@dataclass(frozen=True)
class PhraseRule:
    """One cue; the fields are explained in the pack."""

    name: str
    label: Label
    pattern: str
    words: int
    open: bool
    edge: bool
    cued: bool
    plain: bool
    address: bool


@dataclass(frozen=True)
class BlockRule:
    """Cues between which everything goes."""

    name: str
    start: str
    end: str
    lines: int
    words: int


@dataclass(frozen=True)
class Cues:
    """What the pack says of each line.

    Attributes:
      rule: shape (lines,), index into `rules`, or NO_RULE.
      rules: the rules, block rules last.
    """

    rule: NDArray[np.int16]
    rules: tuple[PhraseRule, ...]

    def labels(self) -> NDArray[np.int8]:
        """Label codes of the lines hit; body elsewhere."""
        codes = np.array([LABEL_CODES[rule.label] for rule in self.rules] + [LABEL_CODES[Label.BODY]], np.int8)
        return codes[self.rule]


def find_cues(lines: Lines, row_lines: NDArray[np.int32]) -> Cues:
    """Ask every rule about every line; the first rule of the pack that holds wins.

    Args:
      lines: the lines of a block.
      row_lines: shape (lines,), how many lines the article of each line has.
    """
    rules, blocks = _pack()
    found = np.full(len(lines.row), NO_RULE, np.int16)
    words, ending = lines.column("words"), lines.column("ending")
    unfinished = np.isin(ending, (NO_END, COLON, ELLIPSIS))
    edge = (lines.number < EDGE_LINES) | (row_lines - lines.number <= 2 * EDGE_LINES)
    readable = lines.column("characters") <= MOST_CHARACTERS
    for index, rule in enumerate(rules):
        may = readable & (found == NO_RULE) & (words <= rule.words)
        if rule.cued:
            may &= (lines.cues >> np.uint64(index)) & np.uint64(1) != 0
        if rule.open:
            may &= unfinished
        if rule.edge:
            may &= edge
        if rule.plain:
            may &= lines.column("quotes") == 0
        if rule.address:
            may &= lines.column("address") > 0
        at = np.flatnonzero(may)
        found[at[_matches(lines.text.take(pa.array(at)), rule.pattern)]] = index
    for index, block in enumerate(blocks, len(rules)):
        _mark_blocks(block, index, lines, found)
    return Cues(
        found,
        (
            *rules,
            *(
                PhraseRule(
                    b.name,
                    Label.FURNITURE,
                    b.start,
                    b.words,
                    open=False,
                    edge=False,
                    cued=False,
                    plain=False,
                    address=False,
                )
                for b in blocks
            ),
        ),
    )


def _matches(text: pa.Array, pattern: str) -> BoolArray:
    return pc.match_substring_regex(text, pattern).to_numpy(zero_copy_only=False).astype(bool)


def _mark_blocks(block: BlockRule, index: int, lines: Lines, found: NDArray[np.int16]) -> None:
    short = np.flatnonzero(lines.column("words") <= block.words)
    text = lines.text.take(pa.array(short))
    starts, ends = short[_matches(text, block.start)], short[_matches(text, block.end)]
    for start in starts.tolist():
        after = ends[(ends > start) & (ends <= start + block.lines) & (lines.row[ends] == lines.row[start])]
        if len(after):
            inside = slice(start, int(after[-1]) + 1)
            found[inside] = np.where(found[inside] == NO_RULE, index, found[inside])


@functools.cache
def _pack() -> tuple[tuple[PhraseRule, ...], tuple[BlockRule, ...]]:
    pack = tomllib.loads((resources.files(__package__) / "data" / "phrases.toml").read_text("utf-8"))
    rules = tuple(_rule(entry) for entry in pack["rule"])
    blocks = tuple(
        BlockRule(entry["name"], f"(?i){entry['start']}", f"(?i){entry['end']}", entry["lines"], entry["words"])
        for entry in pack["block"]
    )
    return rules, blocks


def _rule(entry: dict[str, Any]) -> PhraseRule:
    framed = _FRAMES[entry["where"]].format(entry["pattern"])
    return PhraseRule(
        entry["name"],
        Label(entry.get("label", "furniture")),
        f"(?:{framed})" if entry.get("cased") else f"(?i:{framed})",
        entry.get("words", 40),
        entry.get("open", False),
        entry.get("edge", False),
        bool(entry["cues"]),
        entry.get("plain", False),
        entry.get("address", False),
    )


def phrase_of(line: str) -> str | None:
    """The first rule whose pattern holds for one line alone, wherever it stands: for `explain`."""
    return next((rule.name for rule in _pack()[0] if re.search(rule.pattern, line)), None)
