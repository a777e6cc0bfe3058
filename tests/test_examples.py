"""The examples run and write pictures, on one tiny virtual patient that is predicted once."""

import importlib
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "examples"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py"))


@pytest.fixture(scope="module")
def scan():
    sys.path.insert(0, str(FOLDER))
    yield importlib.import_module("patient").virtual_patient(matrix=96)
    sys.path.remove(str(FOLDER))


@pytest.mark.parametrize("name", NAMES)
def test_an_example_draws_its_picture(name, scan, tmp_path):
    picture = importlib.import_module(name).main(scan, tmp_path / "picture.png")
    assert picture.read_bytes()[:4] == b"\x89PNG"
    assert picture.stat().st_size > 10_000
