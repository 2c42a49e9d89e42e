"""Bytes → text, within caps: decompression that cannot explode, charsets that are not guessed where they are declared.

Text and record files are UTF-8 (or carry a byte order mark); anything else is a reject that names the
offset. HTML pages say their charset or have it detected, as a browser would.
"""

import codecs
import re
import zlib
from collections.abc import Iterator
from typing import BinaryIO

import charset_normalizer
import zstandard
from apache_beam.io.filesystems import FileSystems

from schemas.errors import Rejected, RejectReason

CHUNK_BYTES = 1 << 20
_GZIP_BITE = 1 << 16  # compressed bytes: what is left of them is copied for each member, and members may hold nothing
_ZSTD_BITE = 1 << 12  # compressed bytes; at most some 128 MB come of it
_ZSTD_WINDOW = 1 << 27
COMPRESSIONS = (".gz", ".zst")

_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_DECLARED = re.compile(
    rb"<(?:meta|\?xml)[^>]{0,200}?(?:charset|encoding)\s*=\s*[\"']?\s*([a-zA-Z0-9_.:-]{2,40})", re.IGNORECASE
)
_DECLARED_WITHIN = 4096  # bytes; browsers look at 1,024, many news pages declare later
_WINDOWS = {"iso-8859-1": "cp1252", "latin-1": "cp1252", "latin1": "cp1252", "ascii": "cp1252", "us-ascii": "cp1252"}

_NOT_OF_PAGES = {
    "idna",
    "punycode",
    "unicode_escape",
    "raw_unicode_escape",
    "unicode-escape",
    "raw-unicode-escape",
    "utf-7",
}


def compression_of(uri: str) -> str:
    """`.gz`, `.zst` or nothing, by the ending of the name."""
    return next((ending for ending in COMPRESSIONS if uri.lower().endswith(ending)), "")


def chunks(uri: str, start: int = 0) -> Iterator[bytes]:
    """Stream a file's decompressed bytes, from the byte `start` on where it is not compressed.

    Raises:
      Rejected: UNREADABLE, EMPTY (no bytes where a compressed file needs a header), or TRUNCATED: a
        compressed stream that is damaged or ends early. What came before has been yielded.
    """
    try:
        with FileSystems.open(uri, "application/octet-stream", "uncompressed") as source:
            if not compression_of(uri):
                if start:
                    source.seek(start)
                yield from iter(lambda: source.read(CHUNK_BYTES), b"")
            elif compression_of(uri) == ".gz":
                yield from gunzip(source)
            else:
                yield from _unzstd(source)
    except (OSError, ValueError) as error:
        raise Rejected(RejectReason.UNREADABLE, f"{type(error).__name__}: {error}") from error


def read_all(uri: str, most: int) -> bytes:
    """Read a whole file, decompressed.

    Raises:
      Rejected: TOO_LARGE over `most` bytes, EMPTY, and all of `chunks`.
    """
    parts, size = [], 0
    for chunk in chunks(uri):
        size += len(chunk)
        if size > most:
            raise Rejected(
                RejectReason.TOO_LARGE, f"over {most} bytes: raise read.max_article_bytes if it is an article"
            )
        parts.append(chunk)
    if not size:
        raise Rejected(RejectReason.EMPTY, "no bytes")
    return b"".join(parts)


def decode_text(data: bytes) -> str:
    """Decode a text file.

    Raises:
      Rejected: BAD_ENCODING with the offset of the first byte that is no text; EMPTY.
    """
    encoding = next((name for mark, name in _BOMS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        detail = f"not {encoding} at byte {error.start} ({data[error.start]:#04x}): convert the file to UTF-8"
        raise Rejected(RejectReason.BAD_ENCODING, detail) from error
    return checked(text)


def decode_page(data: bytes, charset: str | None = None) -> str:
    """Decode an HTML page: byte order mark, then UTF-8, then the declared charset, then detection.

    Bytes that the declared charset lacks become U+FFFD, as in a browser.

    Args:
      data: the page, or a feed.
      charset: as the server declared it; that comes before what the page declares.

    Raises:
      Rejected: BAD_ENCODING where no charset fits; EMPTY.
    """
    for mark, name in _BOMS:
        if data.startswith(mark):
            return checked(data.decode(name, "replace"))
    try:
        return checked(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        declared = _DECLARED.search(data[:_DECLARED_WITHIN])
        for label in (charset, declared.group(1).decode("ascii") if declared else None):
            if label and (codec := _codec(label)):
                return checked(data.decode(codec, "replace"))
        best = charset_normalizer.from_bytes(data[: 1 << 18]).best()
        if best is None:
            raise Rejected(RejectReason.BAD_ENCODING, f"no charset fits; not UTF-8 at byte {error.start}") from error
        return checked(data.decode(best.encoding, "replace"))


def gunzip(source: BinaryIO) -> Iterator[bytes]:
    """Members of a gzip file one after the other; output is bounded whatever the ratio.

    Raises:
      Rejected: EMPTY, TRUNCATED.
    """
    engine = zlib.decompressobj(zlib.MAX_WBITS | 16)
    fed = False
    while data := source.read(_GZIP_BITE):
        fed = True
        while data:
            if engine.eof:
                data = data.lstrip(b"\0")
                if not data:
                    break
                engine = zlib.decompressobj(zlib.MAX_WBITS | 16)
            try:
                out = engine.decompress(data, CHUNK_BYTES)
            except zlib.error as error:
                raise Rejected(RejectReason.TRUNCATED, f"damaged gzip stream: {error}") from error
            if out:
                yield out
            data = engine.unused_data if engine.eof else engine.unconsumed_tail
    if not fed:
        raise Rejected(RejectReason.EMPTY, "no bytes: not even a gzip header")
    while not engine.eof and (out := engine.decompress(engine.unconsumed_tail, CHUNK_BYTES)):
        yield out
    if not engine.eof:
        raise Rejected(RejectReason.TRUNCATED, "the gzip stream ends early")


def checked(text: str) -> str:
    """Pass on text that has something in it and no NULs.

    Raises:
      Rejected: EMPTY, BAD_ENCODING.
    """
    nul = text.find("\0")
    if nul >= 0:
        raise Rejected(RejectReason.BAD_ENCODING, f"NUL at character {nul}: binary data, or UTF-16 without its mark")
    if not text.strip():
        raise Rejected(RejectReason.EMPTY, "nothing but white space")
    return text


def _codec(name: str) -> str | None:
    """The Python codec of a declared charset, if it can be one of a page.

    Latin-1 means Windows-1252 on the web (WHATWG Encoding).
    """
    try:
        found = codecs.lookup(name).name
        b"a".decode(name)
    except (LookupError, UnicodeError):
        return None  # unknown, or a codec of bytes to bytes
    if found.replace("_", "-") in _NOT_OF_PAGES or found.startswith(("utf-16", "utf-32")):
        return None  # a page whose declaration could be read as ASCII is in none of these
    return _WINDOWS.get(name.lower(), _WINDOWS.get(found, found))


def _unzstd(source: BinaryIO) -> Iterator[bytes]:
    """Frames of a zstd file one after the other; small bites keep the output of each bounded."""
    engine = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj()
    fed = False
    while data := source.read(_ZSTD_BITE):
        fed = True
        while data:
            if engine.eof:
                engine = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj()
            try:
                out = engine.decompress(data)
            except zstandard.ZstdError as error:
                raise Rejected(RejectReason.TRUNCATED, f"damaged zstd stream: {error}") from error
            if out:
                yield out
            data = engine.unused_data if engine.eof else b""
    if not fed:
        raise Rejected(RejectReason.EMPTY, "no bytes: not even a zstd frame")
    if not engine.eof:
        raise Rejected(RejectReason.TRUNCATED, "the zstd stream ends early")
