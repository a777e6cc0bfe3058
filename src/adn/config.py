"""Every number of a recipe in one place. Recipes are TOML files in `adn/recipes`; an unknown key is an error."""

from __future__ import annotations

import difflib
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from adn.errors import ConfigError


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class GridConfig(_Section):
    """The model grid; array order D (to superior), H (to posterior), W (to patient left)."""

    spacing_mm: tuple[float, float, float] = (5.0, 1.2, 1.2)  # paper, section 3
    shape: tuple[int, int, int] = (40, 256, 256)  # paper, section 3
    box: tuple[int, int, int] | None = (32, 176, 144)  # brain box after alignment; None: the whole grid
    window_hu: tuple[float, float] = (0.0, 80.0)  # mapped to [0, 1]


class AlignConfig(_Section):
    """Network T."""

    channels: tuple[int, ...] = (32, 64, 128, 256)  # method.md, section 4
    shrink: int = Field(default=2, ge=1)  # T sees a copy coarser in plane by this factor
    coordinates: bool = True  # T gets the brain times coordinates and their products, too
    max_in_plane_deg: float = 60.0  # paper, section 3
    max_roll_deg: float = 15.0  # 0 in the paper
    max_shift_x: float = 0.5  # of the grid's width; paper: half the image
    max_shift_y: float = 0.0  # of the grid's height; invisible to L_T, so held
    reconstruction: bool = False  # add ‖I − T⁻¹(X′)‖₁ to L_T
    refine_steps: int = 40  # of L_T / brain volume at inference; 0: none


class NetworkConfig(_Section):
    """Networks D and F (3D ResUNet)."""

    channels: tuple[int, ...] = (32, 64, 128, 256)
    dropout: float = 0.0
    p_form: Literal["probability", "fraction"] = "fraction"  # P = σ(D) or A · σ(D)
    clamp_q: bool = False  # Q = max(A − P, 0)
    d_inputs: tuple[Literal["aligned", "mirrored"], ...] = ("aligned",)  # the paper's D sees X alone
    f_inputs: tuple[Literal["salient", "aligned", "pathological"], ...] = ("salient",)  # the paper's F sees X̂ alone


class LossConfig(_Section):
    """L_DF = L_F + λ L_D (eq. 5, 6) and the warm start."""

    weight_d: float = 10.0  # λ
    tissue: bool = True  # False: the ablation without L_tissue
    size_target: Literal["infarct", "asymmetry"] = "asymmetry"  # mean(T(G)) or mean(A · T(G))
    symmetric_mask: Literal["zero_asymmetry", "one_minus_a"] = "zero_asymmetry"
    warm_start_weight: float = 10.0
    warm_start_epochs: int = 2
    warm_start_dice: bool = False  # supervise σ(D) by BCE + Dice rather than BCE alone
    warm_start_replaces_d: bool = False  # in place of L_D rather than added to it
    label_space: Literal["input", "aligned"] = "aligned"  # where L_F is computed


class FitConfig(_Section):
    """One stage of training."""

    learning_rate: float
    batch_size: int = 6
    epoch_samples: int = 1000
    max_epochs: int = 100
    weight_decay: float = 5e-4
    poly_power: float = 0.9
    warmup_steps: int = 0  # learning rate rises from 0 over these
    clip_norm: float = 5.0  # of the gradient
    curriculum: bool = False  # virtual patients: easy ones first
    plateau_band: float | None = None  # stop when training Dice stays within it for 2 epochs


class TrainConfig(_Section):
    """The stages of training and what they share."""

    align: FitConfig = FitConfig(learning_rate=1e-5)
    segment: FitConfig = FitConfig(learning_rate=1e-3)
    seed: int = 0
    validation_samples: int = 16
    precision: Literal["auto", "fp32", "bf16"] = "auto"


class Recipe(_Section):
    """One way to build, train and run the networks."""

    name: str
    summary: str = ""
    threshold: float = Field(default=0.5, gt=0, lt=1)  # on the probability after it went home
    grid: GridConfig = GridConfig()
    align: AlignConfig = AlignConfig()
    network: NetworkConfig = NetworkConfig()
    loss: LossConfig = LossConfig()
    train: TrainConfig = TrainConfig()

    @model_validator(mode="after")
    def _sizes_fit(self) -> Recipe:
        factor = 2 ** (len(self.network.channels) - 1)
        sides = self.grid.box or self.grid.shape
        if any(side % factor for side in sides):
            raise ValueError(
                f"the networks halve their input {len(self.network.channels) - 1} times, so its sides must be "
                f"divisible by {factor}, but they are {sides}; change grid.box or grid.shape"
            )
        if self.grid.box and any(b > s for b, s in zip(self.grid.box, self.grid.shape, strict=True)):
            raise ValueError(f"grid.box {self.grid.box} is larger than grid.shape {self.grid.shape}")
        if self.grid.box and any((s - b) % 2 for b, s in zip(self.grid.box, self.grid.shape, strict=True)):
            raise ValueError(
                f"grid.box {self.grid.box} cannot lie in the middle of grid.shape {self.grid.shape}, so the mid-plane "
                "would be half a voxel off; make both odd or both even"
            )
        if any(side % self.align.shrink for side in self.grid.shape[1:]):
            raise ValueError(
                f"align.shrink {self.align.shrink} does not divide the in-plane sides of grid.shape {self.grid.shape}, "
                "so T's coarse copy would be off centre"
            )
        if any(channels % 8 for channels in self.network.channels):
            raise ValueError(f"network.channels {self.network.channels} must be multiples of 8 (eight groups)")
        return self


def recipe_names() -> list[str]:
    """Names of the recipes inside the package."""
    folder = resources.files("adn") / "recipes"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_recipe(name_or_path: str | Path) -> Recipe:
    """Read a recipe by the name of one in the package, or from a TOML file.

    Raises ConfigError for an absent file, unknown key (naming the nearest) or a value out of range.
    """
    path = Path(name_or_path)
    if path.suffix == ".toml" and path.is_file():
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"Recipe '{path}' cannot be read as text in UTF-8: {error}.") from error
    elif str(name_or_path) in recipe_names():
        text = (resources.files("adn") / "recipes" / f"{name_or_path}.toml").read_text(encoding="utf-8")
    else:
        raise ConfigError(
            f"No recipe '{name_or_path}': give one of {', '.join(recipe_names())}, or the path of a .toml file."
        )
    try:
        return recipe_from_dict(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"Recipe '{name_or_path}' is not valid TOML: {error}.") from error


def recipe_from_dict(values: dict[str, Any]) -> Recipe:
    """Build a recipe from plain data (TOML, JSON, a checkpoint). Raises ConfigError."""
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise ConfigError("; ".join(_explain(problem) for problem in error.errors()) + ".") from error


def _explain(problem: Any) -> str:
    location = [str(part) for part in problem["loc"]]
    if problem["type"] != "extra_forbidden":
        return f"Recipe: {'.'.join(location) or 'sizes'}: {problem['msg']}"
    section: Any = Recipe
    for part in location[:-1]:
        section = section.model_fields[part].annotation
    nearest = difflib.get_close_matches(location[-1], section.model_fields, n=1, cutoff=0.0)
    return f"Recipe: unknown key {'.'.join(location)}; did you mean {'.'.join([*location[:-1], *nearest])}?"
