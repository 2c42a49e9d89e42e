"""Where the records of a WARC file begin and end: cut anywhere, damaged anywhere.

What says that something is damaged (a checksum, a length that no record follows) is looked at before a record is given,
because a record whose length is wrong swallows its neighbours.

The reader of a piece looks for a record some way *before* the piece and walks from there. A record may hold a WARC file
of its own; a walk that began in there comes out of it at its end, so it is only taken for the outer one where a single
record is longer than `LOOK_BACK`.
"""

import functools
import re
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from apache_beam.io.filesystems import FileSystems

from schemas.errors import Rejected, RejectReason
from transforms.read.decode import CHUNK_BYTES, compression_of
from transforms.read.inputs import InputFile, ReadOptions, WorkItem
from transforms.read.units import UnitFile, codec_of
from transforms.read.window import MOST_HEAD, Window

LOOK_BACK = 4 << 20
"""Bytes before a piece in which its reader finds its feet."""

_LENGTH = re.compile(rb"\ncontent-length:[ \t]*(\d{1,18})[ \t]*\r?\n", re.IGNORECASE)


class Frame(NamedTuple):
    """A record, or what is wrong where one should be."""

    position: int  # the byte of the file at which it begins; within a compressed unit, records count on from there
    data: bytes = b""  # head and block, of the block at most what was asked for
    block: int = 0  # bytes of the whole block
    fault: Rejected | None = None


def frames(item: WorkItem, options: ReadOptions) -> Iterator[Frame]:
    """Give the records that begin in the item's piece of the file; of a compressed file, those whose unit does.

    Of a block, `options.max_article_bytes` and room for an HTTP head are kept.

    Raises:
      Rejected: UNREADABLE.
    """
    (file,) = item.files
    start, stop = item.start, file.size if item.stop < 0 else item.stop
    try:
        with FileSystems.open(file.uri, "application/octet-stream", "uncompressed") as source:
            if compression := compression_of(file.uri):
                units = UnitFile(source, codec_of(compression, source))
                yield from _compressed(units, start, stop, options)
            else:
                yield from _plain(source, file, start, stop, options)
    except (OSError, ValueError) as error:
        raise Rejected(RejectReason.UNREADABLE, f"{type(error).__name__}: {error}") from error


def _plain(source: BinaryIO, file: InputFile, start: int, stop: int, options: ReadOptions) -> Iterator[Frame]:
    def skip(size: int) -> int:
        at = source.tell()
        return source.seek(min(at + size, file.size)) - at

    base = max(start - LOOK_BACK, 0)
    source.seek(base)
    window = Window(iter(functools.partial(source.read, CHUNK_BYTES), b""), base, stop, skip)
    if base and not window.find_record():
        return
    yield from (frame for frame in _records(window, file.size, options) if frame.position >= start)


def _compressed(units: UnitFile, start: int, stop: int, options: ReadOptions) -> Iterator[Frame]:
    """Walk from unit to unit; of a damaged one the records before the damage stand."""
    wasted = 0
    if start > LOOK_BACK:
        units.find_unit(start - LOOK_BACK, stop)
    while units.skip_padding() and units.at < stop:
        at, number, told = units.at, 0, False
        window = Window(units.unit())
        try:
            for frame in _records(window, None, options):
                if at >= start:
                    yield frame._replace(position=at + number)
                number += 1
                told = frame.fault is not None  # what the damage made of the bytes before it was shown
        except Rejected as fault:
            if at >= start:
                if not told:
                    yield Frame(at + number, fault=fault)
                wasted += units.at - at + window.at + window.ahead
            if wasted > options.max_skipped_bytes:
                detail = f"over {wasted} bytes of damaged records: the rest of this piece of the file is given up"
                yield Frame(at + number + 1, fault=Rejected(RejectReason.TOO_LARGE, detail))
                return
            units.find_unit(at + 1, stop)


def _records(window: Window, end: int | None, options: ReadOptions) -> Iterator[Frame]:
    """Records one after the other; past something damaged, from the next head on."""
    keep = options.max_article_bytes + MOST_HEAD
    while window.next_record():
        at = window.at
        try:
            yield _record(window, end, keep)
        except _Misfit as misfit:
            yield Frame(at, fault=Rejected(RejectReason.BAD_RECORD, str(misfit)))
            window.drop(1)
            if not window.find_record():
                return


def _record(window: Window, end: int | None, keep: int) -> Frame:
    """The record at the cursor, which then stands behind it.

    Raises:
      _Misfit: this is no record, or not of the length that it says; of one that is kept whole the cursor has not moved.
    """
    at, head = window.at, window.head()
    if head is None:
        raise _Misfit("no head of a WARC record")
    length = _LENGTH.search(head)
    if length is None:
        raise _Misfit("a record without a Content-Length")
    block = int(length[1])
    kept = len(head) + min(block, keep)
    missing = 0 if end is None else max(at + len(head) + block - end, 0)
    if missing or not window.fill(kept):
        missing = missing or kept - window.ahead
        raise _Misfit(f"cut short, or Content-Length is wrong: {missing} of {block} bytes are missing")
    if block <= keep:
        _check_end(window.peek(kept, 12))
        return Frame(at, window.take(kept), block)
    data = window.take(kept)
    if missing := window.drop(block - keep):
        raise _Misfit(f"cut short, or Content-Length is wrong: {missing} of {block} bytes are missing")
    _check_end(window.peek(0, 12))
    return Frame(at, data, block)


def _check_end(behind: bytes) -> None:
    """See that two line ends follow a record; from some writers there are others, or none before the next."""
    rest = behind.lstrip(b"\r\n\0")
    if rest and not behind.startswith(b"\r\n\r\n") and not b"WARC/".startswith(rest[:5]):
        raise _Misfit("no record ends where Content-Length says, or what follows is damaged")


class _Misfit(Exception):
    """Something is not a record, or not as long as it says."""
