"""Prepared cases on the brain box: aligned once by the T of trained weights, and cached by content."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from adn.config import GridConfig, Recipe
from adn.datasets.layouts import Case
from adn.errors import InputError
from adn.feed.cache import NOT_SCORED, Prepared, case_key, ensure_prepared, load_prepared, prepared_folder
from adn.feed.samples import Sample
from adn.io.atomic import atomic_path
from adn.io.digest import sha256
from adn.io.weights import find_weights, read_weights
from adn.nn.align import AlignNet
from adn.nn.baselines import build_model
from adn.nn.refine import refine_pose
from adn.recipes import recipe_from_dict
from adn.space.labels import TissueLabel
from adn.space.warp import warp

ALIGNED_VERSION = 1  # raise when aligning changes, so that cases are aligned again
LEAST_UNIT = 1 / 1024  # lowest intensity inside the brain, so that fluid differs from the outside
_UNIT = 65535  # intensities are kept as 16-bit fractions of 1
_UNSCORED_SHARE = 0.25  # voxels with a larger unscored share are not scored
_TISSUE_SHARE = 0.25  # voxels with a smaller share of known tissue get label 0


@dataclass(frozen=True, eq=False)
class Aligner:
    """The T of some trained weights, and the recipe it was trained with."""

    network: AlignNet
    recipe: Recipe
    sha256: str


@lru_cache(maxsize=2)
def load_aligner(weights: str) -> Aligner:
    """Load T from weights given by name or path. Raises WeightsError; InputError for ensembles or weights without T."""
    found = find_weights(weights)
    if found.members:
        raise InputError(f"{weights}: is an ensemble; name one of its members to align cases with.")
    tensors, values = read_weights(found.path)
    recipe = recipe_from_dict(values)
    model = build_model(recipe)
    model.load_state_dict(tensors)
    if not isinstance(model.align, AlignNet):
        raise InputError(f"{weights}: aligns no heads, so it cannot prepare cases; name weights that do.")
    return Aligner(model.align.eval(), recipe, found.sha256)


def ensure_aligned(case: Case, grid: GridConfig, weights: str, folder: Path | None = None) -> tuple[Path, bool]:
    """Prepare and align a case unless the cache has it; returns its file and whether it was made just now.

    weights: name or path of the weights whose T aligns. folder: the cache. Raises InputError, naming the case, or
    OutputError.
    """
    aligner = load_aligner(weights)
    key = sha256(str(ALIGNED_VERSION), aligner.sha256, str(grid.box), case_key(case, grid))[:16]
    path = (folder or prepared_folder()) / f"{case.name}-aligned-{key}.safetensors"
    if path.is_file():
        return path, False
    prepared = load_prepared(ensure_prepared(case, grid, folder)[0])
    write_sample(align_prepared(prepared, grid, aligner), path)
    return path, True


def pose_path(aligned: Path) -> Path:
    """Path of the pose that belongs to a file of `ensure_aligned`."""
    return aligned.with_name(aligned.name.replace("-aligned-", "-pose-"))


def ensure_pose(case: Case, aligned: Path, grid: GridConfig, weights: str, folder: Path | None = None) -> None:
    """Write the pose of a case of `ensure_aligned` beside its file, for methods that take unaligned heads."""
    path = pose_path(aligned)
    if not path.is_file():
        prepared = load_prepared(ensure_prepared(case, grid, folder)[0])
        with atomic_path(path) as temporary:
            save_file({"pose": find_pose(prepared, grid, load_aligner(weights)).contiguous()}, temporary)


def load_pose(aligned: Path) -> Tensor:
    """Aligned box → model grid, (1, 4, 4) mm. Raises InputError for a damaged or absent file."""
    path = pose_path(aligned)
    try:
        return load_file(path)["pose"]
    except (OSError, SafetensorError, KeyError) as error:
        raise InputError(f"{path}: the pose is damaged ({error}); delete the file and run again.") from error


def find_pose(prepared: Prepared, grid: GridConfig, aligner: Aligner) -> Tensor:
    """Aligned box → model grid, (1, 4, 4) mm, by T and its refinement. Raises InputError if T has another grid."""
    own = aligner.recipe.grid
    if own.shape != grid.shape or own.spacing_mm != grid.spacing_mm or own.window_hu != grid.window_hu:
        raise InputError(
            f"The recipe's grid {grid.shape} of {grid.spacing_mm} mm must be that of the weights that align, "
            f"{own.shape} of {own.spacing_mm} mm; name others in train.mix.align_with."
        )
    brain = torch.from_numpy(prepared.brain)[None, None]
    with torch.no_grad():
        return refine_pose(aligner.network, brain, aligner.network(brain), aligner.recipe)


def align_prepared(prepared: Prepared, grid: GridConfig, aligner: Aligner) -> Sample:
    """A prepared case on the brain box, aligned by T and its refinement as at prediction; (1, D, H, W) each.

    infarct is −1 where nothing is scored. Raises InputError if T has another grid.
    """
    pose = find_pose(prepared, grid, aligner)
    brain, marks = (torch.from_numpy(x)[None, None] for x in (prepared.brain, prepared.infarct))
    tissue = F.one_hot(torch.from_numpy(prepared.tissue).long(), len(TissueLabel)).movedim(-1, 0)[None, 1:]
    layers = torch.cat([brain, brain > 0, marks == 1, marks == NOT_SCORED, tissue], 1).float()
    with torch.no_grad():
        value, inside, infarct, unscored, *tissues = warp(layers, pose, grid.spacing_mm, grid.box)[0]
    known, tissue = inside > 0.5, torch.stack(tissues)
    # voxels fade at the brain's edge; dividing by `inside` restores the intensity of the part that is brain
    value = torch.where(known, (value / inside.clamp(min=0.5)).clamp(LEAST_UNIT, 1), 0.0)
    reference = torch.where(unscored > _UNSCORED_SHARE, -1.0, ((infarct > 0.5) & known).float())
    labels = torch.where(
        known & (tissue.sum(0) > _TISSUE_SHARE), tissue.argmax(0) + TissueLabel.GM, TissueLabel.OUTSIDE
    )
    return Sample(value[None], reference[None], labels[None].to(torch.uint8))


def write_sample(sample: Sample, path: Path) -> None:
    """Write a sample on the brain box in the form that `load_aligned` reads. Raises OutputError."""
    with atomic_path(path, make_folder=True) as temporary:
        save_file(_packed(sample), temporary)


def _packed(sample: Sample) -> dict[str, Tensor]:
    brain = torch.from_numpy(np.rint(sample.brain.numpy() * _UNIT).astype(np.uint16))
    return {"brain": brain, "infarct": sample.infarct.to(torch.int8), "tissue": sample.tissue.contiguous()}


def load_aligned(path: Path) -> Sample:
    """Read a file of `ensure_aligned` or `write_sample`. Raises InputError for a damaged file."""
    try:
        found = load_file(path)
        brain, infarct, tissue = (found[name] for name in ("brain", "infarct", "tissue"))
    except (OSError, SafetensorError, KeyError) as error:
        raise InputError(f"{path}: the prepared case is damaged ({error}); delete the file and run again.") from error
    return Sample(brain.to(torch.int32).float() / _UNIT, infarct.float(), tissue)
