"""Sources: places that articles come from, asked for what is new since they were last asked.

A source is named by a URI; what it has given is a cursor, a JSON object that is committed with what came of it. So a
poll that is lost with its run is polled again from the cursor of the run before: nothing is lost or read twice.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from transforms.read.inputs import Refused, WorkItem

Cursor = Mapping[str, Any]
"""How far a source was read, as JSON; empty: not at all."""


class Polled(NamedTuple):
    """What a source has that is new."""

    items: tuple[WorkItem, ...]
    refused: tuple[Refused, ...]
    cursor: Cursor  # where the next poll goes on
    begins: bool = False  # from the cursor before, a later poll would pass something over: commit this one


class Source(Protocol):
    """A place that articles come from."""

    @property
    def uri(self) -> str:
        """The source's name in the manifest; no password is in it."""

    def poll(self, cursor: Cursor, spool: Path) -> Polled:
        """Ask for what is new.

        Args:
          cursor: as the last poll whose result was committed gave it.
          spool: a folder of this poll's own, for what has to be fetched before workers can read it.

        Raises:
          UsageError: the source does not exist or cannot be asked.
          SourceAway: it does not answer now.
        """
