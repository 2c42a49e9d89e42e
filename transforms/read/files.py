"""FileSource: files, folders, globs and object prefixes, watched for what is new or has changed.

The cursor is {"files": {URI: [bytes, time of the last change]}}: those that were given and are still there; one that
is deleted leaves it. A file of another size or time is given again, as a whole: what it still says is known by its
content.

A file is left for a later poll while it may still be written: for `SETTLE_SECONDS` after its last change. It is left
for good under the names that files have while they are written: hidden (`.`), Spark's and Hadoop's (`_`), and those
that end in one of `UNFINISHED`. So move a file into a watched folder, or write it under such a name and rename it.
"""

import glob
import os
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from apache_beam.io.filesystem import FileMetadata

from transforms.read.inputs import Known, Refused, found_files, items_of
from transforms.read.source import Cursor, Polled

SETTLE_SECONDS = 2.0
"""A file that changed less long ago may change again."""
UNFINISHED = (".tmp", ".temp", ".part", ".partial", ".crdownload", ".filepart", ".inprogress", ".swp", "~")

_MAGIC = re.compile(r"[*?[]")
_UNREADABLE = [-1, 0.0]  # in the cursor: something that cannot be read and was reported


class FileSource:
    """One argument of `run`, as a source."""

    def __init__(
        self,
        argument: str,
        split_bytes: int,
        known: Mapping[str, Known] = MappingProxyType({}),
        most_bytes: int = 1 << 30,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Watch what `run` would read.

        Args:
          argument: a file, folder, glob, or URI of any file system that Beam reads.
          split_bytes: where larger files are cut.
          known: what a metadata file says, by URI or by file name.
          most_bytes: of files in one poll; the oldest come first, and one that is larger comes alone.
          now: seconds since 1970.
        """
        local = argument.removeprefix("file://")
        self.uri = argument if "://" in local else str(Path(local).absolute())
        self._split_bytes, self._known, self._most_bytes, self._now = split_bytes, known, most_bytes, now

    def poll(self, cursor: Cursor, spool: Path) -> Polled:  # noqa: ARG002 -- nothing has to be fetched
        """Give the files that are new or have changed, oldest first.

        Raises:
          UsageError: there is no such file or folder. A prefix or pattern without files may have some later.
          SourceAway: an object store does not answer.
        """
        given: Mapping[str, Any] = cursor.get("files", {})
        kept: dict[str, Any] = {}
        waiting: list[FileMetadata] = []
        fresh: list[FileMetadata] = []
        refused: list[Refused] = []
        for found in found_files(self.uri, must_be=not _is_open(self.uri)):
            if self._is_unfinished(found.uri if isinstance(found, Refused) else found.path):
                continue
            if isinstance(found, Refused):
                if not _is_gone(found):
                    kept[found.uri] = _UNREADABLE
                    refused += [found] * (found.uri not in given)
            else:
                if found.path in given:
                    kept[found.path] = given[found.path]
                if kept.get(found.path) != _stamp(found) and not self._is_young(found):
                    waiting.append(found)
        size = 0
        for found in sorted(waiting, key=lambda each: (each.last_updated_in_seconds, each.path)):
            size += found.size_in_bytes
            if fresh and size > self._most_bytes:
                break
            fresh.append(found)
            kept[found.path] = _stamp(found)
        items, unknown = items_of(fresh, self._known, self._split_bytes)
        return Polled(items, (*refused, *unknown), {"files": kept})

    def _is_young(self, found: FileMetadata) -> bool:
        """Whether it may still be written; of a time far in the future nothing can be told."""
        return abs(self._now() - found.last_updated_in_seconds) < SETTLE_SECONDS

    def _is_unfinished(self, uri: str) -> bool:
        named = (self.uri, _MAGIC.split(self.uri, maxsplit=1)[0].rpartition("/")[0])  # outright, whatever it is called
        below = next((each for each in named if uri.startswith(each)), uri.rpartition("/")[0])
        parts = uri.removeprefix(below).split("/")
        return any(part.startswith((".", "_")) for part in parts) or parts[-1].lower().endswith(UNFINISHED)


def _stamp(found: FileMetadata) -> list[float]:
    return [found.size_in_bytes, found.last_updated_in_seconds]


def _is_gone(found: Refused) -> bool:
    """Whether it was moved away since its folder was listed; a link that leads nowhere was not."""
    return found.detail.startswith(FileNotFoundError.__name__) and not os.path.lexists(found.uri)


def _is_open(uri: str) -> bool:
    """Whether files may come where there are none: below a prefix of an object store, and under a pattern."""
    return "://" in uri or glob.has_magic(uri)
