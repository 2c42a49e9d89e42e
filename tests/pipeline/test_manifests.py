"""Manifests of other versions are read or refused with a reason; damaged ones are noticed."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.commit import Attempt, Dataset
from pipeline.manifests import Manifest, Manifests, decode, encode, is_newer
from pipeline.reading import check
from schemas.contract import CONTRACT_VERSION
from schemas.errors import ContractMismatch
from schemas.files import DataFile

FILE = DataFile("articles", "2024-01-01", 0, "data/a/b.parquet", 1, 2, "ab")
MAJOR, MINOR = (int(part) for part in CONTRACT_VERSION.split("."))


def manifest(**about: Any) -> Manifest:
    plain: dict[str, Any] = {
        "snapshot": 1,
        "parent": 0,
        "run_id": "r",
        "contract": CONTRACT_VERSION,
        "version": "0.1.0",
        "config": "c",
        "created": "2024-01-01T00:00:00+00:00",
        "inputs": [["caf\u00e9.txt", 5, 1.5]],
        "summary": {"stories": 1},
        "files": [FILE],
        "state": [FILE],
    }
    return Manifest(**(plain | about))


def altered(**fields: Any) -> bytes:
    """A manifest as another version would have written it, with no checksum, as the first layout had none."""
    record = json.loads(encode(manifest())) | fields
    return json.dumps({name: value for name, value in record.items() if name not in {"checksum", "layout"}}).encode()


def test_what_is_written_is_read() -> None:
    assert decode(encode(manifest())) == manifest()


def test_every_single_flipped_bit_is_noticed_or_changes_nothing() -> None:
    content = encode(manifest())
    for at in range(len(content)):
        damaged = content[:at] + bytes([content[at] ^ 1 << at % 8]) + content[at + 1 :]
        try:
            assert decode(damaged) == manifest()
        except (ContractMismatch, ValueError, TypeError, KeyError, AttributeError):
            continue


def test_a_manifest_cut_short_is_noticed() -> None:
    content = encode(manifest())
    for end in range(len(content)):
        with pytest.raises(ValueError, match=r".+"):
            decode(content[:end])


def test_fields_that_a_newer_minor_version_added_are_passed_over() -> None:
    files = [FILE._asdict() | {"colour": "red"}]
    read = decode(altered(contract=f"{MAJOR}.{MINOR + 1}", seasons={"spring": 4}, files=files))
    assert (read.files, read.summary, is_newer(read)) == ([FILE], {"stories": 1}, True)


def test_a_manifest_of_the_first_layout_and_an_older_minor_version_is_read() -> None:
    record = json.loads(altered(contract=f"{MAJOR}.0"))
    del record["thresholds"], record["restores"]
    read = decode(json.dumps(record).encode())
    assert (read.files, read.thresholds, read.restores, is_newer(read)) == ([FILE], {}, 0, False)


@pytest.mark.parametrize("fields", [{"contract": f"{MAJOR + 1}.0"}, {"contract": f"{MAJOR - 1}.9"}])
def test_another_major_version_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ContractMismatch, match="use the Copydesk that wrote it"):
        decode(altered(**fields))


def test_a_layout_not_known_yet_is_refused() -> None:
    record = json.loads(altered()) | {"layout": 3}
    with pytest.raises(ContractMismatch, match="layout 3"):
        decode(json.dumps(record).encode())


def test_a_damaged_manifest_is_named_with_the_way_back(tmp_path: Path) -> None:
    manifests = Manifests(tmp_path)
    manifests.folder.mkdir()
    for number in (1, 2):
        manifests.create(manifest(snapshot=number), tmp_path / f"draft-{number}")
    path = manifests.path(2)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ContractMismatch, match=r"000002\.json.*rollback 1"):
        manifests.read(2)
    manifests.path(1).unlink()
    with pytest.raises(ContractMismatch, match=r"restore it from a backup, or run into another OUT"):
        manifests.read(2)


def test_a_newer_minor_version_is_read_but_not_added_to(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path)
    dataset.manifests.folder.mkdir()
    dataset.manifests.create(manifest(contract=f"{MAJOR}.{MINOR + 1}"), tmp_path / "draft")
    (tmp_path / "current").symlink_to("snapshots/000001")
    assert dataset.manifests.read(1).snapshot == 1
    with pytest.raises(ContractMismatch, match="upgrade Copydesk"):
        dataset.base(Attempt("a", tmp_path / "staging/a", base=1))


def test_a_checksum_that_only_a_newer_copydesk_knows_is_no_crash(tmp_path: Path) -> None:
    path = tmp_path / "b.parquet"
    path.write_bytes(b"PAR1")
    with pytest.raises(OSError, match="of a kind unknown here, blake9"):
        check(path, FILE._replace(bytes=4, sha256="blake9:00"))
