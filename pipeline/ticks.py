"""Ticks: the clock of a stream, an unbounded source that says only what time it is.

Its watermark is the time of the last tick, whatever the sources that are asked at each do: a quiet one holds nothing
back. It sleeps by itself, because Flink resumes a deferred splittable DoFn at once (apache/beam#20668).
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.io.restriction_trackers import OffsetRange, OffsetRestrictionTracker
from apache_beam.io.watermark_estimators import ManualWatermarkEstimator
from apache_beam.transforms.core import RestrictionProvider
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Timestamp

_FOR_EVER = 1 << 40


class _Whole(OffsetRestrictionTracker):  # type: ignore[misc]
    """Numbers of ticks; put off, but never cut in two, which would be two clocks."""

    def try_split(self, fraction_of_remainder: float) -> Any:
        """Give the rest back only if all of it is wanted."""
        return super().try_split(fraction_of_remainder) if fraction_of_remainder == 0 else None


class _Numbers(RestrictionProvider):  # type: ignore[misc]
    def initial_restriction(self, element: Any) -> OffsetRange:  # noqa: ARG002 -- Beam's hook
        return OffsetRange(0, _FOR_EVER)

    def create_tracker(self, restriction: OffsetRange) -> _Whole:
        return _Whole(restriction)

    def restriction_size(self, element: Any, restriction: OffsetRange) -> int:  # noqa: ARG002 -- Beam's hook
        return 1

    def truncate(self, element: Any, restriction: OffsetRange) -> None:  # noqa: ARG002 -- a drain ends it
        return None


_NUMBERS = _Numbers()
_MARK = ManualWatermarkEstimator.default_provider()


@dataclass(eq=False)
class Ticks(beam.PTransform):  # type: ignore[misc]
    """Nothing → the time, in seconds since 1970, again and again; each at its own event time."""

    seconds: float  # from one to the next, at least

    def expand(self, begin: Any) -> beam.PCollection:
        """Wire."""
        return begin | "Begin" >> beam.Impulse() | "Tick" >> beam.ParDo(_Tick(self.seconds)).with_output_types(float)


class _Tick(beam.DoFn):  # type: ignore[misc]
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    @beam.DoFn.unbounded_per_element()
    def process(
        self,
        _begin: bytes,
        tracker: Any = beam.DoFn.RestrictionParam(_NUMBERS),  # noqa: B008 -- Beam's way
        watermark: Any = beam.DoFn.WatermarkEstimatorParam(_MARK),  # noqa: B008 -- likewise
    ) -> Iterator[TimestampedValue]:
        number = tracker.current_restriction().start
        if number:
            time.sleep(self._seconds)
        if not tracker.try_claim(number):
            return
        now = Timestamp(time.time())
        last = watermark.current_watermark()
        if last is not None and now <= last:  # the clock was put back: windows end in their rhythm all the same
            now = last + self._seconds
        yield TimestampedValue(float(now), now)
        watermark.set_watermark(now)
        tracker.defer_remainder()
