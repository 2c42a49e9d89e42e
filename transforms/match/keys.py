"""What two articles must share to be compared: a band of their signatures, a fingerprint, or their identity."""

import numpy as np
from numpy.typing import NDArray

from transforms.match.minhash import EMPTY

UInt32Array = NDArray[np.uint32]
UInt64Array = NDArray[np.uint64]
Int32Array = NDArray[np.int32]
Int64Array = NDArray[np.int64]

BAND_BIT = np.uint64(1 << 63)  # set in the keys of bands, clear in all others
_MIX = np.uint64(0xFF51AFD7ED558CCD)
_IDENTITY = np.uint64(0x9E3779B97F4A7C15)


def band_keys(signatures: UInt32Array, bands: int) -> tuple[UInt64Array, Int32Array]:
    """Hash each band of each signature.

    Args:
      signatures: shape (articles, permutations), as `minhash.sign` gives them; empty ones have no keys.
      bands: how many; `bands` divides the permutations.

    Returns:
      keys, and the row of each; equal keys mean an equal band at the same place.
      Source: Broder 1997; banding as in Leskovec, Rajaraman, Ullman, "Mining of Massive Datasets", ch. 3.
    """
    rows = np.flatnonzero((signatures != EMPTY).any(axis=1)).astype(np.int32)
    values = signatures[rows].reshape(rows.size, bands, signatures.shape[1] // bands).astype(np.uint64)
    keys = np.broadcast_to(np.arange(1, bands + 1, dtype=np.uint64) << np.uint64(40), values.shape[:2]).copy()
    for column in range(values.shape[2]):
        keys = mix(keys ^ values[:, :, column])
    return keys.reshape(-1) | BAND_BIT, np.repeat(rows, bands)


def fingerprint_keys(grams: UInt64Array) -> UInt64Array:
    """The keys of chosen grams."""
    return grams & ~BAND_BIT


def identity_keys(identity: Int64Array) -> tuple[UInt64Array, Int32Array]:
    """A key for every article whose identity is known, and its row."""
    rows = np.flatnonzero(identity).astype(np.int32)
    return mix(identity[rows].view(np.uint64) ^ _IDENTITY) & ~BAND_BIT, rows


def each_once(keys: UInt64Array, rows: Int32Array) -> tuple[UInt64Array, Int32Array]:
    """Each key of a row once: a passage that an article repeats must not look like many articles."""
    order = np.lexsort((keys, rows))
    keys, rows = keys[order], rows[order]
    first = np.ones(keys.size, np.bool_)
    first[1:] = (keys[1:] != keys[:-1]) | (rows[1:] != rows[:-1])
    return keys[first], rows[first]


def mix(values: UInt64Array) -> UInt64Array:
    """Spread 64-bit values over all bits. Source: murmur3's finalizer, first half."""
    values = (values ^ (values >> np.uint64(32))) * _MIX
    return values ^ (values >> np.uint64(29))
