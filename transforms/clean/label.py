"""Parsed lines and what is known of their outlets → clean articles, with everything that was taken out beside them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas.blocks import CLEAN, PARSED, REJECTED, REMOVED_LINE
from schemas.errors import RejectReason
from schemas.labels import LABEL_CODES, Label
from transforms.clean.outlets import FEWEST_STORIES, recall, recall_places
from transforms.clean.overrides import KEEP, NO_RULES, REMOVE, SELECT, OutletRules, override
from transforms.clean.plaintext import DUMP_RULE, row_starts
from transforms.clean.textlines import FULL_STOP, QUESTION, count_words, line_numbers, measured_lines

BoolArray = NDArray[np.bool_]

HEAD_EDGE, FOOT_EDGE = 3, 5  # lines from an article's start or end that count as its edge
STAGE = "clean"
HEADLINE_ONLY = "headline-only"  # flag of a record that came without a text, as many feeds' entries do
SAMPLE = 200
_BODY, _FURNITURE, _CAPTION, _CREDIT = (
    LABEL_CODES[label] for label in (Label.BODY, Label.FURNITURE, Label.CAPTION, Label.CREDIT)
)
_SENTENCE = 5  # words; a shorter caption is no text
_GALLERY_CAPTIONS, _GALLERY_SHARE = 4, 0.5  # so many captions with so many words, to those of the body, are a gallery
_MEMORY_RULE, _PLACE_RULE = "outlet-memory", "outlet-place"
_MOSTLY = 0.5
_DOUBT = 0.5  # what one story that nothing is known of would give a place
_SPEAKS = 2  # words of sites and of address: the outlet speaks to the reader
_TEMPLATE_NUMBERS = 2  # a sentence with as many numbers returns with others: results, weather, markets
_SUBHEADING_WORDS = 8  # "What happened?" returns in explainers, and is body there


@dataclass(frozen=True)
class MemoryOptions:
    """When a line that returns in an outlet is furniture."""

    learn: bool = True  # count lines by outlet at all
    stories_anywhere: int = 20  # distinct stories that make any line furniture
    stories_edge: int = 3  # … a line at an article's edge, here or mostly, or one that talks to the reader
    stories_weak: int = 2  # … a line that is both, one that a line model doubts, or any line of a page's dump
    place_score: float = 0.4  # mean line score in a place, over the outlet's other stories, below which it is furniture
    place_doubt: float = 0.8  # … for lines below this score of their own
    latest_articles: int = 500  # of an outlet that later runs know; what only older ones had is forgotten
    sure: float = 0.995  # below this probability of being body a line counts as doubted
    kept_share: float = 0.25  # undone where less than this share of the body words remains

    def __post_init__(self) -> None:
        """Refuse values that make no sense.

        Raises:
          ValueError: names the option and what is allowed.
        """
        for name in ("stories_anywhere", "stories_edge", "stories_weak"):
            if getattr(self, name) < FEWEST_STORIES:  # the memory holds no line of fewer
                raise ValueError(f"{name} must be {FEWEST_STORIES} or more, not {getattr(self, name)}")
        if self.latest_articles < 1:
            raise ValueError(f"latest_articles must be 1 or more, not {self.latest_articles}")
        for name in ("place_score", "place_doubt", "sure", "kept_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be within 0..1, not {getattr(self, name)}")


def edge_lines(row: NDArray[np.int32], rows: int) -> BoolArray:
    """Which lines stand at the edge of their article; shape (lines,)."""
    number, whole = line_numbers(row), np.bincount(row, minlength=rows)
    return (number < HEAD_EDGE) | (whole[row] - number <= FOOT_EDGE)


def label_block(  # noqa: PLR0913, PLR0917 -- what is known of a block, side by side
    parsed: pa.Table,
    lines: pa.Table,
    memory: pa.Table,
    repeated: BoolArray,
    options: MemoryOptions,
    outlets: Mapping[str, OutletRules] = NO_RULES,
) -> tuple[pa.Table, pa.Table]:
    """Finish a block.

    Args:
      parsed: PARSED.
      lines: LINES of the same articles.
      memory: outlets.MEMORY, of all outlets.
      repeated: shape (articles,), which were delivered before.
      options: when memory decides.
      outlets: lines that a user pinned or vetoed, by outlet.

    Returns:
      articles (CLEAN) and rejects (REJECTED).
    """
    rows = parsed.num_rows
    row, label = lines["row"].to_numpy(), lines["label"].to_numpy().copy()
    text = lines["text"].combine_chunks()
    words = count_words(text)
    remembered = remembered_furniture(parsed, lines, memory, options)
    misplaced = misplaced_lines(parsed, lines, memory, options) & ~remembered
    pinned = pc.equal(lines["rule"], SELECT).to_numpy()
    remembered, misplaced = remembered & ~pinned, misplaced & ~pinned
    undone = _undone(row, rows, words, label == _BODY, remembered | misplaced, options)
    rule = lines["rule"].combine_chunks()
    removed, kept = override(parsed["outlet"].combine_chunks(), text, row, outlets)
    for taken, code, name in (
        (remembered & ~undone[row], _FURNITURE, _MEMORY_RULE),
        (misplaced & ~undone[row], _FURNITURE, _PLACE_RULE),
        (removed, _FURNITURE, REMOVE),
        (kept, _BODY, KEEP),
    ):
        label[taken] = code
        rule = pc.if_else(pa.array(taken), name, rule) if taken.any() else rule

    flags = _with_flag(parsed["quality_flags"].combine_chunks(), undone, "outlet-memory-undone")
    captions = _captions_as_body(row, rows, words, label, lines["signature"].to_numpy() == 0)
    label[captions] = _BODY
    flags = _with_flag(flags, np.bincount(row, captions, rows) > 0, "captions-as-body")
    body = label == _BODY
    total = np.bincount(row, words * body, rows).astype(np.int32)
    columns = [flags if name == "quality_flags" else parsed[name] for name in PARSED.names]
    removed_lines = _removed(lines, text, label, rule, ~body)
    articles = pa.table(
        [
            *columns,
            pc.binary_join(_gather(text, row, body, rows), "\n"),
            _gather(text, row, label == _CAPTION, rows),
            _gather(text, row, label == _CREDIT, rows),
            pa.ListArray.from_arrays(pa.array(row_starts(row[~body], rows)), removed_lines),
            pa.array(total),
            _stories_of_lines(parsed["outlet"].combine_chunks(), lines["line_key"].to_numpy(), row, body, memory),
        ],
        schema=CLEAN,
    )
    headline_only = np.array([HEADLINE_ONLY in each for each in parsed["quality_flags"].to_pylist()], bool)
    empty = (total == 0) & ~repeated & ~headline_only
    rejects = pa.concat_tables(
        [
            _rejects(
                parsed,
                text,
                row,
                repeated,
                RejectReason.DUPLICATE_INPUT,
                "the same record was delivered before; the first one is kept",
            ),
            _rejects(parsed, text, row, empty, RejectReason.NO_BODY, "no line of it could be an article's body"),
        ]
    )
    return articles.filter(pa.array(~repeated & ~empty)), rejects


def _stories_of_lines(
    outlets: pa.Array, keys: NDArray[np.int64], row: NDArray[np.int32], chosen: BoolArray, memory: pa.Table
) -> pa.Array:
    """For each article the stories of its outlet that hold each of its chosen lines, 0 where it alone is known to."""
    stories, _ = recall(memory, outlets.take(pa.array(row[chosen])), keys[chosen])
    return pa.ListArray.from_arrays(pa.array(row_starts(row[chosen], len(outlets))), pa.array(stories))


def remembered_furniture(parsed: pa.Table, lines: pa.Table, memory: pa.Table, options: MemoryOptions) -> BoolArray:
    """Which body lines the outlet's memory takes for furniture; shape (lines,)."""
    row, label = lines["row"].to_numpy(), lines["label"].to_numpy()
    taken = np.zeros(len(row), bool)
    if not options.learn or not memory.num_rows:
        return taken
    outlets = parsed["outlet"].combine_chunks().take(pa.array(row))
    stories, edge_share = recall(memory, outlets, lines["line_key"].to_numpy())
    at = np.flatnonzero(
        (label == _BODY) & (stories >= min(options.stories_weak, options.stories_edge, options.stories_anywhere))
    )
    known = measured_lines(row[at], lines["text"].combine_chunks().take(pa.array(at)))
    stories, score = stories[at], lines["score"].to_numpy()[at]
    edge = edge_lines(row, parsed.num_rows)[at] | (edge_share[at] >= _MOSTLY)
    ending, words = known.column("ending"), known.column("words")
    speaks = (known.column("site") + known.column("address") >= _SPEAKS) & (known.column("site") > 0)
    speaks &= known.column("quotes") == 0
    subheading = (ending == QUESTION) & (words <= _SUBHEADING_WORDS)
    template = (known.column("numbers") >= _TEMPLATE_NUMBERS) & (ending == FULL_STOP) & (known.column("site") == 0)
    weak = (edge & speaks) | (score < options.sure)
    enough = (stories >= options.stories_edge) & (edge | speaks) | (stories >= options.stories_weak) & weak
    dumped = np.zeros(parsed.num_rows, bool)
    dumped[row[pc.equal(lines["rule"], DUMP_RULE).to_numpy()]] = True
    furniture = (stories >= options.stories_anywhere) | (enough & ~subheading & ~template)
    taken[at] = furniture | (dumped[row[at]] & (stories >= options.stories_weak))  # in a dump all of it is the site's
    return taken


def misplaced_lines(parsed: pa.Table, lines: pa.Table, memory: pa.Table, options: MemoryOptions) -> BoolArray:
    """Which doubtful body lines stand where the outlet's other stories have furniture; shape (lines,).

    What the line model made of a place in the other stories, two or more, is averaged with one story of doubt (.5), so
    that a place needs few of them when they are clear. Measured in docs/decisions/0011-outlet-memory.md.
    """
    row, label, score = lines["row"].to_numpy(), lines["label"].to_numpy(), lines["score"].to_numpy()
    misplaced = np.zeros(len(row), bool)
    if not options.learn or not memory.num_rows:
        return misplaced
    signature = lines["signature"].to_numpy()
    at = np.flatnonzero((label == _BODY) & (signature != 0) & (score < options.place_doubt))
    if not len(at):
        return misplaced
    stories, mean = recall_places(memory, parsed["outlet"].combine_chunks().take(pa.array(row[at])), signature[at])
    pairs, where = np.unique(np.stack([row.astype(np.int64), signature]), axis=1, return_inverse=True)
    here = np.bincount(where.ravel(), score, pairs.shape[1]) / np.bincount(where.ravel(), minlength=pairs.shape[1])
    others = mean * stories - here[where.ravel()[at]]
    misplaced[at] = (stories > FEWEST_STORIES) & ((others + _DOUBT) / np.maximum(stories, 1) < options.place_score)
    return misplaced


def _undone(  # noqa: PLR0913, PLR0917 -- the columns of a line
    row: NDArray[np.int32],
    rows: int,
    words: NDArray[np.int32],
    body: BoolArray,
    remembered: BoolArray,
    options: MemoryOptions,
) -> BoolArray:
    """Rows in which memory would leave too little."""
    before = np.bincount(row, words * body, rows)
    after = np.bincount(row, words * (body & ~remembered), rows)
    return (after < options.kept_share * before) & (after < before)


def _captions_as_body(
    row: NDArray[np.int32], rows: int, words: NDArray[np.int32], label: NDArray[np.int8], plain: BoolArray
) -> BoolArray:
    """Captions that are what the article says: it has no other text, or it is a gallery sent as plain text."""
    captions = (label == _CAPTION) & (words >= _SENTENCE)
    body = np.bincount(row, words * (label == _BODY), rows)
    said = np.bincount(row, words * (captions & plain), rows)
    gallery = (np.bincount(row, captions & plain, rows) >= _GALLERY_CAPTIONS) & (said >= _GALLERY_SHARE * body)
    return captions & ((body == 0) | gallery)[row]


def _gather(text: pa.Array, row: NDArray[np.int32], kept: BoolArray, rows: int) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array(row_starts(row[kept], rows)), text.filter(pa.array(kept)))


def _removed(lines: pa.Table, text: pa.Array, label: NDArray[np.int8], rule: pa.Array, gone: BoolArray) -> pa.Array:
    at = pa.array(np.flatnonzero(gone))
    names = pa.array(list(Label), pa.string()).take(pa.array(label[gone]))
    arrays = [lines["line"].combine_chunks().take(at), text.take(at), names, rule.take(at)]
    return pa.StructArray.from_arrays(arrays, fields=list(REMOVED_LINE))


def _with_flag(flags: pa.Array, rows: BoolArray, flag: str) -> pa.Array:
    if not rows.any():
        return flags
    return pa.array(
        [[*(has or []), flag] if hit else has for has, hit in zip(flags.to_pylist(), rows.tolist(), strict=True)],
        flags.type,
    )


def _rejects(  # noqa: PLR0913, PLR0917 -- likewise
    parsed: pa.Table,
    text: pa.Array,
    row: NDArray[np.int32],
    refused: BoolArray,
    reason: RejectReason,
    detail: str,
) -> pa.Table:
    starts = row_starts(row, parsed.num_rows)
    return pa.Table.from_pylist(
        [
            {
                "source_uri": parsed["source_uri"][at].as_py(),
                "position": parsed["position"][at].as_py(),
                "source_id": parsed["source_id"][at].as_py(),
                "stage": STAGE,
                "reason": str(reason),
                "detail": detail,
                "sample": text[int(starts[at])].as_py()[:SAMPLE]
                if starts[at] < starts[at + 1]
                else parsed["headline"][at].as_py(),
            }
            for at in np.flatnonzero(refused).tolist()
        ],
        REJECTED,
    )
