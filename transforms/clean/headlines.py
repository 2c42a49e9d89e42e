"""The headline of a page: what its sources agree on, without the name of the site."""

import re

from transforms.clean.declared import Declared, fold, plain, text_of

_SEPARATOR = re.compile(
    r"\s+[-\u2013\u2014|·•:»\u203a<\u2502\u01c0/]+\s+|\s*[|»\u2502\u01c0]\s*|\uff1a|(?<=\w):\s+"
    r"|-(?=[\u3400-\u9fff\uac00-\ud7af]{2,8}$)"
)
_MOST_PARTS = 3  # of a title that are looked at from its end: "headline - section | site"
_LONGEST_PREFIX, _LONGEST_SITE = 45, 60  # characters
_TYPESET = re.compile(r"[\u2018-\u201f\u00ab\u00bb\u2013\u2014]")
# JSON-LD and OpenGraph alike; h1 decides between them; a form that title or twitter:title repeats was rather written
# for search or sharing. docs/decisions/0013-metadata.md has the other rules, and what such weights are worth elsewhere.
_WEIGHTS = {"og": 1.7, "ld": 1.6, "h1": 0.3, "title": -0.4, "twitter": -0.4}


def choose_headline(declared: Declared, headings: list[str], names: tuple[str, ...]) -> str | None:
    """The heaviest headline, in its best form; None where no source gives one.

    Args:
      declared: what the head and the JSON-LD say.
      headings: the page's h1 lines, in order.
      names: of the site, from `site_names`.
    """
    candidates = [("ld", plain(text_of(item.get("headline") or item.get("name")))) for item in declared.articles[:2]]
    candidates += [("h1", plain(text)) for text in headings[:4]]
    candidates += [("og", text) for text in declared.metas.get("og:title", ())[:1]]
    candidates += [("twitter", text) for text in declared.metas.get("twitter:title", ())[:1]]
    candidates += [("title", declared.title)]
    shown = {fold(text) for source, text in candidates if source in ("ld", "h1")}
    votes: dict[str, float] = {}
    forms: dict[str, list[tuple[str, str]]] = {}
    for source, text in candidates:
        form = _without_site(text, shown, names)
        key = fold(form)
        if key and not (source == "h1" and key in names):
            given = forms.setdefault(key, [])
            if source not in {each for each, _ in given}:
                votes[key] = votes.get(key, 0.0) + _WEIGHTS[source]
            given.append((source, form))
    return _best_form(forms[max(votes, key=lambda key: votes[key])]) if votes else None


def site_names(site: str | None, domain: str | None) -> tuple[str, ...]:
    """Folded names of the site: what it calls itself, its domain, and the domain's label."""
    given = (site or "", domain or "", (domain or "").partition(".")[0])
    return tuple(dict.fromkeys(name for text in given if len(name := fold(text)) > 1))


def _best_form(forms: list[tuple[str, str]]) -> str:
    """How to print a headline: with a typesetter's marks if a source has them, else as the heaviest source does."""
    return max(forms, key=lambda form: (len(_TYPESET.findall(form[1])), _WEIGHTS[form[0]]))[1]


def _without_site(text: str, shown: set[str], names: tuple[str, ...]) -> str:
    """Cut the site's name off a title, where a name of the site or the shown headlines say that it is one."""
    cuts = list(_SEPARATOR.finditer(text))
    if not cuts:
        return text
    alone = fold(text) not in shown
    shorter = None
    for cut in reversed(cuts[-_MOST_PARTS:]):
        head, tail = text[: cut.start()].strip(), fold(text[cut.end() :])
        if alone and head and fold(head) in shown:
            return head
        if shorter is None and head and _is_site(tail, names):
            shorter = head
    if shorter:
        return shorter
    head, tail = text[: cuts[0].start()], text[cuts[0].end() :].strip()
    if tail and head and (fold(head) in names or (alone and len(head) < _LONGEST_PREFIX and fold(tail) in shown)):
        return tail
    return text


def _is_site(tail: str, names: tuple[str, ...]) -> bool:
    """Whether what stands after the last separator of a title is the site's name, or holds or begins it."""
    if tail in names:
        return True
    name = names[0] if names else ""
    return len(tail) < _LONGEST_SITE and (
        (len(name) > 3 and name in tail) or (len(tail) > 5 and name.startswith(tail))  # noqa: PLR2004 -- no chance hit
    )
