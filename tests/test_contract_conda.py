"""Contract: the recipe for conda-forge asks for what pyproject.toml asks for, no less and no more."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

import adn

ROOT = Path(__file__).parents[1]
RECIPE = ROOT / "deploy" / "conda" / "recipe.yaml"
THERE = {  # names that differ on conda-forge
    "torch": "pytorch",
    "lightning-fabric": "pytorch-lightning",
    "isal": "python-isal",
    "matplotlib": "matplotlib-base",
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def read():
    return yaml.safe_load(RECIPE.read_text(encoding="utf-8"))


def test_names_and_minimum_versions_agree():
    asked = {}
    for line in PROJECT["dependencies"]:
        found = re.fullmatch(r"([\w-]+)(>=[\w.]+)", line.split(";")[0].strip())
        assert found, line
        name, floor = found.groups()
        asked[THERE.get(name, name.lower())] = floor
    python, *others = (line.split(maxsplit=1) for line in read()["requirements"]["run"])
    assert dict(others) == asked
    assert python == ["python", ">=${{ python_min }}"]
    assert ">=" + read()["context"]["python_min"] == PROJECT["requires-python"]


def test_version_licence_summary_and_command_agree():
    recipe = read()
    assert recipe["context"]["version"] == adn.__version__
    assert recipe["about"]["license"] == PROJECT["license"]
    assert recipe["about"]["license_file"] == PROJECT["license-files"]
    assert recipe["about"]["summary"] + "." == PROJECT["description"]
    assert recipe["build"]["python"]["entry_points"] == [f"adn = {PROJECT['scripts']['adn']}"]


def test_rattler_build_reads_it():
    rattler_build = pytest.importorskip("rattler_build")
    (made,) = rattler_build.Stage0Recipe.from_file(RECIPE).render()
    made = made.recipe.to_dict()
    assert made["package"] == {"name": "adn-stroke", "version": adn.__version__}
    assert made["build"]["noarch"] == "python"
    assert "python 3.11.*" in made["requirements"]["host"]
