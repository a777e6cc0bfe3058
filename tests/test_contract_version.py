"""Contract: one version, in `src/adn/__init__.py`, and no other anywhere."""

import json
import re
import tomllib
from pathlib import Path

import yaml

import adn

ROOT = Path(__file__).parents[1]


def test_the_package_takes_its_version_from_the_source():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["hatch"]["version"]["path"] == "src/adn/__init__.py"


def test_the_citation_and_zenodo_name_it_and_say_the_same():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    archived = json.loads((ROOT / ".zenodo.json").read_text(encoding="utf-8"))
    assert cited["version"] == archived["version"] == adn.__version__
    assert cited["title"] == archived["title"]
    assert cited["keywords"] == archived["keywords"] == project["keywords"]
    assert cited["authors"] == archived["creators"] == project["authors"]
    assert cited["references"][0]["doi"] == archived["related_identifiers"][0]["identifier"]


def test_zenodo_lists_every_licence():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    archived = json.loads((ROOT / ".zenodo.json").read_text(encoding="utf-8"))
    assert archived["license"] == "Apache-2.0"
    assert all(name in archived["notes"] for name in project["license"].split(" AND "))
    assert all(path in archived["notes"] for path in project["license-files"][1:])
    assert "For research use only" in archived["description"]


def test_the_changelog_starts_with_the_version():
    first = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert first
    assert first.group(1) == adn.__version__


def test_type_checkers_may_read_the_annotations():
    assert (ROOT / "src" / "adn" / "py.typed").is_file()
