"""Samples from several sources in one training, so that the source does not give away whether there is an infarct.

Outlined parts of heads as they are, or emptied (the infarct replaced by its mirrored twin); whole heads without
infarct; virtual patients. Virtual infarcts are laid on a share of the emptied parts and of the whole heads, and whole
and virtual heads are cut to parts. What is drawn is plain data (`Draw`), of (seed, i) only.
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
from adn.feed.cut import Heights, cut, heights_of
from adn.feed.samples import Sample
from adn.space.warp import mirror
from adn.virtual.folders import patient_generator
from adn.virtual.overlay import Laid, Shape, Twin, donor_shape, draw_twin, lay_one, replace_by_twin

MixSource = Literal["outlined", "emptied", "whole", "virtual"]
_MIX_STREAM = 30_000_000  # where samples are drawn, apart from the virtual patients among them
_FLUID_HU = 12.0  # parenchyma is brighter
_LEAST_TWINS = 10  # voxels with a twin, for a contrast to be known
_SPREAD_SLICES = 8  # copies of an end slice show its infarct, too; at most so many


@dataclass(frozen=True)
class Filled:
    """A healthy place replaced by its twin. share: where among voxels that may be its middle. half: axes, voxels."""

    share: float
    half: tuple[float, float, float]


@dataclass(frozen=True)
class Cut:
    """heights: those of which outlined case a head is cut to. slice_share, place_share: as for `cut`."""

    heights: int
    slice_share: float
    place_share: float


@dataclass(frozen=True)
class Draw:
    """Everything about one sample. place: which case, or of virtual patients which of them. replaced: infarct or blood
    by the twin. laid: a virtual infarct, of `seed`, is there. twin, filled, cut, changes: as they say."""

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

    masks: lesion masks to lay. Donors are made of the outlined cases of the same part, so that no patient of one part
    shows in another.
    """

    recipe: Recipe
    outlined: Sequence[Path]
    whole: Sequence[Path]
    masks: Mapping[str, Shape] = field(default_factory=dict)

    @cached_property
    def contrasts_hu(self) -> list[float]:
        """Of each outlined case, by how much its infarct is darker than its twin."""
        return [contrast_hu(load_aligned(path), self.recipe.grid) for path in self.outlined]

    @cached_property
    def heights(self) -> list[Heights]:
        """Of each outlined case."""
        return [heights_of(load_aligned(path)) for path in self.outlined]

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """Masks, and donors of the outlined infarcts that can be seen."""
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

    virtual: virtual patients on the box, as long as this; None where the recipe has no share of them. Raises InputError
    for a source with a share and without cases.
    """

    def __init__(self, cases: Cases, virtual: Dataset[Sample] | None, seed: int, count: int) -> None:
        self.cases, self.virtual, self.seed, self.count = cases, virtual, seed, count
        self.recipe, self.mix = cases.recipe, cases.recipe.train.mix
        there = {"outlined": cases.outlined, "emptied": cases.outlined, "whole": cases.whole, "virtual": virtual}
        for name, share in self.mix.shares.items():
            if share and not there[name]:
                raise InputError(
                    f"The recipe's train.mix.{name} has a share of {share:g}, but there are no such cases."
                )
        self.weights = [1.0 if hu >= self.mix.visible_hu else self.mix.invisible_weight for hu in cases.contrasts_hu]
        self.shapes, self.heights = cases.shapes, cases.heights  # made once here, and not in every worker

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        """Draw and show sample `index`."""
        return self.show(self.draw(index))

    def draw(self, index: int) -> Draw:
        """What sample `index` is, as plain data."""
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
        """The sample that a draw describes; the same each time."""
        with torch.no_grad():
            sample = self._base(draw)
            laid = self._laid(sample, draw) if draw.laid or draw.cut else None
            region = sample.infarct[0] > 0
            if laid and not region.any():
                # the place of an infarct that is not laid decides where a head is cut, too, so that it tells nothing
                region = laid.infarct
                sample = with_laid(sample, laid, self.recipe.grid) if draw.laid else sample
            if draw.cut:
                heights = self.heights[draw.cut.heights]
                sample = cut(sample, heights, region, draw.cut.slice_share, draw.cut.place_share)
            return change(sample, draw.changes, self.recipe.grid)

    def _base(self, draw: Draw) -> Sample:
        """The case of a draw, with what is replaced and silent."""
        mix, grid = self.mix, self.recipe.grid
        if draw.source == "virtual":
            assert self.virtual is not None
            return self.virtual[draw.place]
        sample = load_aligned((self.cases.whole if draw.source == "whole" else self.cases.outlined)[draw.place])
        if draw.source == "whole":
            sample = silenced(sample, mix, grid)
            return emptied(sample, sample.infarct[0] < 0, draw.twin, grid) if draw.replaced else sample
        if draw.replaced:
            return emptied(sample, outline(sample, mix.grown_voxels), draw.twin, grid)
        return filled(sample, draw.filled, draw.twin, mix, grid) if draw.filled else sample

    def _laid(self, sample: Sample, draw: Draw) -> Laid | None:
        """A virtual infarct of the draw's seed, not yet in the sample."""
        brain = sample.brain[0] > 0
        generator, hu = torch.Generator().manual_seed(draw.seed), to_hu(sample.brain[0], self.recipe.grid)
        # copies of a part's slices are silent as wholes, and show what their neighbours show
        silent = (sample.infarct[0] < 0) & ~copies(sample)
        spacing = self.recipe.grid.spacing_mm
        return lay_one(generator, hu, brain, spacing, self.shapes, self.mix.laid, silent)


def _chosen(weights: Sequence[float], u: float) -> int:
    """A place by weight, from a uniform number."""
    sums = list(itertools.accumulate(weights))
    return next((place for place, total in enumerate(sums) if u * sums[-1] < total), len(sums) - 1)


def to_hu(unit: Tensor, grid: GridConfig) -> Tensor:
    """[0, 1] of the grid's window to HU."""
    lower, upper = grid.window_hu
    return unit * (upper - lower) + lower


def to_unit(hu: Tensor, brain: Tensor, grid: GridConfig) -> Tensor:
    """HU to [0, 1], above 0 in the brain and 0 outside."""
    lower, upper = grid.window_hu
    return ((hu - lower) / (upper - lower)).clamp(LEAST_UNIT, 1) * brain


def contrast_hu(sample: Sample, grid: GridConfig) -> float:
    """By how much an infarct is darker than its mirrored twin, median, HU; 0 where hardly any of it has one."""
    hu, ill = to_hu(sample.brain[0], grid), sample.infarct[0] > 0
    tissue = (hu > _FLUID_HU) & (sample.brain[0] > 0)
    both = ill & tissue & mirror(tissue & ~ill)
    return float((mirror(hu) - hu)[both].median()) if both.sum() >= _LEAST_TWINS else 0.0


def grown(mask: Tensor, voxels: int) -> Tensor:
    """A mask (D, H, W) widened within its slices."""
    side = 2 * voxels + 1
    return F.max_pool2d(mask.float()[:, None], side, 1, voxels)[:, 0] > 0


def copies(sample: Sample) -> Tensor:
    """The slices that are silent throughout, (D, H, W): not acquired, they show what lies beside them."""
    brain = sample.brain[0] > 0
    silent = ((sample.infarct[0] < 0) | ~brain).flatten(1).all(1)
    return silent[:, None, None] & brain


def outline(sample: Sample, voxels: int) -> Tensor:
    """The infarct and what lies so near to it in plane, in copies of its slices as well; (D, H, W), bool."""
    found, copied = sample.infarct[0] > 0, copies(sample)
    for _ in range(_SPREAD_SLICES):
        near = F.max_pool3d(found[None, None].float(), (3, 1, 1), 1, (1, 0, 0))[0, 0] > 0
        found = found | (near & copied)
    return grown(found, voxels) & (sample.brain[0] > 0)


def silenced(sample: Sample, mix: MixConfig, grid: GridConfig) -> Sample:
    """A whole head whose blood, and what the case says nothing about, is silent with its surroundings."""
    brain = sample.brain[0] > 0
    mean = F.avg_pool2d(to_hu(sample.brain[0], grid)[:, None], 3, 1, 1)[:, 0]
    silent = grown((sample.infarct[0] < 0) | ((mean > mix.blood_hu) & brain), mix.silent_voxels) & brain
    return sample._replace(infarct=torch.where(silent, -1.0, 0.0)[None])


def emptied(sample: Sample, region: Tensor, twin: Twin, grid: GridConfig) -> Sample:
    """A region (D, H, W) replaced by its twin: no infarct there; silent where it has none, or was not acquired."""
    brain, copied = sample.brain[0] > 0, copies(sample)
    hu, gone = replace_by_twin(to_hu(sample.brain[0], grid), brain, region, twin, grid.spacing_mm)
    kept = sample.infarct[0].clamp(max=0)
    infarct = torch.where(region, torch.where(gone & ~copied, 0.0, -1.0), kept)
    return sample._replace(brain=to_unit(hu, brain, grid)[None], infarct=infarct[None])


def filled(sample: Sample, where: Filled, twin: Twin, mix: MixConfig, grid: GridConfig) -> Sample:
    """A healthy place replaced by its twin, so that the seam of `emptied` does not tell that there is no infarct."""
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


def with_laid(sample: Sample, laid: Laid, grid: GridConfig) -> Sample:
    """A sample with an infarct that was laid on it; what is silent stays silent."""
    infarct = torch.where(laid.infarct & (sample.infarct[0] == 0), 1.0, sample.infarct[0])
    return sample._replace(brain=to_unit(laid.hu, sample.brain[0] > 0, grid)[None], infarct=infarct[None])


def validation_samples(cases: Cases, seed: int) -> list[tuple[str, Sample]]:
    """Fixed samples of held-out patients: 'outlined' parts, 'whole' heads, and these with a 'laid' infarct."""
    recipe, mix = cases.recipe, cases.recipe.train.mix
    named = [("outlined", load_aligned(path)) for path in cases.outlined]
    for place, path in enumerate(cases.whole):
        sample = silenced(load_aligned(path), mix, recipe.grid)
        named.append(("whole", sample))
        hu, brain = to_hu(sample.brain[0], recipe.grid), sample.brain[0] > 0
        generator, silent = patient_generator(seed, place), sample.infarct[0] < 0
        laid = lay_one(generator, hu, brain, recipe.grid.spacing_mm, cases.masks, mix.laid, silent)
        if laid:
            named.append(("laid", with_laid(sample, laid, recipe.grid)))
    return named
