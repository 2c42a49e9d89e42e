"""The body of an HTTP answer as a crawler kept it: without its chunks and its compression, within a cap.

Many crawlers keep the head as it was sent and the body decoded. So a body that its encoding does not fit, and that
looks like text, is taken as it is; one that ends early is taken as far as it came, as a browser does.
"""

import io
import re
import zlib
from collections.abc import Callable

import zstandard
from fastwarc.stream_io import BrotliReader

from schemas.errors import Rejected, RejectReason
from transforms.read.decode import gunzip

_CHUNK = re.compile(rb"[ \t]*([0-9a-fA-F]{1,8})[ \t]*(?:;[^\r\n]*)?\r?\n")
_NOT_TEXT = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_GZIP = b"\x1f\x8b"
_LOOKED_AT = 512  # bytes, to tell text
_ZSTD_WINDOW = 8 << 20  # RFC 9659
_NO_ENCODING = {"", "identity", "none", "utf-8"}  # the last two are none of HTTP's, but servers send them


def decoded_body(body: bytes, transfer: str, content: str, most: int) -> bytes:
    """Undo what the headers Transfer-Encoding and Content-Encoding name; of more than `most` bytes, give `most` + 1.

    Raises:
      Rejected: BAD_RECORD where the body is damaged or in an encoding that is not known.
    """
    if "chunked" in transfer.lower():
        body = _unchunked(body)
    for name in reversed([each.strip() for each in content.lower().split(",")]):
        if name in _NO_ENCODING or not body:
            continue
        if name not in _DECODERS:
            raise Rejected(RejectReason.BAD_RECORD, f"Content-Encoding {name} is not known")
        try:
            body = _DECODERS[name](body, most + 1)
        except (zlib.error, zstandard.ZstdError, OSError) as error:
            if _NOT_TEXT.search(body[:_LOOKED_AT]):
                raise Rejected(RejectReason.BAD_RECORD, f"Content-Encoding {name} is damaged: {error}") from error
    return body


def _unchunked(body: bytes) -> bytes:
    parts, at = [], 0
    while found := _CHUNK.match(body, at):
        at = found.end() + int(found[1], 16)
        parts.append(body[found.end() : at])
        at += 2 if body[at : at + 1] == b"\r" else 1
    if len(parts) == 1 and parts[0] and at < len(body):
        return body  # its crawler had undone them: it begins with a line that only looks like a chunk's
    return b"".join(parts) if parts else body


def _gunzipped(body: bytes, most: int) -> bytes:
    parts, size = [], 0
    try:
        for part in gunzip(io.BytesIO(body)):
            parts.append(part)
            size += len(part)
            if size >= most:
                break
    except Rejected as error:
        if not parts:
            raise OSError(error.detail) from error
    return b"".join(parts)[:most]


def _inflated(body: bytes, most: int) -> bytes:
    if body.startswith(_GZIP):
        return _gunzipped(body, most)
    try:
        return zlib.decompressobj(zlib.MAX_WBITS).decompress(body, most)
    except zlib.error:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(body, most)  # "deflate" without zlib's head


def _unbrotlied(body: bytes, most: int) -> bytes:
    reader = BrotliReader(io.BytesIO(body))
    parts: list[bytes] = []
    try:
        while most > 0 and (part := reader.read(min(most, 1 << 16))):
            parts.append(part)
            most -= len(part)
    except OSError:
        if not parts:
            raise
    return b"".join(parts)


def _unzstd(body: bytes, most: int) -> bytes:
    with zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).stream_reader(
        body, read_across_frames=True
    ) as reader:
        return reader.read(most)


_DECODERS: dict[str, Callable[[bytes, int], bytes]] = {
    "gzip": _inflated,
    "x-gzip": _inflated,
    "deflate": _inflated,
    "br": _unbrotlied,
    "zstd": _unzstd,
}
