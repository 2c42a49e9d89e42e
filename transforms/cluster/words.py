"""What an article is about, in words a person can read: the names in its text and its heaviest terms.

A name is a run of words with capital letters. A lone word that only ever opens a sentence is none; a lone word that
ends a longer run of the same text ("Scholz", "Olaf Scholz") counts for that one. Scripts without capitals give no
names.
"""

from typing import NamedTuple

import numba as nb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from transforms.cluster.similarity import Vectors
from transforms.cluster.terms import ADJACENT, CAPITAL, OPENING, Terms, cut

Float32Array = NDArray[np.float32]
Int64Array = NDArray[np.int64]
UInt8Array = NDArray[np.uint8]
UInt32Array = NDArray[np.uint32]

MOST_NAMES, MOST_WORDS = 8, 12  # kept of an article
_NAME_TERMS = 250  # terms of a text that are searched for names
_NAME_WORDS = 4  # words of one name
_RUNS = 96  # names of one text that are counted


class Words(NamedTuple):
    """Names and heaviest terms of articles, the most frequent or heaviest first; list columns, a row an article."""

    names: pa.ListArray
    words: pa.ListArray  # lower case
    word_terms: pa.ListArray  # the hash of each of `words`
    word_mass: pa.ListArray  # and its share of the article


def words_of(headlines: pa.Array, texts: pa.Array, head: Terms, text: Terms, vectors: Vectors) -> Words:
    """Read names and heaviest terms of articles whose terms and vectors are given."""
    starts, stops, name_ends = _names(*text)
    names = cut(texts, starts, stops)
    term, mass, in_head, places, word_ends = _heaviest(*vectors, head.hashes, head.offsets, text.hashes, text.offsets)
    found = pc.if_else(
        pa.array(in_head),
        _surfaces(headlines, head, np.where(in_head, places, -1)),
        _surfaces(texts, text, np.where(in_head, -1, places)),
    )
    name_lists = pa.ListArray.from_arrays(pa.array(name_ends, pa.int32()), names)
    ends = pa.array(word_ends, pa.int32())
    lists = [
        pa.ListArray.from_arrays(ends, column) for column in (pc.utf8_lower(found), pa.array(term), pa.array(mass))
    ]
    return Words(name_lists, *lists)


def _surfaces(texts: pa.Array, terms: Terms, places: Int64Array) -> pa.Array:
    """The text of the terms at `places`; empty where that is below 0."""
    known = np.maximum(places, 0)
    if not len(terms.starts):
        return pa.array([""] * len(places), pa.string())
    starts = terms.starts[known]
    return cut(texts, starts, np.where(places >= 0, terms.stops[known], starts))


@nb.njit(cache=True, nogil=True)
def _names(  # noqa: C901, PLR0912 -- one pass over the terms
    hashes: UInt32Array, offsets: Int64Array, starts: Int64Array, stops: Int64Array, marks: UInt8Array
) -> tuple[Int64Array, Int64Array, Int64Array]:
    articles = len(offsets) - 1
    out_starts = np.empty(articles * MOST_NAMES, np.int64)
    out_stops = np.empty(articles * MOST_NAMES, np.int64)
    ends = np.zeros(articles + 1, np.int64)
    key, last = np.empty(_RUNS, np.uint64), np.empty(_RUNS, np.uint32)
    size, times, firm = np.empty(_RUNS, np.int64), np.empty(_RUNS, np.int64), np.empty(_RUNS, np.bool_)
    begin, end = np.empty(_RUNS, np.int64), np.empty(_RUNS, np.int64)
    count = 0
    for i in range(articles):
        runs = 0
        at, stop = offsets[i], min(offsets[i + 1], offsets[i] + _NAME_TERMS)
        while at < stop:
            if not marks[at] & CAPITAL:
                at += 1
                continue
            here = at
            value = np.uint64(hashes[at])
            at += 1
            while at < stop and marks[at] & CAPITAL and marks[at] & ADJACENT and at - here < _NAME_WORDS:
                value = value * np.uint64(0x9E3779B97F4A7C15) + np.uint64(hashes[at])
                at += 1
            sure = at - here > 1 or not marks[here] & OPENING
            known = 0
            while known < runs and key[known] != value:
                known += 1
            if known < runs:
                times[known] += 1
                firm[known] |= sure
            elif runs < _RUNS:
                key[runs], last[runs], size[runs], times[runs], firm[runs] = value, hashes[at - 1], at - here, 1, sure
                begin[runs], end[runs] = starts[here], stops[at - 1]
                runs += 1
        for one in range(runs):
            for other in range(runs):
                if size[one] == 1 and size[other] > 1 and last[one] == last[other]:
                    times[other] += times[one]
                    times[one] = 0
                    break
        for _ in range(MOST_NAMES):
            best = -1
            for one in range(runs):
                if firm[one] and times[one] > 0 and (best < 0 or times[one] > times[best]):
                    best = one
            if best < 0:
                break
            out_starts[count], out_stops[count] = begin[best], end[best]
            count += 1
            times[best] = 0
        ends[i + 1] = count
    return out_starts[:count].copy(), out_stops[:count].copy(), ends


@nb.njit(cache=True, nogil=True)
def _heaviest(  # noqa: PLR0913, PLR0917 -- arrays of three tables
    terms: UInt32Array,
    lead: Float32Array,
    body: Float32Array,
    offsets: Int64Array,
    head: UInt32Array,
    head_at: Int64Array,
    text: UInt32Array,
    text_at: Int64Array,
) -> tuple[UInt32Array, Float32Array, NDArray[np.bool_], Int64Array, Int64Array]:
    """The heaviest terms of each article, their mass, and where each first stands: in the text, else the headline."""
    articles = len(offsets) - 1
    room = articles * MOST_WORDS
    term, mass = np.empty(room, np.uint32), np.empty(room, np.float32)
    in_head, places = np.empty(room, np.bool_), np.empty(room, np.int64)
    ends = np.zeros(articles + 1, np.int64)
    count = 0
    for i in range(articles):
        first = count
        for at in range(offsets[i], offsets[i + 1]):
            weight = (lead[at] + body[at]) / np.float32(2)
            slot = count
            if count - first == MOST_WORDS:
                slot = count - 1
                if weight <= mass[slot]:
                    continue
            else:
                count += 1
            while slot > first and mass[slot - 1] < weight:
                mass[slot], term[slot] = mass[slot - 1], term[slot - 1]
                slot -= 1
            mass[slot], term[slot] = weight, terms[at]
        for slot in range(first, count):
            in_head[slot] = False
            places[slot] = 0
            place = text_at[i]
            while place < text_at[i + 1] and text[place] != term[slot]:
                place += 1
            if place == text_at[i + 1]:
                in_head[slot] = True
                place = head_at[i]
                while place < head_at[i + 1] - 1 and head[place] != term[slot]:
                    place += 1
            places[slot] = place
        ends[i + 1] = count
    return term[:count].copy(), mass[:count].copy(), in_head[:count].copy(), places[:count].copy(), ends


class Teller:
    """Sums up the names and terms of groups of articles."""

    def __init__(self, articles: pa.Table) -> None:
        """Take the columns that `words_of` made, a row an article."""
        self._names = articles["names"].to_pylist()
        self._words = articles["words"].to_pylist()
        self._terms = articles["word_terms"].to_pylist()
        self._mass = articles["word_mass"].to_pylist()

    def tell(self, members: list[int]) -> tuple[list[str], list[str]]:
        """Names by how many of the members have them, and terms by their mass; at most 8 of each.

        Args:
          members: rows of the articles, the one that represents the group first.
        """
        counts: dict[str, int] = {}
        for member in members:
            for name in self._names[member]:
                counts[name] = counts.get(name, 0) + 1
        longer: dict[str, list[str]] = {}  # by their last word
        for name in counts:
            if " " in name:
                longer.setdefault(name.rsplit(" ", 1)[1], []).append(name)
        for short in [name for name in counts if name in longer]:
            whole = max(longer[short], key=lambda name: (counts[name], name))
            counts[whole] += counts.pop(short)
        names = sorted(counts, key=lambda name: -counts[name])[:MOST_NAMES]
        mass: dict[int, float] = {}
        shown: dict[int, str] = {}
        for member in members:
            for term, word, share in zip(self._terms[member], self._words[member], self._mass[member], strict=True):
                mass[term] = mass.get(term, 0.0) + share
                shown.setdefault(term, word)
        named = {word for name in names for word in name.lower().split()}
        heavy = sorted(mass, key=lambda term: (-mass[term], shown[term]))
        return names, [shown[term] for term in heavy if shown[term] not in named][:MOST_NAMES]
