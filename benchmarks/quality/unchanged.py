"""Whether two versions of adn predict the same: `python benchmarks/quality/unchanged.py OLD NEW`.

OLD, NEW: results folders of `adn predict` on the same scans. NEW may hold fewer cases. For each case, every image's
array and affine are compared bit for bit, and every value of result.json except seconds and versions. Keys that only
NEW has are listed but do not count. Exit code 1 if anything differs.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

MAY_DIFFER = {"seconds", "versions", "adn_version"}


def compare_cases(old: Path, new: Path) -> tuple[list[str], list[str]]:
    """What differs between two results of one scan, and what is new in the second one."""
    differing, added = [], []
    for path in sorted({p.name for folder in (old, new) for p in folder.glob("*.nii.gz")}):
        if not (old / path).is_file():
            added.append(path)
        elif not (new / path).is_file():
            differing.append(f"{path} is missing")
        else:
            differing += [f"{path}: {what}" for what in compare_images(old / path, new / path)]
    before, after = (json.loads((folder / "result.json").read_text(encoding="utf-8")) for folder in (old, new))
    for key, kind in compare_values(before, after, "result.json"):
        (added if kind == "new" else differing).append(f"{key}: {kind}")
    return differing, added


def compare_images(old: Path, new: Path) -> Iterator[str]:
    """How two NIfTI images differ."""
    first, second = nibabel.load(old), nibabel.load(new)
    a, b = np.asanyarray(first.dataobj), np.asanyarray(second.dataobj)  # type: ignore[attr-defined]
    if first.affine.tobytes() != second.affine.tobytes():  # type: ignore[attr-defined]
        yield "another affine"
    if (a.shape, a.dtype) != (b.shape, b.dtype):
        yield f"{b.dtype} {b.shape} in place of {a.dtype} {a.shape}"
    elif a.tobytes() != b.tobytes():
        yield f"{int((a != b).sum())} voxels differ, by up to {np.abs(a.astype(float) - b.astype(float)).max():.3g}"


def compare_values(old: Any, new: Any, place: str) -> Iterator[tuple[str, str]]:
    """Places of two JSON values that differ, and how; 'new' where only the second has something."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            if key in MAY_DIFFER:
                continue
            if key not in old:
                yield f"{place}.{key}", "new"
            elif key not in new:
                yield f"{place}.{key}", "is missing"
            else:
                yield from compare_values(old[key], new[key], f"{place}.{key}")
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for i, (a, b) in enumerate(zip(old, new, strict=True)):
            yield from compare_values(a, b, f"{place}[{i}]")
    elif old != new and not (old != old and new != new):  # NaN is the same as NaN
        yield place, f"{new!r} in place of {old!r}"


def main() -> int:
    """Compare two results folders case by case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    arguments = parser.parse_args()
    cases = sorted(path.parent.name for path in arguments.new.glob("*/result.json"))
    if not cases:
        parser.error(f"{arguments.new} holds no results of adn predict.")
    changed, news = 0, set()
    for case in cases:
        if not (arguments.old / case / "result.json").is_file():
            parser.error(f"{arguments.old} holds no results of the case {case}.")
        differing, added = compare_cases(arguments.old / case, arguments.new / case)
        changed += bool(differing)
        news |= set(added)
        print(f"{case}: {'changed' if differing else 'unchanged'}", *differing, sep="\n  ")
    if news:
        print("new, not compared:", *sorted(news), sep="\n  ")
    print(f"{len(cases) - changed} of {len(cases)} cases unchanged")
    return int(changed > 0)


if __name__ == "__main__":
    sys.exit(main())
