"""What a user pins or vetoes wins over everything learned, and is shown with a rule of its own."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.cli import main
from schemas.blocks import RAW
from transforms.clean.articles import CleanOptions, clean_tables
from transforms.clean.overrides import OutletRules
from transforms.clean.page import PageLimits

OUTLET = "harbour.example"
BODY = [
    "The ferry to the island left on time on Monday, the harbour master said, for the first time in a year.",
    "Passengers who had waited on the quay since dawn said that they did not believe it at first.",
    "A second ferry is to follow in the spring, when the works on the northern pier have come to an end.",
]
PROMO = "Members of the Harbour Club read the next chapter of this tale before anybody else does."


def page(*extra: str) -> str:
    paragraphs = "".join(f"<p>{line}</p>" for line in BODY)
    return (
        f"<html><body><main><article><h1>Ferry on time</h1><div class='text'>{paragraphs}</div>"
        f"{''.join(extra)}</article></main></body></html>"
    )


def clean(rules: OutletRules, **fields: object) -> dict[str, object]:
    record = {"source_uri": "m", "position": 0, "headline_inline": False, "outlet": OUTLET, **fields}
    articles, _ = clean_tables([pa.Table.from_pylist([record], RAW)], CleanOptions(outlets={OUTLET: rules}))
    found: dict[str, object] = articles.to_pylist()[0]
    return found


def rules_of(article: dict[str, object]) -> dict[str, str]:
    """Removed lines with their rules."""
    return {line["text"]: line["rule"] for line in article["removed"]}  # type: ignore[attr-defined]


def test_a_vetoed_line_is_removed_whatever_its_digits_and_case() -> None:
    article = clean(OutletRules(remove=("the second ferry of 12",)), text="\n".join([*BODY, "The second ferry of 7"]))
    assert article["text"] == "\n".join(BODY)
    assert rules_of(article) == {"The second ferry of 7": "outlet-remove"}


def test_a_pattern_between_slashes_is_searched_for() -> None:
    article = clean(OutletRules(remove=("/^Passengers .* quay/",)), text="\n".join(BODY))
    assert article["text"] == "\n".join([BODY[0], BODY[2]])
    assert rules_of(article) == {BODY[1]: "outlet-remove"}


def test_a_pinned_line_stays_whatever_else_would_take_it() -> None:
    line = "Sign up for our newsletter and get the best stories in your inbox."
    text = "\n".join([*BODY, line])
    assert line in rules_of(clean(OutletRules(), text=text))
    kept = clean(OutletRules(keep=(line,), remove=("/newsletter/",)), text=text)
    assert kept["text"] == text


def test_other_outlets_are_left_alone() -> None:
    article = clean(OutletRules(remove=("/./",)), text="\n".join(BODY), outlet="hill.example")
    assert article["text"] == "\n".join(BODY)


def test_what_a_selector_removes_is_kept_with_its_rule() -> None:
    promo = f"<div class='club'><p>{PROMO}</p></div>"
    article = clean(OutletRules(remove_selectors=(".club",)), html=page(promo))
    assert article["text"] == "\n".join(BODY)
    assert rules_of(article)[PROMO] == "outlet-remove-selector"


def test_a_selector_cuts_a_part_out_of_a_line() -> None:
    html = page().replace("harbour master said", "harbour master <span class='ad'>buy a boat</span> said")
    article = clean(OutletRules(remove_selectors=("span.ad",)), html=html)
    first = str(article["text"]).split("\n")
    assert "buy a boat" not in first[0]
    assert rules_of(article)["buy a boat"] == "outlet-remove-selector"


def test_a_selected_body_is_all_of_it_and_nothing_else() -> None:
    table = "<table class='fares'><tr><td>Fares: two crowns</td></tr></table>"
    rest = "<p>Readers of long standing say that the ferry has never been on time before, not even once.</p>"
    article = clean(OutletRules(select=("div.text", "table.fares")), html=page(table, rest))
    assert article["text"] == "\n".join([*BODY, "Fares: two crowns"])
    assert rules_of(article)[
        "Readers of long standing say that the ferry has never been on time before, not even once."
    ] in {
        "outlet-select",
        "line-model",
    }


def test_a_page_without_the_selected_element_is_rejected_with_its_selector() -> None:
    caption = "<figure><figcaption>The ferry leaves the quay on a grey morning in March.</figcaption></figure>"
    record = {"source_uri": "m", "position": 0, "headline_inline": False, "outlet": OUTLET, "html": page(caption)}
    options = CleanOptions(outlets={OUTLET: OutletRules(select=("div.story", "p.lead"))})
    articles, rejects = clean_tables([pa.Table.from_pylist([record], RAW)], options)
    assert articles.num_rows == 0
    assert [(row["reason"], "div.story, p.lead" in row["detail"]) for row in rejects.to_pylist()] == [("no_body", True)]


def test_selectors_work_in_snippets() -> None:
    html = f"<p>{BODY[0]}</p><p class='club'>{PROMO}</p>"
    article = clean(OutletRules(remove_selectors=(".club",)), html=html)
    assert article["text"] == BODY[0]
    assert rules_of(article) == {PROMO: "outlet-remove-selector"}


def test_what_is_selected_in_a_snippet_stays_whatever_phrases_it_has() -> None:
    line = "Sign up for our newsletter and get the best stories in your inbox."
    html = "".join(f"<p>{text}</p>" for text in (*BODY, line))
    assert line in rules_of(clean(OutletRules(), html=html))
    assert clean(OutletRules(select=("p",)), html=html)["text"] == "\n".join([*BODY, line])


def test_a_page_that_its_selectors_make_too_large_is_rejected_once() -> None:
    html = page().replace("</p>", "")
    record = {"source_uri": "m", "position": 0, "headline_inline": False, "outlet": OUTLET, "html": html}
    options = CleanOptions(PageLimits(nodes=html.count("<")), outlets={OUTLET: OutletRules(select=("div.text",))})
    articles, rejects = clean_tables([pa.Table.from_pylist([record], RAW)], options)
    assert (articles.num_rows, rejects["reason"].to_pylist()) == (0, ["too_complex"])


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("remove_selectors = ['div[']", "'div['"),
        ("select = ['p::nonsense(']", "'p::nonsense('"),
        ("select = ['p::before']", "'p::before'"),
        ("remove = ['/(/']", "'/(/'"),
        ("keep = ['  ']", "empty line"),
        ("removes = ['x']", "removes: no such option"),
    ],
)
def test_what_cannot_be_applied_is_named_and_exits_2(
    line: str, named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, manifest = tmp_path / "c.toml", tmp_path / "m.jsonl"
    config.write_text(f'[clean.outlets."{OUTLET}"]\n{line}\n')
    manifest.write_text('{"id": "1", "text": "x"}\n')
    command = ["extract", str(manifest), "--output", str(tmp_path / "p.jsonl"), "--config", str(config)]
    assert main(command) == 2
    assert named in capsys.readouterr().err


def test_the_command_line_takes_them_from_the_configuration(tmp_path: Path) -> None:
    config, manifest, predictions = (tmp_path / name for name in ("c.toml", "m.jsonl", "p.jsonl"))
    config.write_text(f'[clean.outlets."{OUTLET}"]\nremove = ["{BODY[1]}"]\nremove_selectors = [".club"]\n')
    (tmp_path / "page.html").write_text(page(f"<div class='club'><p>{PROMO}</p></div>"))
    manifest.write_text(json.dumps({"id": "1", "html": "page.html", "outlet": OUTLET}) + "\n")
    assert main(["extract", str(manifest), "--output", str(predictions), "--config", str(config)]) == 0
    row = json.loads(predictions.read_text())
    assert row["text"] == "\n".join([BODY[0], BODY[2]])
    rules = {line["text"]: line["rule"] for line in row["removed"]}
    assert (rules[BODY[1]], rules[PROMO]) == ("outlet-remove", "outlet-remove-selector")
