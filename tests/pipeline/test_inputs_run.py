"""A whole run over what is no plain file: a WARC file in pieces, standard input."""

import gzip
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from warcio.archiveiterator import ArchiveIterator

from pipeline.cli import main

pytestmark = pytest.mark.whole


def unit(kind: str, url: str, block: bytes, media: str) -> bytes:
    """A record of a WARC file, in a gzip member of its own."""
    head = f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:{kind}:{url}>\r\nWARC-Target-URI: {url}\r\n"
    head += f"WARC-Date: 2024-05-01T08:00:00Z\r\nContent-Type: {media}\r\nContent-Length: {len(block)}\r\n\r\n"
    return gzip.compress(head.encode() + block + b"\r\n\r\n", mtime=0)


def units(records: list[dict[str, Any]]) -> list[bytes]:
    """A request and a response for each article; a picture and a page that is gone."""
    made = []
    for record in records:
        url = f"https://{record['outlet']}/{record['id']}"
        text = "".join(f"<p>{part}</p>" for part in record["text"].split("\n\n"))
        page = f"<html><body><article><h1>{record['title']}</h1>{text}</article></body></html>"
        answer = f"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n{page}".encode()
        made += [unit("request", url, b"GET / HTTP/1.1\r\n\r\n", "application/http; msgtype=request")]
        made += [unit("response", url, answer, "application/http; msgtype=response")]
    for head in (b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\nx", b"HTTP/1.1 404 Not Found\r\n\r\nx"):
        made += [unit("response", f"https://x.example/{len(head)}", head, "application/http; msgtype=response")]
    return made


def rows(out: Path, table: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(out / "current" / table, partitioning=None).to_pylist()
    return found


def test_every_record_of_a_warc_file_is_an_article_a_reject_or_counted(
    tmp_path: Path, records: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    made = units(records)
    counted = sum(1 for _ in ArchiveIterator(io.BytesIO(b"".join(made))))
    made[9] = made[9][:-20]
    path, out = tmp_path / "news.warc.gz", tmp_path / "out"
    path.write_bytes(b"".join(made))
    config = tmp_path / "config.toml"
    config.write_text("[read]\nsplit_bytes = 4000\n")
    assert main(["run", str(path), "--output", str(out), "--config", str(config), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    reasons = Counter(row["reason"] for row in rows(out, "rejects"))
    assert reasons == {"not_a_page": 1, "bad_status": 1, "bad_record": 1}
    assert summary["passed_over"] == len(records)
    assert summary["articles_kept"] + summary["rejected"] + summary["passed_over"] == counted
    assert {row["url"] for row in rows(out, "articles")} == {
        f"https://{record['outlet']}/{record['id']}" for at, record in enumerate(records) if at != 4
    }


def test_articles_come_by_standard_input(
    tmp_path: Path, records: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = tmp_path / "lines"
    lines.write_text("".join(json.dumps(record) + "\n" for record in records[:5]) + "{broken\n")
    run = ["run", "-", "--output", str(tmp_path / "out"), "--json"]
    nothing = tmp_path / "nothing"
    nothing.touch()
    for given, repeated in ((lines, False), (lines, True), (nothing, True)):
        with given.open() as stdin, monkeypatch.context() as patch:
            patch.setattr("sys.stdin", stdin)
            assert main(run) == 0
        assert json.loads(capsys.readouterr().out)["repeated"] is repeated
    assert {row["source_uri"] for row in rows(tmp_path / "out", "articles")} == {"stdin"}
    assert [(row["source_uri"], row["source_position"]) for row in rows(tmp_path / "out", "rejects")] == [("stdin", 5)]
    assert not list((tmp_path / "out" / "staging").iterdir())
