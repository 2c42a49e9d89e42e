"""Settings of copies and stories that make no sense are refused."""

from typing import Any

import pytest

from transforms.cluster.copies import CopyOptions
from transforms.cluster.stories import StoryOptions


@pytest.mark.parametrize(
    ("values", "message"),
    [
        *(({name: value}, f"{name} must be within 0..1") for name in ("strict", "cut") for value in (-0.1, 1.1)),
        ({"related": float("nan")}, "related must be within 0..1"),
        ({"digest": 40}, "digest must be within 0..1"),
        ({"largest": 1}, "largest must be 2 or more"),
        ({"buckets": 0}, "buckets must be 1 or more"),
    ],
)
def test_a_setting_of_copies_is_named_with_what_is_allowed(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CopyOptions(**values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"cut": 0}, "cut must be above 0 and at most 1"),
        ({"cut": float("nan")}, "cut must be above 0 and at most 1"),
        *(({name: 2}, f"{name} must be within 0..1") for name in ("floor", "crowd_share", "crowd_absent")),
        *(({name: 0}, f"{name} must be 1 or more") for name in ("neighbours", "crowd_nearest", "text_terms")),
        ({"posting_cap": 1}, "posting_cap must be 2 or more"),
    ],
)
def test_a_setting_of_stories_is_named_with_what_is_allowed(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        StoryOptions(**values)
