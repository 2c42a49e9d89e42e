"""An id that was once published leads to the live one, whatever it was merged into; others are told apart."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.places import dataset_at
from pipeline.resolve import resolve
from schemas.errors import ContractMismatch, UsageError
from schemas.files import DataFile
from schemas.ids import format_id
from schemas.tables import ALIASES
from tests.pipeline.conftest import staged

A, B, C, D, E = map(format_id, range(10, 15))


def publish(out: Path, copies: list[str], aliases: list[tuple[str, str, int]]) -> Path:
    """A dataset whose articles are in some copies, and aliases: id, what it became, by which snapshot."""
    dataset = dataset_at(out)
    with dataset.attempt() as attempt:
        change = staged(attempt, {format_id(n): (copy, E) for n, copy in enumerate(copies)})
        names = ("alias_id", "id", "snapshot")
        rows = [dict(zip(names, alias, strict=True)) | {"kind": "copy"} for alias in aliases]
        path = attempt.files / "aliases.parquet"
        pq.write_table(pa.Table.from_pylist(rows, schema=ALIASES.schema), path)
        content = path.read_bytes()
        about = (len(rows), len(content), hashlib.sha256(content).hexdigest())
        file = DataFile("aliases", "1970-01-01", 0, path.name, *about)
        dataset.commit(attempt, replace(change, files=[*change.files, file]))
    return out


def test_a_chain_of_merges_leads_to_the_live_id(tmp_path: Path) -> None:
    out = publish(tmp_path / "out", [C], [(A, B, 2), (B, C, 3)])
    assert resolve(out, A) == {"kind": "copy", "id": C, "through": [A, B]}
    assert resolve(out, C.upper()) == {"kind": "copy", "id": C, "through": []}
    assert resolve(out, E) == {"kind": "story", "id": E, "through": []}


def test_an_id_that_is_live_again_is_itself(tmp_path: Path) -> None:
    out = publish(tmp_path / "out", [A], [(A, B, 2), (B, A, 5)])
    assert resolve(out, A) == {"kind": "copy", "id": A, "through": []}
    assert resolve(out, B) == {"kind": "copy", "id": A, "through": [B]}


def test_of_several_merges_of_one_id_the_latest_counts(tmp_path: Path) -> None:
    out = publish(tmp_path / "out", [B], [(A, B, 7), (A, C, 2)])
    assert resolve(out, A)["id"] == B


def test_a_damaged_table_is_named_with_the_way_back(tmp_path: Path) -> None:
    out = publish(tmp_path / "out", [C], [])
    for path in out.glob("data/*/a.parquet"):
        path.write_bytes(b"junk")
    with pytest.raises(ContractMismatch, match=r"verify` says what is damaged"):
        resolve(out, C)


@pytest.mark.parametrize(("wanted", "says"), [(A, f"{B}, which it became"), (D, "was ever"), ("x", "not an id")])
def test_what_leads_nowhere_says_so_and_ends(tmp_path: Path, wanted: str, says: str) -> None:
    out = publish(tmp_path / "out", [C], [(A, B, 2)])
    with pytest.raises(UsageError, match=says):
        resolve(out, wanted)


def test_a_loop_of_ids_that_are_gone_ends(tmp_path: Path) -> None:
    out = publish(tmp_path / "out", [C], [(A, B, 2), (B, A, 3)])
    with pytest.raises(UsageError, match="gone since a rebuild"):
        resolve(out, A)
