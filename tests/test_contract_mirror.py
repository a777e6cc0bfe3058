"""Contract: the tests mirror the source tree, folder by folder, so that one knows where to look."""

from pathlib import Path

TESTS = Path(__file__).parent
SOURCE = TESTS.parent / "src" / "adn"
FOLDERS_BESIDE = {  # folders of tests → what they test, if it is no package of adn
    "benchmarks": "benchmarks",
    "browser": "src/adn/server/static",
    "deploy": "deploy",
}
FILES_BESIDE = {  # files of tests → what they test, if it is no module or package of adn
    "build_hook": "hatch_build.py",
    "doctests": "src/adn",
    "examples": "examples",
    "lowest": "tools/lowest.py",
    "shipped_weights": "src/adn/weights",
}


def test_every_folder_of_tests_is_that_of_a_package_and_every_package_has_tests():
    packages = {path.parent.name for path in SOURCE.glob("*/__init__.py")}
    folders = {path.parent.name for path in TESTS.glob("*/test_*.py")}
    files = {path.stem.removeprefix("test_") for path in TESTS.glob("test_*.py")}
    assert folders - set(FOLDERS_BESIDE) <= packages
    assert packages <= folders | files | {"weights"}  # data; see `shipped_weights`
    assert set(FOLDERS_BESIDE) <= folders


def test_every_file_beside_the_folders_is_that_of_a_module_or_a_contract():
    names = {path.stem for path in SOURCE.glob("*.py")} | {path.parent.name for path in SOURCE.glob("*/__init__.py")}
    files = {path.stem.removeprefix("test_") for path in TESTS.glob("test_*.py")}
    others = {name for name in files if not name.startswith("contract_")} - names
    assert others == set(FILES_BESIDE)


def test_what_is_tested_is_there():
    for place in (*FOLDERS_BESIDE.values(), *FILES_BESIDE.values()):
        assert (TESTS.parent / place).exists(), place
