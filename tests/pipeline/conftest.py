"""Snapshots of made-up articles, without a run."""

import functools
import hashlib
import os
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.change import Change
from pipeline.commit import Attempt
from pipeline.manifests import Manifest
from pipeline.places import dataset_at
from schemas.files import DataFile

Labels = Mapping[str, tuple[str, str | None]]
Publish = Callable[[Labels], Manifest]


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """No machine loses its power in these tests."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where the dataset of `publish` is."""
    return tmp_path / "out"


@pytest.fixture
def publish(out: Path) -> Publish:
    """Commit a snapshot of articles to `out`: id → copy, story. One file holds them, one is state."""
    return functools.partial(publish_at, out)


def publish_at(place: Path, labels: Labels) -> Manifest:
    """As `publish`, to a place of choice."""
    dataset = dataset_at(place)
    with dataset.attempt() as attempt:
        return dataset.commit(attempt, staged(attempt, labels))


def staged(attempt: Attempt, labels: Labels, removed: AbstractSet[str] | None = None) -> Change:
    """Write a file of articles and one of state where an attempt stages them; gives the change that they make."""
    table = pa.table(
        {
            "article_id": pa.array(list(labels), pa.string()),
            "copy_id": pa.array([copy for copy, _ in labels.values()], pa.string()),
            "story_id": pa.array([story for _, story in labels.values()], pa.string()),
        }
    )
    files = []
    for folder, name in ((attempt.files, "articles"), (attempt.state, "outlet_lines")):
        path = folder / "a.parquet"
        pq.write_table(table, path)
        content = path.read_bytes()
        about = (table.num_rows, len(content), hashlib.sha256(content).hexdigest())
        files.append(DataFile(name, "2024-01-01", 0, path.name, *about))
    summary = {"articles_kept": len(labels), "copies": 0, "stories": 0}
    about_run = {"run_id": "r", "version": "0", "config": "c", "inputs": [], "summary": summary}
    return Change(files[:1], files[1:], removed, about=about_run)
