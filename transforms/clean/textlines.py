"""Plain text as lines: split a block's texts at once, and measure every line in one pass over its bytes.

The kernel reads Arrow's UTF-8 buffers directly (about a nanosecond a byte), so that neither the key of a line
nor its features cost Python work on a word.
"""

import functools
import tomllib
from dataclasses import dataclass
from importlib import resources

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from transforms.clean.linekernel import has_other_breaks, hash_word, measure_lines, words_of_lines, words_with_content

Int32Array = NDArray[np.int32]
Int64Array = NDArray[np.int64]
UInt64Array = NDArray[np.uint64]

# Columns of `Lines.counts`.
COUNTS = (
    "characters",
    "words",  # by white space; scripts without spaces: characters / 2.5
    "capitalised",  # words that begin with a capital
    "upper",  # words of capitals only, two letters or more
    "numbers",  # words with a digit
    "stop",  # the next ones: words of a class in data/words.toml
    "address",
    "site",
    "media",
    "dates",
    "ending",  # ENDINGS
    "opening",  # 1 when the first letter is lower case, 2 when the line opens with a quote, bullet or dash
    "quotes",
    "commas",
    "marks",  # | / • » © @ and the like
)
COLUMN = {name: index for index, name in enumerate(COUNTS)}
NO_END, FULL_STOP, QUESTION, COLON, ELLIPSIS = range(5)
_CLASSES = ("stop", "address", "site", "media", "dates")
_SLOTS = 4096
_OTHER_BREAKS = r"\r\n?|\x{2028}|\x{2029}|\x{0085}|\x0c"


@dataclass(frozen=True)
class Lines:
    """The lines of some texts, in order.

    Attributes:
      row: shape (lines,), which text, ascending.
      number: shape (lines,), from 0 in each text.
      text: the lines, white space trimmed, none blank.
      keys: shape (lines,), equal for lines that differ only in digits, case, punctuation or spacing.
      counts: shape (lines, len(COUNTS)).
      cues: shape (lines,), bit n is set where the line holds a cue word of phrase rule n.
    """

    row: Int32Array
    number: Int32Array
    text: pa.Array
    keys: Int64Array
    counts: Int32Array
    cues: UInt64Array

    def column(self, name: str) -> Int32Array:
        """One column of `counts`."""
        return self.counts[:, COLUMN[name]]


def split_lines(texts: pa.Array) -> Lines:
    """Cut texts into trimmed, non-blank lines; null texts have none."""
    texts = pc.fill_null(texts, "")
    texts = one_array(texts) if isinstance(texts, pa.ChunkedArray) else texts
    if has_other_breaks(utf8(texts)[0]):
        texts = pc.replace_substring_regex(texts, _OTHER_BREAKS, "\n")
    pieces = pc.split_pattern(texts, "\n")
    row = np.repeat(np.arange(len(texts), dtype=np.int32), pc.list_value_length(pieces).to_numpy(zero_copy_only=False))
    flat = pc.utf8_trim_whitespace(pc.list_flatten(pieces))
    kept = pc.greater(pc.binary_length(flat), 0).to_numpy(zero_copy_only=False)
    return measured_lines(row[kept], flat.filter(pa.array(kept)))


def measured_lines(row: Int32Array, text: pa.Array) -> Lines:
    """Number and measure lines whose texts are known; `row` ascending."""
    text = text.combine_chunks() if isinstance(text, pa.ChunkedArray) else text
    return Lines(row, line_numbers(row), text, *_measure(text))


def line_numbers(row: Int32Array) -> Int32Array:
    """Number lines from 0 in each row; `row` ascending."""
    starts = np.flatnonzero(np.r_[True, row[1:] != row[:-1]]) if len(row) else np.zeros(0, np.int64)
    lengths = np.diff(np.r_[starts, len(row)])
    return (np.arange(len(row)) - np.repeat(starts, lengths)).astype(np.int32)


def line_keys(text: pa.Array) -> Int64Array:
    """Hash lines so that digits, case, punctuation and spacing do not matter; shape (lines,)."""
    return _measure(text)[0]


def count_words(text: pa.Array) -> Int32Array:
    """Count words by white space, wide characters by 2.5; shape (lines,)."""
    words = np.empty(len(text), np.int32)
    words_of_lines(*utf8(text), words)
    return words


def content_words(text: pa.Array) -> tuple[Int32Array, UInt64Array]:
    """The distinct words of each line that are no stop words: the line of each, ascending, and its hash."""
    content, bounds = utf8(text)
    most = int(bounds[-1] - bounds[0]) + len(text)
    line_of, hash_of = np.empty(most, np.int32), np.empty(most, np.uint64)
    count = words_with_content(content, bounds, *_word_classes(), line_of, hash_of)
    line_of, hash_of = line_of[:count], hash_of[:count]
    order = np.lexsort((hash_of, line_of))
    line_of, hash_of = line_of[order], hash_of[order]
    first = np.r_[True, (line_of[1:] != line_of[:-1]) | (hash_of[1:] != hash_of[:-1])][:count]
    return line_of[first], hash_of[first]


def one_array(column: pa.ChunkedArray) -> pa.Array:
    """A column in one piece; `combine_chunks` would copy the piece that it nearly always is."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def utf8(text: pa.Array) -> tuple[NDArray[np.uint8], Int64Array]:
    """The bytes of texts, and where each begins in them; shape (texts + 1,)."""
    text = text.cast(pa.large_string())
    _, offsets, data = text.buffers()
    content = np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(1, np.uint8)
    return content, np.frombuffer(offsets, np.int64)[text.offset : text.offset + len(text) + 1]


def _measure(text: pa.Array) -> tuple[Int64Array, Int32Array, UInt64Array]:
    content, bounds = utf8(text)
    slots, classes = _word_classes()
    keys = np.empty(len(text), np.int64)
    counts = np.zeros((len(text), len(COUNTS)), np.int32)
    cues = np.zeros(len(text), np.uint64)
    measure_lines(content, bounds, slots, classes, keys, counts, cues)
    return keys, counts, cues


@functools.cache
def _word_classes() -> tuple[UInt64Array, UInt64Array]:
    """Open-addressing table of word hashes, and for each its classes (the low bits) and phrase rules (above them)."""
    data = resources.files(__package__) / "data"
    listed = tomllib.loads((data / "words.toml").read_text("utf-8"))
    rules = tomllib.loads((data / "phrases.toml").read_text("utf-8"))["rule"]
    slots, classes = np.zeros(_SLOTS, np.uint64), np.zeros(_SLOTS, np.uint64)
    for bit, words in enumerate([listed[name] for name in _CLASSES] + [rule["cues"] for rule in rules]):
        for word in words.split():
            key = hash_word(np.frombuffer(word.encode(), np.uint8))
            slot = int(key) % _SLOTS
            while slots[slot] not in (0, key):
                slot = (slot + 1) % _SLOTS
            slots[slot], classes[slot] = key, classes[slot] | np.uint64(1 << bit)
    return slots, classes
