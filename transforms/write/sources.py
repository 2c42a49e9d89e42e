"""Where a text that several outlets carry most likely comes from: the agency that they name, else who had it first."""

import functools
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

OPENING = 300  # characters of a text in which a dateline names its agency

_AGENCIES = {  # as written in datelines and credits; the first that fits a name wins
    "Australian Associated Press": r"AAP|Australian Associated Press|aap\.com\.au",
    "Associated Press": r"AP|(?:The )?Associated Press|apnews\.com|ap\.org",
    "Reuters": r"Reuters|REUTERS|reuters\.com",
    "Agence France-Presse": r"AFP|Agence France[- ]Presse|afp\.com",
    "Bloomberg": r"Bloomberg(?: News)?|bloomberg\.com",
    "United Press International": r"UPI|United Press International|upi\.com",
    "PA Media": r"PA Media|Press Association",
    "Canadian Press": r"(?:The )?Canadian Press",
    "dpa": r"dpa|DPA|dpa\.com",
    "EFE": r"EFE|efe\.com",
    "ANSA": r"ANSA|ansa\.it",
    "Kyodo News": r"Kyodo(?: News)?|KYODO",
    "Xinhua": r"Xinhua|xinhuanet\.com",
    "TASS": r"TASS|tass\.com",
}
_NAMED = {agency: re.compile(rf"(?<![\w.])(?:{names})(?![\w.])") for agency, names in _AGENCIES.items()}
_DATELINE = {agency: re.compile(rf"\((?:{names})\)") for agency, names in _AGENCIES.items()}
_ANY_NAMED = re.compile(rf"(?<![\w.])(?:{'|'.join(_AGENCIES.values())})(?![\w.])")
_ANY_DATELINE = re.compile(rf"\((?:{'|'.join(_AGENCIES.values())})\)")
_PICTURE = re.compile(r"photo|image|picture|graphic|video", re.IGNORECASE)


@dataclass(frozen=True)
class Source:
    """The likely source of a copy."""

    name: str | None  # an agency or an outlet
    evidence: str | None  # `credit` or `earliest`
    confidence: float | None  # 0..1


def agency_of(outlet: str | None, opening: str, credit_lines: Sequence[str]) -> str | None:
    """The agency that an article names as its source.

    Args:
      outlet: its outlet, which may be an agency itself.
      opening: the first `OPENING` characters of its text.
      credit_lines: its credits; those of pictures do not count.
    """
    stated = [line for line in credit_lines if not _PICTURE.search(line)]
    if not (_names_any(outlet or "") or _ANY_DATELINE.search(opening) or any(map(_ANY_NAMED.search, stated))):
        return None
    for agency, named in _NAMED.items():
        if (outlet and named.search(outlet)) or _DATELINE[agency].search(opening) or any(map(named.search, stated)):
            return agency
    return None


@functools.lru_cache(maxsize=65536)
def _names_any(outlet: str) -> bool:
    return bool(_ANY_NAMED.search(outlet))


def likely_source(agencies: Sequence[str | None], outlets: Sequence[str | None], times: Sequence[int | None]) -> Source:
    """The source of a copy.

    An agency named by any member: the one that most name, its confidence their share. Else the outlet that has the
    earliest date, its confidence the share of members that have a date, divided among outlets of that same time: an
    undated one may have been first.

    Args:
      agencies: of each member, as `agency_of` gives them.
      outlets: of each member.
      times: when each was published.
    """
    named = Counter(agency for agency in agencies if agency)
    if named:
        name, count = min(named.items(), key=lambda item: (-item[1], item[0]))
        return Source(name, "credit", count / len(agencies))
    known = [(time, outlet) for time, outlet in zip(times, outlets, strict=True) if time is not None]
    earliest = min((time for time, _ in known), default=None)
    first = sorted({outlet for time, outlet in known if time == earliest and outlet})
    if not first:
        return Source(None, None, None)
    return Source(first[0], "earliest", len(known) / len(times) / len(first))
