"""Terms, mass vectors, candidates and similarities."""

import numpy as np
import pyarrow as pa
import pytest

from transforms.cluster import neighbours, similarity, terms
from transforms.cluster.similarity import Vectors
from transforms.cluster.vocabulary import background


def hashes(*texts: str | None, limit: int = 1000) -> list[list[int]]:
    found = terms.tokenise(pa.array(texts, pa.string()), limit)
    return [found.hashes[found.offsets[i] : found.offsets[i + 1]].tolist() for i in range(len(texts))]


def vectors(*articles: tuple[str, str]) -> Vectors:
    heads = terms.tokenise(pa.array([head for head, _ in articles]))
    return similarity.vectors(heads, terms.tokenise(pa.array([text for _, text in articles])), background())


def alike(one: tuple[str, str], other: tuple[str, str]) -> float:
    pairs = similarity.Pairs(np.zeros(1, np.int32), np.ones(1, np.int32))
    found = vectors(one, other)
    headline = similarity.headline_terms(terms.tokenise(pa.array([one[0], other[0]])), found)
    return float(similarity.similarities(pairs, np.ones(1), found, headline)[0])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Bridges", "bridge"),
        ("invaded", "invading"),
        ("invades", "invade"),
        ("cities", "city"),
        ("stopped", "stop"),
        ("Mayor's", "mayor"),
        ("mayor’s", "MAYOR"),
        ("O’Brien", "O'Brien"),
        ("1,000", "1000"),
        ("ÉLYSÉE", "élysée"),
        ("МОСКВА", "москва"),
        ("well-known bridge", "bridge"),
    ],
)
def test_forms_of_a_word_are_one_term(one: str, other: str) -> None:
    assert hashes(one) == hashes(other)


def test_numbers_keep_their_decimals() -> None:
    assert hashes("3.5") != hashes("35")
    assert len(hashes("3.5 percent. Next")[0]) == 2


def test_stop_words_single_letters_and_null_texts_give_no_terms() -> None:
    assert hashes("The mayor, on Monday: a bridge!", "of the U.S.", None, "")[1:] == [[], [], []]
    assert len(hashes("The mayor, on Monday: a bridge!")[0]) == 2


def test_scripts_without_spaces_give_pairs_of_characters() -> None:
    assert len(hashes("大橋崩落。")[0]) == 3


def test_a_limit_keeps_the_first_terms() -> None:
    assert hashes("mayor opens bridge", limit=2)[0] == hashes("mayor opens bridge")[0][:2]


def test_a_slice_of_a_column_gives_its_own_terms() -> None:
    column = pa.array(["one bridge", "two mayors", "three rivers"])
    assert terms.tokenise(column.slice(1, 1)).hashes.tolist() == hashes("two mayors")[0]


def test_shares_of_an_article_sum_to_one() -> None:
    found = vectors(("Mayor opens bridge", "The mayor opened the old bridge over the river Foo."), ("", ""))
    assert found.lead.sum() == pytest.approx(1)
    assert found.body.sum() == pytest.approx(1)
    assert found.offsets[1] == found.offsets[2]


def test_heavy_terms_are_as_many_as_there_is_room_for() -> None:
    heavy = neighbours.heaviest(vectors(("", " ".join(f"zword{n}q" for n in range(99)))))
    assert np.count_nonzero(heavy.lead) == 15
    assert np.count_nonzero(heavy.body) == 25
    assert heavy.body.sum() == pytest.approx(1)


def test_the_same_article_is_wholly_similar_and_another_not_at_all() -> None:
    mayor, match = (
        ("Mayor opens bridge", "The bridge crosses the river."),
        ("Rovers win cup", "A late goal decided it."),
    )
    assert alike(mayor, mayor) == pytest.approx(1, abs=0.06)
    assert alike(mayor, match) == 0


def test_neighbours_are_the_articles_that_share_heavy_terms() -> None:
    found = vectors(("Mayor opens bridge", ""), ("Rovers win cup", ""), ("Bridge opened by mayor", ""))
    pairs = neighbours.neighbours(neighbours.heaviest(found), top=5, floor=0.02, cap=100)
    assert list(zip(pairs.left.tolist(), pairs.right.tolist(), strict=True)) == [(0, 2)]


def test_the_terms_of_a_headline_come_first_and_once() -> None:
    articles = [("Bridge, bridge opens", "The mayor opens it."), ("", "Rovers win."), ("", "")]
    heads = terms.tokenise(pa.array([head for head, _ in articles]))
    assert similarity.headline_terms(heads, vectors(*articles)).tolist() == [2, 0, 0]


def test_a_headline_of_more_terms_than_can_be_counted_has_the_most() -> None:
    article = (" ".join(f"term{n}" for n in range(70_000)), "")
    heads = terms.tokenise(pa.array([article[0]]))
    assert similarity.headline_terms(heads, vectors(article)).tolist() == [65_535]


def test_what_headlines_share_counts_more_than_what_texts_share() -> None:
    told, asked = ("Ulla floods Port Brenn", "Rovers win cup"), ("Ulla floods Port Brenn", "Mayor opens bridge")
    assert alike(told, asked) > alike(told[::-1], asked[::-1])
    assert alike(("", told[0]), ("", told[0])) == pytest.approx(1, abs=0.06)


def crowded(label: list[int], absent: float) -> np.ndarray:
    """Links of the first of 13 articles with the 12 others, each half like it, at share ¼."""
    left, right = np.zeros(12, np.int32), np.arange(1, 13, dtype=np.int32)
    return similarity.scale_locally(left, right, np.full(12, 0.5), np.array(label), 10, absent, 0.25)


def test_a_crowded_neighbourhood_lowers_a_similarity() -> None:
    assert crowded(list(range(13)), 0.0) == pytest.approx(np.full(12, 0.5 - 0.25 * (0.5 + 0.05)))


def test_an_article_of_the_same_story_crowds_nobody() -> None:
    own = [0] * 13
    assert crowded(own, 0.0) == pytest.approx(np.full(12, 0.5))


def test_articles_that_the_run_lacks_crowd_as_the_setting_says() -> None:
    assert crowded([0] * 13, 0.2) == pytest.approx(np.full(12, 0.5 - 0.25 * (0.2 + 0.2)))


def random_articles(count: int, words: int, draw: np.random.Generator) -> Vectors:
    terms: list[np.ndarray] = []
    lead: list[np.ndarray] = []
    body: list[np.ndarray] = []
    for _ in range(count):
        chosen = draw.choice(words, draw.integers(0, words // 2), replace=False).astype(np.uint32)
        # collisions in the last bits, of the tables and of the filter
        terms.append(chosen * np.uint32(1 << 14) + np.uint32(5))
        for share, least in ((lead, 0), (body, 1)):
            values = draw.integers(least, 4, len(chosen)).astype(np.float32)
            share.append(values / max(1.0, values.sum()))
    offsets = np.concatenate([[0], np.cumsum([len(each) for each in terms])]).astype(np.int64)
    return Vectors(np.concatenate(terms), np.concatenate(lead), np.concatenate(body), offsets)


def alike_slowly(found: Vectors, i: int, j: int) -> float:
    one, other = (
        {
            int(found.terms[at]): (found.lead[at], found.body[at])
            for at in range(found.offsets[each], found.offsets[each + 1])
        }
        for each in (i, j)
    )
    pairs = [(one[term], other[term]) for term in one.keys() & other.keys()]
    lead = sum(float(a[0] + b[0]) for a, b in pairs if a[0] > 0 and b[0] > 0)
    return (lead + sum(float(a[1] + b[1]) for a, b in pairs)) / 4


def test_similarities_are_what_the_formula_says_also_where_hashes_collide() -> None:
    found = random_articles(12, 40, np.random.default_rng(3))
    left, right = (each.astype(np.int32) for each in np.triu_indices(12, 1))
    wanted = [alike_slowly(found, i, j) for i, j in zip(left.tolist(), right.tolist(), strict=True)]
    assert similarity.plain(similarity.Pairs(left, right), found) == pytest.approx(wanted, abs=1e-6)


def test_neighbours_are_the_nearest_of_all_articles() -> None:
    found = random_articles(30, 60, np.random.default_rng(4))
    wanted = set()
    for i in range(30):
        score = {j: alike_slowly(found, i, j) for j in range(30) if j != i}
        near = sorted((j for j in score if score[j] >= 0.1), key=lambda j: -score[j])
        # articles as near as the last of the three may stand for it
        wanted |= {(min(i, j), max(i, j)) for j in near[:3] if len(near) <= 3 or score[j] > score[near[3]] + 1e-6}
    pairs = neighbours.neighbours(found, top=3, floor=0.1, cap=1000)
    given = set(zip(pairs.left.tolist(), pairs.right.tolist(), strict=True))
    assert wanted <= given
    assert len(wanted) > 20
    assert sorted(given) == list(zip(pairs.left.tolist(), pairs.right.tolist(), strict=True))
    assert all(alike_slowly(found, i, j) >= 0.1 - 1e-6 for i, j in given)
