"""What the fault tests share: runs in forked processes, deaths at a chosen step, a reader that never rests.

A forked run starts warm (Beam imported, kernels compiled), so that hundreds of them are cheap. A death at a step is a
SIGKILL that an audit hook sends just before the file system call of that number.
"""

import contextlib
import hashlib
import io
import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pyarrow.parquet as pq

from pipeline.cli import main

SCALE = int(os.environ.get("FAULTS", "200"))  # kills at random moments; other repetitions follow it
_STEPS = {"open", "os.rename", "os.link", "os.symlink", "os.mkdir", "os.rmdir", "os.remove"}
_SECONDS = 300  # after which a child that hangs ends itself, by SIGALRM


def fork(work: Callable[[], int], stderr: Path | None = None) -> int:
    """Start `work` in a child, which ends with the code that it gives; gives the child's id."""
    child = os.fork()
    if child:
        return child
    code = 99
    try:
        signal.alarm(_SECONDS)
        if stderr:
            os.dup2(os.open(stderr, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
            sys.stderr = os.fdopen(2, "w", closefd=False)
        with contextlib.redirect_stdout(io.StringIO()):
            code = work()
    except BaseException as error:  # noqa: BLE001 -- the parent sees the code, whatever it was
        os.write(2, f"{error!r}\n".encode())
    finally:
        with contextlib.suppress(Exception):
            sys.stderr.flush()
        os._exit(code)


def ended(child: int) -> int:
    """Wait for a child; gives its exit code, or the negative number of the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def run(
    given: Path,
    out: Path,
    stderr: Path | None = None,
    *,
    before: Callable[[], Any] = lambda: None,
    how: str = "--rebuild",
) -> int:
    """Start `copydesk run`, in a child; gives its id.

    Args:
      given: the input.
      out: the dataset.
      stderr: where its messages go.
      before: done first, in the child.
      how: "--rebuild", after which the dataset holds the input alone, or "" to add it.
    """

    def work() -> int:
        before()
        return main(["run", str(given), "--output", str(out), "--json", *how.split()])

    return fork(work, stderr)


def verb(words: list[str]) -> tuple[int, str]:
    """Call `copydesk` in this process; gives its exit code and what it says."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = main(words)
    return code, said.getvalue()


def step_name(event: str, path: str) -> str:
    """A step's name: what is done to which kind of file."""
    return f"{event} {re.sub(r'[0-9]+', '#', re.sub(r'[0-9a-f]{32}', '*', path))}"


def on_step(out: Path, act: Callable[[int, str], Any]) -> None:
    """Call `act` with number and name before each change of a file under `out`; for good, so in children only."""
    count, root = 0, str(out)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if event not in _STEPS or (event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)):
            return
        paths = [os.fsdecode(each) for each in arguments[:2] if isinstance(each, (str, bytes))]
        inside = [path for path in paths if path.startswith(root)]
        if inside:
            count += 1
            act(count, step_name(event, inside[-1].removeprefix(root)))

    sys.addaudithook(hook)


def die(*_: object) -> NoReturn:
    """End this process as `kill -9` does."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("killed")


def steps_of(out: Path, work: Callable[[], int], notes: Path) -> list[str]:
    """Do `work` in a child, to its end; gives the names of its steps, in order."""

    def recorded() -> int:
        file = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        on_step(out, lambda _, name: os.write(file, f"{name}\n".encode()))
        return work()

    assert ended(fork(recorded)) == 0
    return notes.read_text().splitlines()


def killed_at(out: Path, step: int, work: Callable[[], int]) -> int:
    """Do `work` in a child that dies before a step; gives how it ended."""

    def doomed() -> int:
        on_step(out, lambda number, _: die() if number == step else None)
        return work()

    return ended(fork(doomed))


def read_whole(out: Path) -> list[str]:
    """Open what `current` shows as a reader would; gives the ids of its articles.

    Raises:
      AssertionError: something is missing, too much, or not what the manifest says.
    """
    view = (out / "current").resolve()
    manifest = json.loads((out / "manifests" / f"{view.name}.json").read_text())
    listed: set[Path] = set()
    ids: list[str] = []
    for file in manifest["files"]:
        path = view / file["table"] / f"date={file['partition']}" / f"part-{file['part']:05d}.parquet"
        content = path.read_bytes()
        assert len(content) == file["bytes"], path
        assert hashlib.sha256(content).hexdigest() == file["sha256"], path
        table = pq.ParquetFile(io.BytesIO(content))
        assert table.metadata.num_rows == file["rows"], path
        ids += table.read(["article_id"])["article_id"].to_pylist() if file["table"] == "articles" else []
        listed.add(path)
    assert set(view.rglob("*.parquet")) == listed
    assert len(set(ids)) == len(ids)
    assert len(ids) == manifest["summary"]["articles"]
    return sorted(ids)


@contextlib.contextmanager
def reader(out: Path, *allowed: list[str]) -> Iterator[None]:
    """Let a process read `out` all the while: every time it must find one of the allowed sets of articles, whole."""
    notes = out.with_name("reader.txt")
    stop = out.with_name("reader.stop")

    def work() -> int:
        signal.alarm(0)
        os.nice(5)
        times = 0
        while not stop.exists():
            assert read_whole(out) in allowed
            times += 1
            time.sleep(0.01)  # leaves the run some of the machine
        notes.write_text(str(times))
        return 0

    child = fork(work)
    try:
        yield
    finally:
        stop.touch()
        code = ended(child)
        stop.unlink()
    assert code == 0, "a reader saw what is no whole snapshot"
    assert int(notes.read_text()) > 0


def assert_healed(out: Path, ids: list[str]) -> None:
    """See that a dataset holds these articles, each once, and nothing that a dead run left."""
    assert read_whole(out) == ids
    assert verb(["snapshots", str(out), "verify"])[0] == 0
    assert list((out / "staging").iterdir()) == []
    assert [path.name for path in (out / "snapshots").iterdir() if path.name.startswith(".")] == []
    manifests = [json.loads(path.read_text()) for path in (out / "manifests").glob("*.json")]
    named = {file["path"].split("/")[1] for each in manifests for file in (*each["files"], *each["state"])}
    assert {folder.name for kind in ("data", "state") for folder in (out / kind).iterdir()} == named
