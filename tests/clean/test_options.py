"""Settings of cleaning that make no sense are refused."""

from dataclasses import fields
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from transforms.clean.articles import CleanOptions
from transforms.clean.label import MemoryOptions
from transforms.clean.page import PageLimits


@pytest.mark.parametrize(
    ("values", "message"),
    [
        *(({name: 1}, f"{name} must be 2 or more") for name in ("stories_anywhere", "stories_edge", "stories_weak")),
        *(({name: 1.5}, f"{name} must be within 0..1") for name in ("sure", "kept_share")),
        ({"sure": float("nan")}, "sure must be within 0..1"),
    ],
)
def test_a_setting_of_memory_is_named_with_what_is_allowed(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MemoryOptions(**values)


@pytest.mark.parametrize("name", [field.name for field in fields(PageLimits)])
def test_a_cap_that_lets_no_page_through_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be 1 or more"):
        PageLimits(**{name: 0})


def test_a_page_may_not_nest_deeper_than_the_scan_can_follow() -> None:
    with pytest.raises(ValueError, match="depth must be at most 2048"):
        PageLimits(depth=5000)


def test_a_configuration_is_told_which_option_is_wrong() -> None:
    with pytest.raises(ValidationError, match=r"kept_share must be within 0\.\.1"):
        TypeAdapter(CleanOptions).validate_python({"memory": {"kept_share": 3}})
