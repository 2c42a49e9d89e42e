"""What a run that broke says: what Beam makes of a full disk or a lost worker, turned back into an error of ours.

Beam wraps whatever a worker raises in a RuntimeError whose text ends with the original error, and says that a channel
closed when the worker itself is gone.
"""

import contextlib
import errno
import re
from collections.abc import Iterator
from pathlib import Path

from schemas.errors import CopydeskError, SourceAway, StorageFailed, UsageError, WorkerLost

_ERRNO = re.compile(r"\[Errno (\d+)\] ([^\[\n]+)")
_OF_DISKS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.ESTALE, errno.EACCES, errno.EPERM}
_LOST = re.compile(  # as the runner of Beam 2.77 says it, by what it was waiting for
    r"Channel closed prematurely|Socket closed|StatusCode\.(CANCELLED|UNAVAILABLE)|[Ww]orker subprocess exited"
)
_STEP = " [while running "  # Beam adds it to what a step raises
_OURS = re.compile(r"schemas\.errors\.(SourceAway|UsageError): (.+)$", re.MULTILINE)


@contextlib.contextmanager
def explained(output: Path) -> Iterator[None]:
    """Say of a disk that fails and of a worker that dies what to do; other errors are ours and pass as they are.

    Raises:
      SourceAway, UsageError: a worker raised it.
      StorageFailed: the disk is full, gone or read-only.
      WorkerLost: a worker process died.
    """
    try:
        yield
    except (SourceAway, UsageError) as error:
        raise type(error)(str(error).partition(_STEP)[0]) from error
    except CopydeskError:
        raise
    except (OSError, RuntimeError) as error:
        found = _explained(error, output)
        if found is None:
            raise
        raise found from error


def _explained(error: Exception, output: Path) -> CopydeskError | None:
    ours = _OURS.search(str(error))
    if ours:
        return (SourceAway if ours[1] == "SourceAway" else UsageError)(ours[2].partition(_STEP)[0])
    if isinstance(error, OSError) and error.errno in _OF_DISKS:
        reason = str(error)
    else:
        named = [match[2] for match in _ERRNO.finditer(str(error)) if int(match[1]) in _OF_DISKS]
        if not named and _LOST.search(str(error)):
            return WorkerLost()
        if not named:
            return None
        reason = named[-1].strip()
    return StorageFailed(f"{output}: {reason}: make room or see to the disk, and run it again; nothing was committed")
