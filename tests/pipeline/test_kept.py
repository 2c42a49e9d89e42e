"""What a run begins with: the blocks that an earlier one left, or what its tables tell."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.cli import main
from pipeline.config import Config
from pipeline.kept import keep, leaving
from pipeline.manifests import Manifest
from pipeline.reading import open_dataset
from schemas.barriers import GatherTable, Merge
from schemas.blocks import CATALOG, CLEAN, PAIRS, concat, load, new_block, store, store_new
from schemas.errors import ContractMismatch
from schemas.files import DataFile, Staged
from schemas.state import BLOCK_PARTS, KEPT, kept_articles, kept_catalog
from transforms.clean.kept import ReadKept, clean_rows
from transforms.match.bare import catalog_of, match_blocks
from transforms.match.candidates import FindCandidates
from transforms.match.options import MatchOptions, SignatureRule
from transforms.match.signing import SignArticles
from transforms.match.verify import VerifyPairs

pytestmark = pytest.mark.whole


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, records: list[dict[str, Any]]) -> Path:
    """A dataset of one run."""
    folder = tmp_path_factory.mktemp("kept")
    (folder / "in.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    assert main(["run", str(folder / "in.jsonl"), "--output", str(folder / "out")]) == 0
    return folder / "out"


def test_a_run_begins_with_the_blocks_that_the_last_one_left(out: Path, tmp_path: Path) -> None:
    base = open_dataset(out)
    kept = keep(out, base, Config(), tmp_path)
    rows = kept_articles(kept)
    assert rows.schema.equals(KEPT)
    assert {block for block in rows["block"].to_pylist() if block} == {ref.base for ref in kept.blocks}
    assert sum(ref.rows for ref in kept.blocks) == sum(row >= 0 for row in rows["row"].to_pylist()) > 0
    for ref in kept.blocks:
        assert {load(ref.part(part)).num_rows > 0 for part in BLOCK_PARTS[:4]} == {True}
    assert kept.news == max(rows["seen"].cast("int64").to_pylist())
    assert sum(load(path).num_rows for path in kept.seen) == base.rows("articles")
    assert kept_catalog(kept).num_rows == rows.num_rows


def test_the_graph_finds_with_kept_articles_what_the_bare_functions_find(out: Path, tmp_path: Path) -> None:
    kept, scratch = keep(out, open_dataset(out), Config(), tmp_path), str(tmp_path)
    clean = clean_rows(pq.read_table(out / "current" / "articles", partitioning=None))
    others = pa.array(clean["article_id"].to_numpy() ^ 1)  # the same words under other ids
    clean = clean.set_column(0, CLEAN.field(0), others)
    ref = new_block(scratch, clean.num_rows)
    store(clean, ref.part("articles"))
    expected = match_blocks([ref], MatchOptions(), scratch, kept)
    assert expected.num_rows >= clean.num_rows
    with beam.Pipeline("FnApiRunner") as pipeline:
        blocks = pipeline | "Blocks" >> beam.Create([ref])
        entries = pipeline | "New" >> beam.Create([catalog_of([ref])])
        entries = (entries, (pipeline | ReadKept(kept, scratch))["catalog"]) | Merge(pa.Table)
        catalog = entries | GatherTable(CATALOG, scratch, "catalog", "article_id")
        signed = blocks | SignArticles(MatchOptions(), scratch, kept)
        candidates = signed | {"catalog": catalog} | FindCandidates(MatchOptions(), scratch, kept)
        verified = {"candidates": candidates, "catalog": catalog} | VerifyPairs(MatchOptions(), kept)
        _ = verified | "Store" >> beam.Map(store_new, scratch, "found")
    found = concat([load(str(path)) for path in tmp_path.glob("found-*.arrow")], PAIRS)
    order = [("left", "ascending"), ("right", "ascending")]
    assert found.sort_by(order).equals(expected.sort_by(order))


def test_what_the_tables_tell_is_what_the_state_says(out: Path, tmp_path: Path) -> None:
    (tmp_path / "fresh").mkdir()
    state = keep(out, open_dataset(out), Config(), tmp_path)
    tables = keep(out, open_dataset(out), Config(), tmp_path / "fresh", fresh=True)
    same = [name for name in KEPT.names if name not in {"block", "row", "text"}]
    assert kept_articles(tables).select(same).equals(kept_articles(state).select(same))
    assert tables.blocks == ()
    assert tables.news == state.news
    assert load(tables.seen[0]).sort_by("article_id").equals(load(state.seen[0]))


def test_articles_that_were_signed_by_other_rules_are_signed_again(out: Path, tmp_path: Path) -> None:
    options = MatchOptions(signature=SignatureRule(seed=2))
    assert keep(out, open_dataset(out), Config(match=options), tmp_path).blocks == ()
    longer = replace(MatchOptions(), passages=5)
    assert keep(out, open_dataset(out), Config(match=longer), tmp_path).blocks != ()


def test_a_damaged_block_is_refused_by_name(out: Path, tmp_path: Path) -> None:
    base = open_dataset(out)
    file = next(file for file in base.state if file.table == "block_grams")
    content = (out / file.path).read_bytes()
    try:
        (out / file.path).write_bytes(content[:-9] + b"x" + content[-8:])
        with pytest.raises(ContractMismatch, match=r"its checksum does not fit.*--fresh-memory"):
            keep(out, base, Config(), tmp_path)
    finally:
        (out / file.path).write_bytes(content)
    assert main(["snapshots", str(out), "verify"]) == 0


def test_what_blocks_and_segments_replace_leaves_the_state(out: Path, tmp_path: Path) -> None:
    base = open_dataset(out)
    kept = keep(out, base, Config(), tmp_path)
    gone = [file for file in base.state if file.table == "block_keys"]
    entry = DataFile("block_keys", gone[0].partition, 0, "", 0, 0, "")
    staged = [Staged(entry, (str(out / gone[0].path),)), Staged(gone[0]._replace(partition="new"))]
    assert leaving(out, base, kept, staged) == {gone[0].path}
    every = leaving(out, base, kept._replace(blocks=()), [])
    assert {file.table for file in _of(base, every)} == {file.table for file in base.state} - {
        "outlet_articles",
        "outlet_lines",
    }


def _of(base: Manifest, paths: frozenset[str]) -> list[DataFile]:
    return [file for file in base.state if file.path in paths]
