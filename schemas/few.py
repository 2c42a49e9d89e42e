"""Which of many hashes may be among few: a bitmap that stays in the cache, before anything is sorted or looked up."""

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

_BITS = 16  # to a hash: one in so many others passes
_LEAST = 1 << 10  # bits
_MOST = 1 << 25  # bits, 4 MiB: for more hashes than they are good for, more pass
_SHIFT = 16  # the lowest bits of a hash choose its bucket: they are equal


def may_be_among(hashes: NDArray[np.uint64], few: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Places of the hashes that may be among few; none that is among them is left out.

    Args:
      hashes: well spread over their bits from 16 up, read once from front to back.
      few: likewise.
    """
    if not few.size:
        return np.zeros(0, np.int64)
    bits = min(_MOST, max(_LEAST, 1 << int(few.size * _BITS - 1).bit_length()))
    return _passing(_read_only(hashes), _filled(_read_only(few), bits))


def _read_only(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """As mapped ones are: one compilation serves both."""
    hashes = hashes.view()
    hashes.flags.writeable = False
    return hashes


@numba.njit(cache=True, nogil=True)
def _filled(few, bits):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 -- numba infers
    bitmap = np.zeros(bits >> 6, np.uint64)
    mask = np.uint64(bits - 1)
    for value in few:
        at = (value >> np.uint64(_SHIFT)) & mask
        bitmap[at >> np.uint64(6)] |= np.uint64(1) << (at & np.uint64(63))
    return bitmap


@numba.njit(cache=True, nogil=True)
def _passing(hashes, bitmap):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 -- numba infers
    mask = np.uint64(bitmap.size * 64 - 1)
    places = np.empty(hashes.size, np.int64)
    size: Any = 0
    for i in range(hashes.size):
        at = (hashes[i] >> np.uint64(_SHIFT)) & mask
        places[size] = i  # overwritten by the next one unless it passes
        size += np.int64((bitmap[at >> np.uint64(6)] >> (at & np.uint64(63))) & np.uint64(1))
    return places[:size].copy()
