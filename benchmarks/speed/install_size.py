"""Disk space of an adn installation besides torch: the size each distribution records for its files, largest first.

    python benchmarks/speed/install_size.py [--of adn-stroke] [--without torch] [--top 12]

Counts --of and all its dependencies, without extras, minus --without and all of its dependencies.
"""

from __future__ import annotations

import argparse
import re
from importlib import metadata

from packaging.requirements import Requirement


def needed(name: str, found: set[str] | None = None) -> set[str]:
    """The distribution and its dependencies on this machine, by normalised name; those not installed are left out."""
    found = set() if found is None else found
    key = re.sub(r"[-_.]+", "-", name).lower()
    if key in found:
        return found
    try:
        requirements = metadata.requires(key) or []
    except metadata.PackageNotFoundError:
        return found
    found.add(key)
    for text in requirements:
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            needed(requirement.name, found)
    return found


def megabytes(name: str) -> float:
    """The size a distribution records for its files, in 10⁶ bytes."""
    return sum(file.size or 0 for file in metadata.files(name) or []) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--of", default="adn-stroke")
    parser.add_argument("--without", default="torch")
    parser.add_argument("--top", type=int, default=12)
    arguments = parser.parse_args()
    sizes = {name: megabytes(name) for name in needed(arguments.of) - needed(arguments.without)}
    print(f"{sum(sizes.values()):.0f} MB in {len(sizes)} distributions")
    for name, size in sorted(sizes.items(), key=lambda one: -one[1])[: arguments.top]:
        print(f"{name}: {size:.0f} MB")


if __name__ == "__main__":
    main()
