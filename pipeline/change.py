"""What a run does to the snapshot that it began with, as a pure function of both.

Files never change once they are written: a change lists some again, leaves others out and adds those that it staged.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

from pipeline.manifests import Manifest
from schemas.files import DataFile


@dataclass(frozen=True)
class Change:
    """What a run does to its base: staged files come, others go, the rest is listed again as it is."""

    files: Sequence[DataFile] = ()  # staged; numbered on after the parts that stay in their partition
    state: Sequence[DataFile] = ()  # staged; each takes the place of the one of its table, partition and part
    removed: AbstractSet[str] | None = None  # paths of the base's files that go; None: all files of tables
    fresh_state: bool = False  # the base's state goes too
    about: Mapping[str, Any] = field(default_factory=dict)  # `run_id`, `summary` and so on of the manifest

    @property
    def builds_on_base(self) -> bool:
        """Whether anything of the base stays."""
        return self.removed is not None or not self.fresh_state


def files_after(base: Manifest | None, change: Change, place: str) -> list[DataFile]:
    """The tables' files of the next snapshot, parts of a partition numbered on."""
    removed = change.removed
    kept = [file for file in base.files if file.path not in removed] if base and removed is not None else []
    parts = Counter[tuple[str, str]]()
    for file in kept:
        parts[file.table, file.partition] = max(parts[file.table, file.partition], file.part + 1)
    added = [
        file._replace(path=f"{place}/{file.path}", part=file.part + parts[file.table, file.partition])
        for file in change.files
    ]
    return sorted([*kept, *added])


def state_after(base: Manifest | None, change: Change, place: str) -> list[DataFile]:
    """The state's files of the next snapshot."""
    kept = [] if base is None or change.fresh_state else base.state
    gone = change.removed or frozenset()
    known = {(file.table, file.partition, file.part): file for file in kept if file.path not in gone}
    staged = [file._replace(path=f"{place}/{file.path}") for file in change.state]
    known |= {(file.table, file.partition, file.part): file for file in staged}
    return [known[name] for name in sorted(known)]
