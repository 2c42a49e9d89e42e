"""Small corpora, made up for the tests."""

import json
import random
from collections.abc import Callable
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
