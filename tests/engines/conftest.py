"""Engines that are started once and stopped whatever happens, and what FnApiRunner makes of the same articles."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engines import fetch_flink, fetch_prism
from tests.engines.broker import Broker
from tests.engines.flinkcluster import Cluster, cluster

Record = dict[str, Any]
ROOT = Path(__file__).resolve().parents[2]
COPYDESK = [sys.executable, "-m", "pipeline"]
RUN_SECONDS = 600  # workers may have to compile all kernels first


@pytest.fixture(scope="session")
def prism() -> Path:
    """The binary."""
    _needs("go", there=fetch_prism.PRISM.exists())
    return fetch_prism.fetch()


@pytest.fixture(scope="session")
def shared_flink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two task managers of two slots, for all tests."""
    _needs("java")
    _needs("mvn", there=fetch_flink.FOLDER.exists())
    fetch_flink.fetch()
    with cluster(tmp_path_factory.mktemp("flink")) as running:
        yield running


@pytest.fixture
def flink(shared_flink: Cluster) -> Cluster:
    """The same, whole again after a test that killed a part."""
    shared_flink.mend()
    return shared_flink


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One broker for the tests of a module, each with topics of its own."""
    broker = Broker(tmp_path_factory.mktemp("kafka"))
    yield broker
    broker.kill()


@pytest.fixture(scope="session")
def articles(tmp_path_factory: pytest.TempPathFactory, records: list[Record]) -> Path:
    """A folder of five files: forty articles, one of them twice, and two records that cannot be used."""
    folder = tmp_path_factory.mktemp("articles")
    given: list[Record] = [*records, records[3], {"id": "empty", "text": ""}, {"id": "wrong", "text": 5}]
    for part in range(5):
        lines = [json.dumps(record) + "\n" for record in given[part::5]]
        (folder / f"part-{part}.jsonl").write_text("".join(lines))
    return folder


@pytest.fixture(scope="session")
def expected(articles: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset that FnApiRunner makes of them."""
    out = tmp_path_factory.mktemp("expected") / "out"
    assert copydesk(articles, out, []).returncode == 0
    return out


def copydesk(given: Path, out: Path, flags: list[str]) -> "subprocess.CompletedProcess[str]":
    """Run over some articles, as a user would."""
    words = [*COPYDESK, "run", str(given), "--output", str(out), "--json", *flags]
    return subprocess.run(words, check=False, capture_output=True, text=True, cwd=ROOT, timeout=RUN_SECONDS)


def files(out: Path) -> dict[tuple[str, str, int], str]:
    """Table, partition and part → SHA-256, of tables and state."""
    manifest = json.loads(max((out / "manifests").glob("*.json")).read_text())
    return {
        (file["table"], file["partition"], file["part"]): file["sha256"]
        for file in [*manifest["files"], *manifest["state"]]
    }


def _needs(tool: str, *, there: bool = False) -> None:
    if not (there or shutil.which(tool)):
        pytest.skip(f"{tool} is not on this machine")
