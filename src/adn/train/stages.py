"""`train`: T, then D + F, from virtual patients or from cases on disk; weights at the end."""

from __future__ import annotations

import json
import logging
import os
import platform
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset

import adn
from adn.config import FitConfig, Recipe, load_recipe
from adn.data.cases import PreparedCases
from adn.data.samples import Sample, collate
from adn.data.virtual import AlignedPatients, PosedBrains
from adn.errors import InputError, OutputError
from adn.io.weights import save_weights
from adn.nn.adn import ADN, build_adn
from adn.synthesize import Library
from adn.train.fit import Progress, append_row, fit
from adn.train.objectives import align_objective, segment_objective
from adn.warp import warp

log = logging.getLogger(__name__)


def train(
    recipe: Recipe | str,
    out: Path | str,
    data: Path | str | None = None,
    anatomy: Path | str | None = None,
    lesions: Path | str | None = None,
    resume: bool = False,
    stages: tuple[str, ...] = ("align", "segment"),
    device: str = "auto",
    workers: int = 0,
    progress: Progress | None = None,
) -> Path:
    """Train a recipe and write `out/weights.safetensors`; returns its path.

    data: folder of cases as `adn synth` writes them (none is held out: `validation.csv` then scores training cases).
    None: endless virtual patients (of `anatomy` and `lesions` folders, else of the installed MNI priors).
    resume: go on from the run's checkpoints. stages: 'align' is T,
    'segment' is D + F. Raises InputError or OutputError for a run folder in use and for data without cases.
    """
    recipe = load_recipe(recipe) if isinstance(recipe, str) else recipe
    out = Path(out)
    if out.exists() and any(out.iterdir()) and not resume:
        raise OutputError(f"{out}: the run folder is not empty; give a new one, or --resume to go on with it.")
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.train.seed)
    _write_record(recipe, out)
    model = build_adn(recipe)
    kept = out / "align.ckpt"
    if "align" in stages:
        config = recipe.train.align
        fit(model.align, _align_data(recipe, data, anatomy, lesions, config), align_objective(recipe), config, out,
            "align", "fp32", 0, torch.stack, progress, device=device)  # fmt: skip
    elif kept.is_file():
        model.align.load_state_dict(torch.load(kept, weights_only=True)["model"])
    model.align.requires_grad_(False)
    if "segment" in stages:
        config = recipe.train.segment
        dataset: Dataset[Sample]
        if data is None:
            library = _library(anatomy, lesions, "train")
            count = config.max_epochs * config.epoch_samples
            dataset = AlignedPatients(recipe, library, recipe.train.seed, count, config.curriculum)
            held_out: Dataset[Sample] = AlignedPatients(
                recipe, _library(anatomy, lesions, "val"), recipe.train.seed + 1, recipe.train.validation_samples
            )
        else:
            dataset = held_out = PreparedCases(recipe, Path(data), config.max_epochs * config.epoch_samples)
        objective = segment_objective(recipe, aligned=data is None)
        validate = _validator(model, held_out, min(recipe.train.validation_samples, len(held_out)), data is None, out)  # type: ignore[arg-type]
        fit(model, dataset, objective, config, out, "segment", recipe.train.precision, workers, collate, progress,
            validate, device=device)  # fmt: skip
    path = out / "weights.safetensors"
    save_weights(model.state_dict(), recipe.model_dump(), path)
    return path


def _library(anatomy: Path | str | None, lesions: Path | str | None, split: str) -> Library:
    library = Library.from_folders(Path(anatomy) if anatomy else None, Path(lesions) if lesions else None, split)
    if library.heads:
        for index in range(len(library.heads)):
            library.head(str(index))  # register once here, not in every worker
    return library


def _align_data(
    recipe: Recipe, data: Path | str | None, anatomy: Path | str | None, lesions: Path | str | None, config: FitConfig
) -> Dataset[Tensor]:
    count = config.max_epochs * config.epoch_samples
    if data is None:
        return PosedBrains(recipe, _library(anatomy, lesions, "train"), recipe.train.seed, count)
    return PreparedCases(recipe, Path(data), count).coarse_brains()


def _validator(model: ADN, held_out: Dataset[Sample], count: int, aligned: bool, out: Path) -> Callable[[int], None]:
    """After each epoch: Dice of every held-out patient at 0.5, and false positive mL of those without infarct."""
    samples: list[Sample] = []

    def validate(epoch: int) -> None:
        if not samples:
            samples.extend(held_out[i] for i in range(count))  # type: ignore[index]
        dices, false_ml = [], []
        grid = model.grid
        voxel_ml = grid.spacing_mm[0] * grid.spacing_mm[1] * grid.spacing_mm[2] / 1000
        device = next(model.parameters()).device
        with torch.no_grad():
            for sample in samples:
                brain, infarct, _ = (x[None].to(device) for x in sample)
                pose = torch.eye(4, device=device)[None]
                output = model.from_aligned(brain, pose) if aligned else model(brain)
                if not aligned:
                    infarct = (warp(infarct, output.pose, grid.spacing_mm, grid.box) > 0.5).float()
                mask = output.infarct_probability_aligned > 0.5
                if infarct.any():
                    dices.append(float(2 * (mask * infarct).sum() / (mask.sum() + infarct.sum())))
                else:
                    false_ml.append(float(mask.sum()) * voxel_ml)
        row = {
            "epoch": epoch,
            "dice": sum(dices) / max(len(dices), 1),
            "dice_median": sorted(dices)[len(dices) // 2] if dices else 0.0,
            "false_positive_ml": sum(false_ml) / max(len(false_ml), 1),
        }
        append_row(out / "validation.csv", row)

    return validate


def _write_record(recipe: Recipe, out: Path) -> None:
    """The resolved recipe and the environment, for whoever reads the run later."""
    record = {
        "recipe": recipe.model_dump(),
        "adn": adn.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    path = out / "run.json"
    if path.exists():
        before = json.loads(path.read_text(encoding="utf-8"))["recipe"]
        if before != json.loads(json.dumps(record["recipe"])):
            raise InputError(f"{out}: was started with another recipe; resume with that one, or give a new folder.")
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(record, indent=1), encoding="utf-8")
    os.replace(temporary, path)
