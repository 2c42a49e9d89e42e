"""What a line must hold for a pattern to match: literal strings, found by reading the pattern.

`necessary` gives a set of which every match holds at least one. Where no such set is found the empty string stands for
"any line". Case is ignored; a letter outside ASCII says nothing, because its capital is written in other bytes.

Source: the exact and necessary sets of R. Cox, "Regular Expression Matching with a Trigram Index" (2012), as in RE2's
prefilter, without conjunctions.
"""

from re import _parser as sre  # type: ignore[attr-defined]  # -- the only parser of patterns there is
from typing import Any, NamedTuple

_MOST = 100  # strings of a set that may still grow
_LONGEST = 10  # characters of a literal that are looked for
_FEW = 4  # characters of a class that are tried one by one
_EMPTY = frozenset({""})
_RARER = 10.0  # one letter more, and a literal is in so many times fewer lines


class _Known(NamedTuple):
    exact: frozenset[str] | None  # all that can match
    needed: frozenset[str]  # one of these is in every match; `_EMPTY` when nothing is known


_UNKNOWN = _Known(None, _EMPTY)


def necessary(pattern: str) -> frozenset[str]:
    """Lower-case strings, one of which is in every line that the pattern is found in.

    Raises:
      re.error: no pattern.
    """
    return frozenset(each[:_LONGEST] for each in _sequence(sre.parse(pattern)).needed)


def _sequence(nodes: Any) -> _Known:
    """Part after part: strings grow as long as all are exact; the rarest of what they grew to are needed."""
    run: frozenset[str] = _EMPTY
    needed = _EMPTY
    exact = True
    for kind, value in nodes:
        part = _part(str(kind), value)
        if part.exact is not None and len(run) * len(part.exact) <= _MOST:
            run = frozenset(left + right for left in run for right in part.exact)
            continue
        exact = False
        needed = min(needed, run, part.needed, key=_lines)
        run = part.exact or _EMPTY
    return _Known(run if exact else None, min(needed, run, key=_lines))


def _part(kind: str, value: Any) -> _Known:  # noqa: PLR0911 -- a kind of part a line
    if kind == "LITERAL":
        return _characters([value])
    if kind == "IN" and all(str(each) == "LITERAL" for each, _ in value) and len(value) <= _FEW:
        return _characters([code for _, code in value])
    if kind == "AT":
        return _Known(_EMPTY, _EMPTY)
    if kind == "SUBPATTERN":
        return _sequence(value[-1])
    if kind == "BRANCH":
        return _either([_sequence(branch) for branch in value[1]])
    if kind == "MAX_REPEAT":
        least, most, inner = value
        repeated = _sequence(inner)
        if (least, int(most)) == (0, 1):
            return _either([repeated, _Known(_EMPTY, _EMPTY)])
        return _Known(None, repeated.needed) if least else _UNKNOWN
    return _UNKNOWN


def _characters(codes: list[int]) -> _Known:
    texts = [chr(code).lower() for code in codes]
    if any(not text.isascii() and text != text.upper() for text in texts):
        return _UNKNOWN
    return _Known(frozenset(texts), frozenset(texts))


def _either(branches: list[_Known]) -> _Known:
    exact: set[str] = set()
    needed: set[str] = set()
    for branch in branches:
        exact |= branch.exact or set()
        needed |= branch.needed
    whole = all(branch.exact is not None for branch in branches) and len(exact) <= _MOST
    return _Known(frozenset(exact) if whole else None, _EMPTY if "" in needed else frozenset(needed))


def _lines(literals: frozenset[str]) -> float:
    """In how many lines one of them may be, roughly."""
    return sum(_RARER ** -sum(map(str.isalnum, each[:_LONGEST])) for each in literals)
