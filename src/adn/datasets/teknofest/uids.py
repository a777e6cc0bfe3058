"""Derives a slice's series and its position in it from the scanner's instance UID alone."""

from __future__ import annotations

from dataclasses import dataclass

_SIEMENS_PREFIX = 22  # characters of the last component before the slice number: 6, then 16 of date and time
_MAKERS = (
    ("GE", "1.2.840.113619."),
    ("Siemens", "1.3.12.2."),
    ("Toshiba", "1.2.392."),
    ("Philips", "1.2.840.113704."),
)
SERIES_PAUSE = 600  # a larger step in time between two slices starts another series


@dataclass(frozen=True)
class Instance:
    """What a slice's UID says about it.

    series: shared by all slices of a series (for Toshiba and Philips, also by other series of the same scanner). time:
    of the slice; 0 if the UID has none. number: rises with the slices. counts: whether it rises by one per slice.
    """

    maker: str
    series: str
    time: int
    number: int
    counts: bool


def read_uid(uid: str) -> Instance | None:
    """Parse an instance UID; None if its form is not known."""
    parts = uid.split(".")
    maker = next((name for name, root in _MAKERS if uid.startswith(root)), "other")
    if len(parts) < 6 or not all(part.isdigit() for part in parts):
        return None
    *before, last = parts
    if maker == "Siemens":
        if len(last) <= _SIEMENS_PREFIX:
            return None
        return Instance(maker, ".".join([*before, last[:_SIEMENS_PREFIX]]), 0, int(last[_SIEMENS_PREFIX:]), True)
    if maker in ("Toshiba", "Philips"):
        return Instance(maker, ".".join(before[:-1]), int(before[-1]), int(last), maker == "Philips")
    return Instance(maker, ".".join(before), 0, int(last), maker == "GE")
