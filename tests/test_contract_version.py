"""Contract: one version, in `src/adn/__init__.py`, and no other anywhere."""

import re
import tomllib
from pathlib import Path

import adn

ROOT = Path(__file__).parents[1]


def test_the_package_takes_its_version_from_the_source():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["hatch"]["version"]["path"] == "src/adn/__init__.py"


def test_the_citation_names_it():
    (cited,) = re.findall(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    assert cited == adn.__version__


def test_the_changes_begin_with_it():
    first = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert first
    assert first.group(1) == adn.__version__


def test_type_checkers_may_read_the_annotations():
    assert (ROOT / "src" / "adn" / "py.typed").is_file()
