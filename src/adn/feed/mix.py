"""Mixes samples from several sources so that the source does not give away whether there is an infarct.

The sources are outlined parts of heads, unchanged or emptied (the infarct replaced by its mirror twin); whole heads
without infarct; and virtual patients. Virtual infarcts are laid on a share of the emptied parts and of the whole heads,
and whole and virtual heads are cut to parts. Each draw is plain data (`Draw`) that depends on (seed, i) only.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from adn.config import GridConfig, Recipe
from adn.config_mix import MixConfig
from adn.errors import InputError
from adn.feed.aligned import LEAST_UNIT, load_aligned
from adn.feed.changes import Changes, change, draw_changes
from adn.feed.cut import SliceCounts, cut, slice_counts
from adn.feed.samples import Sample
from adn.space.warp import mirror
from adn.virtual.folders import patient_generator
from adn.virtual.overlay import OverlaidInfarct, Shape, Twin, donor_shape, draw_twin, lay_one, replace_by_twin

MixSource = Literal["outlined", "emptied", "whole", "virtual"]
_MIX_STREAM = 30_000_000  # first index of the draws, separate from those of virtual patients
_FLUID_HU = 12.0  # parenchyma is brighter
_LEAST_TWINS = 10  # fewest voxels with a twin for measuring a contrast
_SPREAD_SLICES = 8  # maximum number of copies of an end slice, all of which show its infarct


@dataclass(frozen=True)
class Filled:
    """A healthy ellipsoid replaced by its twin. share: picks its centre among possible voxels, 0 to 1. half: half axes,
    voxels."""

    share: float
    half: tuple[float, float, float]


@dataclass(frozen=True)
class Cut:
    """heights: index of the outlined case whose slice counts are used. slice_share, place_share: as for `cut`."""

    heights: int
    slice_share: float
    place_share: float


@dataclass(frozen=True)
class Draw:
    """Everything about one sample.

    place: index of the case or virtual patient. replaced: the twin replaces infarct or blood. laid: a virtual infarct
    drawn from `seed` is added. twin, filled, cut, changes: the parameters of each step.
    """

    source: MixSource
    place: int
    replaced: bool
    laid: bool
    seed: int
    twin: Twin
    filled: Filled | None
    cut: Cut | None
    changes: Changes

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Cases:
    """Aligned cases of one part of a split (train or validation). outlined, whole: files of `ensure_aligned`.

    masks: lesion masks to lay. Donor infarcts come from the outlined cases of the same part, so that no patient appears
    in two parts.
    """

    recipe: Recipe
    outlined: Sequence[Path]
    whole: Sequence[Path]
    masks: Mapping[str, Shape] = field(default_factory=dict)

    @cached_property
    def contrasts_hu(self) -> list[float]:
        """How much darker the infarct of each outlined case is than its mirror twin, HU."""
        return [contrast_hu(load_aligned(path), self.recipe.grid) for path in self.outlined]

    @cached_property
    def heights(self) -> list[SliceCounts]:
        """The slice counts of each outlined case."""
        return [slice_counts(load_aligned(path)) for path in self.outlined]

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """The masks, and donors made from the visible outlined infarcts."""
        grid, found = self.recipe.grid, dict(self.masks)
        for path, contrast in zip(self.outlined, self.contrasts_hu, strict=True):
            if contrast >= self.recipe.train.mix.visible_hu:
                sample = load_aligned(path)
                hu, brain = to_hu(sample.brain[0], grid), sample.brain[0] > 0
                shape = donor_shape(path.stem, hu, brain, sample.infarct[0] > 0, grid.spacing_mm)
                found |= {shape.name: shape} if shape else {}
        return found


class MixedSamples(Dataset[Sample]):
    """Samples of all sources on the brain box, for D and F; sample i depends on (seed, i) only.

    virtual: virtual patients on the box, of the same length; None if the recipe gives them no share. Raises InputError
    if a source has a share but no cases.
    """

    def __init__(self, cases: Cases, virtual: Dataset[Sample] | None, seed: int, count: int) -> None:
        self.cases, self.virtual, self.seed, self.count = cases, virtual, seed, count
        self.recipe, self.mix = cases.recipe, cases.recipe.train.mix
        there = {"outlined": cases.outlined, "emptied": cases.outlined, "whole": cases.whole, "virtual": virtual}
        for name, share in self.mix.shares.items():
            if share and not there[name]:
                raise InputError(
                    f"The recipe's train.mix.{name} has a share of {share:g}, but there are no such cases; add some, "
                    "or set it to 0."
                )
        self.weights = [1.0 if hu >= self.mix.visible_hu else self.mix.invisible_weight for hu in cases.contrasts_hu]
        self.shapes, self.heights = cases.shapes, cases.heights  # computed once here rather than in every worker

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        """Draw and build sample `index`."""
        return self.show(self.draw(index))

    def draw(self, index: int) -> Draw:
        """Draw sample `index` as plain data."""
        mix, generator = self.mix, patient_generator(self.seed, _MIX_STREAM + index)
        u = torch.rand(14, generator=generator, dtype=torch.float64).tolist()
        source: Any = list(mix.shares)[_chosen(list(mix.shares.values()), u[0])]
        if source == "virtual":
            place = index
        elif source == "whole":
            place = int(u[1] * len(self.cases.whole))
        else:
            place = _chosen(self.weights, u[1])
        laid_share = {"emptied": mix.emptied_laid_share, "whole": mix.whole_laid_share}.get(source, 0.0)
        radius = mix.filled_voxels[0] + (mix.filled_voxels[1] - mix.filled_voxels[0]) * u[6]
        is_filled = source == "outlined" and u[4] < mix.filled_share
        is_cut = source in ("whole", "virtual") and bool(self.heights) and u[7] < mix.cut_share
        return Draw(
            source=source,
            place=place,
            replaced=source == "emptied" or (source == "whole" and u[2] < mix.whole_twin_share),
            laid=u[3] < laid_share,
            seed=int(u[11] * 2**31),
            twin=draw_twin(generator, mix.uneven_hu),
            filled=Filled(u[5], (radius / 2, radius, 0.8 * radius)) if is_filled else None,
            cut=Cut(_chosen(self.weights, u[8]), u[9], u[10]) if is_cut else None,
            changes=draw_changes(generator, mix.changes),
        )

    def show(self, draw: Draw) -> Sample:
        """Build the sample that a draw describes; the same each time."""
        with torch.no_grad():
            sample = self._base(draw)
            laid = self._laid(sample, draw) if draw.laid or draw.cut else None
            region = sample.infarct[0] > 0
            if laid and not region.any():
                # even an infarct that is not added determines where the head is cut, so that the cut reveals nothing
                region = laid.infarct
                sample = with_overlay(sample, laid, self.recipe.grid) if draw.laid else sample
            if draw.cut:
                heights = self.heights[draw.cut.heights]
                sample = cut(sample, heights, region, draw.cut.slice_share, draw.cut.place_share)
            return change(sample, draw.changes, self.recipe.grid)

    def _base(self, draw: Draw) -> Sample:
        """The case of a draw, with infarct or blood replaced or not scored."""
        mix, grid = self.mix, self.recipe.grid
        if draw.source == "virtual":
            assert self.virtual is not None
            return self.virtual[draw.place]
        sample = load_aligned((self.cases.whole if draw.source == "whole" else self.cases.outlined)[draw.place])
        if draw.source == "whole":
            sample = without_blood(sample, mix, grid)
            return emptied(sample, sample.infarct[0] < 0, draw.twin, grid) if draw.replaced else sample
        if draw.replaced:
            return emptied(sample, outline(sample, mix.grown_voxels), draw.twin, grid)
        return filled(sample, draw.filled, draw.twin, mix, grid) if draw.filled else sample

    def _laid(self, sample: Sample, draw: Draw) -> OverlaidInfarct | None:
        """A virtual infarct drawn from the draw's seed; the sample does not hold it yet."""
        brain = sample.brain[0] > 0
        generator, hu = torch.Generator().manual_seed(draw.seed), to_hu(sample.brain[0], self.recipe.grid)
        # copied slices are not scored, but show the same infarct as their neighbours
        unscored = (sample.infarct[0] < 0) & ~copies(sample)
        spacing = self.recipe.grid.spacing_mm
        return lay_one(generator, hu, brain, spacing, self.shapes, self.mix.laid, unscored)


def _chosen(weights: Sequence[float], u: float) -> int:
    """An index drawn by weight. u: uniform in [0, 1)."""
    sums = list(itertools.accumulate(weights))
    return next((place for place, total in enumerate(sums) if u * sums[-1] < total), len(sums) - 1)


def to_hu(unit: Tensor, grid: GridConfig) -> Tensor:
    """Intensities in [0, 1] of the grid's window to HU."""
    lower, upper = grid.window_hu
    return unit * (upper - lower) + lower


def to_unit(hu: Tensor, brain: Tensor, grid: GridConfig) -> Tensor:
    """HU to [0, 1], above 0 in the brain and 0 outside."""
    lower, upper = grid.window_hu
    return ((hu - lower) / (upper - lower)).clamp(LEAST_UNIT, 1) * brain


def contrast_hu(sample: Sample, grid: GridConfig) -> float:
    """Median of how much darker an infarct is than its mirror twin, HU; 0 if hardly any of it has a twin."""
    hu, ill = to_hu(sample.brain[0], grid), sample.infarct[0] > 0
    tissue = (hu > _FLUID_HU) & (sample.brain[0] > 0)
    both = ill & tissue & mirror(tissue & ~ill)
    return float((mirror(hu) - hu)[both].median()) if both.sum() >= _LEAST_TWINS else 0.0


def grown(mask: Tensor, voxels: int) -> Tensor:
    """A mask (D, H, W) dilated in plane."""
    side = 2 * voxels + 1
    return F.max_pool2d(mask.float()[:, None], side, 1, voxels)[:, 0] > 0


def copies(sample: Sample) -> Tensor:
    """Brain in slices that are not scored at all, (D, H, W), bool: not acquired, but copies of the nearest slice."""
    brain = sample.brain[0] > 0
    unscored = ((sample.infarct[0] < 0) | ~brain).flatten(1).all(1)
    return unscored[:, None, None] & brain


def outline(sample: Sample, voxels: int) -> Tensor:
    """The infarct, including copies of its slices, dilated in plane by `voxels`; (D, H, W), bool."""
    found, copied = sample.infarct[0] > 0, copies(sample)
    for _ in range(_SPREAD_SLICES):
        near = F.max_pool3d(found[None, None].float(), (3, 1, 1), 1, (1, 0, 0))[0, 0] > 0
        found = found | (near & copied)
    return grown(found, voxels) & (sample.brain[0] > 0)


def without_blood(sample: Sample, mix: MixConfig, grid: GridConfig) -> Sample:
    """A whole head with blood, voxels the case leaves unscored, and the surroundings of both excluded from scoring."""
    brain = sample.brain[0] > 0
    mean = F.avg_pool2d(to_hu(sample.brain[0], grid)[:, None], 3, 1, 1)[:, 0]
    unscored = grown((sample.infarct[0] < 0) | ((mean > mix.blood_hu) & brain), mix.silent_voxels) & brain
    return sample._replace(infarct=torch.where(unscored, -1.0, 0.0)[None])


def emptied(sample: Sample, region: Tensor, twin: Twin, grid: GridConfig) -> Sample:
    """Replace a region (D, H, W) by its twin, free of infarct; voxels without a twin or not acquired are not scored."""
    brain, copied = sample.brain[0] > 0, copies(sample)
    hu, gone = replace_by_twin(to_hu(sample.brain[0], grid), brain, region, twin, grid.spacing_mm)
    kept = sample.infarct[0].clamp(max=0)
    infarct = torch.where(region, torch.where(gone & ~copied, 0.0, -1.0), kept)
    return sample._replace(brain=to_unit(hu, brain, grid)[None], infarct=infarct[None])


def filled(sample: Sample, where: Filled, twin: Twin, mix: MixConfig, grid: GridConfig) -> Sample:
    """Replace a healthy region by its twin, so that a seam like that of `emptied` does not mean "no infarct"."""
    brain, near = sample.brain[0] > 0, outline(sample, mix.grown_voxels)
    hu = to_hu(sample.brain[0], grid)
    free = ((hu > _FLUID_HU) & brain & ~near).nonzero()
    if not len(free):
        return sample
    centre = free[min(int(where.share * len(free)), len(free) - 1)].tolist()
    lines = [(torch.arange(n) - c) / r for n, c, r in zip(brain.shape, centre, where.half, strict=True)]
    z, y, x = torch.meshgrid(*lines, indexing="ij")
    region = (z**2 + y**2 + x**2 < 1) & brain & ~near & ~mirror(near)
    hu, _ = replace_by_twin(hu, brain, region, twin, grid.spacing_mm)
    return sample._replace(brain=to_unit(hu, brain, grid)[None])


def with_overlay(sample: Sample, laid: OverlaidInfarct, grid: GridConfig) -> Sample:
    """Add a laid infarct to a sample; unscored voxels stay unscored."""
    infarct = torch.where(laid.infarct & (sample.infarct[0] == 0), 1.0, sample.infarct[0])
    return sample._replace(brain=to_unit(laid.hu, sample.brain[0] > 0, grid)[None], infarct=infarct[None])


def validation_samples(cases: Cases, seed: int) -> list[tuple[str, Sample]]:
    """Fixed samples of held-out patients: 'outlined' parts, 'whole' heads, and whole heads with a 'laid' infarct."""
    recipe, mix = cases.recipe, cases.recipe.train.mix
    named = [("outlined", load_aligned(path)) for path in cases.outlined]
    for place, path in enumerate(cases.whole):
        sample = without_blood(load_aligned(path), mix, recipe.grid)
        named.append(("whole", sample))
        hu, brain = to_hu(sample.brain[0], recipe.grid), sample.brain[0] > 0
        generator, unscored = patient_generator(seed, place), sample.infarct[0] < 0
        laid = lay_one(generator, hu, brain, recipe.grid.spacing_mm, cases.masks, mix.laid, unscored)
        if laid:
            named.append(("laid", with_overlay(sample, laid, recipe.grid)))
    return named
