"""Plain text: every line gets its place."""

import numpy as np
import pyarrow as pa
import pytest

from schemas.labels import LABEL_CODES, Label
from transforms.clean.plaintext import authors_of, label_texts
from transforms.clean.textlines import line_keys, split_lines

BODY = [
    "The council voted on Tuesday to close the old bridge, which engineers had called unsafe.",
    "“It was never going to be popular,” the mayor said after the meeting.",
    "Traffic will be led through the harbour until a new crossing opens next spring.",
    "Shop owners along the river said they feared for the summer season.",
]


def labels(text: str, *, inline: bool = True) -> dict[str, str]:
    """Label of each line."""
    lines = split_lines(pa.array([text]))
    labelled = label_texts(lines, 1, np.array([inline]))
    names = {code: str(label) for label, code in LABEL_CODES.items()}
    return dict(zip(lines.text.to_pylist(), (names[code] for code in labelled.label.tolist()), strict=True))


def article(*extra: str, at: int = 2) -> str:
    return "\n\n".join(["Council closes the old bridge", *BODY[:at], *extra, *BODY[at:]])


def test_the_first_line_of_a_text_file_is_its_headline_and_not_its_body() -> None:
    found = labels(article())
    assert found["Council closes the old bridge"] == Label.HEADLINE
    assert [found[line] for line in BODY] == [Label.BODY] * 4


def test_the_text_of_a_record_that_has_its_own_headline_keeps_its_first_line() -> None:
    assert labels(article(), inline=False)["Council closes the old bridge"] == Label.BODY


def test_standfirst_byline_and_dateline_go_to_their_own_labels() -> None:
    head = [
        "Council closes the old bridge",
        "Harbour route to carry all traffic until spring",
        "Jane Example",
        "Monday 07 March 2022 13:15 GMT",
    ]
    found = labels("\n".join(head + BODY))
    assert [found[line] for line in head] == [Label.HEADLINE, Label.DESCRIPTION, Label.BYLINE, Label.DATELINE]


@pytest.mark.parametrize(
    "line",
    [
        "Listen to the Daily Harbour podcast for all the news from the river",
        "Harbour News Correspondent Jane Example reports from the bridge",
        "Sign up for our morning newsletter to get stories like this in your inbox.",
        "Read more: Ferry line to return after twenty years",
        "Advertisement",
        "Follow @harbournews on Twitter.",
        "Most Popular",
        "Copyright 2022 Harbour News. All rights reserved.",
        "Share this article on Facebook Twitter Email Print",
    ],
)
def test_furniture_is_found_inside_an_article(line: str) -> None:
    assert labels(article(line))[line] == Label.FURNITURE


@pytest.mark.parametrize(
    "line",
    [
        "The river at low tide. Credit: AP",
        "A ferry leaves the harbour (Jane Example/AFP)",
        "Workers on the bridge (Getty Images)",
        "Image copyright Reuters",
    ],
)
def test_captions_are_kept_apart(line: str) -> None:
    assert labels(article(line))[line] == Label.CAPTION


def test_a_heading_that_the_caption_below_repeats_is_part_of_the_caption() -> None:
    found = labels(article("Workers Inspect The Old Bridge", "Workers Inspect The Old Bridge (Getty Images)"))
    assert found["Workers Inspect The Old Bridge"] == Label.CAPTION


def test_a_sentence_said_twice_in_a_row_stays_once() -> None:
    lines = split_lines(pa.array(["\n".join([*BODY[:2], BODY[1], *BODY[2:]])]))
    labelled = label_texts(lines, 1, np.array([False]))
    assert (labelled.label == LABEL_CODES[Label.BODY]).sum() == 4


@pytest.mark.parametrize(
    "line",
    [
        "The paper has more subscribers than any other and said its newsletter had saved it.",
        "He said the company had broken its own terms of service and its privacy policy.",
        "What happened next?",
        "She reads the news on Facebook, he on Twitter.",
        "The photographer said that he took the picture for the agency in May.",
        "Police asked anyone with a tip to come forward.",
    ],
)
def test_text_about_sites_and_photographs_is_still_body(line: str) -> None:
    assert labels(article(line))[line] == Label.BODY


def test_a_donation_appeal_goes_as_a_block() -> None:
    appeal = [
        "Your support keeps us on the river",
        "From the first ferry to the last flood, our reporters have been there for all of you.",
        "We believe that news should be open to everyone, paid for by those who can.",
        "Your support makes the difference.",
    ]
    found = labels(article(*appeal))
    assert [found[line] for line in appeal] == [Label.FURNITURE] * 4
    assert [found[line] for line in BODY] == [Label.BODY] * 4


def test_rules_never_empty_a_text() -> None:
    text = "\n".join(
        ["Sign up for our newsletter to get all the day's stories in your inbox each and every morning."] * 2
    )
    lines = split_lines(pa.array([text]))
    labelled = label_texts(lines, 1, np.array([False]))
    assert (labelled.label == LABEL_CODES[Label.BODY]).any()
    assert labelled.flags == {0: ["furniture-phrases-undone"]}


def test_menus_around_a_saved_page_are_taken_off() -> None:
    menu = [
        f"{name} {part}"
        for name in ("World", "Sport", "Culture", "Business", "Travel", "Science")
        for part in ("News", "Live", "Video", "Guide", "Extra")
    ]
    found = labels(
        "\n".join(
            [
                *menu,
                *(f"{line} It was the third such vote in as many years, and the closest of them all." for line in BODY),
                *reversed(menu),
            ]
        ),
        inline=False,
    )
    assert all(found[line] == Label.FURNITURE for line in menu)
    assert sum(label == Label.BODY for label in found.values()) == 4


def test_one_text_is_labelled_the_same_alone_and_among_others() -> None:
    texts = [article("Read more: Ferry line to return", at=k) for k in (1, 2, 3)]
    whole = split_lines(pa.array(texts))
    together = label_texts(whole, 3, np.ones(3, bool))
    for row, text in enumerate(texts):
        lines = split_lines(pa.array([text]))
        alone = label_texts(lines, 1, np.ones(1, bool))
        assert alone.label.tolist() == together.label[whole.row == row].tolist()


def test_keys_do_not_mind_digits_case_and_punctuation() -> None:
    keys = line_keys(pa.array(["Updated at 9:15 p.m.", "UPDATED AT 10:02 PM", "Updated at noon"]))
    assert keys[0] == keys[1] != keys[2]


def test_bylines_name_their_authors() -> None:
    assert authors_of("By Jane Example and John van Sample, Harbour Staff") == [
        "Jane Example",
        "John van Sample",
        "Harbour Staff",
    ]


def test_line_breaks_of_every_system_and_blank_lines_are_understood() -> None:
    assert split_lines(pa.array(["a\r\nb\rc\u2028d\n\n \t\n e ", None])).text.to_pylist() == ["a", "b", "c", "d", "e"]
