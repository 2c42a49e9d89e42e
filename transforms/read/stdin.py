"""Standard input: JSON lines that can be read only once, so they are kept in a file until they are committed.

What is not committed when the process dies is gone; whoever writes the lines can tell by the exit code of the run.
"""

import os
import select
import sys
import uuid
from pathlib import Path

import xxhash

from transforms.read.decode import CHUNK_BYTES
from transforms.read.inputs import STDIN_NAME, stdin_items
from transforms.read.source import Cursor, Polled

_MOST_READERS = 16  # in a cursor, those that gave something last


def spool_stdin(folder: Path) -> Path:
    """Write all of standard input to a file in a folder, under a name that tells its content."""
    digest = xxhash.xxh3_128()
    path = folder / "stdin.jsonl"
    with path.open("wb") as sink:
        while data := os.read(sys.stdin.fileno(), CHUNK_BYTES):
            digest.update(data)
            sink.write(data)
    return path.rename(folder / f"{digest.hexdigest()}.jsonl")


class StdinSource:
    """Standard input as a source: a poll takes the whole lines that are there, and does not wait for more.

    The cursor is {"readers": {name of a process: bytes that it gave so far}}, since several may read into one dataset,
    each from its own pipe. What the last poll gave is kept until a later cursor shows that it was committed; of what an
    earlier process was given nothing can be asked for again.
    """

    uri = STDIN_NAME

    def __init__(self, split_bytes: int, most_bytes: int = 1 << 28) -> None:
        """Take about `most_bytes` a poll at most; a line that is longer is broken."""
        self._split_bytes, self._most_bytes = split_bytes, most_bytes
        self._name = uuid.uuid4().hex
        self._at = 0  # bytes that were committed before those in `_given`
        self._given = bytearray()  # by the last poll: its run may fail, and the next is then given them again
        self._begun = bytearray()  # a line of which more is to come
        self._ended = False

    def poll(self, cursor: Cursor, spool: Path) -> Polled:
        """Take the lines that are there, and those that were given and not committed."""
        readers = dict(cursor.get("readers", {}))
        at = readers.pop(self._name, 0)
        if at > self._at:
            self._given.clear()
        self._at = at
        while not self._ended and len(self._given) < self._most_bytes and select.select([sys.stdin], [], [], 0)[0]:
            data = os.read(sys.stdin.fileno(), CHUNK_BYTES)
            self._ended = not data
            whole, newline, rest = data.rpartition(b"\n")
            if newline or self._ended or len(self._begun) > self._most_bytes:
                self._given += self._begun + whole + newline
                self._begun.clear()
            self._begun += rest
        size = len(self._given)
        path = spool / "stdin.jsonl"
        path.write_bytes(self._given)
        latest = [*readers.items(), (self._name, at + size)][-_MOST_READERS:]
        return Polled(stdin_items(path, self._split_bytes) if size else (), (), {"readers": dict(latest)})
