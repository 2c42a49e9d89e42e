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
    return float(similarity.similarities(pairs, np.ones(1), vectors(one, other))[0])


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


def test_a_crowded_neighbourhood_lowers_a_similarity() -> None:
    left, right = np.zeros(12, np.int32), np.arange(1, 13, dtype=np.int32)
    scaled = similarity.scale_locally(left, right, np.full(12, 0.5), 14, 10, 0.12, 0.25)
    assert scaled == pytest.approx(np.full(12, 0.5 - 0.25 * (0.5 + 0.12)))
