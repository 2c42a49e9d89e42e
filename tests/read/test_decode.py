"""Bytes become text within caps, or a reject that says where."""

import encodings.aliases
import gzip
import io
import random
import time
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import Rejected, RejectReason
from transforms.read.decode import CHUNK_BYTES, chunks, decode_page, decode_text, gunzip, read_all

CHARSETS = sorted(set(encodings.aliases.aliases.values()))  # all that Python knows


def reason_of(call: object, *args: object) -> RejectReason:
    with pytest.raises(Rejected) as caught:
        call(*args)  # type: ignore[operator]
    return caught.value.reason


def test_text_is_utf8_or_carries_its_mark() -> None:
    assert decode_text("Größe".encode()) == "Größe"
    assert decode_text(b"\xef\xbb\xbfmark") == "mark"
    assert decode_text("Größe".encode("utf-16")) == "Größe"


def test_invalid_utf8_is_rejected_with_its_offset() -> None:
    with pytest.raises(Rejected, match="byte 3") as caught:
        decode_text(b"abc\xff")
    assert caught.value.reason is RejectReason.BAD_ENCODING


def test_nuls_are_rejected_with_their_place() -> None:
    with pytest.raises(Rejected, match="NUL at character 2"):
        decode_text(b"ab\0c")


def test_white_space_alone_is_empty() -> None:
    assert reason_of(decode_text, b" \n\t ") is RejectReason.EMPTY


def test_a_page_is_read_in_the_charset_that_it_declares() -> None:
    page = '<html><head><meta charset="iso-8859-1"></head><body>caf\u00e9 \u201cquoted\u201d</body></html>'
    assert "café “quoted”" in decode_page(page.encode("cp1252"))  # Latin-1 means Windows-1252 on the web


def test_a_page_without_a_charset_is_detected() -> None:
    russian = "Президент встретился с министрами и обсудил бюджет на следующий год. " * 20
    assert russian[:20] in decode_page(f"<p>{russian}</p>".encode("cp1251"))


@given(st.binary(min_size=1, max_size=60), st.sampled_from(CHARSETS))
def test_a_page_of_any_bytes_in_any_charset_becomes_text_that_is_utf8(data: bytes, charset: str) -> None:
    halves = b"\xd8\xed\xa0\x80\xd8"  # of a surrogate pair, in UTF-16 and UTF-8
    for mark in (b"", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"):
        try:
            text = decode_page(mark + data + halves, charset)
        except Rejected:
            continue
        assert text.encode().decode() == text


@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_compressed_files_are_read_whole(tmp_path: Path, ending: str) -> None:
    data = b"line\n" * (CHUNK_BYTES // 2)
    path = tmp_path / f"file.txt{ending}"
    path.write_bytes(gzip.compress(data) if ending == ".gz" else zstandard.compress(data))
    assert b"".join(chunks(str(path))) == data


def test_members_of_a_gzip_file_follow_each_other(tmp_path: Path) -> None:
    path = tmp_path / "two.gz"
    path.write_bytes(gzip.compress(b"one ") + gzip.compress(b"two"))
    assert read_all(str(path), 100) == b"one two"


def test_a_bomb_is_stopped_at_the_cap(tmp_path: Path) -> None:
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(bytes(50 << 20)))
    assert reason_of(read_all, str(path), 1 << 20) is RejectReason.TOO_LARGE


def test_a_truncated_stream_gives_what_came_before_and_then_says_so(tmp_path: Path) -> None:
    whole = gzip.compress(bytes(range(256)) * 20_000, compresslevel=0)
    path = tmp_path / "cut.gz"
    path.write_bytes(whole[: len(whole) // 2])
    stream = chunks(str(path))
    assert len(next(stream)) > 0
    assert reason_of(lambda: list(stream)) is RejectReason.TRUNCATED


@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_a_compressed_file_of_no_bytes_is_empty(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"none{ending}"
    path.touch()
    assert reason_of(lambda: list(chunks(str(path)))) is RejectReason.EMPTY


@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_damage_is_told_from_truncation_of_nothing(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"junk{ending}"
    path.write_bytes(b"this is no compressed stream at all")
    assert reason_of(lambda: list(chunks(str(path)))) is RejectReason.TRUNCATED


def test_a_missing_file_is_unreadable(tmp_path: Path) -> None:
    assert reason_of(lambda: list(chunks(str(tmp_path / "nowhere.txt")))) is RejectReason.UNREADABLE


def test_a_truncated_zstd_stream_is_noticed_after_what_came_before(tmp_path: Path) -> None:
    whole = zstandard.ZstdCompressor(level=1).compress(random.Random(1).randbytes(400_000))
    path = tmp_path / "cut.zst"
    path.write_bytes(whole[: len(whole) * 2 // 3])
    assert reason_of(lambda: list(chunks(str(path)))) is RejectReason.TRUNCATED


@pytest.mark.parametrize("size", [70_000, 200_000])
def test_padding_behind_gzip_may_be_longer_than_what_is_read_at_a_time(size: int) -> None:
    padded = gzip.compress(b"one ") + gzip.compress(b"two") + bytes(size)
    assert b"".join(gunzip(io.BytesIO(padded))) == b"one two"


def test_frames_of_zstd_follow_each_other_and_zeros_behind_gzip_are_padding(tmp_path: Path) -> None:
    (tmp_path / "two.zst").write_bytes(zstandard.compress(b"one ") + zstandard.compress(b"two"))
    (tmp_path / "padded.gz").write_bytes(gzip.compress(b"one two") + bytes(512))
    assert read_all(str(tmp_path / "two.zst"), 100) == read_all(str(tmp_path / "padded.gz"), 100) == b"one two"


@pytest.mark.parametrize("charset", ["hex", "base64", "rot13", "undefined", "idna", "unicode_escape", "utf-16", "none"])
def test_a_charset_that_no_page_can_have_is_not_believed(charset: str) -> None:
    page = f'<meta charset="{charset}"><p>' + "Der Ausschuss hat über die Größe der Straße beraten. " * 9
    assert "Größe" in decode_page(page.encode("cp1252"))


def test_members_that_hold_nothing_cost_no_more_than_their_length() -> None:
    began = time.process_time()
    assert b"".join(gunzip(io.BytesIO(gzip.compress(b"") * 100_000 + gzip.compress(b"x")))) == b"x"
    assert time.process_time() - began < 3
