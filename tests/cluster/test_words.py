"""Names and terms of an article, and of a story."""

import numpy as np
import pyarrow as pa
import pytest

from tests.cluster.test_stories import clean, groups, stories
from transforms.cluster.reasons import nearness
from transforms.cluster.similarity import vectors
from transforms.cluster.telling import tell
from transforms.cluster.terms import tokenise
from transforms.cluster.vocabulary import background
from transforms.cluster.words import Words, words_of


def told(headlines: list[str], texts: list[str]) -> Words:
    columns = pa.array(headlines), pa.array(texts)
    head, text = map(tokenise, columns)
    return words_of(*columns, head, text, vectors(head, text, background()))


def test_names_are_runs_of_capitals_and_a_surname_alone_counts_for_the_whole_name() -> None:
    (names,) = told(["Cup"], ["Yesterday Anders Quill met Bo Dahl. Quill won in Port Brenn, and Quill left."]).names
    assert names.as_py() == ["Anders Quill", "Bo Dahl", "Port Brenn"]


def test_a_word_that_only_opens_sentences_is_no_name() -> None:
    (names,) = told([""], ["Rain fell. Floods came. Rain stopped in Brenn."]).names
    assert names.as_py() == ["Brenn"]


def test_names_keep_their_letters_in_other_alphabets() -> None:
    names = told(
        ["", "", ""], ["Gestern traf Östen Ångström ein", "вчера приехал Иван Петров", "昨日の洪水で橋が壊れた"]
    ).names
    assert names.to_pylist() == [["Östen Ångström"], ["Иван Петров"], []]


def test_dates_and_letters_among_characters_do_not_end_in_half_a_character() -> None:
    made = told(["", ""], ["2024年5月3日、A市", "山x川、山x川"])
    assert made.words.to_pylist() == [["2024"], []]


def test_every_word_has_its_term_and_mass() -> None:
    made = told(["Flood in Brenn", ""], ["The Vell flooded Brenn", ""])
    assert made.words.to_pylist()[1] == []
    assert {"vell", "brenn", "flooded"} == set(made.words.to_pylist()[0])
    assert sum(made.word_mass.to_pylist()[0]) == pytest.approx(1, abs=1e-5)


def test_a_story_tells_what_most_of_its_texts_name() -> None:
    made = told(["", ""], ["On the Vell, Anders Quill spoke of a flood", "In Brenn, Quill said the flood was over"])
    articles = pa.table(list(made), names=["names", "words", "word_terms", "word_mass"])
    (names,), (terms,) = (told.to_pylist() for told in tell(articles, np.array([0, 1]), np.array([0])))
    assert names[0] == "Anders Quill"
    assert "Quill" not in names
    assert "flood" in terms
    assert "quill" not in terms


def test_labels_carry_the_runner_up_and_the_weakest_link() -> None:
    rows = [
        (
            1,
            "Storm Ulla floods Port Brenn",
            "Storm Ulla flooded Port Brenn on Monday as the Vell burst.",
            None,
            "2019-03-04",
        ),
        (2, "Port Brenn under water", "On Monday the Vell burst over Port Brenn in storm Ulla.", None, "2019-03-04"),
        (
            3,
            "Mayor asks for money",
            "On Friday the mayor of Port Brenn asked parliament for a new bridge.",
            None,
            "2019-05-28",
        ),
    ]
    first, second, other = stories(rows).to_pylist()
    assert first["story_id"] == second["story_id"] != other["story_id"]
    assert first["weakest_link"] == second["weakest_link"] > 0
    assert other["weakest_link"] is None
    assert "Port Brenn" in (first["names"] or second["names"])
    for row in (first, second, other):
        assert row["rival"] in {None, other["story_id"] if row is not other else first["story_id"]}
        assert (row["rival"] is None) == (row["rival_score"] is None)


def test_reasons_name_the_shared_terms_and_what_the_days_say() -> None:
    rows = [
        (1, "Storm floods Port Brenn", "The Vell burst on Monday.", None, "2019-03-04"),
        (2, "Vell bursts", "The Vell burst on Monday at Port Brenn.", None, "2019-03-05"),
        (3, "Vell dams", "The Vell dams were blessed on Friday.", None, "2019-06-07"),
    ]
    near, far = nearness(clean(rows))
    assert {"Brenn", "Vell", "burst"} <= set(near.terms)
    assert near.similarity > far.similarity
    assert near.days == 1
    assert far.days < 0.5


GERMAN = [
    "Die Feuerwehr hat am Montag in Altbrück einen Brand in der Schule gelöscht, sagte ein Sprecher der Stadt.",
    "Der Minister hat am Montag in Neuhain ein Gesetz über die Renten vorgestellt, sagte eine Sprecherin.",
    "Die Bahn hat am Montag zwischen Seefeld und Moordorf eine neue Strecke eröffnet, sagte ein Manager.",
    "Der Verein hat am Montag im Pokal gegen Rotwald mit drei Toren gewonnen, sagte der Trainer.",
]
CHINESE = [
    "星期一在青州市的一所学校发生了火灾，消防队表示没有人受伤。",
    "星期一政府在北京公布了新的养老金法案，发言人表示反对党不满意。",
    "星期一两个城市之间的新铁路正式开通，公司表示有很多人参加。",
    "星期一足球队在杯赛中以三个进球获胜，教练表示球迷都很高兴。",
]
JAPANESE = [
    "月曜日に青森の学校で火事がありましたが、けが人はいませんでしたと消防は話しています。",
    "月曜日に政府は年金に関する新しい法案を発表しましたが、野党は反対していますと話しています。",
    "月曜日に二つの町を結ぶ新しい鉄道が開通しましたが、大勢の人が集まりましたと話しています。",
    "月曜日に行われた試合で三点を取って勝ちましたが、監督は満足していますと話しています。",
]


@pytest.mark.parametrize("texts", [GERMAN, CHINESE, JAPANESE])
def test_other_languages_are_not_merged_by_their_common_words(texts: list[str]) -> None:
    rows = [(n + 1, "", text, None, "2019-03-04") for n, text in enumerate(texts)]
    assert groups(stories(rows)) == {frozenset({n + 1}) for n in range(len(texts))}


@pytest.mark.parametrize("texts", [GERMAN, CHINESE, JAPANESE])
def test_one_event_in_another_language_is_one_story(texts: list[str]) -> None:
    again = texts[0][: len(texts[0]) * 2 // 3]
    rows = [(n + 1, "", text, None, "2019-03-04") for n, text in enumerate([*texts, again])]
    assert frozenset({1, 5}) in groups(stories(rows))
