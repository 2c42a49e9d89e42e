"""Every record of a WARC file becomes a row, a reject with its place and reason, or a count; warcio is the oracle."""

import gzip
import io
import random
import uuid
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import brotli
import pytest
import zstandard
from apache_beam.metrics import Metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from warcio.archiveiterator import ArchiveIterator

from schemas.errors import RejectReason
from transforms.read import framing
from transforms.read.inputs import ReadOptions, plan_inputs
from transforms.read.rows import raw_table
from transforms.read.warc import read_warc

HTML = [("Content-Type", "text/html; charset=utf-8")]
Records = list[bytes]


def page(number: int, words: int = 30) -> bytes:
    text = " ".join(str(number * n % 9973) for n in range(words))
    return f"<html><body><p>Page {number}: {text}</p></body></html>".encode()


def record(
    url: str,
    body: bytes,
    kind: str = "response",
    *,
    status: str = "200 OK",
    headers: Iterable[tuple[str, str]] = HTML,
    media: str = "application/http; msgtype=response",
    date: str = "2024-05-01T10:00:00Z",
) -> bytes:
    """One record of a WARC file."""
    if kind == "response":
        head = "".join(f"{name}: {value}\r\n" for name, value in headers)
        body = f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body
    about = {
        "WARC-Type": kind,
        "WARC-Record-ID": f"<{uuid.uuid5(uuid.NAMESPACE_URL, url).urn}>",
        "WARC-Target-URI": url,
        "WARC-Date": date,
        "Content-Type": media,
        "Content-Length": len(body),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in about.items())
    return f"WARC/1.0\r\n{lines}\r\n".encode() + body + b"\r\n\r\n"


def of_pages(count: int) -> Records:
    return [record(f"https://a.example/{n}", page(n, 5 + n * 7 % 60)) for n in range(count)]


def packed(records: Records, ending: str) -> bytes:
    """The bytes of a file, a member or frame a record."""
    if ending == ".warc.gz":
        return b"".join(gzip.compress(each, mtime=0) for each in records)
    if ending == ".warc.zst":
        return b"".join(zstandard.compress(each) for each in records)
    return b"".join(records)


def write(path: Path, records: Records) -> Path:
    path.write_bytes(packed(records, "".join(path.suffixes)))
    return path


def read(path: Path, split: int = 1 << 24, **options: Any) -> tuple[list[Any], list[Any]]:
    plan = plan_inputs([str(path)], {}, split)
    outcomes = [each for item in plan.items for each in read_warc(item, ReadOptions(**options))]
    return [each.row for each in outcomes if not each.rejected], [each.row for each in outcomes if each.rejected]


def oracle(data: bytes) -> list[tuple[str, str, bytes]]:
    """Type, URL and decoded payload of each record, by warcio."""
    found = []
    for each in ArchiveIterator(io.BytesIO(data)):
        url = each.rec_headers.get_header("WARC-Target-URI")
        found.append((each.rec_type, url, each.content_stream().read()))
    return found


ENDINGS = [".warc", ".warc.gz", ".warc.zst"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_same_pages_come_as_from_warcio(tmp_path: Path, ending: str) -> None:
    records = [
        record("https://a.example/", b"software: none", "warcinfo"),
        *(part for n in range(20) for part in (
            record(f"https://a.example/{n}", b"GET / HTTP/1.1\r\n\r\n", "request"),
            record(f"https://a.example/{n}", page(n)),
            record(f"https://a.example/{n}", b"fetchTimeMs: 3", "metadata"),
        )),
    ]  # fmt: skip
    rows, rejects = read(write(tmp_path / f"news{ending}", records))
    expected = [(url, body) for kind, url, body in oracle(b"".join(records)) if kind == "response"]
    assert rejects == []
    assert [(row["url"], row["html"].encode()) for row in rows] == expected
    assert {row["fetched_at"].isoformat() for row in rows} == {"2024-05-01T10:00:00+00:00"}
    assert all(row["source_id"].startswith("urn:uuid:") for row in rows)


def test_a_position_is_the_byte_at_which_the_record_begins(tmp_path: Path) -> None:
    for ending in ENDINGS:
        path = write(tmp_path / f"news{ending}", of_pages(5))
        for row in read(path)[0]:
            alone = tmp_path / f"alone{ending}"
            alone.write_bytes(path.read_bytes()[row["position"] :])
            assert read(alone)[0][0]["url"] == row["url"]


@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_a_file_compressed_as_a_whole_is_read_and_its_records_are_told_apart(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"news.warc{ending}"
    whole = b"".join(of_pages(30))
    path.write_bytes(gzip.compress(whole) if ending == ".gz" else zstandard.compress(whole))
    rows, rejects = read(path, split=500)
    assert ([row["position"] for row in rows], rejects) == (list(range(30)), [])


def test_records_compressed_with_a_dictionary_are_read(tmp_path: Path) -> None:
    records = of_pages(40)
    dictionary = zstandard.train_dictionary(2000, [*records] * 5)
    pack = zstandard.ZstdCompressor(dict_data=dictionary).compress
    head = b"\x5d\x2a\x4d\x18" + len(dictionary.as_bytes()).to_bytes(4, "little") + dictionary.as_bytes()
    path = tmp_path / "news.warc.zst"
    path.write_bytes(head + b"".join(map(pack, records)))
    rows, rejects = read(path)
    assert (len(rows), rejects) == (40, [])


def inside(records: Records, ending: str) -> bytes:
    """A record that holds a WARC file as it lies on the disk, so that its records look like the outer ones."""
    return record("https://a.example/inside", packed(records, ending), headers=[("Content-Type", "text/html")])


def stored(data: bytes) -> bytes:
    """A gzip member that does not compress, so that what it holds can be seen in it."""
    engine = zlib.compressobj(0, wbits=zlib.MAX_WBITS | 16)
    return engine.compress(data) + engine.flush()


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "none": lambda data: data,
    "flipped": lambda data: data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 0x55]) + data[len(data) // 2 + 1 :],
    "cut": lambda data: data[:-9],
    "missing": lambda data: data[: len(data) // 3] + data[len(data) // 2 :],
}


@pytest.mark.parametrize("ending", ENDINGS)
@settings(max_examples=15)
@given(st.data())
def test_a_file_cut_anywhere_gives_every_record_once(
    tmp_path_factory: pytest.TempPathFactory, ending: str, data: Any
) -> None:
    """Also with a WARC file in a record, with something damaged, and with a short look back."""
    records = of_pages(data.draw(st.integers(1, 12)))
    records.insert(data.draw(st.integers(0, len(records))), inside(of_pages(3), ending))
    units = [stored(each) if ending == ".warc.gz" else packed([each], ending) for each in records]
    at = data.draw(st.integers(0, len(units) - 1))
    units[at] = DAMAGE[data.draw(st.sampled_from(sorted(DAMAGE)))](units[at])
    path = tmp_path_factory.mktemp("cut") / f"news{ending}"
    path.write_bytes(b"".join(units) + b"\0" * data.draw(st.integers(0, 40)))
    whole = read(path)
    longest = max(map(len, units))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(framing, "LOOK_BACK", data.draw(st.integers(2 * longest, 6 * longest)))
        split = data.draw(st.integers(60, 3 * longest))
        assert [[row["position"] for row in part] for part in read(path, split)] == [
            [row["position"] for row in part] for part in whole
        ]
        assert read(path, split) == whole


@pytest.mark.parametrize(
    ("ending", "damage"),
    [(ending, damage) for ending in ENDINGS for damage in ("cut", "missing")] + [(".warc.gz", "flipped")],
)
def test_a_damaged_record_is_one_reject_and_the_others_stand(tmp_path: Path, ending: str, damage: str) -> None:
    units = [packed([each], ending) for each in of_pages(9)]
    path = tmp_path / f"news{ending}"
    path.write_bytes(b"".join([*units[:4], DAMAGE[damage](units[4]), *units[5:]]))
    rows, (reject,) = read(path)
    assert [row["url"][-1] for row in rows] == list("01235678")
    assert reject["position"] == len(b"".join(units[:4]))
    assert reject["reason"] == RejectReason.BAD_RECORD


def test_damage_that_lengthens_a_record_before_it_shows_is_one_reject(tmp_path: Path) -> None:
    unit = bytearray(gzip.compress(of_pages(1)[0].rstrip() + random.Random(1).randbytes(200_000), mtime=0))
    unit[-8] ^= 1  # of the checksum
    path = tmp_path / "news.warc.gz"
    path.write_bytes(unit + packed(of_pages(3), ".warc.gz"))
    rows, (reject,) = read(path)
    assert (len(rows), reject["reason"], reject["position"]) == (3, RejectReason.BAD_RECORD, 0)


@pytest.mark.parametrize("length", [b"10", b"99999", b"999999999999", b"-5", b"many", b""])
def test_a_wrong_length_swallows_no_neighbour(tmp_path: Path, length: bytes) -> None:
    records = of_pages(6)
    head, name, rest = records[2].partition(b"Content-Length: ")
    records[2] = head + name + length + rest[rest.index(b"\r\n") :]
    path = write(tmp_path / "news.warc", records)
    rows, (reject,) = read(path)
    assert [row["url"][-1] for row in rows] == list("01345")
    assert (reject["reason"], reject["position"]) == (RejectReason.BAD_RECORD, len(b"".join(records[:2])))


def test_a_head_that_is_cut_does_not_take_the_next_record_for_its_own(tmp_path: Path) -> None:
    records = of_pages(6)
    records[2] = records[2][:60]
    rows, (reject,) = read(write(tmp_path / "news.warc", records))
    assert [row["html"].encode() for row in rows] == [page(n, 5 + n * 7 % 60) for n in (0, 1, 3, 4, 5)]
    assert reject["position"] == len(b"".join(records[:2]))


@pytest.mark.parametrize("ending", ENDINGS)
def test_records_before_the_end_of_a_cut_file_stand(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path / f"news{ending}", of_pages(9))
    path.write_bytes(path.read_bytes()[:-60])
    rows, (reject,) = read(path)
    assert len(rows) == 8
    assert reject["position"] > rows[-1]["position"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_file_of_something_else_is_a_reject(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"news{ending}"
    path.write_bytes(b"nothing of the kind " * 100)
    assert [(each["position"], each["reason"]) for each in read(path, split=300)[1]] == [(0, RejectReason.BAD_RECORD)]
    path.write_bytes(b"")
    assert [(each["position"], each["reason"]) for each in read(path)[1]] == [(None, RejectReason.EMPTY)]


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (record("https://a.example/x", b"<p>gone</p>", status="404 Not Found"), RejectReason.BAD_STATUS),
        (record("https://a.example/x", b"\x89PNG", headers=[("Content-Type", "image/png")]), RejectReason.NOT_A_PAGE),
        (record("https://a.example/x", b"\0\1\2", headers=[("X-Nothing", "said")]), RejectReason.NOT_A_PAGE),
        (record("https://a.example/x", b""), RejectReason.EMPTY),
        (record("https://a.example/x", b"<p>" + b"long " * 99_999), RejectReason.TOO_LARGE),
        (record("dns:a.example", b"1.2.3.4", "resource", media="text/dns"), RejectReason.NOT_A_PAGE),
        (
            record("https://a.example/x", page(1)).replace(b"HTTP/1.1 200 OK", b"nothing at all "),
            RejectReason.BAD_RECORD,
        ),
        (record("https://a.example/x", page(1), date="yesterday"), RejectReason.BAD_FIELD),
    ],
    ids=lambda value: str(value) if isinstance(value, RejectReason) else "",
)
def test_what_cannot_be_an_article_is_a_reject_with_its_reason(
    tmp_path: Path, made: bytes, reason: RejectReason
) -> None:
    path = write(tmp_path / "news.warc.gz", [record("https://a.example/1", page(1)), made])
    rows, (reject,) = read(path, max_article_bytes=100_000)
    assert (len(rows), reject["reason"]) == (1, reason)
    assert reject["source_id"].startswith("urn:uuid:")


def test_other_records_are_only_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = []
    monkeypatch.setattr(Metrics, "counter", lambda *_: type("C", (), {"inc": lambda _: counted.append(1)})())
    kinds = ["warcinfo", "request", "metadata", "revisit"]
    path = write(
        tmp_path / "news.warc", [record("https://a.example/", b"GET / HTTP/1.1\r\n\r\n", kind) for kind in kinds]
    )
    assert read(path) == ([], [])
    assert len(counted) == len(kinds)


@pytest.mark.parametrize("kind", ["resource", "conversion"])
def test_plain_text_is_read_from_resources_and_conversions(tmp_path: Path, kind: str) -> None:
    made = record("https://a.example/x", "Größe ist alles.".encode(), kind, media="text/plain")
    (row,), _ = read(write(tmp_path / "news.warc.wet.gz", [gzip.compress(made)]))
    assert (row["text"], row["html"]) == ("Größe ist alles.", None)


def chunked(body: bytes) -> bytes:
    parts = [body[at : at + 50] for at in range(0, len(body), 50)]
    return b"".join(b"%x;a=b\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def raw_deflate(body: bytes) -> bytes:
    engine = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return engine.compress(body) + engine.flush()


@pytest.mark.parametrize(
    ("headers", "encode"),
    [
        ({"Transfer-Encoding": "chunked"}, chunked),
        ({"Content-Encoding": "gzip"}, gzip.compress),
        ({"Content-Encoding": "deflate"}, zlib.compress),
        ({"Content-Encoding": "deflate"}, raw_deflate),
        ({"Content-Encoding": "br"}, brotli.compress),
        ({"Content-Encoding": "zstd"}, zstandard.compress),
        ({"Content-Encoding": "gzip", "Transfer-Encoding": "chunked"}, lambda body: chunked(gzip.compress(body))),
        (
            {"Content-Encoding": "gzip"},
            lambda body: b"".join(gzip.compress(body[at : at + 99]) for at in range(0, len(body), 99)),
        ),
        ({"Content-Encoding": "zstd"}, lambda body: zstandard.compress(body[:99]) + zstandard.compress(body[99:])),
        ({"Content-Encoding": "gzip, br"}, lambda body: brotli.compress(gzip.compress(body))),
        ({"Content-Encoding": "gzip", "Transfer-Encoding": "chunked"}, lambda body: body),  # decoded by the crawler
        ({"Content-Encoding": "br"}, lambda body: body),
        ({"Content-Encoding": "deflate"}, lambda body: body),
    ],
)
def test_bodies_are_read_in_any_encoding(
    tmp_path: Path, headers: dict[str, str], encode: Callable[[bytes], bytes]
) -> None:
    made = record("https://a.example/x", encode(page(5)), headers=[*HTML, *headers.items()])
    (row,), rejects = read(write(tmp_path / "news.warc.gz", [made]))
    assert (row["html"].encode(), rejects) == (page(5), [])


def test_a_text_whose_first_line_looks_like_the_head_of_a_chunk_stays_whole(tmp_path: Path) -> None:
    head = [("Content-Type", "text/plain"), ("Transfer-Encoding", "chunked")]
    text = "10\nThings that the town council said."
    (row,), _ = read(write(tmp_path / "news.warc", [record("https://a.example/x", text.encode(), headers=head)]))
    assert row["text"] == text


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("gzip", gzip.compress),
        ("gzip", lambda body: gzip.compress(body[:40_000]) * 150),
        ("br", brotli.compress),
        ("zstd", zstandard.compress),
    ],
)
def test_a_body_that_explodes_is_too_large(tmp_path: Path, name: str, pack: Callable[[bytes], bytes]) -> None:
    made = record("https://a.example/x", pack(b"<p>" * 2_000_000), headers=[*HTML, ("Content-Encoding", name)])
    _, (reject,) = read(write(tmp_path / "news.warc.gz", [made]), max_article_bytes=50_000)
    assert reject["reason"] == RejectReason.TOO_LARGE


@pytest.mark.parametrize("name", ["gzip", "br", "zstd", "deflate"])
def test_a_damaged_body_is_a_reject(tmp_path: Path, name: str) -> None:
    made = record("https://a.example/x", b"\x1f\x8b\x08\0\1\2\3\4\5" * 9, headers=[*HTML, ("Content-Encoding", name)])
    _, (reject,) = read(write(tmp_path / "news.warc", [made]))
    assert reject["reason"] == RejectReason.BAD_RECORD


def test_the_charset_of_the_http_head_comes_before_that_of_the_page(tmp_path: Path) -> None:
    body = '<meta charset="windows-1251"><p>café</p>'.encode("latin-1")
    made = record("https://a.example/x", body, headers=[("Content-Type", 'text/html; Charset="ISO-8859-1"')])
    (row,), _ = read(write(tmp_path / "news.warc", [made]))
    assert "café" in row["html"]


def test_bytes_that_are_no_utf8_are_replaced_in_head_and_page(tmp_path: Path) -> None:
    made = record("https://a.example/x", b"<p>Cut \xe5\xb1</p>").replace(b"example/x", b"example/\xed\xa0\x80")
    made = made.replace(b"charset=utf-8", b"charset=utf\xff8")
    (row,), rejects = read(write(tmp_path / "news.warc", [made]))
    assert rejects == []
    raw_table([row]).validate(full=True)
    assert "\ufffd" in row["url"]
    assert row["html"].startswith("<p>Cut ")


def test_a_large_record_of_another_kind_is_passed_over_in_bounded_memory(tmp_path: Path) -> None:
    film = record("https://a.example/film", b"\0" * (3 << 20), headers=[("Content-Type", "video/mp4")])
    for ending in ENDINGS:
        path = write(tmp_path / f"news{ending}", [*of_pages(2), film, *of_pages(2)])
        rows, (reject,) = read(path, split=1 << 16, max_article_bytes=1 << 16)
        assert (len(rows), reject["reason"]) == (4, RejectReason.NOT_A_PAGE)


def test_damage_without_end_is_given_up(tmp_path: Path) -> None:
    units = [gzip.compress(each)[:-4] + b"\0\0\0\0" for each in of_pages(50)]
    path = tmp_path / "news.warc.gz"
    path.write_bytes(b"".join(units))
    rows, rejects = read(path, max_skipped_bytes=5_000)
    assert rows == []
    assert rejects[-1]["reason"] == RejectReason.TOO_LARGE
    assert "given up" in rejects[-1]["detail"]
