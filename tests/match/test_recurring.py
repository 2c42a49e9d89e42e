"""Editions of recurring reports are told by their figures."""

import numpy as np
import pyarrow as pa
import pytest

from transforms.match.recurring import other_editions
from transforms.match.words import split_words

REPORT = "Fog on {} until {}. Highs near {}, lows near {}. Winds of {} to {} knots, gusts of {}. Rain: {} percent."
MONDAY = REPORT.format(3, 9, 61, 44, 5, 12, 25, 30)


def editions(left: str, right: str) -> bool:
    words = split_words(pa.array([left, right]))
    one, other = np.array([0]), np.array([1])
    return bool(other_editions(one, other, words.hashes, words.flags, words.offsets)[0])


def test_a_report_with_other_figures_is_another_edition() -> None:
    assert editions(MONDAY, REPORT.format(4, 11, 58, 41, 7, 16, 25, 80))


@pytest.mark.parametrize(
    "copy",
    [
        pytest.param(MONDAY, id="the same figures"),
        pytest.param(REPORT.format(3, 9, 61, 44, 5, 12, 25, 90), id="one figure corrected"),
        pytest.param(MONDAY.split(" Winds")[0], id="an abridged copy"),
        pytest.param("Fog again. " + REPORT.format(3, 9, 61, 44, 7, 16, 28, 90), id="half of the figures"),
    ],
)
def test_a_copy_keeps_figures(copy: str) -> None:
    assert not editions(MONDAY, copy)
    assert not editions(copy, MONDAY)


def test_figures_say_nothing_where_they_are_few() -> None:
    told = "The bridge of {} was closed for {} days, the town said, and {} ferries run until then."
    assert not editions(told.format(1903, 12, 4), told.format(1911, 20, 6))
    long = "The council met again and spoke at length of the bridge, the ferries and the old quay. " * 20
    assert not editions(long + MONDAY, long + REPORT.format(4, 11, 58, 41, 7, 16, 28, 80))


def test_a_figure_that_stands_twice_is_shared_as_often_as_both_have_it() -> None:
    assert editions("7 7 7 1 2 3", "7 8 9 4 5 6")
    assert not editions("7 7 7 1 2 3", "7 7 9 4 5 6")
