"""A small dataset, made once, that every fault test gets a copy of."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.faults.harness import read_whole, verb

Record = dict[str, Any]


class Corpus(NamedTuple):
    """An input, and the ids of its articles."""

    path: Path
    ids: list[str]


@pytest.fixture(scope="session")
def before(tmp_path_factory: pytest.TempPathFactory, records: list[Record]) -> tuple[Corpus, Path]:
    """Six articles, and a dataset whose one snapshot holds them."""
    return _corpus(tmp_path_factory.mktemp("before"), records[:6])


@pytest.fixture(scope="session")
def after(tmp_path_factory: pytest.TempPathFactory, records: list[Record]) -> Corpus:
    """Eight articles, four of them new."""
    return _corpus(tmp_path_factory.mktemp("after"), records[2:10])[0]


@pytest.fixture
def out(before: tuple[Corpus, Path], tmp_path: Path) -> Path:
    """A copy of the dataset, one snapshot old."""
    return fresh_copy(before[1], tmp_path / "out")


@pytest.fixture
def another(before: tuple[Corpus, Path], tmp_path: Path) -> Callable[[int], Path]:
    """Copies by number."""
    return lambda number: fresh_copy(before[1], tmp_path / str(number) / "out")


def fresh_copy(out: Path, place: Path) -> Path:
    """A dataset of the same content elsewhere."""
    shutil.copytree(out, place, symlinks=True)
    return place


def _corpus(folder: Path, records: list[Record]) -> tuple[Corpus, Path]:
    path = folder / "articles.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    code, said = verb(["run", str(path), "--output", str(folder / "out"), "--json"])
    assert code == 0, said
    return Corpus(path, read_whole(folder / "out")), folder / "out"
