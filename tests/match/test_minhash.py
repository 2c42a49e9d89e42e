"""Signatures equal datasketch's."""

import numpy as np
from datasketch import MinHash, MinHashLSH
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.match.keys import band_keys
from transforms.match.minhash import EMPTY, export, jaccard, sign
from transforms.match.options import SignatureRule

RULE = SignatureRule()


def _sign(*sets: list[int]) -> np.ndarray:
    offsets = np.concatenate([[0], np.cumsum([len(values) for values in sets])]).astype(np.int64)
    return sign(np.array([value for values in sets for value in values], np.uint32), offsets, RULE)


@given(st.lists(st.lists(st.integers(0, 2**32 - 1), max_size=40), min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_signatures_are_bit_for_bit_those_of_datasketch(sets: list[list[int]]) -> None:
    for values, signature in zip(sets, _sign(*sets), strict=True):
        reference = MinHash(num_perm=256, seed=1, scheme="affine32", hashfunc=int)
        reference.update_batch(values)
        assert signature.dtype == reference.hashvalues.dtype
        assert np.array_equal(signature, reference.hashvalues)


def test_an_exported_signature_is_found_in_datasketchs_own_index() -> None:
    first, second, other = _sign(list(range(100)), list(range(5, 105)), list(range(1000, 1100)))
    index = MinHashLSH(threshold=0.5, num_perm=256)
    index.insert("first", export(first, RULE))
    assert index.query(export(second, RULE)) == ["first"]
    assert index.query(export(other, RULE)) == []


def test_empty_signatures_resemble_nothing_and_have_no_keys() -> None:
    signatures = _sign([], [], [1, 2, 3])
    assert (signatures[0] == EMPTY).all()
    assert jaccard(signatures[:1], signatures[1:2]).tolist() == [0.0]
    assert set(band_keys(signatures, 128)[1].tolist()) == {2}


def test_the_estimate_is_near_the_truth() -> None:
    left, right = _sign(list(range(900)), list(range(300, 1200)))
    assert abs(float(jaccard(left[None], right[None])[0]) - 0.5) < 0.12


def test_the_rule_has_a_name_to_store() -> None:
    assert str(RULE) == "minhash/affine32/seed=1/perm=256/fold-words-5/v1"
