"""A place that is furniture in an outlet's other stories is furniture here, where the line model doubts."""

import numpy as np
import pyarrow as pa

from schemas.blocks import LINES, PARSED, RAW
from schemas.labels import LABEL_CODES, Label
from transforms.clean.label import MemoryOptions, label_block, misplaced_lines
from transforms.clean.outlets import memory_of
from transforms.clean.page import PageLimits
from transforms.clean.parse import line_statistics, parse_block

OUTLET = "harbour.example"
BODY, TEASER = 11, 12  # signatures
Scored = tuple[str, float, int]


def block(*pages: list[Scored], outlet: str = OUTLET) -> tuple[pa.Table, pa.Table]:
    """Pages as lines with a score and a place; what scores .5 or more is first taken for body."""
    raw = [
        {
            "source_uri": "m",
            "position": at,
            "source_id": str(at),
            "headline": f"Tale {chr(97 + at) * 3}",
            "headline_inline": False,
        }
        | {"outlet": outlet, "text": "\n".join(text for text, _, _ in page)}
        for at, page in enumerate(pages)
    ]
    parsed, lines, _ = parse_block(pa.Table.from_pylist(raw, RAW), PageLimits())
    every = [line for page in pages for line in page]
    label = [LABEL_CODES[Label.BODY if score >= 0.5 else Label.FURNITURE] for _, score, _ in every]
    for name, values in (
        ("label", label),
        ("score", [s for _, s, _ in every]),
        ("signature", [p for _, _, p in every]),
    ):
        field = LINES.field(name)
        lines = lines.set_column(LINES.get_field_index(name), field, pa.array(values, field.type))
    assert parsed.schema.equals(PARSED)
    return parsed, lines


def page(number: int, teaser: float, place: int = TEASER) -> list[Scored]:
    trees = ["alder", "birch", "cedar", "elm", "fir", "oak"]
    own = [
        (f"The {trees[number]} by the {word} pier is to stay, it was said.", 0.98, BODY)
        for word in ("old", "new", "far")
    ]
    return [*own, (f"Why {trees[number]} trees are back in fashion on {trees[-number]} street", teaser, place)]


def misplaced(*pages: list[Scored], options: MemoryOptions | None = None) -> list[str]:
    parsed, lines = block(*pages)
    taken = misplaced_lines(parsed, lines, memory_of(line_statistics(parsed, lines)), options or MemoryOptions())
    found: list[str] = lines["text"].filter(pa.array(taken)).to_pylist()
    return found


def test_a_doubtful_line_in_a_place_of_furniture_is_taken_out() -> None:
    doubtful = page(3, 0.6)
    assert misplaced(page(1, 0.05), page(2, 0.1), doubtful) == [doubtful[-1][0]]


def test_a_place_that_is_body_elsewhere_never_is() -> None:
    assert misplaced(page(1, 0.95), page(2, 0.9), page(3, 0.6)) == []


def test_a_line_that_the_model_is_sure_of_stays() -> None:
    assert misplaced(page(1, 0.05), page(2, 0.1), page(3, 0.95)) == []


def test_one_story_must_be_clearer_than_several() -> None:
    assert misplaced(page(1, 0.33), page(3, 0.6)) == []
    assert len(misplaced(page(1, 0.33), page(2, 0.33), page(4, 0.33), page(3, 0.6))) == 1


def test_a_place_that_no_other_story_has_says_nothing() -> None:
    assert misplaced(page(1, 0.05), page(2, 0.05), page(3, 0.6, place=99)) == []


def test_nothing_is_taken_without_learning() -> None:
    options = MemoryOptions(learn=False)
    assert misplaced(page(1, 0.05), page(2, 0.1), page(3, 0.6), options=options) == []


def test_it_is_in_removed_with_its_rule() -> None:
    parsed, lines = block(page(1, 0.05), page(2, 0.1), page(3, 0.6))
    memory = memory_of(line_statistics(parsed, lines))
    articles, _ = label_block(parsed, lines, memory, np.zeros(3, bool), MemoryOptions())
    assert articles["removed"].to_pylist()[2][-1]["rule"] == "outlet-place"
