"""What tests are given: a recipe, and what the type checker cannot know (a value is not None; what a list holds)."""

from pathlib import Path
from typing import Any, TypeVar

COARSE = Path(__file__).with_name("coarse.toml")  # recipe tiny on larger voxels
T = TypeVar("T")


def given(value: T | None) -> T:
    """The value, which must be there."""
    assert value is not None
    return value


def loose(value: object) -> Any:
    """The same object; its attributes are reached without their types, as those of a network's parts."""
    return value
