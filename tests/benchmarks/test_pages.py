"""The table of the page benchmark says what was measured and what was not."""

import sys

import pytest

from tests.benchmarks.extractors import Extractor, Facts, Page, installed, one_by_one
from tests.benchmarks.pages import COPYDESK, copydesk_facts, copydesk_texts, exactness, markdown, timed

TRUTH = {"title": "Fog closes the bay", "date": "2024-03-05 00:30:00+01:00", "authors": ["Ann Moss"]}
SENTENCE = "The harbour was closed for two days because the fog would not lift, and the ferries had to wait. "


def page(name: str) -> Page:
    body = "".join(f"<p>{SENTENCE * 2}</p>" for _ in range(6))
    head = f"<html lang='en'><head><title>Fog {name}</title></head>"
    html = f"{head}<body><article><h1>Fog {name}</h1>{body}</article></body></html>"
    return Page(name, html, f"https://bay.example/{name}", "en")


def row(system: str, seconds: float, **figures: float) -> dict[str, object]:
    return {"system": system, "CPU s": seconds, "pages": 10, **figures}


def test_speed_is_told_in_multiples_of_the_yardstick() -> None:
    table = markdown([row(COPYDESK, 2.0, title=0.9), row("trafilatura", 10.0)], [], cross_validated=False)
    cells = [cell.strip() for cell in table.split("\n")[2].split("|")]
    assert (cells[1], cells[9], cells[10], cells[11]) == (COPYDESK, "5.00", "5", ".9000")


def test_a_speed_without_the_yardstick_and_a_figure_not_measured_are_dashes() -> None:
    cells = [
        cell.strip() for cell in markdown([row(COPYDESK, 2.0)], [], cross_validated=False).split("\n")[2].split("|")
    ]
    assert set(cells[2:10]) == {"–"}


def test_where_the_quality_comes_from_is_said() -> None:
    assert "is cross-validated" in markdown([row(COPYDESK, 1.0)], [], cross_validated=True)
    assert "is left out" in markdown([row(COPYDESK, 1.0)], [], cross_validated=False)


def test_a_missing_peer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("trafilatura", "resiliparse", "readability", "newspaper", "justext"):
        monkeypatch.setitem(sys.modules, module, None)
    found, missing = installed()
    assert not found
    assert missing == ["trafilatura", "resiliparse", "readability-lxml", "newspaper4k", "jusText"]
    assert "Not installed: jusText" in markdown([row(COPYDESK, 1.0)], missing, cross_validated=False)


def test_a_peer_that_fails_on_a_page_gives_no_text() -> None:
    def read(given: Page) -> str | None:
        return {"b": None}.get(given.name, given.html) if given.name != "c" else str(1 // 0)

    assert one_by_one(read)([page("a"), page("b"), page("c")]) == [page("a").html, "", ""]


@pytest.mark.parametrize(
    ("facts", "right"),
    [
        (Facts("Fog  closes the bay", "2024-03-05", ["Ann Moss"]), (True, True, True)),
        (Facts("Fog closes the bay | Post", "2024-03-04T23:30:00+00:00", []), (False, True, False)),
        (Facts(None, "2024-03-04T22:30:00+00:00", ["Ann Moss", "Bo Tide"]), (False, False, False)),
        (Facts(None, None, []), (False, False, False)),
    ],
)
def test_facts_are_right_or_not(facts: Facts, right: tuple[bool, bool, bool]) -> None:
    assert tuple(exactness(TRUTH, facts).values()) == right


def test_every_system_reads_every_page() -> None:
    systems = [
        Extractor(COPYDESK, copydesk_texts, copydesk_facts),
        Extractor("nothing", one_by_one(lambda _: None)),
    ]
    seconds, texts = timed(systems, [page(str(number)) for number in range(20)])
    assert set(seconds) == set(texts) == {COPYDESK, "nothing"}
    assert all("harbour was closed" in text for text in texts[COPYDESK].values())
    assert len(texts[COPYDESK]) == len(texts["nothing"]) == 20
    assert seconds[COPYDESK] > 0


def test_facts_of_copydesk_are_those_of_its_tables() -> None:
    assert copydesk_facts(page("late")).title == "Fog late"
    assert copydesk_facts(Page("empty", "<html><body></body></html>", "https://bay.example/e", "en")).authors == []
