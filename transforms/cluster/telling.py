"""What stories are about: the names that most of their articles have, and their heaviest terms.

Names and words are looked up once for all articles; the stories are then summed up over numbers in one compiled pass.
"""

import numba as nb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from transforms.cluster.terms import utf8

Float32Array = NDArray[np.float32]
Int32Array = NDArray[np.int32]
Int64Array = NDArray[np.int64]
UInt8Array = NDArray[np.uint8]

MOST = 8  # names, and terms, of a story
_ONE_WORD = -2


def tell(articles: pa.Table, members: Int64Array, starts: Int64Array) -> tuple[pa.ListArray, pa.ListArray]:
    """Names of each story by how many of its articles have them, and its terms by their mass; at most 8 of each.

    A lone surname counts for the whole name that most articles have; words of the names told are no terms.

    Args:
      articles: the columns that `words.words_of` makes, a row an article.
      members: rows of the articles, those of one story side by side, the one that represents it first.
      starts: where each story begins among `members`, shape (stories,).
    """
    names, name_at = _flat(articles["names"])
    words, word_at = _flat(articles["words"])
    term = _flat(articles["word_terms"])[0].dictionary_encode().indices.to_numpy()
    mass = _flat(articles["word_mass"])[0].to_numpy()
    names, words = names.dictionary_encode(), words.dictionary_encode()
    known = names.dictionary
    surname = pc.if_else(
        pc.match_substring(known, " "),
        pc.fill_null(pc.index_in(pc.replace_substring_regex(known, "^.* ", ""), value_set=known), -1),
        _ONE_WORD,
    )
    parts = pc.split_pattern(pc.utf8_lower(known), " ")
    part = pc.fill_null(pc.index_in(parts.flatten(), value_set=words.dictionary), -1)
    found = _tell(
        members,
        np.append(starts, len(members)),
        names.indices.to_numpy(),
        name_at,
        surname.to_numpy().astype(np.int32),
        part.to_numpy().astype(np.int32),
        parts.offsets.to_numpy().astype(np.int64),
        *utf8(known),
        words.indices.to_numpy(),
        word_at,
        term,
        mass,
        *utf8(words.dictionary),
    )
    return tuple(
        pa.ListArray.from_arrays(pa.array(ends, pa.int32()), column.dictionary.take(pa.array(codes)))
        for codes, ends, column in ((*found[:2], names), (*found[2:], words))
    )


def _flat(column: pa.ChunkedArray) -> tuple[pa.Array, Int64Array]:
    """Values of a list column, and where those of each row begin and the last ones end."""
    lists = column.combine_chunks()
    ends = np.zeros(len(lists) + 1, np.int64)
    np.cumsum(pc.list_value_length(lists).to_numpy(), out=ends[1:])
    return lists.flatten(), ends


@nb.njit(cache=True, nogil=True)
def _precedes(data: UInt8Array, at: Int64Array, one: int, other: int) -> bool:
    """Whether a string comes before another, by its bytes."""
    first, second = data[at[one] : at[one + 1]], data[at[other] : at[other + 1]]
    for k in range(min(len(first), len(second))):
        if first[k] != second[k]:
            return first[k] < second[k]
    return len(first) < len(second)


@nb.njit(cache=True, nogil=True)
def _tell(  # noqa: C901, PLR0912, PLR0913, PLR0915, PLR0917 -- one pass over the stories
    members: Int64Array,
    bounds: Int64Array,
    name: Int32Array,
    name_at: Int64Array,
    surname: Int32Array,
    part: Int32Array,
    part_at: Int64Array,
    name_data: UInt8Array,
    name_bytes: Int64Array,
    word: Int32Array,
    word_at: Int64Array,
    term: Int32Array,
    mass: Float32Array,
    word_data: UInt8Array,
    word_bytes: Int64Array,
) -> tuple[Int32Array, Int64Array, Int32Array, Int64Array]:
    """Codes of the names and of the words of each story, and where those of each story end.

    `surname` is the code of a name's last word, -1 where no article has it alone, _ONE_WORD for a name of one; `part`
    holds the codes of the words of each name.
    """
    stories = len(bounds) - 1
    out_names, name_ends = np.empty(stories * MOST, np.int32), np.zeros(stories + 1, np.int64)
    out_words, word_ends = np.empty(stories * MOST, np.int32), np.zeros(stories + 1, np.int64)
    times = np.zeros(len(surname), np.int64)
    named = np.zeros(len(word_bytes) - 1, np.bool_)
    terms = 0
    for code in term:
        terms = max(terms, code + 1)
    total, shown = np.zeros(terms, np.float64), np.full(terms, -1, np.int32)
    most_names = most_terms = 0
    for story in range(stories):
        names_here = terms_here = 0
        for at in range(bounds[story], bounds[story + 1]):
            row = members[at]
            names_here += name_at[row + 1] - name_at[row]
            terms_here += word_at[row + 1] - word_at[row]
        most_names, most_terms = max(most_names, names_here), max(most_terms, terms_here)
    listed, heavy = np.empty(most_names, np.int32), np.empty(most_terms, np.int32)
    names_out = words_out = 0
    for story in range(stories):
        count = weighed = 0
        for at in range(bounds[story], bounds[story + 1]):
            row = members[at]
            for k in range(name_at[row], name_at[row + 1]):
                if times[name[k]] == 0:
                    listed[count] = name[k]
                    count += 1
                times[name[k]] += 1
            for k in range(word_at[row], word_at[row + 1]):
                if shown[term[k]] < 0:
                    heavy[weighed] = term[k]
                    weighed += 1
                    shown[term[k]] = word[k]
                total[term[k]] += mass[k]
        for short in listed[:count]:
            if surname[short] != _ONE_WORD:
                continue
            whole = -1
            for longer in listed[:count]:
                if surname[longer] == short and (
                    whole < 0
                    or times[longer] > times[whole]
                    or (times[longer] == times[whole] and _precedes(name_data, name_bytes, np.int32(whole), longer))
                ):
                    whole = longer
            if whole >= 0:
                times[whole] += times[short]
                times[short] = 0
        told = names_out
        while names_out < told + MOST:
            best = -1
            for one in listed[:count]:
                if times[one] > 0 and (best < 0 or times[one] > times[best]):
                    best = one
            if best < 0:
                break
            out_names[names_out] = best
            names_out += 1
            times[best] = 0
        for k in range(told, names_out):
            for at in range(part_at[out_names[k]], part_at[out_names[k] + 1]):
                if part[at] >= 0:
                    named[part[at]] = True
        begun = words_out
        while words_out < begun + MOST:
            best = -1
            for one in heavy[:weighed]:
                if (
                    total[one] >= 0
                    and not named[shown[one]]
                    and (
                        best < 0
                        or total[one] > total[best]
                        or (total[one] == total[best] and _precedes(word_data, word_bytes, shown[one], shown[best]))
                    )
                ):
                    best = one
            if best < 0:
                break
            out_words[words_out] = shown[best]
            words_out += 1
            total[best] = -1.0
        for k in range(told, names_out):
            for at in range(part_at[out_names[k]], part_at[out_names[k] + 1]):
                if part[at] >= 0:
                    named[part[at]] = False
        for one in listed[:count]:
            times[one] = 0
        for one in heavy[:weighed]:
            total[one] = 0.0
            shown[one] = -1
        name_ends[story + 1], word_ends[story + 1] = names_out, words_out
    return out_names[:names_out].copy(), name_ends, out_words[:words_out].copy(), word_ends
