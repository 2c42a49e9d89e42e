"""What `explain article` says of an invented dataset: why an article is in its story, and which story came second."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline.cli import main

pytestmark = pytest.mark.whole

Record = dict[str, Any]
FLOOD = [  # one event in three wordings, published on the 4th, 4th and 5th
    (
        "Storm Ulla floods Port Brenn",
        (
            "Storm Ulla flooded Port Brenn on Monday after the river Vell burst its dams. Rescuers took 40 people from "
            "roofs near Hollin Park, and mayor Anders Quill asked residents to stay with relatives."
        ),
        "2019-03-04T09:00:00+00:00",
    ),
    (
        "Dozens saved from roofs as river Vell bursts dams",
        (
            "Rescuers in Port Brenn saved 40 people from roofs on Monday when storm Ulla burst the dams of the Vell. "
            "Mayor Anders Quill said that Hollin Park was under water."
        ),
        "2019-03-04T15:00:00+00:00",
    ),
    (
        "Port Brenn counts its losses",
        (
            "A day after storm Ulla the water of the Vell stands a metre high in Port Brenn. On Monday it burst the "
            "dams. Shopkeepers spoke of ruined stock."
        ),
        "2019-03-05T12:00:00+00:00",
    ),
]
LATER = (  # the same actors and places, another event, four days later
    "Port Brenn mayor opens tram line",
    "On Friday mayor Anders Quill opened the first tram line of Port Brenn, from the harbour to Hollin Park.",
    "2019-03-08T09:00:00+00:00",
)
ALONE = (
    "Orchestra tours the islands",
    "Violinist Sefa Maro led her orchestra through nine island villages, playing folk dances for schoolchildren.",
    "2019-03-04T10:00:00+00:00",
)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, write_jsonl: Callable[[Path, list[Record]], Path]) -> Path:
    folder = tmp_path_factory.mktemp("explain")
    rows = [
        {"id": f"a{n}", "outlet": f"paper{n}.example", "headline": headline, "text": text, "date": date}
        for n, (headline, text, date) in enumerate([*FLOOD, LATER, ALONE])
    ]
    assert main(["run", str(write_jsonl(folder / "in.jsonl", rows)), "--output", str(folder / "out"), "--json"]) == 0
    return folder / "out"


@pytest.fixture
def articles(out: Path) -> dict[str, Record]:
    """Articles by their id at the source."""
    return {row["source_id"]: row for row in pq.read_table(out / "current/articles", partitioning=None).to_pylist()}


def explained(out: Path, article: Record, capsys: pytest.CaptureFixture[str]) -> Record:
    """What is said of an article, as JSON."""
    assert main(["explain", "article", str(out), article["article_id"], "--json"]) == 0
    facts: Record = json.loads(capsys.readouterr().out)
    return facts


def test_the_nearest_member_comes_first_with_its_shared_terms_days_and_hours(
    out: Path, articles: dict[str, Record], capsys: pytest.CaptureFixture[str]
) -> None:
    facts = explained(out, articles["a0"], capsys)
    nearest, other = facts["story_members"]
    assert nearest["article_id"] == articles["a1"]["article_id"]
    assert other["article_id"] == articles["a2"]["article_id"]
    assert {"Vell", "Brenn", "Ulla", "Quill"} <= set(nearest["terms"])
    assert not {"relatives", "water"} & set(nearest["terms"])  # only one of the two has them
    assert 1 > nearest["similarity"] > other["similarity"] > 0
    assert (nearest["days"], nearest["hours_apart"], other["hours_apart"]) == (1.0, 6.0, 27.0)
    assert facts["story"]["story_id"] == articles["a2"]["story_id"]
    assert facts["story"]["n_articles"] == 3
    assert set(facts["story"]["names"][:2]) == {"Port Brenn", "Storm Ulla"}  # all three name both


def test_the_runner_up_is_the_other_story_of_the_same_actors_with_its_score_and_nearest_article(
    out: Path, articles: dict[str, Record], capsys: pytest.CaptureFixture[str]
) -> None:
    facts = explained(out, articles["a0"], capsys)
    second = facts["runner_up"]
    assert second["story_id"] == articles["a3"]["story_id"] != articles["a0"]["story_id"]
    assert (second["headline"], second["n_articles"]) == (LATER[0], 1)
    assert second["score"] == pytest.approx(articles["a0"]["story_runner_up_score"])
    assert 0 < second["score"] < articles["a0"]["story_score"]
    assert second["nearest"]["article_id"] == articles["a3"]["article_id"]
    assert {"Quill", "Hollin"} <= set(second["nearest"]["terms"])
    assert second["nearest"]["days"] < 1  # what the days say speaks against it
    assert second["nearest"]["hours_apart"] == 96.0


def test_a_story_of_one_article_has_no_members_but_may_have_a_runner_up(
    out: Path, articles: dict[str, Record], capsys: pytest.CaptureFixture[str]
) -> None:
    later, alone = (explained(out, articles[name], capsys) for name in ("a3", "a4"))
    assert later["story_members"] == alone["story_members"] == []
    assert later["runner_up"]["story_id"] == articles["a0"]["story_id"]
    assert alone["runner_up"] is None


def test_people_read_the_same(out: Path, articles: dict[str, Record], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "article", str(out), articles["a0"]["article_id"]]) == 0
    said = capsys.readouterr().out
    members, second = said.index("story members"), said.index("runner up")
    assert members < said.index(articles["a1"]["article_id"], members) < second
    assert members < said.index("Quill", members) < second
    assert said.index(articles["a3"]["story_id"], second) > second


def test_ids_may_be_in_capitals_and_a_line_must_be_text(
    out: Path, articles: dict[str, Record], capsys: pytest.CaptureFixture[str]
) -> None:
    article, other = (articles[name]["article_id"] for name in ("a0", "a1"))
    assert main(["explain", "article", str(out), article.upper(), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["story_members"][0]["article_id"] == other
    assert main(["explain", "pair", str(out), article, other.upper()]) == 0
    assert main(["explain", "pair", str(out), article, article.upper()]) == 2
    assert "the same article twice" in capsys.readouterr().err
    for text in ("", "\udcff"):
        assert main(["explain", "line", str(out), text]) == 2
    assert "a part of a line" in capsys.readouterr().err
