"""A damaged file is noticed, named, and got round: by a rollback, by --fresh-memory, or by a backup."""

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.manifests import decode, encode
from tests.faults.conftest import Corpus
from tests.faults.harness import SCALE, ended, read_whole, run, verb

pytestmark = pytest.mark.faults


def damage(path: Path, how: str, rng: random.Random) -> None:
    """Flip one bit of a file, or cut it short."""
    content = bytearray(path.read_bytes())
    at = rng.randrange(len(content))
    if how == "cut":
        del content[at:]
    else:
        content[at] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def newest(out: Path) -> Path:
    return max((out / "manifests").glob("*.json"))


@pytest.fixture
def two(out: Path, after: Corpus) -> Path:
    """The dataset with a second snapshot."""
    assert ended(run(after.path, out)) == 0
    return out


@pytest.mark.parametrize("how", ["flip", "cut"])
@pytest.mark.parametrize("kind", ["data", "state"])
def test_a_damaged_file_is_named_by_verify_and_a_rollback_goes_round_it(
    kind: str, how: str, two: Path, before: tuple[Corpus, Path]
) -> None:
    rng = random.Random(kind + how)
    files = json.loads(newest(two).read_text())["files" if kind == "data" else "state"]
    for file in files:
        path = two / file["path"]
        whole = path.read_bytes()
        for _ in range(max(1, SCALE // 50)):
            damage(path, how, rng)
            code, said = verb(["snapshots", str(two), "verify"])
            assert (code, file["path"] in said) == (4, True)
            assert f"copydesk snapshots {two} rollback 1" in said
            path.write_bytes(whole)
    damage(two / files[0]["path"], how, rng)
    assert verb(["snapshots", str(two), "rollback", "1"])[0] == 0
    assert read_whole(two) == before[0].ids
    assert verb(["snapshots", str(two), "verify", "3"])[0] == 0


@pytest.mark.parametrize("how", ["flip", "cut"])
def test_a_damaged_state_stops_a_run_until_a_rollback_or_fresh_memory(
    how: str, two: Path, before: tuple[Corpus, Path], after: Corpus
) -> None:
    state = two / json.loads(newest(two).read_text())["state"][-1]["path"]
    damage(state, how, random.Random(how))
    words = ["run", str(before[0].path), "--output", str(two), "--json"]
    code, said = verb(words)
    assert code == 4
    assert str(state) in said
    assert "rollback 1" in said
    assert "--fresh-memory" in said
    assert read_whole(two) == after.ids
    assert verb([*words, "--fresh-memory"])[0] == 0
    assert read_whole(two) == sorted({*before[0].ids, *after.ids})


@pytest.mark.parametrize("how", ["flip", "cut"])
def test_a_damaged_manifest_stops_a_run_until_a_rollback(
    how: str, two: Path, before: tuple[Corpus, Path], after: Corpus
) -> None:
    rng = random.Random(how)
    path = newest(two)
    whole = path.read_bytes()
    noticed = 0
    for _ in range(SCALE):
        damage(path, how, rng)
        code, said = verb(["snapshots", str(two), "verify"])
        noticed += code == 4
        assert code == 4 or json.loads(path.read_text()) == json.loads(whole)  # a flip of white space
        assert code == 0 or "rollback 1" in said
        path.write_bytes(whole)
    assert noticed > SCALE // 2
    path.write_bytes(whole[:-40])
    code, said = verb(["run", str(before[0].path), "--output", str(two), "--json"])
    assert (code, "rollback 1" in said) == (4, True)
    assert verb(["snapshots", str(two), "rollback", "1"])[0] == 0
    assert ended(run(after.path, two)) == 0
    assert read_whole(two) == after.ids


def test_a_file_cut_short_does_not_pass_for_the_same_run_again(two: Path, after: Corpus) -> None:
    file = json.loads(newest(two).read_text())["files"][0]
    damage(two / file["path"], "cut", random.Random(0))
    code, said = verb(["run", str(after.path), "--output", str(two), "--json", "--rebuild"])
    assert (code, json.loads(said)["repeated"]) == (0, False)
    assert read_whole(two) == after.ids


def test_nothing_is_added_to_a_snapshot_of_which_a_table_is_cut_short_until_it_is_rebuilt(
    two: Path, before: tuple[Corpus, Path], after: Corpus
) -> None:
    damage(two / json.loads(newest(two).read_text())["files"][0]["path"], "cut", random.Random(1))
    code, said = verb(["run", str(before[0].path), "--output", str(two), "--json"])
    assert (code, "gone or cut short" in said, "verify" in said) == (4, True, True)
    assert ended(run(after.path, two)) == 0
    assert read_whole(two) == after.ids


def test_a_rebuild_refuses_damaged_aliases_which_nothing_else_holds(two: Path, after: Corpus) -> None:
    path = newest(two)
    manifest = decode(path.read_bytes())
    (aliases,) = (file for file in manifest.files if file.table == "aliases")
    claimed = [file._replace(rows=1) if file == aliases else file for file in manifest.files]
    path.write_bytes(encode(replace(manifest, files=claimed)))  # as if there were some
    damage(two / aliases.path, "flip", random.Random(2))
    code, said = verb(["run", str(after.path), "--output", str(two), "--rebuild", "--fresh-memory"])
    assert (code, aliases.path in said) == (4, True)
