"""MinHash signatures, bit for bit those of `datasketch.MinHash`, for a whole block at a time.

datasketch supplies the permutations; the kernel repeats its arithmetic (`affine32`: murmur3's finalizer once, then
`a * h + b` modulo 2**32 for each permutation, then the minimum).
"""

import functools

import numba
import numpy as np
from datasketch import MinHash
from numpy.typing import NDArray

from transforms.match.options import SignatureRule

UInt32Array = NDArray[np.uint32]
UInt64Array = NDArray[np.uint64]
Int64Array = NDArray[np.int64]

EMPTY = np.uint32(0xFFFFFFFF)  # every value of the signature of no grams


def sign(hashes: UInt32Array, offsets: Int64Array, rule: SignatureRule) -> UInt32Array:
    """Sign sets of hashes.

    Args:
      hashes: the hashes of set r are `[offsets[r]:offsets[r + 1]]`, in any order, repeats allowed.
      offsets: shape (sets + 1,).
      rule: which permutations.

    Returns:
      shape (sets, permutations); the row of an empty set is `EMPTY` throughout.
    """
    multiplier, increment = _permutations(rule)
    return _sign(np.ascontiguousarray(hashes), offsets, multiplier, increment)


def jaccard(left: UInt32Array, right: UInt32Array) -> NDArray[np.float32]:
    """Estimate the Jaccard similarity of pairs of signatures, both of shape (pairs, permutations).

    A pair with an empty signature is 0 alike, not 1 as two empty sets would be.
    """
    equal = ((left == right) & (left != EMPTY)).sum(axis=1)
    return (equal / np.float32(left.shape[1])).astype(np.float32)


def export(signature: UInt32Array, rule: SignatureRule) -> MinHash:
    """Give one signature, shape (permutations,), as a datasketch MinHash, say for its MinHashLSH."""
    return MinHash(seed=rule.seed, hashvalues=signature, scheme=rule.scheme)


@functools.cache
def _permutations(rule: SignatureRule) -> tuple[UInt32Array, UInt32Array]:
    multiplier, increment = MinHash(num_perm=rule.permutations, seed=rule.seed, scheme=rule.scheme).permutations
    return np.ascontiguousarray(multiplier), np.ascontiguousarray(increment)


@numba.njit(cache=True, nogil=True)
def _sign(hashes, offsets, multiplier, increment):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 -- numba infers
    signatures = np.full((offsets.size - 1, multiplier.size), np.uint32(0xFFFFFFFF), np.uint32)
    for row in range(offsets.size - 1):
        signature = signatures[row]
        stop = offsets[row + 1]
        for i in range(offsets[row], stop, 4):  # four at a time: a third less to load and store for each
            one, two = _finalise(hashes[i]), _finalise(hashes[min(i + 1, stop - 1)])
            three, four = _finalise(hashes[min(i + 2, stop - 1)]), _finalise(hashes[min(i + 3, stop - 1)])
            for k in range(multiplier.size):
                times, plus = multiplier[k], increment[k]
                low = min(np.uint32(np.uint32(times * one) + plus), np.uint32(np.uint32(times * two) + plus))
                high = min(np.uint32(np.uint32(times * three) + plus), np.uint32(np.uint32(times * four) + plus))
                signature[k] = min(signature[k], min(low, high))  # noqa: PLW3301 -- two at a time compile to one instruction
    return signatures


@numba.njit(cache=True, nogil=True, inline="always")
def _finalise(value):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 -- numba infers
    """Murmur3's finalizer; numba widens, so cast at each step."""
    value = np.uint32(value ^ (value >> np.uint32(16)))
    value = np.uint32(value * np.uint32(0x85EBCA6B))
    value = np.uint32(value ^ (value >> np.uint32(13)))
    value = np.uint32(value * np.uint32(0xC2B2AE35))
    return np.uint32(value ^ (value >> np.uint32(16)))
