"""Which snapshots may go: a pure function of their numbers, their ages and who still needs them."""

import datetime as dt
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from schemas.errors import UsageError

_MOST_DAYS = 36_500.0  # clocks count no further back than to year 1


@dataclass(frozen=True)
class Retention:
    """Which snapshots stay: those that any of these lines holds."""

    keep: int = 10  # so many of the newest
    days: float = 7.0  # those made since
    grace_hours: float = 24.0  # those that were current so lately that a reader may have them open

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        if self.keep < 1 or not (0 <= self.days <= _MOST_DAYS and 0 <= self.grace_hours <= 24 * _MOST_DAYS):
            raise UsageError("--keep must be 1 or more, --days and --grace from 0 to a hundred years")


def expired(
    numbers: Sequence[int],
    made: Mapping[int, dt.datetime],
    needed: AbstractSet[int],
    retention: Retention,
    now: dt.datetime,
) -> list[int]:
    """The snapshots that nothing holds.

    A clock that was set back makes snapshots look younger, and more of them stay; one that was set forward cannot
    touch the newest `keep`.

    Args:
      numbers: all snapshots, in order.
      made: when each was made; one with a damaged manifest is missing, and counts as old as the one after it.
      needed: those that readers or runs work from.
      retention: what stays.
      now: the time, with its zone.
    """
    going = []
    for number in numbers[: -retention.keep]:
        followed = next((made[later] for later in sorted(made) if later > number), now)  # when it ceased to be current
        is_young = now - made.get(number, followed) < dt.timedelta(days=retention.days)
        in_use = now - followed < dt.timedelta(hours=retention.grace_hours)
        if number not in needed and not is_young and not in_use:
            going.append(number)
    return going
