"""Names and terms of stories against the same rules in plain Python."""

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.cluster.telling import MOST, tell

Article = tuple[list[str], list[tuple[int, float]]]

NAMES = ["Quill", "Anders Quill", "Bo Quill", "Dahl", "Bo Dahl", "Port Brenn", "Brenn", "Östen Ångström", "Ångström"]
WORDS = ["flood", "floods", "brenn", "river", "quill", "dam", "vell", "östen", "bridge", "mayor", "cup", "goal"]


def told_slowly(articles: list[Article]) -> tuple[list[str], list[str]]:
    counts: dict[str, int] = {}
    mass: dict[int, float] = {}
    for names, words in articles:
        for name in names:
            counts[name] = counts.get(name, 0) + 1
        for word, share in words:
            mass[word] = mass.get(word, 0.0) + share
    for short in [name for name in counts if " " not in name]:
        longer = [name for name in counts if name.endswith(" " + short)]
        if longer:
            whole = max(longer, key=lambda name: (counts[name], name))
            counts[whole] += counts.pop(short)
    names = sorted(counts, key=lambda name: -counts[name])[:MOST]
    named = {word for name in names for word in name.lower().split()}
    heavy = sorted(mass, key=lambda word: (-mass[word], WORDS[word]))
    return names, [WORDS[word] for word in heavy if WORDS[word] not in named][:MOST]


SHARES = st.sampled_from([0.125, 0.25, 0.5])
ARTICLES = st.tuples(
    st.lists(st.sampled_from(NAMES), unique=True, max_size=6),
    st.lists(st.tuples(st.integers(0, len(WORDS) - 1), SHARES), unique_by=lambda each: each[0], max_size=11),
)


@given(st.lists(st.lists(ARTICLES, min_size=1, max_size=4), max_size=4))
@settings(max_examples=60, deadline=None)
def test_stories_are_told_as_the_rules_say(stories: list[list[Article]]) -> None:
    rows = [article for story in stories for article in story]
    table = pa.table(
        {
            "names": pa.array([names for names, _ in rows], pa.list_(pa.string())),
            "words": pa.array([[WORDS[word] for word, _ in words] for _, words in rows], pa.list_(pa.string())),
            "word_terms": pa.array([[word for word, _ in words] for _, words in rows], pa.list_(pa.uint32())),
            "word_mass": pa.array([[share for _, share in words] for _, words in rows], pa.list_(pa.float32())),
        }
    )
    sizes = [len(story) for story in stories]
    starts = np.cumsum([0, *sizes[:-1]]) if sizes else np.zeros(0, np.int64)
    names, terms = tell(table, np.arange(len(rows)), starts.astype(np.int64))
    assert list(zip(names.to_pylist(), terms.to_pylist(), strict=True)) == [told_slowly(story) for story in stories]
