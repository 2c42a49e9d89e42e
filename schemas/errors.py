"""Every error that Copydesk raises on purpose, and the reasons an input can be rejected for.

    CopydeskError              exit 1
    ├── UsageError             exit 2   a command, flag or input that cannot be meant
    │   └── ConfigError        exit 2   a configuration file that cannot be used
    ├── TooManyRejects         exit 3   the run was abandoned, nothing was committed
    ├── ContractMismatch       exit 4   data written under another contract or index rule
    ├── CommitConflict         exit 5   another run committed first
    ├── StorageFailed          exit 6   the disk or the object store fails: nothing was committed
    │   └── NotShown           exit 6   committed, but readers are not pointed at it: the next run does that
    ├── WorkerLost             exit 7   a worker of the runner died: nothing was committed
    │   └── EngineLost         exit 7   the engine failed the job, or does not answer: nothing was committed
    ├── SourceAway             exit 8   a source does not answer now; later it may
    └── Rejected               never leaves a stage: it becomes a row of the `rejects` table

A message names the input, says what was wrong and what to do about it.
"""

from enum import StrEnum

INTERRUPTED = 130  # the exit code of a run that a signal ended


class CopydeskError(Exception):
    """Base of all errors raised on purpose; `exit_code` is what the command returns."""

    exit_code = 1


class UsageError(CopydeskError):
    """A command line that cannot be carried out as written."""

    exit_code = 2


class ConfigError(UsageError):
    """A configuration file that cannot be read or does not fit the options."""


class TooManyRejects(CopydeskError):
    """More inputs were rejected than the configuration allows; nothing was committed."""

    exit_code = 3


class ContractMismatch(CopydeskError):
    """Stored data that was written under another contract, schema version or index rule."""

    exit_code = 4


class CommitConflict(CopydeskError):
    """Another run committed a snapshot since this one began."""

    exit_code = 5


class StorageFailed(CopydeskError):
    """The disk is full, gone, or refused to write, or an object store does not answer; the dataset is as it was."""

    exit_code = 6


class NotShown(StorageFailed):
    """A snapshot was committed, but readers are not pointed at it yet; the next run on the dataset does that."""


class WorkerLost(CopydeskError):
    """A worker of the Beam runner died or cannot be reached; nothing was committed."""

    exit_code = 7

    def __init__(self) -> None:
        """Say what to do."""
        super().__init__(
            "a worker of the Beam runner died or cannot be reached; nothing was committed: run it again; if that "
            "does not help, it may lack memory: use fewer --workers"
        )


class EngineLost(WorkerLost):
    """The engine that runs the job failed it or cannot be reached; nothing was committed."""

    def __init__(self, what: str) -> None:
        """Say what to do."""
        CopydeskError.__init__(
            self, f"{what}; nothing was committed: see that the engine runs, and to its log, and run it again"
        )


class SourceAway(CopydeskError):
    """A source does not answer now; the same poll, or run, may do later. Nothing was committed."""

    exit_code = 8


class RejectReason(StrEnum):
    """Why an input could not be used."""

    UNREADABLE = "unreadable"  # the file system refused it
    EMPTY = "empty"  # no bytes, or nothing but white space
    TOO_LARGE = "too_large"  # over a cap on bytes, decompressed bytes or one record
    TRUNCATED = "truncated"  # a compressed or columnar file that ends early or is damaged
    BAD_ENCODING = "bad_encoding"  # bytes that are no text: invalid UTF-8 in a record, NULs
    BAD_JSON = "bad_json"  # a line that is not JSON
    NOT_AN_OBJECT = "not_an_object"  # JSON, but not an object
    BAD_FIELD = "bad_field"  # a field of the wrong type, or a file without the needed columns
    MISSING_TEXT = "missing_text"  # neither text nor html
    UNKNOWN_FORMAT = "unknown_format"  # a file whose ending names no format we read
    BAD_RECORD = "bad_record"  # a WARC record that is damaged: its head, length, compression, or the HTTP answer in it
    BAD_STATUS = "bad_status"  # an HTTP answer with another status than 200
    NOT_A_PAGE = "not_a_page"  # of a media type that is no HTML, XHTML or plain text
    TOO_COMPLEX = "too_complex"  # a page over the caps on nodes, depth or seconds
    NO_BODY = "no_body"  # nothing was left that could be an article
    DUPLICATE_INPUT = "duplicate_input"  # the same record delivered again
    FAILED = "failed"  # an unexpected error on this one article; `detail` holds it


class Rejected(CopydeskError):
    """One article that cannot be used; the stage that catches it writes a reject."""

    def __init__(self, reason: RejectReason, detail: str) -> None:
        """Keep the reason beside a detail that a person can act on."""
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
