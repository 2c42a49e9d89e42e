"""The line model of saved pages: its columns, its trees, and what an outlet's memory adds."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from schemas.blocks import RAW
from transforms.clean.articles import CleanOptions, clean_tables
from transforms.clean.linefeatures import first_features, second_features
from transforms.clean.linescores import page_dumps, score_lines
from transforms.clean.textlines import Lines, content_words, split_lines

SEEDS = Path(__file__).resolve().parents[2] / "seeds"
MENU = [
    f"{name} {part}"
    for name in ("World", "Sport", "Culture", "Business", "Travel", "Science")
    for part in ("News", "Live", "Video", "Guide", "Extra")
]
BOX = "The lamps on the quay have been lit by hand each evening since the harbour was dug, and they still are."


def story(tree: str) -> list[str]:
    """An article about one street."""
    return [
        f"{tree} Street will be closed for repairs, the council said, and the {tree} market moves to the square.",
        f"People who live on {tree} Street said on Tuesday that they had asked for the works for many years.",
        f"The works on {tree} Street are to end before the winter, a spokesman of the council added.",
        f"“We will have {tree} Street open again by the first snow,” the engineer told the meeting.",
    ]


def dump(tree: str, *extra: str) -> str:
    """The article as saved with the menus of its site."""
    first, *others = story(tree)
    return "\n".join([*MENU, f"{tree} Street to close", first, *extra, *others, *reversed(MENU)])


def scores(*texts: str) -> tuple[Lines, list[float]]:
    """Lines and what the model makes of them."""
    lines = split_lines(pa.array(texts))
    found, _ = score_lines(lines, np.zeros(len(lines.row), bool))
    return lines, found.tolist()


def records(*fields: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(
        [{"source_uri": "made", "position": n, "headline_inline": False, **each} for n, each in enumerate(fields)], RAW
    )


def test_a_saved_page_is_told_from_an_article() -> None:
    lines = split_lines(pa.array([dump("Oak"), "\n".join(story("Oak") * 8)]))
    assert page_dumps(lines, 2).tolist() == [True, False]


def test_the_text_scores_higher_than_the_menus() -> None:
    lines, found = scores(dump("Oak"))
    body, menu = (np.isin(lines.text.to_pylist(), some) for some in (story("Oak"), MENU))
    assert min(np.array(found)[body]) > 0.5 > max(np.array(found)[menu])


def test_a_page_is_judged_the_same_alone_and_among_others() -> None:
    texts = [dump(tree) for tree in ("Oak", "Elm", "Fir")]
    assert scores(*texts)[1] == [score for text in texts for score in scores(text)[1]]


def test_columns_are_numbers_also_where_there_is_nothing_to_see() -> None:
    for text in ("x", "…\n…\n…", "日本語の行\n日本語の行", "a b c\n" * 300):
        lines = split_lines(pa.array([text]))
        own, features = first_features(lines, np.zeros(len(lines.row), bool))
        second = second_features(lines, own, np.full(len(lines.row), 0.5))
        assert np.isfinite(features).all()
        assert np.isfinite(second).all()


def test_words_with_content_are_listed_once_a_line_whatever_their_case() -> None:
    line, word = content_words(pa.array(["The Bridge, the bridge and THE BRIDGE", "of the", "bridge 橋橋"]))
    assert line.tolist() == [0, 2, 2]
    assert word[0] in word[1:]


def test_one_other_page_of_the_outlet_is_enough_in_a_saved_page_but_not_in_an_article() -> None:
    saved = [
        {"outlet": "harbour.example", "headline": f"{tree} Street to close", "text": dump(tree, BOX)}
        for tree in ("Oak", "Elm")
    ]
    articles, _ = clean_tables([records(*saved)], CleanOptions())
    kept = [text.split("\n") for text in articles["text"].to_pylist()]
    assert [lines[-4:] for lines in kept] == [story("Oak"), story("Elm")]
    assert all(BOX not in lines for lines in kept)
    clean = [
        {**each, "text": "\n".join([*story(tree), BOX, *story(f"Old {tree}"), *story(f"New {tree}")])}
        for each, tree in zip(saved, ("Oak", "Elm"), strict=True)
    ]
    articles, _ = clean_tables([records(*clean)], CleanOptions())
    assert all(BOX in text.split("\n") for text in articles["text"].to_pylist())


def test_the_seeds_come_out_the_same_amid_other_outlets() -> None:
    seeds = [
        {"source_id": path.stem, "text": path.read_text("utf-8"), "headline_inline": True}
        for path in sorted(SEEDS.glob("*.txt"))
    ]
    trees = ("Oak", "Elm", "Fir", "Ash", "Yew", "Alder")
    others = [
        {"outlet": f"{place}.example", "headline": f"{tree} Street to close", "text": text}
        for place in ("harbour", "hill")
        for tree in trees
        for text in (dump(tree), "\n".join([*story(tree), BOX, "Sign up for our newsletter", "Read more: The ferry"]))
    ]
    alone, _ = clean_tables([records(*seeds)], CleanOptions())
    mixed, _ = clean_tables([records(*others[:9], *seeds[:2], *others[9:], *seeds[2:])], CleanOptions())
    names = ("source_id", "text", "headline", "description", "authors", "captions", "removed", "outlet")
    found = {row["source_id"]: row for row in mixed.select(names).to_pylist()}
    assert len(seeds) == 5
    assert [found[row["source_id"]] for row in alone.select(names).to_pylist()] == alone.select(names).to_pylist()
