"""Reads recipes: from TOML files in this folder, a user's own, or weights and runs; an unknown key is an error.

A recipe may set `base = "fast"` and then contain only what differs from that recipe. `rows/` holds the benchmark's
rows, each a few settings on top of any recipe.
"""

from __future__ import annotations

import difflib
import json
import math
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from adn.config import EnsembleConfig, GridConfig, Recipe
from adn.errors import ConfigError

# settings that still occur in files of adn 0.1, with their only accepted values
RETIRED: dict[str, Any] = {"loss.hardest_share": None, "network.patch": [1, 1, 1], "train.compile": False}
RENAMED: dict[str, dict[Any, Any]] = {"train.augment": {False: "none", True: "released"}}  # values in these files
UNALIGNED_MM = 230.4  # a head rotated by any angle fits into this square: 192 pixels of 1.2 mm


def recipe_names() -> list[str]:
    """Names of the recipes inside the package."""
    folder = resources.files("adn") / "recipes"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def row_names() -> list[str]:
    """Names of the benchmark's rows inside the package, each a few settings on top of any recipe."""
    folder = resources.files("adn") / "recipes" / "rows"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def row_recipe(base: Recipe, row: str) -> Recipe:
    """The recipe of one row of the benchmark: `base` (grid, budget, T) with the row's own settings, named base+row.

    A row without alignment gets a box large enough for a rotated head, and no refinement. If `base` mixes sources, all
    rows use the same samples, without augmentation of their own. Raises ConfigError.
    """
    if row not in row_names():
        raise ConfigError(f"The benchmark has no row '{row}'; it has {', '.join(row_names())}.")
    text = (resources.files("adn") / "recipes" / "rows" / f"{row}.toml").read_text(encoding="utf-8")
    values = _merged(base.model_dump(), {**tomllib.loads(text), "name": f"{base.name}+{row}"})
    if not values["align"]["apply"]:
        values["align"]["refine_steps"] = 0
        factor = 2 ** (len(base.network.channels) - 1)
        values["grid"]["box"] = _unaligned_box(base.grid, factor)
        values["train"]["mix"]["box"] = base.grid.box if base.train.mix.used else None
    if base.train.mix.used:
        values["train"]["augment"] = base.train.augment
    return recipe_from_dict(values)


def _resolved(values: dict[str, Any], above: tuple[str, ...] = ()) -> dict[str, Any]:
    """Plain data of a recipe, completed with the settings of its `base`."""
    values = dict(values)
    base = values.pop("base", None)
    if base is None:
        return values
    if base not in recipe_names() or base in above:
        what = "leads back to itself" if base in above else f"is none of {', '.join(recipe_names())}"
        raise ConfigError(f"Recipe '{values.get('name', '?')}': its base '{base}' {what}.")
    return _merged(_resolved(_packaged(base), (*above, base)), values)


def _packaged(name: str) -> dict[str, Any]:
    return tomllib.loads((resources.files("adn") / "recipes" / f"{name}.toml").read_text(encoding="utf-8"))


def _merged(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return values | {
        key: _merged(values.get(key, {}), change) if isinstance(change, dict) else change
        for key, change in changes.items()
    }


def _unaligned_box(grid: GridConfig, factor: int) -> tuple[int, int, int]:
    """The recipe's box, enlarged in plane to fit a rotated head, as far as the grid allows."""
    depth, *sides = grid.box or grid.shape
    pairs = zip(sides, grid.shape[1:], grid.spacing_mm[1:], strict=True)
    height, width = (max(side, min(math.ceil(UNALIGNED_MM / mm / factor) * factor, most)) for side, most, mm in pairs)
    return depth, height, width


def load_recipe(name_or_path: str | Path) -> Recipe:
    """Read a recipe by the name of one in the package, or from a TOML file, or the JSON that a run folder holds.

    'fast+unet' is recipe 'fast' with the benchmark's row 'unet' (`row_recipe`). Raises ConfigError for an absent file,
    unknown key (naming the nearest) or a value out of range.
    """
    base, plus, row = str(name_or_path).rpartition("+")
    if plus and row in row_names():
        return row_recipe(load_recipe(base), row)
    path = Path(name_or_path)
    if str(name_or_path) in recipe_names():
        return recipe_from_dict(_packaged(str(name_or_path)))
    if path.suffix in (".toml", ".json") and path.is_file():
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"Recipe '{path}' cannot be read as text in UTF-8: {error}.") from error
    else:
        raise ConfigError(
            f"There is no recipe '{name_or_path}': give one of {', '.join(recipe_names())}, or a .toml file."
        )
    try:
        values = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
        return recipe_from_dict(values, f"Recipe '{path}'")
    except (tomllib.TOMLDecodeError, json.JSONDecodeError) as error:
        kind = "JSON" if path.suffix == ".json" else "TOML"
        raise ConfigError(f"Recipe '{name_or_path}' is not valid {kind}: {error}.") from error


def recipe_from_dict(values: dict[str, Any], name: str = "Recipe") -> Recipe:
    """Build a recipe from plain data (TOML, JSON, a checkpoint). Raises ConfigError, which begins with `name`.

    Settings of earlier versions (`RETIRED`) are dropped if they have the one value that is still supported; renamed
    values (`RENAMED`) are converted to their current names.
    """
    try:
        return Recipe.model_validate(_with_current_settings(_resolved(values)))
    except ValidationError as error:
        raise ConfigError(_explain(name, Recipe, error)) from error


def ensemble_from_toml(path: Path) -> EnsembleConfig:
    """Read an ensemble of weights. Raises ConfigError, as `load_recipe` does."""
    try:
        return EnsembleConfig.model_validate(tomllib.loads(path.read_text(encoding="utf-8-sig")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"Ensemble '{path}' cannot be read as TOML in UTF-8: {error}.") from error
    except ValidationError as error:
        raise ConfigError(_explain(f"Ensemble '{path}'", EnsembleConfig, error)) from error


def _with_current_settings(values: dict[str, Any]) -> dict[str, Any]:
    kept = dict(values)
    for key in (*RETIRED, *RENAMED):
        section, name = key.split(".")
        if not (isinstance(kept.get(section), dict) and name in kept[section]):
            continue
        kept[section] = dict(kept[section])
        value = kept[section].pop(name)
        if key in RENAMED:
            kept[section][name] = RENAMED[key].get(value, value) if isinstance(value, bool) else value
        elif value != RETIRED[key]:
            raise ConfigError(
                f"Recipe: {key} = {value} was a setting of adn 0.1 and no longer exists; leave it out, or use adn 0.1."
            )
    return kept


def _explain(what: str, root: type[BaseModel], error: ValidationError) -> str:
    return f"{what}: " + "; ".join(_problem(root, problem) for problem in error.errors()) + "."


def _problem(root: type[BaseModel], problem: Any) -> str:
    location = [str(part) for part in problem["loc"]]
    if problem["type"] != "extra_forbidden":
        return f"{'.'.join(location) or 'sizes'}: {problem['msg']}"
    section: Any = root
    for part in location[:-1]:
        section = get_args(section)[0] if part.isdigit() else section.model_fields[part].annotation
    nearest = difflib.get_close_matches(location[-1], section.model_fields, n=1, cutoff=0.0)
    return f"unknown key {'.'.join(location)}; did you mean {'.'.join([*location[:-1], *nearest])}?"
