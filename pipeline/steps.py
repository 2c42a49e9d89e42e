"""Steps: what one poll of a source found, from the cursor before it to the cursor after it.

A step is committed whole, once, and only upon the cursor that it begins with: that cursor is compared with the one in
the newest manifest, in the commit's own attempt. So it does not matter how often an engine delivers a step, in which
order, or after which restart; a step that can no longer be committed is dropped, and its source is asked again from
the manifest's cursor.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import orjson

from pipeline.polling import Asked
from schemas.ids import stable_hash
from transforms.read.articles import RAW_BLOCKS
from transforms.read.inputs import InputFile, Plan, WorkItem
from transforms.read.source import Cursor

MOST_WAITING = 32
"""Steps of one source that are under way at a time: reading that is ahead of committing fills the disk."""


class Part(NamedTuple):
    """What one work item of a step became; the step is whole when it has all its parts."""

    uri: str  # of the source
    folder: str  # the step's own: what was fetched, and its blocks
    number: int
    parts: int
    before: str  # key of the cursor that the step goes on from
    after: bytes  # the cursor that it leads to, as JSON
    given: float  # when the source was asked, seconds since 1970
    blocks: tuple[InputFile, ...]


class Position(NamedTuple):
    """How far a source was asked."""

    cursor: Cursor  # where the next poll goes on
    chain: tuple[tuple[str, float], ...]  # keys of cursors, the last that was seen committed, then those of steps
    asked: float = 0.0  # when the last poll ended

    @property
    def last(self) -> str:
        """Key of the cursor that the next step goes on from."""
        return self.chain[-1][0]

    @property
    def waiting(self) -> int:
        """Steps that are not known to be committed."""
        return len(self.chain) - 1

    def after(self, cursor: Cursor, now: float, *, step: bool) -> "Position":
        """After a poll, which was a step if it found something."""
        chain = (*self.chain, (key_of(cursor), now)) if step else self.chain
        return Position(cursor, chain, now)


def key_of(cursor: Cursor) -> str:
    """A name for a cursor, as short as a hash."""
    return f"{stable_hash(packed(cursor).decode()):016x}"


def packed(cursor: Cursor) -> bytes:
    """A cursor as JSON, the same for equal ones."""
    return orjson.dumps(cursor, option=orjson.OPT_SORT_KEYS)


def caught_up(position: Position | None, committed: Cursor, now: float, patience: float) -> Position:
    """Compare how far a source was asked with how far it is committed.

    Args:
      position: as the last poll left it; none before the first.
      committed: the cursor in the newest manifest.
      now: seconds since 1970.
      patience: seconds after which a step that is not committed is taken for lost.

    Returns:
      the same without the steps that are committed; or, where the manifest holds a cursor that no step led to (another
      writer's, or one from before a restart) or a step was lost, the manifest's cursor.
    """
    key = key_of(committed)
    keys = [each for each, _ in position.chain] if position else []
    if position is None or key not in keys:
        return Position(committed, ((key, now),))
    chain = position.chain[keys.index(key) :]
    if len(chain) > 1 and now - chain[1][1] > patience:
        return Position(committed, ((key, now),))
    return position._replace(chain=chain)


class Accepted(NamedTuple):
    """What a commit takes."""

    asked: Asked
    parts: tuple[Part, ...]  # of the steps that it takes
    waiting: tuple[Part, ...]  # of steps that miss a part, or one before them


def accept(parts: Iterable[Part], committed: Mapping[str, Cursor]) -> Accepted:
    """Take the steps that are whole and go on from what is committed, one behind the other.

    Args:
      parts: of any steps, in any order, each any number of times.
      committed: the cursors in the newest manifest, by URI.
    """
    steps: dict[str, dict[int, Part]] = {}
    for part in parts:
        steps.setdefault(part.folder, {})[part.number] = part
    whole = {
        (found[0].uri, found[0].before, folder): found
        for folder, found in steps.items()
        if 0 in found and len(found) == found[0].parts
    }
    cursors = dict(committed)
    taken: list[Part] = []
    fingerprint: list[tuple[str, int, float]] = []
    for uri in sorted({name for name, _, _ in whole}):
        while following := min(
            (each for each in whole if each[:2] == (uri, key_of(cursors.get(uri, {})))), default=None
        ):
            step = whole.pop(following)
            taken += [step[number] for number in sorted(step)]
            fingerprint.append((f"{uri} {following[1]} {step[0].after.decode()}", len(step), 0.0))
            cursors[uri] = orjson.loads(step[0].after)
    items = tuple(WorkItem(RAW_BLOCKS, part.blocks) for part in taken)  # also of none: the cursor has moved
    used = {part.folder for part in taken}
    waiting = tuple(part for folder, found in steps.items() if folder not in used for part in found.values())
    return Accepted(Asked(Plan(items, (), tuple(fingerprint)), cursors), tuple(taken), waiting)


def worth_waiting(
    parts: Sequence[Part], committed: Mapping[str, Cursor], now: float, patience: float
) -> tuple[Part, ...]:
    """The parts of steps that may still be taken later: not those that led to what is committed, nor old ones."""
    led = {(part.uri, key_of(orjson.loads(part.after))): part.before for part in parts}
    behind = set()
    for uri, cursor in committed.items():
        key = key_of(cursor)
        while key:
            behind.add((uri, key))
            key = led.pop((uri, key), "")
    return tuple(
        part
        for part in parts
        if now - part.given <= patience and (part.uri, key_of(orjson.loads(part.after))) not in behind
    )
