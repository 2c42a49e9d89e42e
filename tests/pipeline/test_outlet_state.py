"""What a run learned of its outlets is with the dataset when the next one begins."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline.cli import main
from schemas.state import BLOCK_PARTS, block_table

pytestmark = pytest.mark.whole

Record = dict[str, Any]
Write = Callable[[Path, list[Record]], Path]
OUTLET = "harbour.example"
BOX = "The Harbour Observer has been printed on the quay since the lamps were gas"
TREES = ["Alder", "Birch", "Cedar", "Dogwood", "Elm", "Fir"]


def article(tree: str, day: int) -> Record:
    text = [
        f"{tree} Street will be closed for repairs, the council said, and {tree} market moves to the square.",
        f"People who live on {tree} Street said that they had asked for the works for years.",
        f"The works on {tree} Street are to end before the winter, a spokesman added.",
        BOX,
    ]
    head = {"id": tree, "outlet": OUTLET, "title": f"{tree} closed", "date": f"2024-05-{day:02d}"}
    return head | {"text": "\n".join(text)}


def manifest(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(max((out / "manifests").glob("*.json")).read_text())
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="module")
def out(folder: Path, write_jsonl: Write) -> Path:
    """A dataset of two runs: five articles, then a sixth and one of the five again."""
    first = write_jsonl(folder / "first.jsonl", [article(tree, day) for day, tree in enumerate(TREES[:5], start=1)])
    second = write_jsonl(folder / "second.jsonl", [article(TREES[5], 6), article(TREES[0], 1)])
    for path in (first, second):
        assert main(["run", str(path), "--output", str(folder / "out")]) == 0
    return folder / "out"


def test_a_later_run_knows_what_an_earlier_one_learned(out: Path) -> None:
    rows = pq.read_table(out / "current/removed", partitioning=None).to_pylist()
    assert [(row["text"], row["rule"]) for row in rows] == [(BOX, "outlet-memory")] * 6


def test_the_manifest_lists_the_state_and_old_files_stay_with_their_snapshot(out: Path) -> None:
    files = manifest(out)["state"]
    tables = {"kept", "links", "outlet_articles", "outlet_lines", "seen", "similar", *map(block_table, BLOCK_PARTS)}
    assert {file["table"] for file in files} == tables
    assert all((out / file["path"]).stat().st_size == file["bytes"] for file in files)
    first = json.loads((out / "manifests/000001.json").read_text())["state"]
    assert all((out / file["path"]).exists() for file in first)
    assert not (out / "snapshots/000002/outlet_lines").exists()


def test_the_command_shows_what_was_learned(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["outlets", str(out), "--json"]) == 0
    (known,) = json.loads(capsys.readouterr().out)
    assert (known["outlet"], known["stories"], known["lines"], known["most"]) == (OUTLET, 6, 1, BOX)
    assert main(["outlets", str(out), OUTLET, "--json"]) == 0
    (line,) = json.loads(capsys.readouterr().out)["lines"]
    assert (line["stories"], line["edge_stories"], line["example"]) == (6, 6, BOX)
    assert (line["first_seen"][:10], line["last_seen"][:10]) == ("2024-05-01", "2024-05-06")
    for words in (["outlets", str(out)], ["outlets", str(out), OUTLET]):
        assert main(words) == 0
        assert "harbour.example" in capsys.readouterr().out
    assert main(["outlets", str(out), "hill.example"]) == 2
    assert "hill.example" in capsys.readouterr().err


def test_the_same_run_again_does_nothing(out: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = manifest(out)
    assert main(["run", str(folder / "second.jsonl"), "--output", str(out)]) == 0
    assert "Nothing to do" in capsys.readouterr().out
    assert manifest(out) == before


@pytest.mark.parametrize("damage", ["flip", "cut", "gone"])
def test_a_damaged_state_is_named_and_a_run_can_begin_afresh(
    out: Path, folder: Path, tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Path(shutil.copytree(out, tmp_path / "out", symlinks=True))
    path = copy / manifest(copy)["state"][0]["path"]
    data = path.read_bytes()
    middle = len(data) // 2
    path.unlink()
    if damage == "cut":
        path.write_bytes(data[:middle])
    elif damage == "flip":
        path.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])
    assert main(["run", str(folder / "first.jsonl"), "--output", str(copy)]) == 4
    shown = capsys.readouterr().err
    assert path.name in shown
    assert "--fresh-memory" in shown
    assert manifest(copy)["snapshot"] == 2
    if damage == "flip":
        assert main(["run", str(folder / "second.jsonl"), "--output", str(copy), "--fresh-memory", "--rebuild"]) == 0
        assert manifest(copy)["snapshot"] == 3
        assert pq.read_table(copy / "current/removed", partitioning=None).num_rows == 0
