"""What a record says of itself, and the rejects of records that cannot be used."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from schemas.errors import Rejected, RejectReason
from transforms.clean import dates
from transforms.clean.label import SAMPLE, STAGE

Record = dict[str, Any]  # a row of RAW


@contextmanager
def rejecting(record: Record, rejects: list[Record]) -> Iterator[None]:
    """One bad article may never lose its block: whatever goes wrong becomes a reject."""
    try:
        yield
    except Rejected as refusal:
        rejects.append(reject(record, refusal.reason, refusal.detail))
    except Exception as error:  # noqa: BLE001 -- a bug on one article is reported with it, and the rest goes on
        rejects.append(reject(record, RejectReason.FAILED, f"{type(error).__name__}: {error}"))


def reject(record: Record, reason: RejectReason, detail: str) -> Record:
    """A row of REJECTED."""
    received = record["html"] or record["text"] or record["headline"]
    if isinstance(received, bytes):
        received = received[: 4 * SAMPLE].decode("utf-8", "ignore")
    return {
        **{key: record[key] for key in ("source_uri", "position", "source_id")},
        "stage": STAGE,
        "reason": str(reason),
        "detail": detail,
        "sample": received[:SAMPLE] if received else None,
    }


def given_date(text: str | None) -> tuple[datetime | None, str]:
    """The point in time that a record's date names, and where it is from or why there is none."""
    if not text or not text.strip():
        return None, "none found"
    found = timestamp(text)
    return found, "metadata" if found else f"unparsable: {text.strip()[:60]}"


@functools.lru_cache(maxsize=4096)
def timestamp(text: str) -> datetime | None:
    """`dates.parse_timestamp`; the same days return in a block."""
    return dates.parse_timestamp(text)
