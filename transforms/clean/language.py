"""Which language an article is in: what is declared, unless the text says otherwise.

Where a script belongs to one language, the script decides; else the function words at the text's beginning do (they
are up to half of any paragraph). What sounds like none of the languages we know keeps what was declared, and so does
a declared one that we have no words of and that would be taken for the one found (`near` in data/languages.toml).
"""

import functools
import tomllib
from importlib import resources

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas.labels import LABEL_CODES, Label
from transforms.clean.languagekernel import SPACE, Scripts, score_samples, word_hash
from transforms.clean.pagecues import table
from transforms.clean.textlines import utf8

_LINES = 4  # of an article that may make up the sample
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
_NONE = len(_NAMES)
_LAST_PUNCTUATED = 0x3100  # below it a block holds letters and other signs
_TABLES = tomllib.loads(resources.files(__package__).joinpath("data/languages.toml").read_text("utf-8"))
_NEAR = {language: frozenset(others.split()) for language, others in _TABLES.pop("near").items()}
_LANGUAGES = [list(_TABLES.get(name, [{"han": "zh", "kana": "ja"}.get(name, name)])) for name in _NAMES]
_MOST = max(map(len, _LANGUAGES))


@functools.cache
def _scripts() -> Scripts:
    """Build the tables once a process."""
    rows: dict[int, int] = {}
    shares: list[NDArray[np.float32]] = []
    for script, name in enumerate(_NAMES):
        lists = [set(text.split()) for text in _TABLES.get(name, {}).values()]
        for word in sorted(set().union(*lists)):
            member = np.zeros(_MOST, np.float32)
            member[[word in listed for listed in lists] + [False] * (_MOST - len(lists))] = 1
            shares.append(np.stack((member, member / member.sum())))
            rows[word_hash(script, word)] = len(shares)
    words = table(rows)
    return Scripts(
        _script_of_characters(),
        _folded_characters(),
        words.keys,
        words.values,
        np.stack(shares),
        np.array([len(_TABLES.get(name, ())) for name in _NAMES]),
        _NAMES.index("han"),
        _NAMES.index("kana"),
    )


def _script_of_characters() -> NDArray[np.uint8]:
    script = np.full(0x10000, _NONE, np.uint8)
    for number, blocks in enumerate(_BLOCKS.values()):
        for block in blocks:
            script[block << 7 : (block + 1) << 7] = number
    script[[code for code in range(_LAST_PUNCTUATED) if not chr(code).isalpha()]] = _NONE
    script[[code for code in range(_LAST_PUNCTUATED) if chr(code).isspace()]] = SPACE
    return script


def _folded_characters() -> NDArray[np.uint16]:
    folded = np.zeros((0x10000, 3), np.uint16)
    folded[:, 0] = np.arange(0x10000)
    for code in range(0x10000):
        character = chr(code)
        if (fold := character.casefold()) != character:
            folded[code, : len(fold)] = [ord(each) for each in fold]
    return folded


def with_languages(parsed: pa.Table, lines: pa.Table, given: pa.Array) -> pa.Table:
    """Settle the languages of a block's articles by their body lines, or by their headlines where there are none.

    Languages that share most of their function words do not contradict each other: the declared one has to score
    clearly less than the best one.

    Args:
      parsed: PARSED; `language` as declared.
      lines: LINES, article by article.
      given: the language that came with each record; it is taken as it is.
    """
    body = np.flatnonzero(lines["label"].to_numpy() == LABEL_CODES[Label.BODY])
    starts = np.searchsorted(lines["row"].to_numpy()[body], np.arange(parsed.num_rows + 1))
    stops = np.minimum(starts[:-1] + _LINES, starts[1:])
    script, scores = _scores(lines["text"].combine_chunks(), body, starts[:-1], stops)
    wordless = np.flatnonzero(starts[:-1] == starts[1:])
    headlines = pc.fill_null(parsed["headline"].combine_chunks().take(pa.array(wordless)), "")
    one = np.arange(len(wordless))
    script[wordless], scores[wordless] = _scores(headlines, one, one, one + 1)

    declared = parsed["language"].to_pylist()
    settled = [
        known or _settled(own, spoken, likely)
        for known, own, spoken, likely in zip(given.to_pylist(), declared, script.tolist(), scores, strict=True)
    ]
    at = parsed.schema.get_field_index("language")
    return parsed.set_column(at, parsed.schema.field(at), pa.array(settled, pa.string()))


def _settled(declared: str | None, script: int, likely: NDArray[np.float32]) -> str | None:
    if script < 0:
        return declared or None
    languages = _LANGUAGES[script]
    best = languages[int(likely.argmax())]
    if not declared:
        return best
    scores = dict(zip(languages, likely.tolist(), strict=False))
    own = declared.partition("-")[0].lower()
    own = "no" if own in {"nb", "nn"} else own
    if own in _NEAR.get(best, ()) and own not in scores:
        return declared
    contradicted = scores[best] >= max(_CERTAIN, _CLEAR * scores.get(own, 0.0))
    return best if contradicted and own != best else declared


def _scores(
    texts: pa.Array, line: NDArray[np.int64], starts: NDArray[np.int64], stops: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The script of each sample `line[start:stop]`, -1 for none that says anything, and the scores of its languages.

    A score is the share of the words that are the language's, a word of several languages counted in part.
    """
    script, scores = np.empty(len(starts), np.int64), np.zeros((len(starts), _MOST), np.float32)
    score_samples(*utf8(texts), line, starts, stops, _scripts(), script, scores)
    return script, scores
