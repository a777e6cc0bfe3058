"""Which packages adn needs in Slicer's Python. Read by Slicer 5.8, too, whose Python 3.9 cannot run adn."""

from __future__ import annotations

import importlib
import importlib.metadata
import sys

PACKAGE = "adn-stroke"
LEAST_PYTHON = (3, 11)
KEPT = {"simpleitk"}  # Slicer's own build reads and writes its scene; PyPI's would take its place


def refusal(version: tuple[int, int] | None = None) -> str:
    """Why adn cannot run in this Python; '' where it can."""
    found = version or (sys.version_info[0], sys.version_info[1])
    if found >= LEAST_PYTHON:
        return ""
    least, there = (".".join(str(part) for part in parts) for parts in (LEAST_PYTHON, found))
    return (
        f"adn needs Python {least} or newer, but this Slicer has {there}: "
        "take a newer Slicer, or install adn elsewhere and name its program below."
    )


def installed() -> str:
    """The version of adn in this Python; '' where it is not there, or something that it needs is not."""
    importlib.invalidate_caches()
    try:
        version = importlib.metadata.version(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        return ""
    return "" if missing() else version


def missing() -> list[str]:
    """What adn, which is installed, needs and this Python lacks, such as 'numpy>=1.26'."""
    from packaging.requirements import Requirement

    lacking = []
    for text in importlib.metadata.requires(PACKAGE) or []:
        needed = Requirement(text)
        if needed.name.lower() in KEPT or (needed.marker and not needed.marker.evaluate({"extra": ""})):
            continue
        try:
            there = needed.specifier.contains(importlib.metadata.version(needed.name), prereleases=True)
        except importlib.metadata.PackageNotFoundError:
            there = False
        if not there:
            lacking.append(f"{needed.name}{needed.specifier}")
    return lacking
