"""Contract: docs/paper.md names functions, tests and switches that exist, and its rows are those of the recipes."""

import ast
import re
from pathlib import Path

import pytest

from adn.config import Recipe
from adn.recipes import load_recipe
from given import loose
from paper_rows import ROWS

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "paper.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`([^`\s]+)`", PAGE)))
TESTS = [name for name in NAMED if "::" in name]
FUNCTIONS = [name for name in NAMED if name.startswith("adn.")]


def table(heading):
    """Rows of the first table under a heading, as lists of cells, without its two header lines."""
    lines = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return rows[2:]


def switches(cell):
    return re.findall(r"`([a-z_]+(?:\.[a-z_]+)*)`", cell)


def defined(path):
    """Names of functions and classes of a file, methods as Class.method."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        if isinstance(node, ast.ClassDef):
            yield from (f"{node.name}.{part.name}" for part in node.body if isinstance(part, ast.FunctionDef))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_named_function_exists(name):
    parts = name.split(".")
    for size in range(len(parts) - 1, 0, -1):
        path = ROOT / "src" / Path(*parts[:size]).with_suffix(".py")
        if path.is_file():
            assert ".".join(parts[size:]) in set(defined(path))
            return
    pytest.fail(f"no module holds {name}")


@pytest.mark.parametrize("name", TESTS)
def test_a_named_test_exists(name):
    path, _, function = name.partition("::")
    assert function in set(defined(ROOT / path))


def test_every_equation_has_a_function_a_test_and_existing_settings():
    rows = table("Equations")
    assert len(rows) >= 20
    for paper, functions, tests, keys in rows:
        assert "`adn." in functions, paper
        assert "::" in tests, paper
        assert all(exists(key) for key in switches(keys)), paper


def test_the_table_matches_the_two_recipes():
    rows = table("Where the paper and the released code differ")
    assert [row[0] for row in rows] == list(ROWS)
    for point, _, _, keys, functions, tests in rows:
        assert set(switches(keys)) == set(ROWS[point]), point
        assert "`adn." in functions, point
        assert "::" in tests, point


def test_extensions_are_switched_off_in_both_recipes():
    for extension, keys, _ in table("Extensions of ours, off in both recipes")[:11]:
        assert all(exists(key) for key in switches(keys)), extension
    paper, fast = load_recipe("paper"), load_recipe("fast")
    assert paper.align.refine_steps == 0 < fast.align.refine_steps


def exists(key):
    section = loose(Recipe)
    for part in key.split("."):
        if part not in section.model_fields:
            return False
        section = section.model_fields[part].annotation
    return True
