"""Who published an article and under which address: canonical URLs, registrable domains, and names in the text."""

import functools
import re
from collections import Counter
from collections.abc import Iterable
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import tldextract

from schemas.ids import stable_hash

_TRACKING = re.compile(
    r"(?:utm_.*|ga_.*|wt\..*|pk_.*|mc_.*|at_.*|ns_.*|s?cid|cmpid?|fbclid|gclid|dclid|msclkid|yclid|igshid|mkt_tok|_ga|ref|ref_src|refsrc|"
    r"referrer|source|src|smid|smtyp|partner|ito|ocid|cvid|xtor|recruiter|mod|spref|share|sh|amp|outputtype|hp|hpid|nl|emc|rss|feedtype|"
    r"feedname|clicksource|pgtype|module|region|action|tid|sr_share|ncid|soc_src|soc_trk|cm_ven|cm_mmc.*|guccounter|guce_.*)",
    re.IGNORECASE,
)
_PORTS = {"http": "80", "https": "443"}
_SENDER = re.compile(
    r"\b(?:notifications|newsletters?|alerts|updates|e-?mails) from (?:the |The )?((?:[A-Z][\w.&'\u2019-]*\s?){1,4})$"
)
_BROADCASTER = re.compile(
    r"\b((?:[A-Z][\w.&-]*\s){1,2}?News|[A-Z]{3,5}(?=\s(?:Correspondent|Editor|Reporter|Presenter)))\b"
)
_FEWEST_CUES = 2


@functools.cache
def _extractor() -> tldextract.TLDExtract:
    return tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)


def canonical_url(url: str | None) -> str | None:
    """Normalise an address so that the ways to write it become one; None unless it is an http address with a host.

    The scheme becomes https, the host lower case without `www.`, the fragment, the default port and tracking parameters
    go, the others are sorted, a slash at the end goes.
    """
    try:
        parts = urlsplit((url or "").strip())
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        return None
    if parts.scheme.lower() not in _PORTS or "." not in host:
        return None
    host = host.removeprefix("www.")
    query = sorted(
        (name, value)
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
        if value and not _TRACKING.fullmatch(name)
    )
    path = quote(parts.path.rstrip("/"), safe="/%:@!$&'()*+,;=~-._")
    place = host if port is None or str(port) in _PORTS.values() else f"{host}:{port}"
    return f"https://{place}{path}{'?' + urlencode(query) if query else ''}"


def identity_of(canonical: str | None) -> int:
    """Hash a canonical URL; 0 when there is none, or it is a site's front page (which names no article)."""
    if canonical is None or (not urlsplit(canonical).path and not urlsplit(canonical).query):
        return 0
    return stable_hash("url", canonical)


@functools.lru_cache(maxsize=65536)
def domain_of_host(host: str) -> str | None:
    """The registrable domain of a host, by the suffix list that tldextract carries."""
    return _extractor()(host).top_domain_under_public_suffix or None


def domain_of(url: str | None) -> str | None:
    """The registrable domain of an address."""
    try:
        host = urlsplit((url or "").strip()).hostname
    except ValueError:
        return None
    return domain_of_host(host) if host else None


def outlet_in(furniture: Iterable[str]) -> str | None:
    """Name the outlet that furniture lines speak of; None unless two of them agree.

    Evidence: who reports ("X News Correspondent …"), whose podcast it is, who sends notifications.
    """
    lines = list(furniture)
    named: Counter[str] = Counter()
    for line in lines:
        named.update(
            {match.strip() for match in (*_SENDER.findall(line.replace("\xa0", " ")), *_BROADCASTER.findall(line))}
        )
    agreeing = {name: sum(name in line for line in lines) for name in named}
    best = max(agreeing.items(), key=lambda item: (item[1], len(item[0]), item[0]), default=("", 0))
    return best[0] if best[1] >= _FEWEST_CUES else None
