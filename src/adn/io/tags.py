"""Reads values of DICOM tags, from classic images and from the functional groups of enhanced ones."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray


def whole(value: Any) -> int | None:
    """Convert an integer string; None if it is empty."""
    return None if value in (None, "") else int(value)


def seconds(time: Any) -> float | None:
    """Convert a DICOM time (HHMMSS.FFFFFF) or date and time to seconds since midnight; None if it is neither."""
    found = re.fullmatch(r"(?:\d{8})?(\d{2})(\d{2})(\d{2}(?:\.\d+)?)(?:[+-]\d{4})?", str(time or "").strip())
    return None if found is None else int(found[1]) * 3600.0 + int(found[2]) * 60.0 + float(found[3])


def nested(data: Any, shared: Any, frame: Any, sequence: str, keyword: str) -> Any:
    """A value from the functional groups of an enhanced image (`frame` first, then `shared`), else from `data`."""
    for place in (item(frame, sequence), item(shared, sequence), data):
        if place is not None and place.get(keyword) is not None:
            return place.get(keyword)
    return None


def item(data: Any, sequence: str) -> Any:
    """The first item of a sequence; None if there is none."""
    items = data.get(sequence) if data is not None else None
    return items[0] if items else None


def several(value: Any) -> list:
    """The values of a tag that may have one, many or none."""
    if value is None or isinstance(value, str):
        return [value] if value else []
    return list(value)


def numbers(value: Any, count: int) -> NDArray[np.float64] | None:
    """Exactly `count` numbers as an array; None if there are fewer or more."""
    if value is None or len(several(value)) != count:
        return None
    return np.array([float(number) for number in value])
