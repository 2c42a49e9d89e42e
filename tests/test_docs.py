"""What the README shows is what happens."""

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.cli import app, main
from pipeline.config import Config

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> Iterator[str]:
    """Fenced blocks of a language."""
    yield from re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the seeds and a manifest, as the README takes it for granted."""
    folder = tmp_path_factory.mktemp("readme")
    shutil.copytree(ROOT / "seeds", folder / "seeds")
    (folder / "manifest.jsonl").write_text(
        '{"id": "1", "text": "Headline\\n\\nA body line of some words, and a full stop."}\n'
    )
    return folder


@pytest.mark.whole
def test_every_command_and_query_of_the_readme_works(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    for block in blocks("sh"):
        for line in filter(None, block.splitlines()):
            words = shlex.split(line)
            assert words[0] == "copydesk"
            expanded = [
                str(path) for word in words[1:] for path in (sorted(Path().glob(word)) if "*" in word else [word])
            ]
            assert main(expanded) == 0, (line, capsys.readouterr().err)
    shown = capsys.readouterr().out
    for line in re.findall(r"^    (\w[\w ]+?)  +(\d+.*)$", README, re.MULTILINE):
        assert re.search(rf"{line[0]} +{re.escape(line[1])}", shown), line
    assert pq.read_table("out/current/stories", partitioning=None).num_rows == 3
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), {})  # noqa: S102 -- it is our own documentation


def test_every_command_is_in_the_readme() -> None:
    for command in [each.name for each in app.registered_commands] + [group.name for group in app.registered_groups]:
        assert f"copydesk {command}" in README


def test_every_option_in_the_readme_has_that_default() -> None:
    defaults = Config().model_dump()
    rows = re.findall(r"^\| (`\w+\.\S+`) \| (.+?) \|", README.replace("`, `", "`,`"), re.MULTILINE)
    named = [pair for keys, shown in rows for pair in zip(keys.split(","), shown.split(", "), strict=True)]
    assert len(named) >= 12
    for key, shown in named:
        value = defaults
        for part in key.strip("`").split("."):
            value = value[part]
        assert shown in {"–", str(value).lower()}


def test_every_table_is_in_the_readme_and_the_architecture() -> None:
    tables = re.findall(r"^\| `(\w+)` \| ", README, re.MULTILINE)
    assert {"articles", "copies", "stories", "pairs", "removed", "rejects"} <= set(tables)
    for stage in ("read", "clean", "match", "cluster", "write"):
        assert f"`transforms/{stage}`" in (ROOT / "ARCHITECTURE.md").read_text()


def test_the_lock_files_hold_hashes_and_no_addresses() -> None:
    for name in ("requirements.lock", "requirements-test.lock"):
        lock = (ROOT / name).read_text()
        assert not re.search(r"://|--index|--find-links|--extra", lock)
        pins = re.findall(r"^[a-z0-9].*$", lock, re.MULTILINE)
        assert pins
        assert all("==" in pin for pin in pins)
        assert lock.count("--hash=sha256:") >= len(pins)
