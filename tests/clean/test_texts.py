"""Plain texts as columns: what one record does is nothing to the others."""

import unicodedata
from typing import Any

import pyarrow as pa
import pytest

from schemas.blocks import RAW
from transforms.clean import texts
from transforms.clean.page import PageLimits
from transforms.clean.parse import parse_block
from transforms.clean.texts import plain_rows

BODY = "The ferry left the harbour at dawn, and nobody on the pier waved.\nIt came back in the evening with the mail."


def raw(*records: dict[str, Any]) -> pa.Table:
    """RAW of records that say only what they say."""
    usual = {"source_uri": "a.jsonl", "outlet": "Harbour Post", "headline": "A ferry", "headline_inline": False}
    rows = [dict.fromkeys(RAW.names) | usual | {"position": at} | record for at, record in enumerate(records)]
    return pa.Table.from_pylist(rows, RAW)


def test_what_goes_wrong_on_one_article_is_told_of_it_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def faulty(url: str | None) -> str | None:
        if url == "https://b.example/":
            raise ZeroDivisionError("of a kind nobody thought of")
        return url

    monkeypatch.setattr(texts, "canonical_url", faulty)
    block = raw(*({"text": BODY, "url": f"https://{name}.example/"} for name in "abc"))
    parsed, lines, rejects = parse_block(block, PageLimits())
    assert parsed["position"].to_pylist() == [0, 2]
    assert lines["row"].to_pylist() == [0, 0, 1, 1]
    assert rejects["position"].to_pylist() == [1]
    assert rejects["detail"].to_pylist() == ["ZeroDivisionError: of a kind nobody thought of"]
    assert rejects["sample"][0].as_py().startswith("The ferry")


def test_a_date_that_breaks_rejects_every_article_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def faulty(text: str | None) -> tuple[None, str]:
        if text == "bad":
            raise ValueError(text)
        return None, "none found"

    monkeypatch.setattr(texts, "given_date", faulty)
    block = raw(*({"text": BODY, "date_published": date} for date in ("bad", None, "bad", "2020-02-02")))
    parsed, _, rejects = parse_block(block, PageLimits())
    assert parsed["position"].to_pylist() == [1, 3]
    assert rejects["position"].to_pylist() == [0, 2]


@pytest.mark.parametrize("text", ["Café “Zur Fähre” – dawn…", "Å\u030a and a\u0323\u0307 ferry", "港 が 見える"])
def test_the_form_of_unicode_is_nothing_to_an_id(text: str) -> None:
    forms = [{"text": unicodedata.normalize(form, text), "position": 0} for form in ("NFC", "NFD")]
    parsed, _, _ = parse_block(raw(*forms), PageLimits())
    assert len(set(parsed["article_id"].to_pylist())) == 1


@pytest.mark.parametrize(
    ("record", "plain"),
    [
        ({"text": BODY}, True),
        ({"text": "\u3000\n " + BODY}, True),
        ({"text": "1 < 2, says the harbour master."}, True),
        ({"text": "<p>One.</p><p>Two.</p>"}, False),
        ({"text": "\u2028 \x1f\xa0"}, False),
        ({"text": None}, True),
        ({"text": "", "headline": None}, False),
        ({"text": BODY, "html": "<p>One.</p>"}, False),
    ],
)
def test_plain_is_what_has_no_markup(record: dict[str, Any], plain: bool) -> None:
    assert plain_rows(raw(record)).tolist() == [plain]


def test_pages_and_texts_keep_their_order() -> None:
    page = "<html><body>" + "".join(f"<p>{line}</p>" for line in BODY.split("\n")) + "</body></html>"
    parsed, lines, _ = parse_block(raw({"text": BODY}, {"html": page}, {"text": BODY + " Late."}), PageLimits())
    assert parsed["position"].to_pylist() == [0, 1, 2]
    assert lines["row"].to_pylist() == sorted(lines["row"].to_pylist())
    assert set(lines["row"].to_pylist()) == {0, 1, 2}
