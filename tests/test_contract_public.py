"""Contract: the public names, and that looking at adn does not load what only computing needs."""

import importlib
import inspect
import subprocess
import sys

import pytest

import adn

PUBLIC = {
    "AdnError",
    "Grid",
    "InputError",
    "Measurements",
    "Prediction",
    "Recipe",
    "RigidTransform",
    "Scan",
    "Volume",
    "evaluate",
    "load_model",
    "load_recipe",
    "open_scan",
    "predict",
    "synthesize",
    "synthesize_preset",
    "train",
}
VERBS = {"evaluate", "predict", "synthesize", "train"}
HEAVY = {"torch", "monai", "SimpleITK", "nilearn", "matplotlib", "scipy", "pandas", "panoptica", "fastapi", "uvicorn"}


def loaded_by(code):
    """Heavy libraries in a fresh Python after running `code`."""
    program = f"import sys\n{code}\nprint('\\n' + ' '.join({HEAVY!r} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(result.stdout.splitlines()[-1].split())


def run_command(*arguments):
    return f"sys.argv = {['adn', *arguments]!r}\nfrom adn.cli import main\nassert main() == 0"


def test_public_names_are_exactly_these():
    assert set(adn.__all__) == PUBLIC
    assert set(dir(adn)) == PUBLIC | {"__version__"}


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_every_public_name_is_there_and_documented(name):
    assert inspect.getdoc(getattr(adn, name))


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_a_verb_stays_a_function_after_its_module_of_the_same_name_was_imported(verb):
    module = importlib.import_module(f"adn.{verb}")
    assert inspect.isfunction(getattr(adn, verb))
    assert getattr(adn, verb) is getattr(module, verb)


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
def test_looking_loads_nothing_heavy(code):
    assert loaded_by(code) == set()


def test_info_does_not_load_torch():
    assert "torch" not in loaded_by(run_command("info", "--json"))


def test_predicting_needs_nothing_of_training():
    code = "import adn; adn.predict, adn.load_model, adn.open_scan; import adn.report"
    assert not loaded_by(code) & {"monai", "nilearn", "panoptica"}
