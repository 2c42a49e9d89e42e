"""What a run that broke says: what Beam makes of a full disk or a lost worker, turned back into an error of ours.

Beam wraps whatever a worker raises in a RuntimeError whose text ends with the original error, and says that a channel
closed when the worker itself is gone. An engine says of a job that failed why, with the worker's traceback if there
is one; a job server that is gone shows as an error of gRPC.
"""

import contextlib
import errno
import re
from collections.abc import Iterator
from pathlib import Path

import grpc  # type: ignore[import-untyped]

from schemas.errors import (
    CommitConflict,
    ContractMismatch,
    CopydeskError,
    EngineLost,
    NotShown,
    SourceAway,
    StorageFailed,
    UsageError,
    WorkerLost,
)

_ERRNO = re.compile(r"\[Errno (\d+)\] ([^\[\n]+)")
_OF_DISKS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.ESTALE, errno.EACCES, errno.EPERM}
_LOST = re.compile(  # as the runner of Beam 2.77 says it, by what it was waiting for
    r"Channel closed prematurely|Socket closed|StatusCode\.(CANCELLED|UNAVAILABLE)|[Ww]orker subprocess exited"
)
_STEP = " [while running "  # Beam adds it to what a step raises
_RAISED_BY_WORKERS = (  # the last three by those that commit for a stream
    *(SourceAway, UsageError, ContractMismatch),
    *(CommitConflict, StorageFailed, NotShown),
)
_OURS = re.compile(rf"schemas\.errors\.({'|'.join(each.__name__ for each in _RAISED_BY_WORKERS)}): (.+)$", re.MULTILINE)
_JOB = re.compile(r"Pipeline \S+ failed in state (?:FAILED|CANCELLED|UNSPECIFIED): ?(.*)", re.DOTALL)
_TRACEBACK = "Traceback (most recent call last)"  # a worker's: an error of ours, to be seen whole


@contextlib.contextmanager
def explained(output: Path) -> Iterator[None]:
    """Say of a disk that fails and of a worker that dies what to do; other errors are ours and pass as they are.

    Raises:
      SourceAway, UsageError, ContractMismatch, CommitConflict, StorageFailed, NotShown: a worker raised it.
      StorageFailed: the disk is full, gone or read-only.
      WorkerLost: a worker process died.
      EngineLost: the engine failed the job for a reason of its own, or is gone.
    """
    try:
        yield
    except _RAISED_BY_WORKERS as error:
        raise type(error)(str(error).partition(_STEP)[0]) from error
    except CopydeskError:
        raise
    except (OSError, RuntimeError, grpc.RpcError) as error:
        found = _explained(error, output)
        if found is None:
            raise
        raise found from error


def _explained(error: Exception, output: Path) -> CopydeskError | None:
    ours = _OURS.search(str(error))
    if ours:
        kind = next(each for each in _RAISED_BY_WORKERS if each.__name__ == ours[1])
        return kind(ours[2].partition(_STEP)[0])
    if isinstance(error, OSError) and error.errno in _OF_DISKS:
        reason = str(error)
    else:
        named = [match[2] for match in _ERRNO.finditer(str(error)) if int(match[1]) in _OF_DISKS]
        if isinstance(error, grpc.RpcError):
            return EngineLost(f"the engine's job server broke off ({error.code().name})")
        if not named and _LOST.search(str(error)):
            return WorkerLost()
        if not named:
            return _of_job(error)
        reason = named[-1].strip()
    return StorageFailed(f"{output}: {reason}: make room or see to the disk, and run it again; nothing was committed")


def _of_job(error: Exception) -> CopydeskError | None:
    job = _JOB.search(str(error))
    if not job or _TRACEBACK in job[1]:
        return None
    return EngineLost(f"the engine failed the job ({(job[1].strip().splitlines() or ['it does not say why'])[0]})")
