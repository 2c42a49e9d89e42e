"""What a follower did so far: for the live line, for `/metrics` and `/healthz`."""

import time
from dataclasses import dataclass, field


@dataclass
class Status:
    """What a follower did so far; read by others while it works."""

    round: int = 0
    snapshot: int = 0
    articles: int = 0  # added since it began
    rejected: int = 0
    failures: int = 0  # rounds in a row that failed, up to now
    failed: int = 0  # rounds that failed, in all
    problem: str = ""  # of the last round, if it failed
    away: tuple[str, ...] = ()  # what is said of sources that did not answer in the last round, while others did
    working: bool = False
    last_success: float = field(default_factory=time.time)  # seconds since 1970; its beginning, before the first
    last_seconds: float = 0.0  # that the last round took

    def is_healthy(self, every: float, now: float) -> bool:
        """Whether rounds succeed: one of the last three did, and none has been at it for ten times as long."""
        return self.failures < 3 and now - self.last_success < 10 * max(every, self.last_seconds, 60.0)  # noqa: PLR2004 -- as said


def describe(status: Status) -> str:
    """One line on how it goes."""
    parts = [f"round {status.round}", f"snapshot {status.snapshot}", f"{status.articles:,} articles added"]
    parts += [f"{status.rejected:,} rejected"] * bool(status.rejected)
    parts += [f"{status.failures} rounds failed: {status.problem}"] * bool(status.failures)
    parts += [f"does not answer: {each}" for each in status.away]
    return ", ".join([*parts, "working" if status.working else "waiting"])
