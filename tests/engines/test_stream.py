"""`copydesk stream` on real engines: whatever is killed, every article that was moved in is there once."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.engines.conftest import COPYDESK, ROOT
from tests.engines.flinkcluster import Cluster, until

pytestmark = pytest.mark.engines
Labels = dict[str, str]
_SECONDS = 330  # a job that never moves is begun again after 90, twice


@pytest.fixture
def watched(tmp_path: Path) -> Path:
    folder = tmp_path / "watched"
    folder.mkdir()
    return folder


def move(articles: Path, watched: Path, *parts: int) -> None:
    """Move files in, as old as if they had been written elsewhere."""
    for part in parts:
        hidden = watched / f".part-{part}.jsonl"
        shutil.copyfile(articles / f"part-{part}.jsonl", hidden)
        past = time.time() - 60
        os.utime(hidden, (past, past))
        hidden.rename(watched / f"part-{part}.jsonl")


@contextlib.contextmanager
def streaming(watched: Path, out: Path, flags: list[str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    words = [*COPYDESK, "stream", str(watched), "--output", str(out), "--every", "2s", "--lateness", "20s", *flags]
    with log.open("ab") as said, subprocess.Popen(words, cwd=ROOT, stdout=said, stderr=said) as stream:
        try:
            yield stream
        finally:
            stream.kill()


def stop(stream: "subprocess.Popen[bytes]", log: Path) -> None:
    stream.send_signal(signal.SIGTERM)
    assert stream.wait(timeout=60) == 0, log.read_text()


def newest(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(max((out / "manifests").glob("*.json")).read_text())
    return found


def wait_for(out: Path, watched: Path, stream: "subprocess.Popen[bytes]", log: Path) -> None:
    """Until what lies in the watched folder is committed."""
    there = {str(path) for path in watched.glob("*.jsonl")}

    def committed() -> bool:
        return any(set(cursor["files"]) == there for cursor in newest(out)["cursors"].values())

    try:
        until(committed, "a commit of all files", lambda: stream.poll() is None, _SECONDS)
    except (TimeoutError, ValueError) as error:
        raise AssertionError(log.read_text()[-4000:]) from error


def begun(out: Path, stream: "subprocess.Popen[bytes]") -> None:
    until(lambda: newest(out), "a first commit", lambda: stream.poll() is None, _SECONDS)


def copies(out: Path) -> list[list[tuple[Any, Any]]]:
    """Articles as (their id at the source, the first file's order left out), grouped by copy."""
    grouped: dict[str, list[tuple[Any, Any]]] = {}
    for row in pq.read_table(out / "current" / "articles", columns=["source_id", "article_id", "copy_id"]).to_pylist():
        grouped.setdefault(row["copy_id"], []).append((row["source_id"], row["article_id"]))
    return sorted(sorted(each) for each in grouped.values())


def rejects(out: Path) -> list[tuple[Any, Any]]:
    rows = pq.read_table(out / "current" / "rejects", columns=["source_id", "reason"]).to_pylist()
    return sorted((str(row["source_id"]), row["reason"]) for row in rows)


def test_prism_streams_what_one_run_makes(prism: Path, articles: Path, expected: Path, watched: Path) -> None:
    out, log = watched.parent / "out", watched.parent / "log"
    flags = ["--runner", "PrismRunner", "--", f"--prism_location={prism}"]
    move(articles, watched, 4, 1)  # dates out of order
    with streaming(watched, out, flags, log) as stream:
        begun(out, stream)
        move(articles, watched, 3, 0)
        wait_for(out, watched, stream, log)
        move(articles, watched, 2)
        wait_for(out, watched, stream, log)
        stop(stream, log)
    assert newest(out)["snapshot"] > 1
    assert copies(out) == copies(expected)
    assert rejects(out) == rejects(expected)


def test_a_driver_killed_on_prism_goes_on_where_it_was(
    prism: Path, articles: Path, expected: Path, watched: Path
) -> None:
    out, log = watched.parent / "out", watched.parent / "log"
    flags = ["--runner", "PrismRunner", "--", f"--prism_location={prism}"]
    move(articles, watched, 0, 1)
    with streaming(watched, out, flags, log) as stream:
        begun(out, stream)
        move(articles, watched, 2, 3)
        until(lambda: any(out.glob("staging/*/scratch/step-*/*.arrow")), "a block", lambda: stream.poll() is None)
        stream.kill()
    move(articles, watched, 4)
    with streaming(watched, out, flags, log) as stream:
        wait_for(out, watched, stream, log)
        stop(stream, log)
    assert copies(out) == copies(expected)
    assert rejects(out) == rejects(expected)


def test_flink_streams_what_one_run_makes_though_a_task_manager_dies(
    flink: Cluster, articles: Path, expected: Path, watched: Path
) -> None:
    out, log = watched.parent / "out", watched.parent / "log"
    flags = [*flink.flags(), "--parallelism=2", "--checkpointing_interval=3000"]
    move(articles, watched, 4, 1)
    with streaming(watched, out, flags, log) as stream:
        begun(out, stream)
        move(articles, watched, 3)
        flink.kill("taskmanager-0")
        move(articles, watched, 2)
        flink.start_task_manager(0)
        wait_for(out, watched, stream, log)
        move(articles, watched, 0)
        wait_for(out, watched, stream, log)
        stop(stream, log)
    until(lambda: not flink.running(), "the end of the job")
    assert copies(out) == copies(expected)
    assert rejects(out) == rejects(expected)


def test_a_stream_from_an_old_savepoint_has_every_article_once(
    flink: Cluster, articles: Path, expected: Path, watched: Path
) -> None:
    out, log = watched.parent / "out", watched.parent / "log"
    flags = [*flink.flags(), "--parallelism=2", "--checkpointing_interval=3000"]
    move(articles, watched, 0, 1)
    with streaming(watched, out, flags, log) as stream:
        begun(out, stream)
        savepoint = flink.savepoint()
        move(articles, watched, 2, 3)
        wait_for(out, watched, stream, log)  # which the savepoint does not know of
        stop(stream, log)
    until(lambda: not flink.running(), "the end of the job")
    move(articles, watched, 4)
    with streaming(watched, out, [*flags, f"--savepoint_path={savepoint}"], log) as stream:
        wait_for(out, watched, stream, log)
        (job,) = flink.running()
        assert flink.get(f"/jobs/{job}/checkpoints")["latest"]["restored"]["is_savepoint"]
        stop(stream, log)
    assert copies(out) == copies(expected)
    assert rejects(out) == rejects(expected)


def test_a_driver_killed_on_flink_goes_on_where_it_was(
    flink: Cluster, articles: Path, expected: Path, watched: Path
) -> None:
    out, log = watched.parent / "out", watched.parent / "log"
    move(articles, watched, 0, 1)
    with streaming(watched, out, flink.flags(), log) as stream:
        begun(out, stream)
        move(articles, watched, 2, 3)
        stream.kill()
    flink.mend()
    move(articles, watched, 4)
    with streaming(watched, out, flink.flags(), log) as stream:
        wait_for(out, watched, stream, log)
        stop(stream, log)
    assert copies(out) == copies(expected)
    assert rejects(out) == rejects(expected)
