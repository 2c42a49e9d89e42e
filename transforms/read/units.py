"""The units of a compressed WARC file: gzip members or zstd frames, each of which can be read by itself.

Crawlers write a record a unit; `gzip FILE.warc` makes one unit of them all.
"""

import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NamedTuple

import zstandard

from schemas.errors import Rejected, RejectReason
from transforms.read.decode import CHUNK_BYTES

_GZIP_BITE = 64 << 10  # compressed bytes read at a time: a few records of news
_ZSTD_BITE = 1 << 12  # compressed bytes; at most some 128 MB come of it
_ZSTD_WINDOW = 1 << 27
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_DICTIONARY_MAGIC = b"\x5d\x2a\x4d\x18"


class Codec(NamedTuple):
    """How units are told and read."""

    magic: bytes
    bite: int  # compressed bytes at a time, so that what comes of them is bounded
    probe: int  # compressed bytes that give the first bytes of a unit: Huffman tables and all, or a whole block
    new: Callable[[], Any]
    step: Callable[[Any, bytes], tuple[bytes, bytes]]  # engine, bytes → what came of them, bytes that are left
    error: type[Exception]


def codec_of(compression: str, source: BinaryIO) -> Codec:
    """The codec of `.gz`, or that of `.zst` with the dictionary that the file may begin with."""
    if compression == ".gz":
        return Codec(b"\x1f\x8b\x08", _GZIP_BITE, 1 << 10, _new_gunzip, _gunzip, zlib.error)
    unzstd = zstandard.ZstdDecompressor(dict_data=_dictionary(source), max_window_size=_ZSTD_WINDOW)
    return Codec(_ZSTD_MAGIC, _ZSTD_BITE, 1 << 18, unzstd.decompressobj, _unzstd, zstandard.ZstdError)


class UnitFile:
    """A compressed file, read unit by unit."""

    def __init__(self, source: BinaryIO, codec: Codec) -> None:
        """Begin at the first byte."""
        self._source, self._codec, self._back = source, codec, b""
        self.at = 0
        """The next byte to be read."""
        source.seek(0)

    def unit(self) -> Iterator[bytes]:
        """Chunks of the unit that begins here; then the file stands behind it.

        Raises:
          Rejected: TRUNCATED or BAD_RECORD, with what came before given.
        """
        codec = self._codec
        engine = codec.new()
        rest = b""
        try:
            while not engine.eof:
                data = rest or self._read(codec.bite)
                out, rest = codec.step(engine, data)
                if engine.eof:
                    self._give_back(rest)
                elif not (out or data):
                    raise Rejected(RejectReason.TRUNCATED, "the file ends within a compressed record")
                if out:
                    yield out
        except codec.error as error:
            raise Rejected(RejectReason.BAD_RECORD, f"damaged compression: {error}") from error

    def skip_padding(self) -> bool:
        """Pass over zeros, with which some files are padded; does anything follow?"""
        while data := self._read(self._codec.bite):
            if rest := data.lstrip(b"\0"):
                self._give_back(rest)
                return True
        return False

    def find_unit(self, at: int, stop: int) -> None:
        """Go to the first unit that begins with a record, from the byte `at` on; if none does before `stop`, there."""
        codec = self._codec
        self._seek(at)
        held, more = b"", True
        while more and at < stop:
            data = self._read(CHUNK_BYTES)
            held, more = held + data, bool(data)
            sure = max(len(held) - codec.probe, 0) if more else len(held)
            found = held.find(codec.magic)
            while 0 <= found < sure:
                if self._begins_record(held[found : found + codec.probe]):
                    self._seek(min(at + found, stop))
                    return
                found = held.find(codec.magic, found + 1)
            held = held[sure:]
            at += sure
        self._seek(stop)

    def _begins_record(self, probe: bytes) -> bool:
        try:
            return self._codec.step(self._codec.new(), probe)[0].startswith(b"WARC/")
        except self._codec.error:
            return False

    def _read(self, size: int) -> bytes:
        data = self._back or self._source.read(size)
        data, self._back = data[:size], data[size:]
        self.at += len(data)
        return data

    def _give_back(self, data: bytes) -> None:
        self._back = data + self._back
        self.at -= len(data)

    def _seek(self, at: int) -> None:
        self._source.seek(at)
        self._back, self.at = b"", at


def _new_gunzip() -> Any:
    return zlib.decompressobj(zlib.MAX_WBITS | 16)


def _gunzip(engine: Any, data: bytes) -> tuple[bytes, bytes]:
    out = engine.decompress(data, CHUNK_BYTES)
    return out, engine.unused_data if engine.eof else engine.unconsumed_tail


def _unzstd(engine: Any, data: bytes) -> tuple[bytes, bytes]:
    out = engine.decompress(data)
    return out, engine.unused_data if engine.eof else b""


def _dictionary(source: BinaryIO) -> zstandard.ZstdCompressionDict | None:
    """The dictionary in a frame to be skipped at the beginning (IIPC, "Zstandard compression in WARC")."""
    if source.read(4) != _DICTIONARY_MAGIC:
        return None
    held = source.read(min(int.from_bytes(source.read(4), "little"), _ZSTD_WINDOW))
    try:
        if held.startswith(_ZSTD_MAGIC):
            held = zstandard.ZstdDecompressor().decompress(held, max_output_size=_ZSTD_WINDOW)
    except zstandard.ZstdError:
        return None  # every record will be a reject
    return zstandard.ZstdCompressionDict(held)
