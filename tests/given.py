"""What a test knows and a type checker cannot: that a value is there, or what a container holds."""

from typing import Any, TypeVar

T = TypeVar("T")


def given(value: T | None) -> T:
    """The value, which must be there."""
    assert value is not None
    return value


def loose(value: object) -> Any:
    """The same object; its attributes are reached without their types, as those of a network's parts."""
    return value
