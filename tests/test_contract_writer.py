"""Contract: one module writes, one digests, one knows the cache folder. Read from the source, nothing is imported."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "adn"
WRITER, DIGEST, CACHE = "io/atomic.py", "io/digest.py", "io/cache.py"
METHODS = {"rename", "renames", "rmtree", "move", "mkdtemp", "mkstemp", "unlink", "rmdir", "removedirs"}
FILES = sorted(SOURCE.rglob("*.py"))


def moves_or_removes(call):
    """True for a call that renames, moves or removes a file: by its name, and `replace` where it is not of strings."""
    if not isinstance(call.func, ast.Attribute):
        return False
    name, owner = call.func.attr, call.func.value
    of_os = isinstance(owner, ast.Name) and owner.id == "os"
    path_replace = name == "replace" and len(call.args) == 1 and not call.keywords
    return name in METHODS or path_replace or (of_os and name in {"replace", "remove"})


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_definitions_exist_in_one_place_only(path):
    name, text = path.relative_to(SOURCE).as_posix(), path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    modules = set(imported(tree))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    if name != WRITER:
        lines = [call.lineno for call in calls if moves_or_removes(call)]
        assert not lines, f"{name}:{lines}: files are renamed, moved and removed by adn.io.atomic only"
        direct = modules & ({"tempfile"} | {f"{module}.{method}" for module in ("os", "shutil") for method in METHODS})
        assert not direct, f"{name} imports {direct}: temporary files and folders come from adn.io.atomic only"
    if name != DIGEST:
        assert "hashlib" not in modules, f"{name}: digests are made by adn.io.digest only"
    if name != CACHE:
        texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        assert not texts & {"XDG_CACHE_HOME", ".cache"}, f"{name}: the cache folder is named by adn.io.cache only"


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("a.replace('x', 'y')", False),
        ("dataclasses.replace(a, b=1)", False),
        ("path.replace(other)", True),
        ("os.replace(a, b)", True),
        ("path.rename(other)", True),
        ("shutil.rmtree(path)", True),
        ("shutil.copyfileobj(a, b)", False),
    ],
)
def test_the_contract_detects_violations(code, found):
    assert moves_or_removes(ast.parse(code).body[0].value) is found
