"""Contract: sizes that keep the code readable. Read from the source, nothing is imported.

The lists of exceptions are debts: they may only become shorter.
"""

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("src", "tests", "benchmarks", "tools", "examples", "docs", "deploy")
FILE_LINES, BODY_LINES, PARAMETERS = 400, 50, 6
LONG_FILES: set[str] = set()
LONG_BODIES = {
    "benchmarks/quality/no_heads.py:kinds",  # a table
    "src/adn/report/numbers.py:result_dict",  # a table
}
MANY_PARAMETERS = {
    "src/adn/feed/pool.py:_darken",
    "src/adn/figures/panels.py:board",
    "src/adn/figures/panels.py:show",
    "src/adn/losses/disentanglement.py:disentanglement_terms",
    "src/adn/nn/resunet.py:__init__",
    "src/adn/node/service.py:__init__",
    "src/adn/virtual/folders.py:_write_all",
    "src/adn/virtual/folders.py:synthesize",  # public
    "src/adn/virtual/folders.py:synthesize_preset",  # public
    "src/adn/virtual/overlay.py:lay_one",
    "src/adn/virtual/render.py:_anatomy",
    "tests/cli/test_app.py:fake",
    "tests/replicas/aisd.py:write_replica",
    "tests/replicas/cpaisd.py:write_study",
    "tests/replicas/teknofest.py:write_series",
    "tests/fake_prediction.py:make_prediction",
    "tests/phantoms.py:_slice",
    "tests/phantoms.py:write_dicom_series",
}
COMMANDS = "src/adn/cli/"  # a parameter of a command is an option


@cache
def sources():
    return {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
        for room in ROOMS
        for path in sorted((ROOT / room).rglob("*.py"))
        if "generated" not in path.parts and "gallery" not in path.parts
    }


@cache
def trees():
    return {name: ast.parse(text) for name, text in sources().items()}


def functions():
    """(place, node) of every function, nested ones too."""
    for name, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{name}:{node.name}", node


def body_lines(node):
    """Lines of a function from its first statement on: without signature and docstring."""
    first = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return node.end_lineno - first[0].lineno + 1 if first else 0


def parameters(node):
    named = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    return len([one for one in named if one.arg not in ("self", "cls")])


def check(sizes, limit, allowed):
    found = {(name, size) for name, size in sizes if size > limit}
    assert not {(name, size) for name, size in found if name not in allowed}, f"more than {limit}: divide it"
    assert allowed <= {name for name, _ in found}, "mended: strike it from the list"


def test_files_are_short():
    check(((name, len(text.splitlines())) for name, text in sources().items()), FILE_LINES, LONG_FILES)


def test_functions_are_short():
    check(((name, body_lines(node)) for name, node in functions()), BODY_LINES, LONG_BODIES)


def test_functions_take_few_parameters():
    taken = ((name, parameters(node)) for name, node in functions() if not name.startswith(COMMANDS))
    check(taken, PARAMETERS, MANY_PARAMETERS)


@pytest.mark.parametrize("room", ["src", "benchmarks", "tools"])
def test_classes_inherit_once(room):
    """A class of ours may derive from a class of ours only where that one derives from none of ours."""
    bases = {
        node.name: {ast.unparse(base).split("[")[0].rpartition(".")[2] for base in node.bases}
        for name, tree in trees().items()
        if name.startswith(f"{room}/")
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    deep = {
        name
        for name, parents in bases.items()
        for parent in parents & set(bases)
        if bases[parent] & set(bases) - {"AdnError"}
    }
    assert not deep


def test_the_measures_count_correctly():
    text = 'def f(a, *, b):\n    """Doc."""\n    x = a\n\n    return x + b\n'
    (node,) = ast.parse(text).body
    assert (body_lines(node), parameters(node)) == (3, 2)
