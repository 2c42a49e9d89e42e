"""Where lower-case texts name weekdays, or may name a year: one compiled pass over their bytes.

It finds what `events.named_days` finds by patterns, or says that it cannot tell, some forty times as fast.
"""

# ruff: noqa: PLR2004 -- the figures are bytes; a name for each would say less

import calendar

import numba as nb
import numpy as np
from numpy.typing import NDArray

BoolArray = NDArray[np.bool_]
Int64Array = NDArray[np.int64]
UInt8Array = NDArray[np.uint8]

_NAMES = [name.lower() for name in calendar.day_name]
_SIZES = np.array([len(name) for name in _NAMES], np.int64)
_BACKWARDS = np.array([list(name[::-1].ljust(9).encode()) for name in _NAMES], np.uint8)


@nb.njit(cache=True, nogil=True)
def scan(data: UInt8Array, offsets: Int64Array) -> tuple[UInt8Array, BoolArray, BoolArray]:
    """Weekdays of texts as bits, whether a year may stand in each, and whether the bits are in doubt.

    They are where a letter outside ASCII may follow a weekday, so that it is none.

    Args:
      data: UTF-8 in lower case, as `terms.utf8` gives it.
      offsets: where each text begins and the last one ends.
    """
    texts = len(offsets) - 1
    weekdays, dated, odd = np.zeros(texts, np.uint8), np.zeros(texts, np.bool_), np.zeros(texts, np.bool_)
    for text in range(texts):
        start, stop = offsets[text], offsets[text + 1]
        for at in range(start, stop):
            byte = data[at]
            if byte == 121:  # y
                for day in range(7):
                    size, k = _SIZES[day], 0
                    while k < size and at - k >= start and data[at - k] == _BACKWARDS[day, k]:
                        k += 1
                    if k == size:
                        after = data[at + 1] if at + 1 < stop else np.uint8(32)
                        odd[text] |= after > 127
                        if not (97 <= after <= 122 or 48 <= after <= 57 or after == 95):
                            weekdays[text] |= np.uint8(1 << day)
            elif 49 <= byte <= 50 and at + 3 < stop and data[at + 1] == (57 if byte == 49 else 48):  # 19, 20
                third, fourth = data[at + 2], data[at + 3]  # Python has digits outside ASCII, too
                dated[text] |= (48 <= third <= 57 or third > 127) and (48 <= fourth <= 57 or fourth > 127)
    return weekdays, dated, odd
