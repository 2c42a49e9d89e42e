"""A look at a stream of WARC records: a buffer over chunks, and a cursor that goes on from head to head."""

import re
from collections.abc import Callable, Iterator

MOST_HEAD = 64 << 10
"""Bytes of a record's head."""

_VERSION = re.compile(rb"WARC/\d\.\d+[ \t]*\r?\n")
_LONGEST_VERSION = 32
_HEAD_END = re.compile(rb"\r?\n\r?\n|WARC/\d\.\d+[ \t]*\r?\n")  # or the next head, where this one is cut
_TYPE = re.compile(rb"\nwarc-type:", re.IGNORECASE)


class Window:
    """The bytes from a cursor on.

    Args:
      chunks: the stream, no chunk of which is empty.
      base: the place of its first byte.
      stop: no record that begins here or later is looked for; -1: all are.
      skip: passes over so many bytes that no chunk has given yet; gives how many there were.
    """

    def __init__(
        self, chunks: Iterator[bytes], base: int = 0, stop: int = -1, skip: Callable[[int], int] | None = None
    ) -> None:
        self._chunks, self._base, self._stop, self._skip = chunks, base, stop, skip
        self._held, self._cursor = bytearray(), 0

    @property
    def at(self) -> int:
        """The cursor's place in the stream."""
        return self._base + self._cursor

    @property
    def ahead(self) -> int:
        """Bytes that are held from the cursor on."""
        return len(self._held) - self._cursor

    def fill(self, size: int) -> bool:
        """Hold so many bytes from the cursor on; at the end of the stream there may be fewer."""
        while self.ahead < size:
            chunk = next(self._chunks, b"")
            if not chunk:
                return False
            if self._cursor:
                del self._held[: self._cursor]
                self._base, self._cursor = self.at, 0
            self._held += chunk
        return True

    def peek(self, offset: int, size: int) -> bytes:
        """Look at bytes some way behind the cursor; fewer at the end."""
        self.fill(offset + size)
        return bytes(self._held[self._cursor + offset : self._cursor + offset + size])

    def take(self, size: int) -> bytes:
        """Bytes that are held, the cursor behind them."""
        self._cursor += size
        return bytes(self._held[self._cursor - size : self._cursor])

    def drop(self, size: int) -> int:
        """Pass over bytes; give how many were not there."""
        while size:
            step = min(size, self.ahead)
            self._cursor += step
            size -= step
            if size and self._skip:
                skipped = self._skip(size)
                self._base, self._cursor = self.at + skipped, 0
                self._held.clear()
                return size - skipped
            if size and not self.fill(1):
                break
        return size

    def next_record(self) -> bool:
        """Pass over line ends and zeros, with which some files are padded; is a record to follow?"""
        while self.fill(1):
            if self._held[self._cursor] not in b"\r\n\0":
                return not 0 <= self._stop <= self.at
            self._cursor += 1
        return False

    def head(self) -> bytes | None:
        """The head of the record at the cursor with the blank line that ends it; None if this is no record."""
        if not _VERSION.match(self.peek(0, _LONGEST_VERSION)):
            return None
        size, more = 1 << 10, True
        while more and size <= MOST_HEAD:
            more = self.fill(size)
            if end := _HEAD_END.search(self._held, self._cursor + 1, self._cursor + size):
                head = bytes(self._held[self._cursor : end.end()])
                return head if end[0].isspace() and _TYPE.search(head) else None
            size *= 4
        return None

    def find_record(self) -> bool:
        """Go on to the next head of a record, also in the middle of a line; if there is none, say no."""
        while not 0 <= self._stop <= self.at:
            found = self._held.find(b"WARC/", self._cursor)
            self._cursor = found if found >= 0 else max(self._cursor, len(self._held) - 4)
            if found >= 0 and self.head() is not None:
                return True
            if found >= 0:
                self._cursor += 1
            elif not self.fill(self.ahead + 1):
                return False
        return False
