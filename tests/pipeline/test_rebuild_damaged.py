"""A rebuild is the way out of damage: what is damaged costs its ids, and is counted."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.commit import Dataset
from pipeline.config import Config
from pipeline.manifests import Manifest
from pipeline.rebuild import differences, published_labels
from pipeline.run import Request, _fetch
from schemas.errors import ContractMismatch
from schemas.files import DataFile
from schemas.ids import format_id


def files(root: Path) -> list[DataFile]:
    """Two files of the table articles, with two rows each."""
    found = []
    for number in (1, 3):
        ids = [format_id(number), format_id(number + 1)]
        columns = {"article_id": ids, "copy_id": ids, "story_id": ids}
        dates = pa.nulls(2, pa.timestamp("us", "UTC"))
        pq.write_table(pa.table(columns | {"date_published": dates}), root / f"{number}.parquet")
        content = (root / f"{number}.parquet").read_bytes()
        about = (2, len(content), hashlib.sha256(content).hexdigest())
        found.append(DataFile("articles", "2024-01-01", number, f"{number}.parquet", *about))
    return found


def test_ids_of_whole_files_stay_and_those_of_damaged_ones_are_counted(tmp_path: Path) -> None:
    listed = files(tmp_path)
    after = published_labels(tmp_path, listed)
    assert after["article_id"].to_pylist() == [1, 2, 3, 4]
    for damage in (lambda path: path.write_bytes(path.read_bytes()[:99]), Path.unlink):
        damage(tmp_path / "3.parquet")
        before = published_labels(tmp_path, listed)
        assert before["article_id"].to_pylist() == [1, 2]
        counts = differences(before, after, there=4)
        assert (counts["damaged_before"], counts["not_there_before"], counts["no_longer_there"]) == (2, 2, 0)


class Store(Dataset):
    """A place that has some tables' files, and refuses a fetch of any other."""

    def __init__(self, *whole: str) -> None:
        super().__init__(Path("out"))
        self.whole, self.fetched = whole, list[str]()

    def fetch(self, files: Sequence[DataFile]) -> None:
        if any(file.path not in self.whole for file in files):
            raise ContractMismatch("damaged")
        self.fetched += [file.path for file in files]


def test_only_what_a_run_reads_must_be_whole_on_the_store(tmp_path: Path) -> None:
    names = {"articles": "a", "pairs": "p"}, {"outlet_lines": "o", "kept": "k"}
    tables, state = ([DataFile(name, "", 0, path, 1, 1, "") for name, path in each.items()] for each in names)
    other = DataFile("articles", "", 1, "b", 1, 1, "")
    base = Manifest(1, 0, "r", "1.0", "0", "c", "", [], {}, [*tables, other], state)
    asked = Request([], tmp_path, Config(), {})
    cases: list[tuple[dict[str, Any], str, list[str]]] = [
        ({"fresh_memory": True}, "apb", ["a", "p", "b"]),
        ({"rebuild": True}, "ob", ["o", "b"]),
        ({"rebuild": True, "fresh_memory": True}, "a", ["a"]),
        ({}, "okapb", ["o", "k", "a", "p", "b"]),
    ]
    for flags, whole, fetched in cases:
        store = Store(*whole)
        _fetch(store, base, replace(asked, **flags))
        assert store.fetched == fetched
    with pytest.raises(ContractMismatch):
        _fetch(Store(*"kapb"), base, asked)
