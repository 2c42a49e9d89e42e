"""Committer: runs that are carried out in a process of their own, one after the other.

A run inside of a worker would share its process with the bundles of the stream: Beam keeps options, caches and the
state of bundles by process, and one interpreter would do both by turns. The process ends with the one that started it,
whatever became of that: its standard input ends then.
"""

import functools
import pickle
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping

from pipeline.run import Request, run
from schemas.errors import WorkerLost
from transforms.read.source import Cursor


class Committer:
    """A process that carries out runs."""

    def __init__(self) -> None:
        """Start it."""
        self._turn = threading.Lock()
        words = [sys.executable, "-m", "pipeline.committer"]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(words, stdin=pipe, stdout=pipe, start_new_session=True)  # noqa: S603 -- ours

    def run(self, request: Request) -> Mapping[str, Cursor]:
        """Carry out a run; gives the cursors that are committed after it.

        Raises:
          RuntimeError: it failed; with the traceback.
          WorkerLost: the process is gone; the next run starts another.
        """
        with self._turn:
            try:
                pickle.dump(request, self._process.stdin)  # type: ignore[arg-type]
                self._process.stdin.flush()  # type: ignore[union-attr]
                cursors, error = pickle.load(self._process.stdout)  # type: ignore[arg-type]  # noqa: S301 -- ours
            except (OSError, EOFError) as lost:
                self._process.kill()
                committer.cache_clear()
                raise WorkerLost from lost
        if error:
            raise RuntimeError(error)
        return cursors


@functools.cache
def committer() -> Committer:
    """The one of this process."""
    return Committer()


def _serve() -> None:
    answers, sys.stdout = sys.stdout.buffer, sys.stderr
    while True:
        try:
            request = pickle.load(sys.stdin.buffer)  # noqa: S301 -- of the process that started this one
        except EOFError:
            return
        try:
            answer = run(request).cursors or {}, ""
        except Exception:  # noqa: BLE001 -- told to whoever asked
            answer = {}, traceback.format_exc()
        pickle.dump(answer, answers)
        answers.flush()


if __name__ == "__main__":
    _serve()
