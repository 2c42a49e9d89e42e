"""Why an article is near others: the terms they share and what they say of the days, for a person to read.

The similarity here is that of the pair alone, without the share that headlines have in it once more. What clustering
makes of it (terms common in the neighbourhood count less, crowded neighbourhoods weigh less) depends on all articles of
the run; `story_score` has that.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from transforms.cluster import events, similarity
from transforms.cluster.terms import cut, tokenise
from transforms.cluster.vocabulary import background


class Nearness(NamedTuple):
    """How near one article is to another."""

    similarity: float  # of the words, 0..1
    days: float  # factor by the days, 0..1: 1 where nothing speaks against
    terms: list[str]  # shared, the weightiest first


def nearness(articles: pa.Table, most: int = 8) -> list[Nearness]:
    """Compare the first article with each of the others.

    Args:
      articles: `headline`, `description`, `text`, `captions` and `date_published`, two rows or more.
      most: terms named.
    """
    headlines, texts = (articles[name].combine_chunks().fill_null("") for name in ("headline", "text"))
    head, text = tokenise(headlines), tokenise(texts)
    vectors = similarity.vectors(head, text, background())
    others = articles.num_rows - 1
    pairs = similarity.Pairs(np.zeros(others, np.int32), np.arange(1, others + 1, dtype=np.int32))
    days = events.agreements(pairs.left, pairs.right, events.days_of(articles), events.Agreement())
    found = similarity.plain(pairs, vectors)
    words: dict[int, str] = {}
    for terms, column in ((head, headlines), (text, texts)):  # the text comes last: its spelling is the usual one
        stop = terms.offsets[1]
        surfaces = cut(column, terms.starts[:stop], terms.stops[:stop]).to_pylist()
        words |= dict(zip(terms.hashes[:stop].tolist(), surfaces, strict=True))
    mass = [
        dict(
            zip(
                vectors.terms[start:stop].tolist(),
                (vectors.lead[start:stop] + vectors.body[start:stop]).tolist(),
                strict=True,
            )
        )
        for start, stop in zip(vectors.offsets[:-1].tolist(), vectors.offsets[1:].tolist(), strict=True)
    ]
    out = []
    for at in range(others):
        shared = sorted(
            mass[0].keys() & mass[at + 1].keys(), key=lambda term: (-mass[0][term] - mass[at + 1][term], term)
        )
        out.append(Nearness(float(found[at]), float(days[at]), [words[term] for term in shared[:most]]))
    return out
