"""Plain text → labelled lines: what is body, headline, standfirst, byline, dateline, caption, credit or furniture.

Three judges, in this order: the phrase pack; for texts that were saved with all their menus, the line model; and the
structure around the first lines, photographs and promotions. All work on the lines of a whole block at once.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas.labels import LABEL_CODES, Label
from transforms.clean import dates
from transforms.clean.linescores import page_dumps, score_lines, subset
from transforms.clean.phrases import NO_RULE, find_cues
from transforms.clean.textlines import COLON, ELLIPSIS, FULL_STOP, NO_END, Int32Array, Lines

BODY = LABEL_CODES[Label.BODY]
HEADLINE = LABEL_CODES[Label.HEADLINE]
DESCRIPTION = LABEL_CODES[Label.DESCRIPTION]
BYLINE = LABEL_CODES[Label.BYLINE]
DATELINE = LABEL_CODES[Label.DATELINE]
CAPTION = LABEL_CODES[Label.CAPTION]
CREDIT = LABEL_CODES[Label.CREDIT]
FURNITURE = LABEL_CODES[Label.FURNITURE]

DUMP_RULE = "dump-model"  # a text that has it on a line was saved with all its menus
_PLAIN = (
    "body",
    DUMP_RULE,
    "repeated-line",
    "caption-heading",
    "promotion-heading",
    "first-line",
    "under-headline",
    "byline",
    "dateline",
)
_HEAD = 12  # lines within which headline, standfirst, byline and dateline stand
_HEADLINE_WORDS = 35
_STANDFIRST_WORDS = (6, 45)
_BYLINE_WORDS = 14
_KEPT_SHARE = 0.25
_NAME_WORDS = range(2, 6)
_HEADING_WORDS = (5, 20)  # of a promotion
_HEAD_AND_BODY = 2  # lines without which there is no headline
_PROMOTIONS = ("podcast", "programme")
_BYLINE = re.compile(r"(?:by|von|par|por|di|words by|written by|reported by)[:\s]+(?=[A-ZÀ-Þ])", re.IGNORECASE)
_NAME = re.compile(r"[A-ZÀ-Þ][\w.'\u2019-]*(?: (?:de|van|von|der|la|bin|al|el|[A-ZÀ-Þ][\w.'\u2019-]*)){1,3}")


@dataclass(frozen=True)
class LabelledLines:
    """Lines with their first labels.

    Attributes:
      label: shape (lines,), LABEL_CODES.
      rule: shape (lines,), index into `rules`.
      rules: rule names.
      score: shape (lines,), how likely the line is body.
      flags: quality flags by row, where there are any.
    """

    label: NDArray[np.int8]
    rule: NDArray[np.int16]
    rules: tuple[str, ...]
    score: NDArray[np.float32]
    flags: dict[int, list[str]] = field(default_factory=dict)

    def rule_names(self) -> pa.Array:
        """Rule name of each line."""
        return pa.array(self.rules, pa.string()).take(pa.array(self.rule))


def label_texts(lines: Lines, rows: int, inline: NDArray[np.bool_]) -> LabelledLines:
    """Label every line.

    Args:
      lines: the lines of `rows` texts.
      rows: how many texts.
      inline: shape (rows,), whether a text may begin with its own headline.
    """
    row_lines = np.bincount(lines.row, minlength=rows).astype(np.int32)
    cues = find_cues(lines, row_lines[lines.row])
    names = (*_PLAIN, *(rule.name for rule in cues.rules))
    label = cues.labels()
    rule = np.where(cues.rule == NO_RULE, 0, cues.rule + len(_PLAIN)).astype(np.int16)
    score = np.where(label == BODY, 1.0, 0.05).astype(np.float32)
    labelled = LabelledLines(label, rule, names, score)

    dumps = page_dumps(lines, rows)
    _judge_by_model(lines, dumps, labelled)
    _mark_photographs(lines, labelled)
    _mark_promotion_headings(lines, labelled)
    _mark_heads(lines, rows, inline & ~dumps, labelled)
    _undo_where_little_is_left(lines, rows, dumps, labelled)
    return labelled


def authors_of(byline: str) -> list[str]:
    """Names in a byline, in order, each once."""
    line = _BYLINE.sub("", byline.strip(), count=1) if _BYLINE.match(byline.strip()) else byline.strip()
    found = (
        match.group() for part in re.split(r",| and | und | et | y | & |\||;", line) for match in _NAME.finditer(part)
    )
    return list(dict.fromkeys(found))


def _set(
    labelled: LabelledLines, at: Sequence[int] | NDArray[np.int64], label: int, rule: str, score: float = 0.05
) -> None:
    labelled.label[at], labelled.rule[at], labelled.score[at] = label, labelled.rules.index(rule), score


def _judge_by_model(lines: Lines, dumps: NDArray[np.bool_], labelled: LabelledLines) -> None:
    at = np.flatnonzero(dumps[lines.row])
    if not len(at):
        return
    cued = labelled.label[at] != BODY
    score, kept = score_lines(subset(lines, dumps[lines.row]), cued)
    labelled.score[at] = np.where(cued, np.minimum(score, labelled.score[at]), score)
    refused = at[~cued & ~kept]
    labelled.label[refused], labelled.rule[refused] = FURNITURE, labelled.rules.index(DUMP_RULE)


def _unfinished(lines: Lines) -> NDArray[np.bool_]:
    return np.isin(lines.column("ending"), (NO_END, COLON, ELLIPSIS))


def _mark_photographs(lines: Lines, labelled: LabelledLines) -> None:
    """Lines said twice in a row, or repeated by the caption after them, belong to the photograph; sentences stay."""
    same_row = lines.row[1:] == lines.row[:-1]
    body = labelled.label == BODY
    twice = np.flatnonzero(same_row & (lines.keys[1:] == lines.keys[:-1]) & body[1:] & body[:-1])
    unfinished = _unfinished(lines)
    _set(labelled, twice, CAPTION, "repeated-line")
    _set(labelled, twice[unfinished[twice]] + 1, CAPTION, "repeated-line")
    captions = np.flatnonzero(same_row & (labelled.label[1:] == CAPTION) & body[:-1] & unfinished[:-1])
    first, second = lines.text.take(pa.array(captions)).to_pylist(), lines.text.take(pa.array(captions + 1)).to_pylist()
    headings = [
        at for at, heading, caption in zip(captions.tolist(), first, second, strict=True) if caption.startswith(heading)
    ]
    _set(labelled, headings, CAPTION, "caption-heading")


def _mark_promotion_headings(lines: Lines, labelled: LabelledLines) -> None:
    """A heading or question right before a promotion announces it."""
    promotions = [labelled.rules.index(name) for name in _PROMOTIONS]
    promoted = np.isin(labelled.rule[1:], promotions) & (lines.row[1:] == lines.row[:-1]) & (lines.number[:-1] > 0)
    heading = (
        (lines.column("ending") != FULL_STOP)
        & (lines.column("words") <= _HEADING_WORDS[1])
        & (lines.column("quotes") == 0)
    )
    heading &= (lines.column("opening") == 0) & (lines.column("words") >= _HEADING_WORDS[0])
    _set(
        labelled,
        np.flatnonzero(promoted & heading[:-1] & (labelled.label[:-1] == BODY)),
        FURNITURE,
        "promotion-heading",
    )


def _mark_heads(lines: Lines, rows: int, inline: NDArray[np.bool_], labelled: LabelledLines) -> None:
    """Headline, standfirst, byline and dateline among the first lines."""
    starts = np.searchsorted(lines.row, np.arange(rows + 1))
    words, unfinished = lines.column("words"), _unfinished(lines)
    dated = (
        (lines.number < np.where(inline[lines.row], _HEAD, 3))
        & (words <= _BYLINE_WORDS)
        & (lines.column("numbers") > 0)
        & (lines.column("dates") > 0)
    )
    signed = (lines.number < _HEAD) & (words <= _BYLINE_WORDS) & unfinished & (labelled.label == BODY)
    signed &= pc.match_substring_regex(lines.text, r"^(?i:(?:words |written |reported )?by|von|par|por)[: ]").to_numpy(
        zero_copy_only=False
    )
    for at in np.flatnonzero(dated & (labelled.label != CAPTION)).tolist():
        if dates.is_dateline(lines.text[at].as_py()):
            _set(labelled, [at], DATELINE, "dateline")
            if (
                at > starts[lines.row[at]] + (1 if inline[lines.row[at]] else 0)
                and labelled.label[at - 1] == BODY
                and words[at - 1] in _NAME_WORDS
            ):
                signed[at - 1] |= _NAME.fullmatch(lines.text[at - 1].as_py()) is not None
    for at in np.flatnonzero(signed).tolist():
        if authors_of(lines.text[at].as_py()):
            _set(labelled, [at], BYLINE, "byline")
    for row in np.flatnonzero(inline).tolist():
        _mark_headline(lines, slice(int(starts[row]), int(starts[row + 1])), labelled)


def _mark_headline(lines: Lines, article: slice, labelled: LabelledLines) -> None:
    words, ending = lines.column("words"), lines.column("ending")
    body = article.start + np.flatnonzero(labelled.label[article] == BODY)
    if (
        len(body) < _HEAD_AND_BODY
        or lines.number[body[0]] >= _HEAD
        or ending[body[0]] == FULL_STOP
        or words[body[0]] > _HEADLINE_WORDS
    ):
        return
    headline, after = int(body[0]), int(body[1])
    _set(labelled, [headline], HEADLINE, "first-line")
    least, most = _STANDFIRST_WORDS
    if (
        after == headline + 1
        and ending[after] == NO_END
        and least <= words[after] <= most
        and len(body) > _HEAD_AND_BODY
    ):
        _set(labelled, [after], DESCRIPTION, "under-headline")


def _undo_where_little_is_left(lines: Lines, rows: int, dumps: NDArray[np.bool_], labelled: LabelledLines) -> None:
    """No rule empties a text: where phrases took most of it, they are taken back (page dumps are mostly menus)."""
    words = lines.column("words").astype(np.float64)
    kept = np.bincount(lines.row, words * (labelled.label == BODY), rows)
    whole = np.bincount(lines.row, words, rows)
    for row in np.flatnonzero(np.where(dumps, kept == 0, kept < _KEPT_SHARE * whole) & (whole > 0)).tolist():
        at = np.flatnonzero(
            (lines.row == row) & (labelled.label == FURNITURE) & (words >= (1 if kept[row] == 0 else 12))
        )
        if len(at):
            _set(labelled, at, BODY, "body", 0.5)
            labelled.flags[row] = ["furniture-phrases-undone"]


def head_fields(lines: Lines, labelled: LabelledLines, label: int) -> dict[int, str]:
    """The first line of a label in each row."""
    at = np.flatnonzero(labelled.label == label)
    first = at[np.r_[True, lines.row[at][1:] != lines.row[at][:-1]]] if len(at) else at
    return dict(zip(lines.row[first].tolist(), lines.text.take(pa.array(first)).to_pylist(), strict=True))


def row_starts(row: Int32Array, rows: int) -> Int32Array:
    """Offsets of each row's lines; shape (rows + 1,)."""
    return np.searchsorted(row, np.arange(rows + 1)).astype(np.int32)
