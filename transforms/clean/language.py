"""Which language an article is in: what is declared, unless the text says otherwise.

Where a script belongs to one language, the script decides; else the function words at the text's beginning do (they
are up to half of any paragraph). What sounds like none of the languages we know keeps what was declared, and so does
a declared one that we have no words of and that would be taken for the one found (`near` in data/languages.toml).
"""

import tomllib
from collections.abc import Iterable
from importlib import resources
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas.labels import LABEL_CODES, Label

SAMPLE = 300  # characters that are looked at (docs/decisions/0013-metadata.md)
_LINES = 4  # of an article that may make up the sample
_FEWEST_LETTERS, _FEWEST_WORDS = 15, 8
_MAIN_SCRIPT = 0.6  # share of the letters
_KANA_SHARE = 0.05  # of East Asian letters: Chinese has none, Japanese rarely under a third
_LEAST_SHARE = 0.15  # of the words that are a language's function words: half in English, a quarter in Turkish
_FEWEST_HITS, _CLEARER = 3, 1.5  # or so many of them, and so many times the runner-up
_CLEAR, _CERTAIN = 1.25, 0.1  # times the score of what is declared, and the score, from which a text contradicts it

# Unicode by blocks of 128: the script, or the language where the script has only one that a press is written in.
_BLOCKS = {
    "latin": (*range(5), 60, 61),
    "el": (6, 7, 62, 63),
    "cyrillic": (8, 9),
    "hy": (10,),
    "he": (11,),
    "arabic": (12, 13, 14, 15, *range(502, 510)),
    "devanagari": (18,),
    "bn": (19,),
    "pa": (20,),
    "gu": (21,),
    "or": (22,),
    "ta": (23,),
    "te": (24,),
    "kn": (25,),
    "ml": (26,),
    "si": (27,),
    "th": (28,),
    "lo": (29,),
    "my": (32,),
    "ka": (33,),
    "am": (36, 37, 38),
    "km": (47,),
    "kana": (96, 97),
    "han": tuple(range(104, 320)),
    "ko": (34, 35, *range(344, 432)),
}
_NAMES = tuple(_BLOCKS)
_HAN, _KANA = _NAMES.index("han"), _NAMES.index("kana")
_NONE = len(_NAMES)
_LAST_PUNCTUATED = 0x3100  # below it a block holds letters and other signs


class _Vocabulary(NamedTuple):
    """The function words of the languages that share a script."""

    languages: list[str]
    row: dict[str, int]
    matrix: NDArray[np.float32]  # a row a word: 1 in each of its languages, then 1 shared among them


def _vocabulary(words_of: dict[str, str]) -> _Vocabulary:
    row = {
        word: number for number, word in enumerate(sorted({w for words in words_of.values() for w in words.split()}))
    }
    member = np.zeros((len(row), len(words_of)), np.float32)
    for column, words in enumerate(words_of.values()):
        member[[row[word] for word in words.split()], column] = 1
    return _Vocabulary(list(words_of), row, np.hstack((member, member / member.sum(1, keepdims=True))))


def _script_of_characters() -> NDArray[np.int8]:
    """The script of each letter of the first plane, `_NONE` for what is no letter."""
    script = np.full(0x10000, _NONE, np.int8)
    for number, blocks in enumerate(_BLOCKS.values()):
        for block in blocks:
            script[block << 7 : (block + 1) << 7] = number
    script[[code for code in range(_LAST_PUNCTUATED) if not chr(code).isalpha()]] = _NONE
    return script


_TABLES = tomllib.loads(resources.files(__package__).joinpath("data/languages.toml").read_text("utf-8"))
_NEAR = {language: frozenset(others.split()) for language, others in _TABLES.pop("near").items()}
_VOCABULARIES = {script: _vocabulary(words) for script, words in _TABLES.items()}
_SCRIPT = _script_of_characters()


def settle_language(declared: str | None, text: str) -> str | None:
    """What is declared (BCP 47), unless the beginning of the text is clearly in another language; None if unknown.

    Languages that share most of their function words do not contradict each other: the declared one has to score
    clearly less than the best one.
    """
    scores = _scores(text)
    if not scores:
        return declared or None
    best = max(scores, key=lambda language: scores[language])
    if not declared:
        return best
    own = declared.partition("-")[0].lower()
    own = "no" if own in {"nb", "nn"} else own
    if own in _NEAR.get(best, ()) and own not in scores:
        return declared
    contradicted = scores[best] >= max(_CERTAIN, _CLEAR * scores.get(own, 0.0))
    return best if contradicted and own != best else declared


def with_languages(parsed: pa.Table, lines: pa.Table, given: Iterable[str | None]) -> pa.Table:
    """Settle the languages of a block's articles by their body lines, or by their headlines where there are none.

    Args:
      parsed: PARSED; `language` as declared.
      lines: LINES, article by article.
      given: the language that came with each record; it is taken as it is.
    """
    body = np.flatnonzero(lines["label"].to_numpy() == LABEL_CODES[Label.BODY])
    rows = lines["row"].to_numpy()[body]
    starts = np.searchsorted(rows, np.arange(parsed.num_rows + 1))
    first = np.arange(len(body)) - starts[rows] < _LINES
    texts = pc.utf8_slice_codeunits(lines["text"].take(pa.array(body[first])), 0, SAMPLE).to_pylist()
    samples: list[list[str]] = [[] for _ in range(parsed.num_rows)]
    for row, text in zip(rows[first].tolist(), texts, strict=True):
        samples[row].append(text)
    settled = [
        known or settle_language(declared, " ".join(sample) or headline or "")
        for known, declared, sample, headline in zip(
            given, parsed["language"].to_pylist(), samples, parsed["headline"].to_pylist(), strict=True
        )
    ]
    at = parsed.schema.get_field_index("language")
    return parsed.set_column(at, parsed.schema.field(at), pa.array(settled, pa.string()))


def _scores(text: str) -> dict[str, float]:
    """How much the beginning of a text sounds like each language; empty when it sounds like none."""
    sample = text[:SAMPLE].casefold()
    codes = np.frombuffer(sample.encode("utf-32-le", "replace"), np.uint32)
    counts = np.bincount(_SCRIPT[codes[codes < len(_SCRIPT)]], minlength=_NONE + 1)[:_NONE]
    letters = int(counts.sum())
    if letters < _FEWEST_LETTERS:
        return {}
    if counts[_HAN] + counts[_KANA] > _MAIN_SCRIPT * letters:
        return {"ja" if counts[_KANA] > _KANA_SHARE * letters else "zh": 1.0}
    script = int(counts.argmax())
    if counts[script] < _MAIN_SCRIPT * letters:
        return {}
    vocabulary = _VOCABULARIES.get(_NAMES[script])
    return _by_words(sample, vocabulary) if vocabulary else {_NAMES[script]: 1.0}


def _by_words(sample: str, vocabulary: _Vocabulary) -> dict[str, float]:
    """The share of the words that are each language's, a word of several languages counted in part."""
    words = sample.split()  # a function word seldom touches a comma: a regular expression costs more than it finds
    known = [row for row in map(vocabulary.row.get, words) if row is not None]
    if len(words) < _FEWEST_WORDS or not known:
        return {}
    hits, scores = vocabulary.matrix[known].sum(0).reshape(2, -1)
    second, best = scores.argsort(kind="stable")[-2:]
    clear = hits[best] >= _FEWEST_HITS and scores[best] >= _CLEARER * scores[second]
    if not clear and hits[best] < _LEAST_SHARE * len(words):
        return {}
    return dict(zip(vocabulary.languages, (scores / len(words)).tolist(), strict=True))
