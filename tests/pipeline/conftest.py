"""Snapshots of made-up articles, without a run."""

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.change import Change
from pipeline.commit import Dataset
from pipeline.manifests import Manifest
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
    """Commit a snapshot of articles: id → copy, story. One file holds them, one is state."""

    def commit(labels: Labels) -> Manifest:
        table = pa.table(
            {
                "article_id": pa.array(list(labels), pa.string()),
                "copy_id": pa.array([copy for copy, _ in labels.values()], pa.string()),
                "story_id": pa.array([story for _, story in labels.values()], pa.string()),
            }
        )
        with Dataset(out).attempt() as attempt:
            staged = []
            for folder, name in ((attempt.files, "articles"), (attempt.state, "outlet_lines")):
                path = folder / "a.parquet"
                pq.write_table(table, path)
                content = path.read_bytes()
                about = (table.num_rows, len(content), hashlib.sha256(content).hexdigest())
                staged.append(DataFile(name, "2024-01-01", 0, path.name, *about))
            summary = {"articles_kept": len(labels), "copies": 0, "stories": 0}
            about_run = {"run_id": "r", "version": "0", "config": "c", "inputs": [], "summary": summary}
            return Dataset(out).commit(attempt, Change(staged[:1], staged[1:], about=about_run))

    return commit
