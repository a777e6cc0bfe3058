"""Contract: what has one home is not written a second time. Read from the source, nothing is imported."""

import re
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "adn"
HOMES = {
    # what: (its pattern, the files that may hold it)
    "a 4 × 4 moves points by Affine.apply or warp.move_points": (
        r"\[:3, ?:3\](\.T)? @ .*\+ .*\[:3, ?3|@ .*\[:3, ?:3\]\.T \+|addmm\(|np\.append\([^)]*, 1\.0\)",
        {"space/affine.py", "space/warp.py"},
    ),
    "SimpleITK is told of an affine by prepare.resample": (r"AffineTransform\(|\[2::-1", {"prepare/resample.py"}),
    "a box is found by geometry.bounding_box": (
        r"flatnonzero\(.*\.any\(axis=tuple|argwhere\(.*\)\.(min|max)\(",
        {"space/geometry.py"},
    ),
    "what tells how far work is has its type in work.progress": (
        r"Callable\[\[int, int\], (None|object)\]|Callable\[\[str, int, int, dict",
        {"work/progress.py"},
    ),
}


@pytest.mark.parametrize("what", HOMES)
def test_the_version_is_written_in_one_place(what):
    pattern, homes = HOMES[what]
    found = {
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        if re.search(pattern, path.read_text(encoding="utf-8"))
    }
    assert found <= homes, what
