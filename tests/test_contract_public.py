"""Contract: the public names, and that importing adn does not load what only computing needs."""

import ast
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import adn

HEAVY = {"torch", "monai", "SimpleITK", "matplotlib", "scipy", "pandas", "fastapi", "uvicorn"}


def loaded_by(code):
    """Heavy libraries in a fresh Python after running `code`."""
    program = f"import sys\n{code}\nprint('\\n' + ' '.join({HEAVY!r} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(result.stdout.splitlines()[-1].split())


def run_command(*arguments):
    return f"sys.argv = {['adn', *arguments]!r}\nfrom adn.cli import main\nassert main() == 0"


def test_there_is_one_list_of_public_names():
    typed = {name for module, name in imported_for_types()}
    assert adn.__all__ == sorted(adn.__all__)
    assert set(adn.__all__) == typed == set(dir(adn)) - {"__version__"}


def imported_for_types():
    """(module, name) of each import that only type checkers see in adn/__init__.py."""
    tree = ast.parse(Path(adn.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    for node in block.body:
        assert isinstance(node, ast.ImportFrom)
        yield from ((node.module, alias.name) for alias in node.names)


@pytest.mark.parametrize(("module", "name"), list(imported_for_types()))
def test_every_public_name_is_visible_to_type_checkers_and_documented(module, name):
    assert inspect.getdoc(getattr(adn, name))
    assert getattr(adn, name) is getattr(importlib.import_module(module), name)


def test_no_module_shares_a_name_with_a_public_name():
    folder = Path(adn.__file__).parent
    assert not {path.stem for path in folder.iterdir()} & set(adn.__all__)


def sentences(path):
    """Every piece of text with a space in it, docstrings too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield node.value


def test_only_the_command_line_mentions_its_options():
    """The library names arguments, in backticks, which `cli.terminal.with_options` spells as options."""
    folder = Path(adn.__file__).parent
    for path in folder.rglob("*.py"):
        if path.relative_to(folder).parts[0] != "cli":
            assert not [text for text in sentences(path) if re.search(r"(?<![\w-])--[a-z]|\s-o\b", text)], path


def named_commands(group, before=""):
    """Names of commands, those of groups too."""
    for command in group.registered_commands:
        yield f"adn {before}{command.name or command.callback.__name__}"
    for inner in group.registered_groups:
        yield from named_commands(inner.typer_instance, f"{inner.name} ")


def test_every_command_has_its_functions():
    from adn.cli.app import app

    page = Path(__file__).parents[1] / "docs" / "architecture.md"
    table = page.read_text(encoding="utf-8").split("## Commands and functions")[1].split("\n## ")[0]
    rows = [line.split("|")[1:3] for line in table.splitlines() if line.startswith("| `")]
    commands = [name for left, _ in rows for name in re.findall(r"`(.*?)`", left)]
    assert sorted(commands) == sorted(named_commands(app))
    for name in (name for _, right in rows for name in re.findall(r"`(.*?)`", right)):
        module, _, function = name.rpartition(".")
        assert inspect.getdoc(getattr(importlib.import_module(module), function)), name


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="predikt"):
        _ = adn.predikt


@pytest.mark.parametrize(
    "code",
    [
        "import adn",
        "import adn; adn.Volume, adn.InputError, adn.load_recipe",
        run_command("--help"),
        run_command("predict", "--help"),
        run_command("serve", "--help"),
        run_command("evaluate", "--help"),
        run_command("--version"),
    ],
)
def test_listing_public_names_loads_nothing_heavy(code):
    assert loaded_by(code) == set()


def test_info_does_not_load_torch():
    assert "torch" not in loaded_by(run_command("info", "--json"))


def test_prediction_needs_no_training_package():
    code = "import adn; adn.predict, adn.load_model, adn.open_scan; import adn.report"
    assert not loaded_by(code) & {"monai"}
