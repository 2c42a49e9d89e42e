"""The phrase pack: cues of furniture, captions and credits that hold on outlets never seen before.

The pack is data (`data/phrases.toml`, which explains the fields). A rule's pattern runs, in RE2, only over lines that
hold one of its cue words, which `textlines` found in its one pass, and one of the strings that the pattern cannot do
without, found for all rules in another: of 46,000 questions in a block of 1,024 articles 21,000 are left. A union of
all patterns costs 300 µs a line.
"""

import functools
import tomllib
from dataclasses import dataclass
from importlib import resources
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas.labels import LABEL_CODES, Label
from transforms.clean.linekernel import sift
from transforms.clean.literals import necessary
from transforms.clean.pagecues import Automaton, automaton
from transforms.clean.textlines import COLON, ELLIPSIS, NO_END, Lines, utf8

BoolArray = NDArray[np.bool_]
NO_RULE = -1
EDGE_LINES = 4
MOST_CHARACTERS = 2000
_FOLDED = frozenset("\u017f\u212a")  # a long s and the Kelvin sign: to RE2 they are s and k where case is ignored
_FRAMES = {"line": "^(?:{})$", "start": "^(?:{})", "end": "(?:{})$", "anywhere": "(?:{})"}


@dataclass(frozen=True)
class PhraseRule:
    """One cue; the fields are explained in the pack."""

    name: str
    label: Label
    pattern: str
    words: int
    open: bool = False
    edge: bool = False
    cued: bool = False
    plain: bool = False
    address: bool = False


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


class _Pack(NamedTuple):
    rules: tuple[PhraseRule, ...]
    blocks: tuple[BlockRule, ...]
    named: tuple[PhraseRule, ...]  # the rules, then the blocks
    by_words: NDArray[np.int64]  # bits of what may be asked of a line of so many words
    uncued: int  # bits of what needs no cue word
    needing: dict[str, int]  # bits of the rules that need a condition
    strings: Automaton  # literals of which each rule needs one


def find_cues(lines: Lines, row_lines: NDArray[np.int32]) -> Cues:
    """Ask every rule about every line; the first rule of the pack that holds wins.

    Args:
      lines: the lines of a block.
      row_lines: shape (lines,), how many lines the article of each line has.
    """
    pack = _pack()
    bits = _allowed(lines, row_lines, pack)
    sift(*utf8(lines.text), pack.strings.classes, pack.strings.moves, pack.strings.hits, bits)
    asked = np.flatnonzero(bits)
    text, bits = lines.text.take(pa.array(asked)), bits[asked]
    found = np.full(len(lines.row), NO_RULE, np.int16)
    for bit, pattern in enumerate(rule.pattern for rule in pack.rules):
        open_lines = np.flatnonzero(((bits >> bit) & 1 != 0) & (found[asked] == NO_RULE))
        found[asked[open_lines[_matches(text, open_lines, pattern)]]] = bit
    for index, block in enumerate(pack.blocks):
        first = len(pack.rules) + 2 * index
        ends = [np.flatnonzero((bits >> bit) & 1) for bit in (first, first + 1)]
        starts, stops = (
            asked[at[_matches(text, at, pattern)]] for at, pattern in zip(ends, (block.start, block.end), strict=True)
        )
        _mark_blocks(block, len(pack.rules) + index, lines, found, starts, stops)
    return Cues(found, pack.named)


def _allowed(lines: Lines, row_lines: NDArray[np.int32], pack: _Pack) -> NDArray[np.int64]:
    """Bits of the rules, and of the starts and ends of blocks, that a line may be asked; shape (lines,)."""
    words = lines.column("words")
    bits = pack.by_words[np.minimum(words, len(pack.by_words) - 1)]
    bits &= lines.cues.astype(np.int64) | pack.uncued
    unfinished = np.isin(lines.column("ending"), (NO_END, COLON, ELLIPSIS))
    edge = (lines.number < EDGE_LINES) | (row_lines - lines.number <= 2 * EDGE_LINES)
    for holds, needing in (
        (unfinished, pack.needing["open"]),
        (edge, pack.needing["edge"]),
        (lines.column("quotes") == 0, pack.needing["plain"]),
        (lines.column("address") > 0, pack.needing["address"]),
        (lines.column("characters") <= MOST_CHARACTERS, pack.needing["readable"]),
    ):
        bits &= np.where(holds, np.int64(-1), ~needing)
    return bits


def _matches(text: pa.Array, at: NDArray[np.int64], pattern: str) -> BoolArray:
    if not len(at):
        return np.zeros(0, bool)
    return pc.match_substring_regex(text.take(pa.array(at)), pattern).to_numpy(zero_copy_only=False).astype(bool)


def _mark_blocks(  # noqa: PLR0913, PLR0917 -- the columns of a line
    block: BlockRule,
    index: int,
    lines: Lines,
    found: NDArray[np.int16],
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
) -> None:
    for start in starts.tolist():
        after = ends[(ends > start) & (ends <= start + block.lines) & (lines.row[ends] == lines.row[start])]
        if len(after):
            inside = slice(start, int(after[-1]) + 1)
            found[inside] = np.where(found[inside] == NO_RULE, index, found[inside])


@functools.cache
def _pack() -> _Pack:
    """Read the pack once a process. A bit a rule, then two a block: whether it starts there and ends there."""
    pack = tomllib.loads((resources.files(__package__) / "data" / "phrases.toml").read_text("utf-8"))
    rules = tuple(_rule(entry) for entry in pack["rule"])
    blocks = tuple(
        BlockRule(entry["name"], f"(?i){entry['start']}", f"(?i){entry['end']}", entry["lines"], entry["words"])
        for entry in pack["block"]
    )
    ends = [(pattern, block.words) for block in blocks for pattern in (block.start, block.end)]
    patterns = [*((rule.pattern, rule.words) for rule in rules), *ends]
    most = np.array([words for _, words in patterns])
    by_words = _bits(np.arange(max(most) + 2)[:, None] <= most)
    conditions = {
        name: [getattr(rule, name) for rule in rules] for name in ("cued", "open", "edge", "plain", "address")
    } | {"readable": [True] * len(rules)}
    needing = {name: int(_bits(np.array(flags)[None])[0]) for name, flags in conditions.items()}
    return _Pack(
        rules,
        blocks,
        (*rules, *(PhraseRule(block.name, Label.FURNITURE, block.start, block.words) for block in blocks)),
        by_words,
        ~needing["cued"],
        needing,
        automaton([necessary(pattern) | _FOLDED for pattern, _ in patterns]),
    )


def _bits(flags: BoolArray) -> NDArray[np.int64]:
    """A row of flags as one integer, the first as its lowest bit."""
    return (flags.astype(np.int64) << np.arange(flags.shape[1])).sum(axis=1)


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
