"""Cases on disk as training samples: prepared once, kept in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from adn.config import Recipe
from adn.data.samples import Sample, shrink_in_plane
from adn.errors import InputError
from adn.io import open_scan, read_volume
from adn.prepare import Conformed, conform, strip_skull
from adn.volume import Volume


class PreparedCases(Dataset[Sample]):
    """Folders `<case>/ct.nii.gz, infarct.nii.gz` (and `tissue.nii.gz`, `brain.nii.gz` where known) on the model grid.

    count: length of the data set; cases are passed in a new seeded order each round. Without `tissue.nii.gz` the case
    adds nothing to L_tissue; without `brain.nii.gz` the skull is stripped.
    """

    def __init__(self, recipe: Recipe, folder: Path, count: int) -> None:
        self.recipe, self.count = recipe, count
        names = sorted(path.parent for path in folder.glob("*/ct.nii.gz"))
        names = [case for case in names if (case / "infarct.nii.gz").is_file()]
        if not names:
            raise InputError(
                f"{folder}: needs folders <case>/ct.nii.gz with <case>/infarct.nii.gz, found none; "
                "`adn synth` writes this layout."
            )
        self.samples = [prepare_case(case, recipe) for case in names]

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        """Sample of round index // n, shuffled by round."""
        n = len(self.samples)
        generator = torch.Generator().manual_seed(self.recipe.train.seed * 1_000_003 + index // n)
        return self.samples[int(torch.randperm(n, generator=generator)[index % n])]

    def coarse_brains(self) -> Dataset[Tensor]:
        """The same cases as T sees them, (1, D, H, W) averaged in plane."""
        return _CoarseBrains(self, self.recipe.align.shrink)


class _CoarseBrains(Dataset[Tensor]):
    def __init__(self, cases: PreparedCases, shrink: int) -> None:
        self.cases, self.shrink = cases, shrink

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, index: int) -> Tensor:
        return shrink_in_plane(self.cases[index].brain[0], self.shrink)[None]


def prepare_case(case: Path, recipe: Recipe) -> Sample:
    """Read one case and carry it to the model grid: intensities, reference and tissue, each by its own policy."""
    scan = open_scan(case / "ct.nii.gz")
    brain_path, tissue_path = case / "brain.nii.gz", case / "tissue.nii.gz"
    mask = _labels(brain_path, scan.volume) if brain_path.is_file() else strip_skull(scan.volume)
    conformed = conform(scan.volume, mask, recipe.grid)
    infarct = _label_on_model(_labels(case / "infarct.nii.gz", scan.volume), conformed, (1,))[0] >= 0.5
    tissue = np.zeros(conformed.brain.data.shape, np.uint8)
    if tissue_path.is_file():
        parts = _label_on_model(_labels(tissue_path, scan.volume), conformed, (1, 2, 3))
        tissue = np.where(parts.sum(0) > 0.25, parts.argmax(0) + 1, 0).astype(np.uint8)
    return Sample(
        torch.from_numpy(conformed.brain.data)[None],
        torch.from_numpy(infarct.astype(np.float32))[None],
        torch.from_numpy(tissue)[None],
    )


def _labels(path: Path, scan: Volume) -> Volume:
    """A label image that must lie on the scan's grid."""
    volume = read_volume(path, np.uint8, "label")
    if not volume.grid.same_as(scan.grid):
        raise InputError(f"{path}: needs the grid of its CT {scan.grid}, has {volume.grid}; resample it (nearest).")
    return volume


def _label_on_model(labels: Volume, conformed: Conformed, values: tuple[int, ...]) -> np.ndarray:
    """Fraction of each label value on the model grid, (len(values), D, H, W): one-hot first, then linear."""
    return np.stack([conformed.carry(labels.with_data((labels.data == v).astype(np.float32), "1")) for v in values])
