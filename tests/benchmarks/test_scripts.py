"""Scripts in benchmarks/ and tools/ follow the library's names, and the page in benchmarks/ lists them."""

import re
import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(ROOT.glob("benchmarks/*/*.py")) + sorted(ROOT.glob("tools/*.py"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_script_can_be_imported(path, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(path.parent), *sys.path])
    assert runpy.run_path(str(path), run_name="imported")["__doc__"]


def test_the_page_lists_exactly_the_scripts():
    text = (ROOT / "benchmarks/README.md").read_text(encoding="utf-8")
    for room in ("speed", "quality", "studies"):
        section = text.split(f"## {room}:")[1].split("## ")[0]
        listed = re.findall(r"`([a-z_0-9]+\.py)`", section)
        assert sorted(listed) == sorted(path.name for path in SCRIPTS if path.parent.name == room)


def test_documentation_names_existing_scripts():
    pages = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md")), *SCRIPTS]
    for page in pages:
        for name in re.findall(r"(?:benchmarks|tools)/[a-z_0-9/]+\.(?:py|toml)", page.read_text(encoding="utf-8")):
            assert (ROOT / name).is_file(), f"{page.name} names {name}"
