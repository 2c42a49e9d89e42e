"""Small corpora, made up for the tests."""

import json
import random
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

settings.register_profile("compiled", deadline=None)  # a first example may have to be compiled
settings.load_profile("compiled")

_SYLLABLES = [consonant + vowel for consonant in "bdgklmnrs" for vowel in "aeio"]
_OUTLETS = ("north.example", "south.example", "east.example", "west.example")
Record = dict[str, Any]


def _sentences(rng: random.Random, count: int) -> str:
    words = [[rng.choice(_SYLLABLES) + rng.choice(_SYLLABLES) for _ in range(rng.randint(9, 16))] for _ in range(count)]
    return " ".join(" ".join(sentence).capitalize() + "." for sentence in words)


def _record(name: str, outlet: str, day: int, headline: str, paragraphs: list[str]) -> Record:
    furniture = f"Sign up for the {outlet} newsletter and get the best stories in your inbox."
    return {
        "id": name,
        "outlet": outlet,
        "date": f"2024-05-{day:02d}T08:00:00Z",
        "title": headline,
        "text": "\n\n".join([*paragraphs, furniture]),
    }


@pytest.fixture(scope="session")
def records() -> list[Record]:
    """Forty articles of four outlets: six wire stories carried by three each, abridged in one, and 22 of their own."""
    rng = random.Random(7)
    made = []
    for story in range(6):
        paragraphs = [_sentences(rng, 4) for _ in range(6)]
        for copy, outlet in enumerate(rng.sample(_OUTLETS, 3)):
            headline = _sentences(rng, 1)
            made.append(_record(f"wire-{story}-{copy}", outlet, 1 + story, headline, paragraphs[: 6 - 2 * (copy == 2)]))
    made += [
        _record(f"own-{n}", _OUTLETS[n % 4], 1 + n % 28, _sentences(rng, 1), [_sentences(rng, 4) for _ in range(6)])
        for n in range(22)
    ]
    return made


@pytest.fixture(scope="session")
def write_jsonl() -> Callable[[Path, list[Record]], Path]:
    """Write records as JSON lines; gives the path."""

    def write(path: Path, rows: list[Record]) -> Path:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path

    return write


_STORE = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="session")
def store() -> Iterator[str]:
    """The address of an S3 server on loopback, which refuses to create an object twice; it ends with the tests."""
    pytest.importorskip("boto3", reason="boto3 is not installed: pip install copydesk[s3]")
    pytest.importorskip("moto", reason="moto, the object store of the tests, is not installed: make test installs it")
    words = [sys.executable, "-c", _STORE]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        server.stdin.close()


@pytest.fixture
def prefix(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty place on the object store, as the command line gives it: s3://bucket/prefix."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", store)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_CONFIG_FILE", "none")
    monkeypatch.setenv("COPYDESK_CACHE", str(tmp_path / "cache"))
    import boto3  # noqa: PLC0415 -- an extra

    bucket = f"news-{uuid.uuid4().hex}"
    client = boto3.client("s3")
    client.create_bucket(Bucket=bucket)
    client.close()
    return Path(f"s3://{bucket}/daily")
