"""Contract: the reference names every public name, command, option, setting, key, column and file that is written."""

import ast
import importlib
import re
import sys
from dataclasses import fields as dataclass_fields
from dataclasses import is_dataclass
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel
from typer.main import get_command

import adn
from adn import answers
from adn.cli.app import app
from adn.config import Recipe
from adn.report import result_dict
from adn.report.numbers import CSV_COLUMNS
from adn.virtual.folders import synthesize
from fake_prediction import make_prediction
from given import loose

DOCS = Path(__file__).parents[1] / "docs"
FREE = {"versions", "seconds", "units", "values"}  # keys whose own keys are libraries, steps, keys and remarks
SUFFIX = r"\.(csv|json|html|md|tex|safetensors|ckpt|png|dcm|nii\.gz|parquet|sqlite|tsv|txt)"
NOT_WRITTEN = {  # file names in the source that are read, or are parts of a name
    "_0000.nii.gz",
    "_ct.nii.gz",
    "_lesion.nii.gz",
    "_tal_nlin_sym_09a_converted.nii.gz",
    "-best.ckpt",
    "dataset.json",
    "index.html",
    "raw.dcm",
    "000000.dcm",
}


@pytest.fixture(scope="module")
def reference():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DOCS))
        yield importlib.import_module("reference")
        for name in ("reference", "reference_files"):
            sys.modules.pop(name, None)


def says(page, word):
    """Whether a page names a word as a whole."""
    return re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", page) is not None


def test_every_public_name_is_listed(reference):
    page = reference.api()
    assert [name for name in adn.__all__ if f"## {name}\n" not in page] == []


def commands_of(command, name):
    yield name, command
    for inner, below in getattr(command, "commands", {}).items():
        yield from commands_of(below, f"{name} {inner}")


def test_every_command_and_option_is_listed(reference):
    page = reference.commands()
    parts = {part.partition("`\n")[0]: part for part in re.split(r"\n##+ `", page)}
    for name, command in commands_of(loose(get_command(app)), "adn"):
        part = page if name == "adn" else parts[name]
        for parameter in (one for one in command.params if one.param_type_name == "option" and not one.hidden):
            for option in (*parameter.opts, *parameter.secondary_opts):
                assert option.upper() in part.upper(), f"{name} {option}"


def settings_of(model, prefix=""):
    for name, field in model.model_fields.items():
        kinds = [k for k in (field.annotation, *get_args(field.annotation)) if isinstance(k, type)]
        section = next((kind for kind in kinds if issubclass(kind, BaseModel)), None)
        if section:
            yield from settings_of(section, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def test_every_setting_is_listed_and_explained(reference):
    rows = {line.split("`")[1]: line for line in reference.settings().splitlines() if line.startswith("| `")}
    assert set(settings_of(Recipe)) == set(rows)
    assert [name for name, row in rows.items() if row.endswith("|  |")] == []


def keys_of(value):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from () if key in FREE else keys_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from keys_of(inner)


def test_every_key_and_column_is_listed(reference):
    page = reference.result()
    kinds = [kind for kind in vars(answers).values() if isinstance(kind, type) and is_dataclass(kind)]
    fields = {
        field.name
        for kind in kinds
        if kind not in (answers.AnswerOptions, answers.Answers)
        for field in dataclass_fields(kind)
    }
    assert sorted(name for name in fields if not says(page, name)) == []
    assert [key for key in keys_of(result_dict(make_prediction())) if not says(page, key)] == []
    assert [column for column in CSV_COLUMNS if f"`{column}`" not in page] == []


def names_in(path):
    """What looks like the name of a file in a module's text; `N` for what is filled in."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
        if re.fullmatch(rf"[\w{{}}-]+{SUFFIX}", text):
            yield text.replace("{}", "N")


def test_every_file_is_listed(reference):
    page = reference.files()
    names = {name for path in Path(adn.__file__).parent.rglob("*.py") for name in names_in(path)}
    assert sorted(name for name in names - NOT_WRITTEN if name not in page) == []


def test_the_listed_files_of_a_virtual_patient_are_those_written(reference, tmp_path):
    (folder,) = synthesize(1, tmp_path, seed=1, matrix=48)
    page = reference.files()
    assert [path.name for path in folder.iterdir() if f"`<case>/{path.name}`" not in page] == []


def test_every_command_that_writes_lists_its_files(reference):
    named = " ".join(reference.FILES)
    silent = {"adn", "adn data", "adn info", "adn doctor", "adn data list", "adn data prepare"}
    for name, _ in commands_of(loose(get_command(app)), "adn"):
        assert name in silent or name in named, name
