"""Pieces of many blocks copied into one array, without an object per piece."""

from collections.abc import Sequence

import numba
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

UInt8Array = NDArray[np.uint8]
Int64Array = NDArray[np.int64]


def column(table: pa.Table, name: str) -> pa.Array:
    """One column as one array."""
    values = table[name]
    return values.chunk(0) if values.num_chunks == 1 else pa.concat_arrays(values.chunks or [pa.array([], values.type)])


def factorise(values: pa.ChunkedArray) -> tuple[Int64Array, list[str]]:
    """Number the distinct strings of a column: the number of each row, and the strings."""
    encoded = values.dictionary_encode().combine_chunks()
    return encoded.indices.to_numpy().astype(np.int64), encoded.dictionary.to_pylist()


def places_of(block: Int64Array, blocks: int) -> list[Int64Array]:
    """For each block, which pieces come out of it, ascending."""
    return np.split(np.argsort(block, kind="stable"), np.cumsum(np.bincount(block, minlength=blocks))[:-1])


def gather_lists(lists: Sequence[pa.ListArray], block: Int64Array, row: Int64Array) -> tuple[Int64Array, UInt8Array]:
    """Copy list elements one after another.

    Args:
      lists: a list array for each block, of one fixed-width type.
      block: for each piece, which of `lists`.
      row: for each piece, which row of it.

    Returns:
      bounds in values, shape (pieces + 1,), and the bytes of the values.
    """
    width = lists[0].values.type.bit_width // 8
    begin, end = np.zeros(row.size, np.int64), np.zeros(row.size, np.int64)
    buffers = []
    for array, here in zip(lists, places_of(block, len(lists)), strict=True):
        offsets = array.offsets.to_numpy()
        begin[here], end[here] = offsets[row[here]], offsets[row[here] + 1]
        buffers.append(array.values.to_numpy().view(np.uint8))
    bounds = np.concatenate([[0], np.cumsum(end - begin)])
    return bounds, copy_slices(buffers, block, begin * width, end * width)


def copy_slices(buffers: Sequence[UInt8Array], block: Int64Array, begin: Int64Array, end: Int64Array) -> UInt8Array:
    """Copy `buffers[block[i]][begin[i]:end[i]]` for each i, one after another."""
    starts = np.concatenate([[0], np.cumsum(end - begin)])
    joined = np.empty(starts[-1], np.uint8)
    for buffer, here in zip(buffers, places_of(block, len(buffers)), strict=True):
        _copy(buffer, begin[here], end[here], joined, starts[here])
    return joined


@numba.njit(cache=True, nogil=True)
def _copy(source, begin, end, target, at):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 -- numba infers
    for i in range(begin.size):
        given = source[begin[i] : end[i]]
        taken = target[at[i] : at[i] + given.size]
        for k in range(given.size):
            taken[k] = given[k]
