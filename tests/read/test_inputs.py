"""Arguments become work items: whatever can be read, and a word on whatever cannot."""

import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.io.localfilesystem import LocalFileSystem

from schemas.errors import RejectReason, UsageError
from transforms.read.articles import read_item
from transforms.read.inputs import ReadOptions, format_of, plan_inputs
from transforms.read.records import read_jsonl


def test_a_folder_is_read_with_all_below_it_in_order(tmp_path: Path) -> None:
    for name in ("b.txt", "deep/a.txt", "page.html", "rows.jsonl"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    plan = plan_inputs([str(tmp_path)], {})
    names = [[Path(file.uri).name for file in item.files] for item in plan.items]
    assert names == [["rows.jsonl"], ["b.txt", "a.txt"], ["page.html"]]


def test_hidden_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "a.txt").write_text("x")
    (tmp_path / "b.txt").write_text("x")
    plan = plan_inputs([str(tmp_path)], {})
    assert [file.uri for item in plan.items for file in item.files] == [str(tmp_path / "b.txt")]
    assert plan.refused == ()


def test_a_file_named_twice_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("x")
    plan = plan_inputs([str(path), str(tmp_path), str(tmp_path / "*.txt")], {})
    assert sum(len(item.files) for item in plan.items) == 1


def test_a_folder_without_files_is_a_reject(tmp_path: Path) -> None:
    plan = plan_inputs([str(tmp_path)], {})
    assert [(each.uri, each.reason) for each in plan.refused] == [(str(tmp_path), RejectReason.EMPTY)]


def test_an_ending_that_we_do_not_know_is_a_reject_that_names_those_we_do(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_text("x")
    (refused,) = plan_inputs([str(tmp_path)], {}).refused
    assert refused.reason is RejectReason.UNKNOWN_FORMAT
    assert ".jsonl" in refused.detail


def test_a_dangling_link_and_a_pipe_are_unreadable(tmp_path: Path) -> None:
    (tmp_path / "gone.txt").symlink_to(tmp_path / "nothing")
    os.mkfifo(tmp_path / "pipe.txt")
    reasons = {each.reason for each in plan_inputs([str(tmp_path)], {}).refused}
    assert reasons == {RejectReason.UNREADABLE}
    assert len(plan_inputs([str(tmp_path)], {}).refused) == 2


def test_a_link_to_a_folder_is_named_rather_than_passed_over(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.txt").write_text("x")
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "link").symlink_to(tmp_path / "elsewhere")
    (refused,) = plan_inputs([str(tmp_path / "given")], {}).refused
    assert refused.uri == str(tmp_path / "given/link")
    assert refused.reason is RejectReason.UNREADABLE
    assert "link" in refused.detail


def test_an_input_that_does_not_exist_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        plan_inputs([str(tmp_path / "nowhere")], {})
    with pytest.raises(UsageError, match="cannot be listed"):
        plan_inputs(["nosuchscheme://bucket/file"], {})


class StoreFileSystem(LocalFileSystem):  # type: ignore[misc]
    """An object store, as Beam sees one: URIs of a scheme of its own."""

    @classmethod
    def scheme(cls) -> str:
        return "store"

    def match(self, patterns: list[str], limits: list[int] | None = None) -> Any:
        results = super().match([pattern.removeprefix("store:/") for pattern in patterns], limits)
        for result in results:
            for metadata in result.metadata_list:
                metadata.path = "store:/" + metadata.path
        return results

    def open(self, path: str, *args: Any, **kwargs: Any) -> Any:
        return super().open(path.removeprefix("store:/"), *args, **kwargs)


def test_a_uri_is_listed_and_read_by_beams_file_system(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Words.")
    (item,) = plan_inputs([f"store:/{tmp_path}"], {}).items
    assert item.files[0].uri == f"store:/{tmp_path}/a.txt"
    assert [outcome.row["text"] for outcome in read_item(item, ReadOptions())] == ["Words."]


def test_a_file_uri_is_a_local_path(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    plan = plan_inputs([f"file://{tmp_path}"], {})
    assert [file.uri for item in plan.items for file in item.files] == [f"{tmp_path}/a.txt"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("A.TXT", "text"),
        ("a.html.gz", "page"),
        ("a.jsonl.zst", "jsonl"),
        ("a.parquet", "parquet"),
        ("a.parquet.gz", None),
    ],
)
def test_formats_go_by_the_ending(name: str, kind: str | None) -> None:
    assert format_of(name) == kind


@pytest.mark.parametrize("split", [7, 40, 64, 100, 1000])
def test_a_file_cut_anywhere_gives_every_record_once_under_its_own_number(tmp_path: Path, split: int) -> None:
    path = tmp_path / "rows.jsonl"
    lines = [f'{{"id": "{n}", "text": "{"word " * (n % 9)}end"}}' if n % 5 else "" for n in range(60)]
    path.write_text("\n".join(lines))
    plan = plan_inputs([str(path)], {}, split)
    rows = [outcome.row for item in plan.items for outcome in read_jsonl(item, ReadOptions())]
    assert [(row["source_id"], row["position"]) for row in rows] == [(str(n), n) for n in range(60) if n % 5]


def test_parquet_is_cut_by_row_group(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"id": ["a", "b", "c"], "text": ["x", "y", "z"]}), path, row_group_size=2)
    plan = plan_inputs([str(path)], {})
    assert [(item.start, item.stop, item.first) for item in plan.items] == [(0, 1, 0), (1, 2, 2)]


def test_a_glob_takes_the_folders_that_it_matches(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("a.txt", "sub/b.txt"):
        (tmp_path / name).write_text("x")
    for pattern in ("*", "**/*.txt", "**"):
        plan = plan_inputs([str(tmp_path / pattern)], {})
        assert {Path(file.uri).name for item in plan.items for file in item.files} == {"a.txt", "b.txt"}


def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_text("x")
    (refused,) = plan_inputs([str(tmp_path)], {}).refused
    assert refused.uri.endswith("caf\\xe9.txt")


@pytest.mark.parametrize("options", [{"split_bytes": 0}, {"max_article_bytes": -1}, {"fields": {"headlien": "titel"}}])
def test_options_that_cannot_be_meant_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        ReadOptions(**options)
