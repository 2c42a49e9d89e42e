"""What decided on one pair: the bands it meets in, how each side words what is shared, what would turn the verdict."""

from typing import Any

import numpy as np
import pyarrow as pa

from transforms.cluster.copies import CopyOptions
from transforms.match.alignment import ATTRIBUTION, unattributed_score
from transforms.match.minhash import EMPTY, sign
from transforms.match.options import MatchOptions
from transforms.match.shingles import gram_offsets, hash_grams
from transforms.match.words import split_words

_ROUNDING = 1e-5  # of stored scores and coverages
_HALVINGS = 50


def bands_met(left: str, right: str, options: MatchOptions) -> list[int]:
    """Numbers of the bands in which two texts meet.

    Out of the clean texts alone: a run also leaves out the grams that are furniture or too frequent in its corpus, so
    its own bands can differ by some.
    """
    words = split_words(pa.array([left, right]))
    grams = hash_grams(words.hashes, words.offsets)
    hashes = (grams >> np.uint64(32)).astype(np.uint32)
    signatures = sign(hashes, gram_offsets(words.offsets), options.signature)
    equal = (signatures[0] == signatures[1]) & (signatures[0] != EMPTY)
    return [int(band) for band in np.flatnonzero(equal.reshape(options.bands, -1).all(axis=1))]


def side_by_side(passages: list[str], right: str) -> list[dict[str, str | None]]:
    """Each shared passage as the left article has it, and as the right one does (None where it is not found whole)."""
    words = split_words(pa.array([right, *passages]))
    data = right.encode()
    hay = words.hashes[: words.offsets[1]]
    found: list[dict[str, str | None]] = []
    for number, passage in enumerate(passages, 1):
        needle = words.hashes[words.offsets[number] : words.offsets[number + 1]]
        other = None
        for at in np.flatnonzero(hay == needle[0]) if needle.size else ():
            if np.array_equal(hay[at : at + needle.size], needle):
                last = at + needle.size - 1
                other = data[words.start[at] : words.start[last] + int(words.length[last])].decode()
                break
        found.append({"left": passage, "right": other})
    return found


def what_would_turn_it(pair: dict[str, Any], options: CopyOptions, *, together: bool) -> str:
    """Say what would have to change for the other verdict, as far as the pair itself decides.

    Args:
      pair: a row of the table pairs.
      options: the thresholds.
      together: whether both articles are in one copy.
    """
    score, shared = float(pair["score"]), int(pair["shared_words"])
    covered = float(pair["left_coverage"]), float(pair["right_coverage"])
    plain = unattributed_score(*covered)
    penalty = max(0.0, plain - score)
    if together:
        if score < options.cut:
            return f"One copy through others: alone, {score:.3f} is under the cut of the average link {options.cut}."
        if score == 1 and plain < 1 - _ROUNDING:
            return "They have one address: versions of one page are one copy, whatever they share."
        fewer = shared - int(shared * _times(covered, options.cut + penalty) + _ROUNDING)
        return f"Score {score:.3f}, cut {options.cut}: about {fewer} fewer shared words would part them."
    if score >= options.strict:
        return f"Score {score:.3f} is over the strict edge {options.strict}: links to the other's group are too weak."
    needs = []
    if plain > 0 and options.strict + penalty <= 1:
        more = int(np.ceil(shared * (_times(covered, options.strict + penalty) - 1) - _ROUNDING))
        needs.append(f"about {more} more shared words outside quotes and furniture")
    if plain >= options.strict:
        needs.append(f"no {_what_it_costs(penalty)} (it costs {penalty:.3f})")
    reason = " or ".join(needs) or "shared text outside quotes and furniture"
    return f"Score {score:.3f}, strict edge {options.strict}: it would take {reason}."


def _times(covered: tuple[float, float], score: float) -> float:
    """How many times as much would have to be covered, of both sides alike, for a score without attribution."""
    low, high = 0.0, 1 / max(min(covered), _ROUNDING)
    for _ in range(_HALVINGS):
        times = (low + high) / 2
        if unattributed_score(min(1.0, covered[0] * times), min(1.0, covered[1] * times)) < score:
            low = times
        else:
            high = times
    return high


def _what_it_costs(penalty: float) -> str:
    """Name what takes so much off a score; `verify` takes more off pairs of one outlet than attribution can."""
    if penalty <= ATTRIBUTION + _ROUNDING:
        return "attribution of what is shared"
    return "list or background that one outlet repeats"
