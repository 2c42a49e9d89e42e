"""What Beam makes of a full disk or a lost worker is turned back into a message that says what to do."""

from pathlib import Path

import pytest

from pipeline.failures import explained
from schemas.errors import (
    CommitConflict,
    ContractMismatch,
    CopydeskError,
    NotShown,
    SourceAway,
    StorageFailed,
    TooManyRejects,
    UsageError,
    WorkerLost,
)

OUT = Path("out")


@pytest.mark.parametrize(
    ("error", "becomes", "says"),
    [
        (OSError(28, "No space left on device", "out/data"), StorageFailed, "No space left on device"),
        (
            RuntimeError("Traceback\nRuntimeError: OSError: [Errno 28] No space left on device [while running 'A']"),
            StorageFailed,
            "out: No space left on device: make room",
        ),
        (RuntimeError("OSError: [Errno 27] File too large"), StorageFailed, "nothing was committed"),
        (RuntimeError("Channel closed prematurely."), WorkerLost, "use fewer --workers"),
        (RuntimeError("Worker subprocess exited with return code 137"), WorkerLost, "run it again"),
        (TooManyRejects("as it is"), TooManyRejects, "as it is"),
        (SourceAway("a broker is away [while running 'Read']"), SourceAway, "a broker is away$"),
        (
            RuntimeError("Traceback\nschemas.errors.SourceAway: a broker is away [while running 'Read']\n\n"),
            SourceAway,
            "^a broker is away$",
        ),
        (RuntimeError("schemas.errors.ContractMismatch: a: gone [while running 'W']"), ContractMismatch, "^a: gone$"),
        (
            RuntimeError("Traceback\nschemas.errors.CommitConflict: out: another run committed [while running 'C']\n"),
            CommitConflict,
            "^out: another run committed$",
        ),
        (
            RuntimeError("OSError: [Errno 5] EIO\n\nschemas.errors.NotShown: snapshot 3 is committed, but\n"),
            NotShown,
            "^snapshot 3 is committed, but$",
        ),
        (RuntimeError("schemas.errors.UsageError: $NAME is not set"), UsageError, r"^\$NAME is not set$"),
    ],
)
def test_a_failure_of_the_machine_is_an_error_with_advice(
    error: Exception, becomes: type[CopydeskError], says: str
) -> None:
    with pytest.raises(becomes, match=says), explained(OUT):
        raise error
    assert becomes.exit_code in {2, 3, 4, 5, 6, 7, 8}


@pytest.mark.parametrize("error", [RuntimeError("KeyError: 'x'"), FileNotFoundError(2, "No such file"), ValueError()])
def test_a_programming_error_passes_as_it_is(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, explained(OUT):
        raise error
    assert raised.value is error
