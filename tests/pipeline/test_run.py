"""A whole run, as a user starts it: what lands, what is repeated, what is refused, what a killed one leaves."""

import contextlib
import gzip
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from pipeline.cli import main

pytestmark = pytest.mark.whole

Record = dict[str, Any]
Write = Callable[[Path, list[Record]], Path]
COPYDESK = [sys.executable, "-m", "pipeline"]
ROOT = Path(__file__).resolve().parents[2]


def hashes(out: Path) -> dict[tuple[str, str, int], str]:
    """Table, partition and part → hash of the file."""
    manifest = json.loads(max((out / "manifests").glob("*.json")).read_text())
    return {
        (file["table"], file["partition"], file["part"]): file["sha256"]
        for file in [*manifest["files"], *manifest["state"]]
    }


def rows(out: Path, table: str) -> list[Record]:
    found: list[Record] = pq.read_table(out / "current" / table, partitioning=None).to_pylist()
    return found


def has_file(folder: Path, kind: str) -> bool:
    """Whether a file of a kind lies below a folder that somebody else is writing."""
    with contextlib.suppress(FileNotFoundError):
        return any(kind in file.name for file in folder.rglob("*"))
    return False


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def out(folder: Path, records: list[Record], write_jsonl: Write) -> Path:
    """A dataset of the forty articles, one of them delivered twice, and of two records that cannot be used."""
    bad: list[Record] = [{"id": "empty", "text": ""}, {"id": "wrong", "text": 5}]
    path = write_jsonl(folder / "articles.jsonl", [*records, records[3], *bad])
    assert main(["run", str(path), "--output", str(folder / "out"), "--json"]) == 0
    return folder / "out"


def test_every_record_is_an_article_or_a_reject(out: Path, records: list[Record]) -> None:
    assert {row["source_id"] for row in rows(out, "articles")} == {record["id"] for record in records}
    rejects = {(row["source_id"], row["reason"], row["source_position"]) for row in rows(out, "rejects")}
    assert rejects == {("wire-1-0", "duplicate_input", 40), ("empty", "missing_text", 41), ("wrong", "bad_field", 42)}


def test_wire_stories_are_copies_and_the_rest_is_not(out: Path) -> None:
    groups = defaultdict(set)
    for row in rows(out, "articles"):
        groups[row["copy_id"]].add(row["source_id"])
    shared = sorted(sorted(group) for group in groups.values() if len(group) > 1)
    assert shared == [[f"wire-{story}-{copy}" for copy in range(3)] for story in range(6)]
    assert len(rows(out, "copies")) == 6


def test_the_outlets_furniture_is_out_of_the_text_and_in_removed(out: Path) -> None:
    assert not [row for row in rows(out, "articles") if "newsletter" in row["text"]]
    removed = [row for row in rows(out, "removed") if "newsletter" in row["text"]]
    assert len(removed) == 40
    assert all(row["label"] == "furniture" and row["rule"] for row in removed)


def test_text_and_removed_rebuild_what_came_in(out: Path, records: list[Record]) -> None:
    removed: dict[str, dict[int, str]] = defaultdict(dict)
    for line in rows(out, "removed"):
        removed[line["article_id"]][line["line"]] = line["text"]
    given = {record["id"]: [line for line in record["text"].split("\n") if line] for record in records}
    for row in rows(out, "articles"):
        kept = iter(row["text"].split("\n"))
        gone = removed[row["article_id"]]
        count = len(gone) + row["text"].count("\n") + 1
        assert [gone[at] if at in gone else next(kept) for at in range(count)] == given[row["source_id"]]


def test_every_copy_lies_in_one_story(out: Path) -> None:
    stories = defaultdict(set)
    for row in rows(out, "articles"):
        stories[row["copy_id"]].add(row["story_id"])
    assert all(len(each) == 1 for each in stories.values())
    assert {row["story_id"] for row in rows(out, "stories")} == set.union(*stories.values())


def test_the_same_run_again_does_nothing_and_says_so(
    out: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = hashes(out)
    for nothing_new in (folder / "articles.jsonl", tmp_path):  # the second is empty
        assert main(["run", str(nothing_new), "--output", str(out)]) == 0
        assert "Nothing to do: nothing is new" in capsys.readouterr().out
    assert hashes(out) == before
    assert [path.name for path in (out / "manifests").glob("*.json")] == ["000001.json"]


@pytest.mark.parametrize(("seed", "workers", "split"), [(1, 1, 1 << 24), (0, 2, 2000)])
def test_order_workers_blocks_and_hash_seed_change_no_byte(
    out: Path, tmp_path: Path, folder: Path, seed: int, workers: int, split: int
) -> None:
    lines = (folder / "articles.jsonl").read_text().splitlines(keepends=True)
    random.Random(seed).shuffle(lines)
    path = folder / "articles.jsonl"
    whole, about = path.read_text(), path.stat()
    again = tmp_path / "out"
    try:
        path.write_text("".join(lines))
        config = tmp_path / "config.toml"
        config.write_text(f"[read]\nsplit_bytes = {split}\n")
        words = [*COPYDESK, "run", str(path), "--output", str(again), "--workers", str(workers), "--json"]
        words += ["--config", str(config)]
        subprocess.run(
            words, check=True, env={**os.environ, "PYTHONHASHSEED": str(seed)}, cwd=ROOT, capture_output=True
        )
    finally:
        path.write_text(whole)
        os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))  # it is the same input again
    found, plain = hashes(again), hashes(out)
    assert found.keys() == plain.keys()
    assert {key for key in plain if found[key] != plain[key]} <= {key for key in plain if key[0] == "rejects"}
    drop = ("source_position", "detail")
    known, same = (
        [{k: v for k, v in row.items() if k not in drop} for row in rows(each, "rejects")] for each in (again, out)
    )
    assert sorted(map(str, known)) == sorted(map(str, same))


def test_duckdb_polars_and_pyarrow_read_the_articles(out: Path) -> None:
    pattern = f"{out}/current/articles/**/*.parquet"
    query = f"SELECT count(*), count(DISTINCT copy_id), min(date) FROM '{pattern}'"
    by_duckdb = duckdb.connect().execute(query).fetchone()
    frame = pl.read_parquet(pattern)
    table = ds.dataset(out / "current/articles", partitioning="hive").to_table()
    assert by_duckdb is not None
    assert by_duckdb[0] == frame.height == table.num_rows == 40
    assert by_duckdb[1] == frame["copy_id"].n_unique() == 28
    assert str(by_duckdb[2]) == "2024-05-01"
    assert frame.schema["date_published"] == pl.Datetime("us", "UTC")


def test_articles_without_dates_are_read_by_all_three(
    records: list[Record], write_jsonl: Write, tmp_path: Path
) -> None:
    undated = [{**record, "date": None} for record in records[:3]]
    path = write_jsonl(tmp_path / "undated.jsonl", undated)
    assert main(["run", str(path), "--output", str(tmp_path / "out"), "--json"]) == 0
    for table in ("articles", "stories", "copies"):
        pattern = f"{tmp_path}/out/current/{table}/**/*.parquet"
        counted = duckdb.connect().execute(f"SELECT count(*), count(date) FROM '{pattern}'").fetchone()
        assert counted is not None
        height = pl.read_parquet(pattern).height
        assert counted[0] == height == pq.read_table(tmp_path / "out/current" / table).num_rows
        assert counted[1] == 0
        assert height == 3 or table != "articles"


def test_snapshots_and_explanations_can_be_read(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["snapshots", str(out), "--json"]) == 0
    (snapshot,) = json.loads(capsys.readouterr().out)
    assert (snapshot["articles_kept"], snapshot["rejected"], snapshot["delivered_twice"]) == (40, 3, 1)
    (pair, *_) = [row for row in rows(out, "pairs") if row["relation"] == "abridged"]
    for words in (["article", pair["left_id"]], ["pair", pair["right_id"], pair["left_id"]], ["line", "newsletter"]):
        assert main(["explain", words[0], str(out), *words[1:], "--json"]) == 0
        facts = json.loads(capsys.readouterr().out)
        assert facts
    assert facts["removed_times"] == 40
    assert main(["explain", "pair", str(out), pair["left_id"], pair["right_id"]]) == 0
    assert "abridged" in capsys.readouterr().out
    assert main(["explain", "pair", str(out), pair["left_id"], pair["right_id"], "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["pair"]["score"] == pair["score"]
    assert facts["pair"]["jaccard"] == pair["jaccard"]
    assert facts["bands"]
    assert [both["left"] for both in facts["side_by_side"]] == pair["passages"]
    assert all(both["right"] for both in facts["side_by_side"])
    assert "fewer shared words would part them" in facts["other_verdict"]
    assert main(["explain", "pair", str(out), pair["left_id"], pair["left_id"]]) == 2
    assert "the same article twice" in capsys.readouterr().err
    assert main(["explain", "article", str(out), "0123456789abcdef"]) == 2
    assert "no such article" in capsys.readouterr().err


def test_bad_inputs_cost_nothing_but_themselves(records: list[Record], write_jsonl: Write, tmp_path: Path) -> None:
    given = tmp_path / "in"
    given.mkdir()
    good = write_jsonl(given / "good.jsonl", records[:6])
    (given / "empty.txt").touch()
    (given / "empty.jsonl.gz").touch()
    (given / "cut.jsonl.gz").write_bytes(gzip.compress(good.read_bytes(), compresslevel=0)[:-900])
    (given / "latin.txt").write_bytes("Größe\n\nText".encode("latin-1"))
    (given / "nul.txt").write_bytes(b"Head\n\nBo\0dy")
    (given / "gone.txt").symlink_to(given / "nothing.txt")
    (given / "picture.png").write_bytes(b"\x89PNG")
    (tmp_path / "nothing-in-here").mkdir()
    words = ["run", str(given), str(tmp_path / "nothing-in-here"), "--output", str(tmp_path / "out"), "--json"]
    assert main(words) == 0
    reasons = {(Path(row["source_uri"]).name, row["reason"]) for row in rows(tmp_path / "out", "rejects")}
    assert reasons >= {
        ("empty.txt", "empty"),
        ("empty.jsonl.gz", "empty"),
        ("cut.jsonl.gz", "truncated"),
        ("latin.txt", "bad_encoding"),
        ("nul.txt", "bad_encoding"),
        ("gone.txt", "unreadable"),
        ("picture.png", "unknown_format"),
        ("nothing-in-here", "empty"),
    }
    assert {row["source_id"] for row in rows(tmp_path / "out", "articles")} == {record["id"] for record in records[:6]}


def test_rules_for_an_outlet_that_no_article_is_of_are_named(
    records: list[Record], write_jsonl: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "c.toml"
    known = records[0]["outlet"]
    config.write_text("".join(f'[clean.outlets."{name}"]\nremove = ["x"]\n' for name in (known, "misspelt.example")))
    path = write_jsonl(tmp_path / "in.jsonl", records[:3])
    assert main(["run", str(path), "--output", str(tmp_path / "out"), "--config", str(config), "--json"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["articles_kept"] == 3
    assert '"misspelt.example"' in shown.err
    assert known not in shown.err


def test_with_stories_switched_off_no_article_has_one(
    records: list[Record], write_jsonl: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, out = tmp_path / "c.toml", tmp_path / "out"
    config.write_text("[stories]\nenabled = false\n")
    path = write_jsonl(tmp_path / "in.jsonl", records[:3])
    assert main(["run", str(path), "--output", str(out), "--config", str(config), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["stories"] == 0
    assert {row["story_id"] for table in ("articles", "copies") for row in rows(out, table)} == {None}
    assert main(["explain", "article", str(out), rows(out, "articles")[0]["article_id"]]) == 0


def test_stories_are_not_switched_off_for_a_dataset_that_has_some(
    records: list[Record], write_jsonl: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, out = tmp_path / "c.toml", tmp_path / "out"
    config.write_text("[stories]\nenabled = false\n")
    assert main(["run", str(write_jsonl(tmp_path / "a.jsonl", records[:3])), "--output", str(out)]) == 0
    more = ["run", str(write_jsonl(tmp_path / "b.jsonl", records[3:5])), "--output", str(out), "--config", str(config)]
    assert main(more) == 2
    assert "whose ids are to stay" in capsys.readouterr().err
    assert all(row["story_id"] for row in rows(out, "articles"))
    assert main([*more, "--rebuild"]) == 0
    assert {row["story_id"] for row in rows(out, "articles")} == {None}


def test_a_headline_of_brackets_is_shown_as_it_is(
    records: list[Record], write_jsonl: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", [{**records[0], "title": "LIVE [/red] now"}])
    assert main(["run", str(path), "--output", str(tmp_path / "out")]) == 0
    assert "[/red]" in capsys.readouterr().out


def test_a_run_that_keeps_nothing_commits_nothing_and_exits_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text("[]\n{}\n")
    assert main(["run", str(path), "--output", str(tmp_path / "out")]) == 3
    assert "nothing was committed" in capsys.readouterr().err
    assert not (tmp_path / "out/current").exists()


def test_a_run_killed_at_any_moment_leaves_the_snapshot_readable(
    out: Path, records: list[Record], write_jsonl: Write, tmp_path: Path
) -> None:
    out = shutil.copytree(out, tmp_path / "out", symlinks=True)
    before = rows(out, "articles")
    path = write_jsonl(tmp_path / "other.jsonl", records[:20])
    words = [*COPYDESK, "run", str(path), "--output", str(out)]
    staging = out / "staging"
    for kind in ("parsed", "tokens", ".parquet"):
        with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
            while run.poll() is None and not has_file(staging, kind):
                pass
            run.send_signal(signal.SIGKILL)
        assert rows(out, "articles") == before
    assert main(["run", str(tmp_path / "other.jsonl"), "--output", str(out), "--json"]) == 0
    assert rows(out, "articles") == before  # the other twenty are among them
    assert list(staging.iterdir()) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupt_of_the_driver_alone_ends_the_run_and_its_workers(
    records: list[Record], write_jsonl: Write, tmp_path: Path, workers: int
) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", records)
    words = [*COPYDESK, "run", str(path), "--output", str(tmp_path / "out"), "--workers", str(workers)]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        while run.poll() is None and not has_file(tmp_path / "out/staging", ".parsed.arrow"):
            pass
        run.send_signal(signal.SIGINT)
        assert run.wait(timeout=30) == 130
    assert not list((tmp_path / "out/manifests").glob("*.json"))
    left = subprocess.run(["pgrep", "-f", str(tmp_path)], check=False, capture_output=True, text=True).stdout
    assert left == ""
