"""Words and tags that the page scanner looks for, as tables that compiled code can read.

`data/page_cues.json` holds the lists. Substrings become one Aho-Corasick automaton over bytes for a whole list of
groups, so that a text costs one table look-up a byte; tag and attribute names and stop words become hash tables.
"""

import functools
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources

import numpy as np
from numba import njit
from numpy.typing import NDArray

FNV_OFFSET = np.uint64(14695981039346656037)
FNV_PRIME = np.uint64(1099511628211)
_TAG_BYTES = 8

# Bits of a tag's kind, as `Cues.tags` gives them above the tag's number.
INLINE, VOID, RAW, SKIPPED, BOLD, LINK, BREAK = (1 << (8 + i) for i in range(7))


@dataclass(frozen=True)
class Table:
    """Open addressing: `values[i]` belongs to `keys[i]`; a zero key is a free place. The size is a power of two."""

    keys: NDArray[np.uint64]
    values: NDArray[np.int64]


@dataclass(frozen=True)
class Automaton:
    """Aho-Corasick: `moves[state, classes[byte]]` is the next state, `hits[state]` the groups that end there (bits)."""

    classes: NDArray[np.uint8]
    moves: NDArray[np.int16]
    hits: NDArray[np.int64]


@dataclass(frozen=True)
class Cues:
    """All tables of the scanner; names are in column order."""

    tags: Table  # first eight bytes → number | kind; numbers: 1 + place in `line_tags`, else 0
    ancestors: Table  # first eight bytes → 1 + place in `ancestor_tags`
    attributes: Table
    stop_words: Table
    classes: Automaton
    texts: Automaton
    line_tags: tuple[str, ...]
    ancestor_tags: tuple[str, ...]
    class_groups: tuple[str, ...]
    text_groups: tuple[str, ...]


@functools.cache
def load_cues() -> Cues:
    """Build the tables once a process."""
    lists = json.loads(resources.files(__package__).joinpath("data/page_cues.json").read_text("utf-8"))
    kinds: dict[str, int] = {"a": LINK, "br": BREAK, "hr": BREAK}
    for name, bit in (("inline", INLINE), ("void", VOID), ("raw", RAW), ("skipped", SKIPPED), ("bold", BOLD)):
        for tag in lists[f"{name}_tags"]:
            kinds[tag] = kinds.get(tag, 0) | bit
    for number, tag in enumerate(lists["line_tags"], start=1):
        kinds[tag] = kinds.get(tag, 0) | number
    return Cues(
        tags=table({packed(tag): kind for tag, kind in kinds.items()}),
        ancestors=table({packed(tag): i for i, tag in enumerate(lists["ancestor_tags"], start=1)}),
        attributes=table({packed(name): i for i, name in enumerate(lists["attributes"], start=1)}),
        stop_words=table({_fnv(word.encode()): 1 for word in lists["stop_words"].split()}),
        classes=automaton(list(lists["class_cues"].values())),
        texts=automaton(list(lists["text_cues"].values())),
        line_tags=tuple(lists["line_tags"]),
        ancestor_tags=tuple(lists["ancestor_tags"]),
        class_groups=tuple(lists["class_cues"]),
        text_groups=tuple(lists["text_cues"]),
    )


@njit(cache=True, nogil=True, inline="always")
def find(keys: NDArray[np.uint64], values: NDArray[np.int64], key: np.uint64) -> int:
    """Look a key up in a `Table`; 0 when it is not there."""
    mask = np.uint64(len(keys) - 1)
    place = (key ^ (key >> np.uint64(29))) & mask
    while keys[place] != np.uint64(0):
        if keys[place] == key:
            return values[place]
        place = (place + np.uint64(1)) & mask
    return 0


def table(entries: dict[int, int]) -> Table:
    """Build a `Table`; no key may be 0."""
    size = 1 << (4 * len(entries)).bit_length()
    keys, values = np.zeros(size, np.uint64), np.zeros(size, np.int64)
    for key, value in sorted(entries.items()):
        place = (key ^ (key >> 29)) & (size - 1)
        while keys[place]:
            place = (place + 1) & (size - 1)
        keys[place], values[place] = key, value
    return Table(keys, values)


def packed(name: str) -> int:
    """First eight bytes of a name as an integer, the way the scanner reads names."""
    return int.from_bytes(name.encode()[:_TAG_BYTES], "little")


def _fnv(word: bytes) -> int:
    value = int(FNV_OFFSET)
    for byte in word:
        value = ((value ^ byte) * int(FNV_PRIME)) & 0xFFFFFFFFFFFFFFFF
    return value


def automaton(groups: Sequence[Iterable[str]]) -> Automaton:
    """Build the automaton that finds lower-case strings in whatever ASCII case; a group's bit is its place."""
    words = [(word.encode(), 1 << bit) for bit, group in enumerate(groups) for word in group]
    alphabet = sorted({byte for word, _ in words for byte in word})
    classes = np.zeros(256, np.uint8)
    classes[alphabet] = np.arange(1, len(alphabet) + 1)
    upper = np.arange(ord("A"), ord("Z") + 1)
    classes[upper] = classes[upper + 32]
    nodes: list[dict[int, int]] = [{}]
    hits = [0]
    for word, bit in words:
        state = 0
        for byte in word:
            if (step := int(classes[byte])) not in nodes[state]:
                nodes[state][step] = len(nodes)
                nodes.append({})
                hits.append(0)
            state = nodes[state][step]
        hits[state] |= bit
    moves = np.zeros((len(nodes), len(alphabet) + 1), np.int16)
    failures = [0] * len(nodes)
    order = [0]
    for state in order:
        hits[state] |= hits[failures[state]]
        moves[state] = moves[failures[state]] if state else 0
        for step, child in nodes[state].items():
            failures[child] = int(moves[failures[state], step]) if state else 0
            moves[state, step] = child
            order.append(child)
    return Automaton(classes, moves, np.array(hits, np.int64))
