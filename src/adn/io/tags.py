"""Values of DICOM tags as numbers, of classic images and of enhanced ones' functional groups."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray


def whole(value: Any) -> int | None:
    """An integer string; None where there is none."""
    return None if value in (None, "") else int(value)


def seconds(time: Any) -> float | None:
    """A DICOM time (HHMMSS.FFFFFF), or a date and time, as seconds of the day; None where it is neither."""
    found = re.fullmatch(r"(?:\d{8})?(\d{2})(\d{2})(\d{2}(?:\.\d+)?)(?:[+-]\d{4})?", str(time or "").strip())
    return None if found is None else int(found[1]) * 3600.0 + int(found[2]) * 60.0 + float(found[3])


def nested(data: Any, shared: Any, frame: Any, sequence: str, keyword: str) -> Any:
    """A value of a classic image, or of an enhanced one's functional groups."""
    for place in (item(frame, sequence), item(shared, sequence), data):
        if place is not None and place.get(keyword) is not None:
            return place.get(keyword)
    return None


def item(data: Any, sequence: str) -> Any:
    """The first item of a sequence; None where there is none."""
    items = data.get(sequence) if data is not None else None
    return items[0] if items else None


def several(value: Any) -> list:
    """The values of a tag that may have one, many or none."""
    if value is None or isinstance(value, str):
        return [value] if value else []
    return list(value)


def numbers(value: Any, count: int) -> NDArray[np.float64] | None:
    """So many numbers; None where there are fewer or more."""
    if value is None or len(several(value)) != count:
        return None
    return np.array([float(number) for number in value])
