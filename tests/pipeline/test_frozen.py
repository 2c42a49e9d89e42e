"""A dataset that an older version wrote is read, and upgraded by the next run.

`tests/data/frozen/<contract>/dataset.tar.xz` is what the Copydesk of that contract made of `articles.jsonl`, whose
texts are random syllables. To freeze a version, with `articles.jsonl` in the working folder:

    copydesk run articles.jsonl --output dataset && rm dataset/manifests/.lock && tar -cJf dataset.tar.xz dataset
"""

import json
import shutil
import tarfile
from pathlib import Path

import pytest

from pipeline.cli import main
from pipeline.commit import Dataset
from pipeline.manifests import is_newer
from pipeline.reading import open_dataset, read_rows, state_files
from schemas.contract import CONTRACT_VERSION
from schemas.tables import TABLES

FROZEN = Path(__file__).resolve().parents[1] / "data/frozen"
VERSIONS = sorted(path.name for path in FROZEN.iterdir() if path.is_dir())


@pytest.fixture(params=VERSIONS)
def out(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A frozen dataset, thawed."""
    with tarfile.open(FROZEN / request.param / "dataset.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    shutil.copy2(FROZEN / "articles.jsonl", tmp_path)
    return tmp_path / "dataset"


def test_every_table_and_state_file_of_an_older_version_is_read_in_todays_columns(out: Path) -> None:
    manifest = open_dataset(out)
    assert not is_newer(manifest)
    for name, table in TABLES.items():
        rows = read_rows(out, name)
        assert rows.column_names == [column.name for column in table.columns]
        assert rows.num_rows == manifest.rows(name)
    assert manifest.rows("articles") == 3
    assert len(state_files(out, manifest)) == len(manifest.state)


def test_every_verb_works_on_an_older_version(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    article = read_rows(out, "articles")["article_id"][0].as_py()
    for words in (
        ["snapshots", str(out), "list"],
        ["snapshots", str(out), "show", "1"],
        ["snapshots", str(out), "verify"],
        ["snapshots", str(out), "diff", "1", "1"],
        ["outlets", str(out)],
        ["explain", "article", str(out), article],
        ["explain", "line", str(out), "newsletter"],
    ):
        assert main(words) == 0, (words, capsys.readouterr().err)


@pytest.mark.whole
def test_the_next_run_upgrades_an_older_version_and_keeps_what_it_had_learned(out: Path) -> None:
    before = open_dataset(out)
    assert main(["run", str(out.parent / "articles.jsonl"), "--output", str(out), "--json"]) == 0
    after = open_dataset(out)
    assert (after.snapshot, after.contract, after.rows("articles")) == (2, CONTRACT_VERSION, 3)
    assert {file.partition for file in before.state} <= {file.partition for file in after.state}
    assert main(["snapshots", str(out), "verify"]) == 0
    assert main(["snapshots", str(out), "rollback", "1"]) == 0
    assert read_rows(out, "articles").num_rows == 3


def test_a_dataset_of_another_major_version_is_refused_by_whoever_opens_it(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Dataset(out).manifests.path(1)
    record = json.loads(path.read_text()) | {"contract": "9.0"}
    path.write_text(json.dumps({name: value for name, value in record.items() if name not in {"checksum", "layout"}}))
    for words in (["outlets", str(out)], ["run", str(FROZEN / "articles.jsonl"), "--output", str(out)]):
        assert main(words) == 4
        assert "written under contract 9.0" in capsys.readouterr().err
