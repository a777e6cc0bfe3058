"""`tools/lowest.py` names the lowest version of everything that adn needs."""

import importlib.util
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOOL = ROOT / "tools" / "lowest.py"
PINS = {"torch": "2.13.0", "pytest": "9", "hypothesis": "6", "beartype": "1"}


@pytest.fixture(scope="module")
def lowest():
    spec = importlib.util.spec_from_file_location("lowest", TOOL)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.lowest


def test_lower_bounds_become_pins_and_markers_are_kept(lowest):
    lines = lowest(["numpy>=1.24", "torch>=2.11", "isal>=1.6; python_version < '4'"], PINS)
    assert lines[:2] == ["numpy==1.24", "isal==1.6; python_version < '4'"]
    assert lines[2:] == [f"{name}=={version}" for name, version in PINS.items()]


@pytest.mark.parametrize("need", ["numpy", "numpy<3", "numpy>=1.24,<3"])
def test_a_requirement_without_a_lower_bound_is_refused(lowest, need):
    with pytest.raises(ValueError, match="least version"):
        lowest([need], PINS)


def test_all_requirements_of_adn_are_listed():
    needs = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    printed = subprocess.run([sys.executable, TOOL], capture_output=True, text=True, check=True).stdout.splitlines()
    assert {need.split(">=")[0] for need in needs} <= {line.split("==")[0] for line in printed}
