"""The pages of the reference: public names, commands, settings, keys of `result.json`, and files that commands write.

`tests/test_contract_reference.py` holds that none is left out.
"""

from __future__ import annotations

import ast
import inspect
import io
import re
import subprocess
import sys
import tokenize
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from reference_files import FILES, KEYS
from typer.main import get_command

import adn
from adn import config, config_draws, config_mix
from adn.cli.app import app
from adn.report.numbers import CSV_COLUMNS, UNITS

FOLDER = "generated"
DISCLAIMER = "For research use only; not a medical device."


def write_pages(docs: Path) -> None:
    """Write `docs/generated/*.md`; a page that is as before is not touched."""
    pages = {
        "api.md": api(),
        "commands.md": commands(),
        "settings.md": settings(),
        "result.md": result(),
        "files.md": files(),
    }
    (docs / FOLDER).mkdir(exist_ok=True)
    for name, text in pages.items():
        path = docs / FOLDER / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def api() -> str:
    """Every public name of `adn`, from its docstring."""
    lines = ["# Python", "", "Every public name. They stay as they are from one minor version to the next.", ""]
    for name in adn.__all__:
        kind = "autoclass" if inspect.isclass(getattr(adn, name)) else "autofunction"
        lines += [f"## {name}", "", "```{eval-rst}", f".. {kind}:: adn.{name}"]
        lines += ["   :members:", "   :exclude-members: model_config"] if kind == "autoclass" else []
        lines += ["```", ""]
    return "\n".join(lines)


def commands() -> str:
    """Every command, from its `--help`."""
    asked = [sys.executable, "-m", "typer", "adn.cli.app", "utils", "docs", "--name", "adn", "--title", "Commands"]
    text = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.replace("```console", "```text")
    return re.sub(r"^\* `([a-z-]+)`: .*\.\.\.$", _whole_sentence, text, flags=re.MULTILINE)


def _whole_sentence(found: re.Match[str]) -> str:
    """A line of a list of commands, which typer cuts to 45 characters, with the whole first sentence."""
    root: Any = get_command(app)
    name = found[1]
    told = (root.commands.get(name) or root.commands["data"].commands[name]).help
    sentence = " ".join(told.partition("\n\n")[0].split()).partition(". ")[0]
    return f"* `{name}`: {sentence.rstrip('.')}."


def settings() -> str:
    """Every setting of a recipe with its default and the comment beside it."""
    lines = [
        "# Settings of a recipe",
        "",
        "A setting that a recipe does not name has the default given here; where there is none, the recipe names it or",
        "does without. `adn info` lists the recipes that come with adn.",
        "",
    ]
    comments = {
        model: text for module in (config, config_mix, config_draws) for model, text in _comments(module).items()
    }
    _section(config.Recipe, "", comments, lines)
    return "\n".join(lines)


def result() -> str:
    """Every key of `result.json`, and every column of `results.csv`."""
    lines = [
        "# Keys of result.json",
        "",
        "[The report](../report.md) says what they mean to a reader, [files](files.md) where it lies. " + DISCLAIMER,
        "",
        "| key | meaning |",
        "|---|---|",
    ]
    keys = KEYS | {key: meaning for key, meaning in UNITS.items() if not key.endswith(".nii.gz")}
    lines += [f"| `{key}` | {meaning} |" for key, meaning in keys.items()]
    lines += ["", "## Columns of results.csv", ""]
    lines += [
        "A line for each scan; empty where there is no value. A column means what the key of its name means, with"
    ]
    lines += ["what stands under a key in front: `septum_shift_mm` is that of `mass_effect`.", ""]
    lines += [", ".join(f"`{column}`" for column in CSV_COLUMNS) + ".", ""]
    return "\n".join(lines)


def files() -> str:
    """Every file that a command writes."""
    lines = ["# Files", "", "What each command writes. `N` and `<…>` stand for numbers and names. " + DISCLAIMER, ""]
    for command, found in FILES.items():
        lines += [f"## {command}", "", "| file | what it is |", "|---|---|"]
        lines += [f"| `{name}` | {meaning or UNITS[name.rpartition('/')[2]]} |" for name, meaning in found.items()]
        lines.append("")
    return "\n".join(lines)


def _section(model: type[BaseModel], prefix: str, comments: dict[str, dict[str, str]], lines: list[str]) -> None:
    title = f"[{prefix[:-1]}]" if prefix else "At the top"
    lines += [f"## {title}", "", *_doc(model), "| setting | default | meaning |", "|---|---|---|"]
    below = []
    for name, field in model.model_fields.items():
        default = field.get_default(call_default_factory=True)
        inner = next((kind for kind in (field.annotation, *get_args(field.annotation)) if _is_section(kind)), None)
        if inner:
            below.append((inner, f"{prefix}{name}."))
            continue
        said = comments.get(model.__name__, {}).get(name, "").replace("|", "\\|")
        shown = (
            "" if default in (None, "") or repr(default) == "PydanticUndefined" else f"`{default}`".replace("|", "\\|")
        )
        lines.append(f"| `{prefix}{name}` | {shown} | {said} |")
    lines.append("")
    for inner, name in below:
        _section(inner, name, comments, lines)


def _doc(model: type[BaseModel]) -> list[str]:
    return [inspect.cleandoc(model.__doc__), ""] if model.__doc__ else []


def _is_section(kind: Any) -> bool:
    return inspect.isclass(kind) and issubclass(kind, BaseModel)


def _comments(module: Any) -> dict[str, dict[str, str]]:
    """Of each class of a module: setting → the comment on its line, and on the lines above it."""
    source = Path(module.__file__).read_text(encoding="utf-8")
    by_line = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    code = {number for number, line in enumerate(source.splitlines(), start=1) if line.strip()[:1] not in ("", "#")}
    found: dict[str, dict[str, str]] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef):
            for line in node.body:
                if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                    above, number = [], line.lineno - 1
                    while number in by_line and number not in code:
                        above.insert(0, by_line[number])
                        number -= 1
                    said = [
                        *above,
                        *(by_line[n] for n in range(line.lineno, (line.end_lineno or 0) + 1) if n in by_line),
                    ]
                    found.setdefault(node.name, {})[line.target.id] = " ".join(said)
    return found
