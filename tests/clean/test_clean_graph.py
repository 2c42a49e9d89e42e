"""The clean stage on the runner gives what the functions give."""

from pathlib import Path

import apache_beam as beam
import pyarrow as pa

from pipeline.engine import DEFAULT_RUNNER, new_pipeline, pipeline_options
from schemas.blocks import CATALOG, CLEAN, RAW, BlockRef, load
from transforms.clean.articles import CleanArticles, CleanOptions, clean_tables

TREES = ["Alder", "Birch", "Cedar", "Dogwood", "Elm", "Fir", "Ginkgo"]


def text_of(tree: str) -> str:
    own = f"{tree} Street will be closed for repairs.\nThe works in {tree} end in May."
    return f"{own}\nThe quay never sleeps, and neither do our presses"


def blocks(size: int) -> list[pa.Table]:
    rows: list[dict[str, object]] = [
        {
            "source_uri": "made.jsonl",
            "position": at,
            "source_id": f"n{at % 7}",
            "outlet": "harbour.example",
            "headline": f"{TREES[at % 7]} closed",
            "headline_inline": False,
            "text": text_of(TREES[at % 7]),
        }
        for at in range(8)  # the last one is the first again
    ]
    rows.append({"source_uri": "made.jsonl", "position": 8, "headline_inline": False})
    return [pa.Table.from_pylist(rows[at : at + size], RAW) for at in range(0, len(rows), size)]


def run(tables: list[pa.Table], folder: Path) -> tuple[pa.Table, list[dict[str, object]]]:
    """Articles by position, and rejects."""
    found: dict[str, list[object]] = {"blocks": [], "catalog": [], "rejects": []}
    with new_pipeline(DEFAULT_RUNNER, pipeline_options(1, ())) as pipeline:
        out = pipeline | beam.Create(tables).with_output_types(pa.Table) | CleanArticles(CleanOptions(), str(folder))
        for name in found:
            out[name] | f"Keep{name}" >> beam.Map(_store_result, str(folder), name)
    for path in sorted(folder.glob("result-*")):
        kind = path.name.split("-")[1]
        found[kind].append(BlockRef(path.read_text(), 0) if kind == "blocks" else load(str(path)))
    articles = pa.concat_tables([load(block.part("articles")) for block in found["blocks"]])  # type: ignore[attr-defined]
    catalog = pa.concat_tables(found["catalog"])
    assert articles.schema.equals(CLEAN)
    assert catalog.schema.equals(CATALOG)
    assert sorted(catalog["article_id"].to_pylist()) == sorted(articles["article_id"].to_pylist())
    rejects = pa.concat_tables(found["rejects"]).to_pylist()
    return articles.sort_by("position"), sorted(rejects, key=lambda r: r["position"])


def _store_result(element: object, folder: str, name: str) -> None:
    path = Path(folder) / f"result-{name}-{id(element)}-{len(list(Path(folder).iterdir()))}"
    if isinstance(element, BlockRef):
        path.write_text(element.base)
    else:
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, element.schema) as writer:  # type: ignore[attr-defined]
            writer.write_table(element)


def test_the_graph_gives_the_same_rows_as_the_functions_in_any_blocks(tmp_path: Path) -> None:
    plain, refused = clean_tables(blocks(9), CleanOptions())
    for at, size in enumerate((9, 2)):
        folder = tmp_path / str(at)
        folder.mkdir()
        articles, rejects = run(blocks(size)[::-1], folder)
        assert articles.equals(plain.sort_by("position"))
        assert rejects == sorted(refused.to_pylist(), key=lambda r: r["position"])
    assert [r["reason"] for r in rejects] == ["duplicate_input", "missing_text"]
    assert all("presses" not in text for text in articles["text"].to_pylist())
