"""Tell the type checker what a test knows: that a value is not None, or what a container holds."""

from typing import Any, TypeVar

T = TypeVar("T")


def given(value: T | None) -> T:
    """The value, which must be there."""
    assert value is not None
    return value


def loose(value: object) -> Any:
    """The same object; its attributes are reached without their types, as those of a network's parts."""
    return value
