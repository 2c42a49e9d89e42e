"""The command line: what is asked wrongly is named, and costs nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.cli import main


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["bogus"], "bogus"),
        (["run", "--bogus"], "--bogus"),
        (["run", "seeds"], "--output"),
        (["run", "nowhere.txt", "--output", "out"], "nowhere.txt"),
        (["run", "article.txt", "--output", "out", "--", "--no_such_beam_flag=1"], "--no_such_beam_flag"),
        (["run", "article.txt", "--output", "out", "--runner", "NoSuchRunner"], "NoSuchRunner"),
        (["run", "article.txt", "--output", "out", "--runner", "PortableRunner"], "--job_endpoint"),
        (["run", "article.txt", "--output", "out", "--runner", "portable"], "--job_endpoint"),
        (["run", "article.txt", "--output", "out", "--workers", "0"], "--workers"),
        (["run", "article.txt", "--output", "store://bucket/out"], "store:/"),
        (["run", "article.txt", "--output", "out\udcff"], "not UTF-8"),
        (["run", "", "--output", "out"], "is empty"),
        (["run", "https://north.example/page", "--output", "out"], "feed+https://"),
        (["run", ".", "--output", "out"], "holds OUT"),
        (["run", "article.txt", "*", "--output", "out"], "holds OUT"),
        (["run", "../*/", "--output", "out/of/news"], "holds OUT"),
        (["follow", ".", "--output", "out", "--rounds", "1"], "holds OUT"),
        (["stream", ".", "--output", "out", "--runner", "PrismRunner"], "holds OUT"),
        (["run", "out/data/**/*.parquet", "--output", "out"], "lies in OUT"),
        (["run", "article.txt", "out/data/a.parquet", "--output", "linked"], "lies in OUT"),
        (["follow", "article.txt", "--output", "out", "--every", "1e300"], "1e300"),
        (["run", "article.txt", "--output", "out", "--config", "nowhere.toml"], "nowhere.toml"),
        (["run", "article.txt", "--output", "out", "--iceberg", ""], "--iceberg ''"),
        (["extract", "nowhere.jsonl", "--output", "p.jsonl"], "nowhere.jsonl"),
        (["snapshots", "nowhere"], "copydesk run"),
        (["explain", "article", "nowhere", "0"], "nowhere"),
        (["explain", "word", "out"], "word"),
        (["snapshots", "out", "gc", "--days", "nan"], "--days"),
        (["snapshots", "out", "gc", "--grace", "1e12"], "--grace"),
    ],
)
def test_what_cannot_be_meant_is_named_and_exits_2(
    words: list[str], named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("article.txt").write_text("Headline\n\nBody of the article.")
    Path("out/data").mkdir(parents=True)
    Path("out/data/a.parquet").write_bytes(b"")
    Path("linked").symlink_to("out")
    assert main(words) == 2
    shown = capsys.readouterr()
    assert named in shown.err
    assert "Traceback" not in shown.err
    assert shown.out == ""
    assert not Path("out").exists() or not list(Path("out/manifests").glob("*.json"))


@pytest.mark.parametrize(
    ("toml", "named"),
    [
        ("[read]\nmax_artcle_bytes = 5", "read.max_artcle_bytes: no such option"),
        ("[nonsense]\na = 1", "nonsense: no such option"),
        ("[write]\nmax_rows = 'many'", "write.max_rows"),
        ("[rejects]\nmax_share = 2", "rejects.max_share"),
        ("[write]\nmax_rows = 0", "max_rows must be 1 or more"),
        ("[read]\nfields = { headlien = 'titel' }", "no field 'headlien'"),
        ("not toml", "is not TOML"),
    ],
)
def test_a_configuration_that_does_not_fit_names_the_key(
    toml: str, named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, article = tmp_path / "c.toml", tmp_path / "article.txt"
    config.write_text(toml)
    article.write_text("Headline\n\nBody.")
    assert main(["run", str(article), "--output", str(tmp_path / "out"), "--config", str(config)]) == 2
    assert named in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        ("m.csv", "file,outlet\na.txt,Example\na.txt,Other\n", "row 2"),
        ("m.csv", "outlet\nExample\n", "row 1"),
        ("m.csv", "file,outlet,outlet\na.txt,Example,Other\n", "'outlet' stands there twice"),
        ("m.csv", 'file,outlet\n"a.txt,Example\nb.txt,Other\n', "cannot be read"),
        ("M.CSV", "file,colour\na.txt,red\n", "colour"),
        ("m.jsonl", '{"file": "a.txt", "colour": "red"}\n', "colour"),
        ("m.jsonl", "[1]\n", "not an object"),
        ("m.jsonl", '{"file": "a.txt", "date_published": 20220207}\n', "must be text"),
        ("m.csv", "file,outlet\na.txt,Example,more\n", "more cells"),
        ("m.csv", "file,date_published\na.txt,2022-02-07\nb.txt,someday\n", "'someday' is no date"),
        ("m.jsonl", "{\n", "cannot be read"),
    ],
)
def test_a_metadata_file_that_does_not_fit_names_the_row(
    name: str, content: str, named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, article = tmp_path / name, tmp_path / "a.txt"
    path.write_text(content)
    article.write_text("Headline\n\nBody.")
    assert main(["run", str(article), "--output", str(tmp_path / "out"), "--metadata", str(path)]) == 2
    assert named in capsys.readouterr().err


def test_a_reader_that_stops_early_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "schema"], stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_help_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "explain" in capsys.readouterr().out


def test_the_contract_is_printed_in_three_forms(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "--json"]) == 0
    contract = json.loads(capsys.readouterr().out)
    assert [table["name"] for table in contract["tables"]] == [
        "articles",
        "copies",
        "stories",
        "pairs",
        "removed",
        "rejects",
        "aliases",
    ]
    assert all(column["description"] for table in contract["tables"] for column in table["columns"])
    assert main(["schema", "--markdown"]) == 0
    assert "| 1 | article_id | string | no |" in capsys.readouterr().out
    assert main(["schema"]) == 0
    assert "ARTICLES" in capsys.readouterr().out


def test_extract_takes_any_id_and_gives_a_row_for_every_row(tmp_path: Path) -> None:
    manifest, predictions = tmp_path / "m.jsonl", tmp_path / "p.jsonl"
    manifest.write_text(
        '{"id": 0, "text": "A headline\\n\\nThe body has a sentence of some words."}\n{"id": 1, "text": ""}\n'
    )
    assert main(["extract", str(manifest), "--output", str(predictions)]) == 0
    rows = [json.loads(line) for line in predictions.read_text().splitlines()]
    assert [(row["id"], bool(row["text"])) for row in rows] == [("0", True), ("1", False)]
    assert "missing_text" in rows[1]["error"]
    assert set(rows[1]) - {"error"} == set(rows[0])
    for place in (tmp_path / "nowhere/p.jsonl", tmp_path, manifest):
        assert main(["extract", str(manifest), "--output", str(place)]) == 2
    assert '"id": 0' in manifest.read_text()
    manifest.write_text('{"id": 1, "html": ""}\n')
    assert main(["extract", str(manifest), "--output", str(predictions)]) == 2
