"""The last changes to a sample, whatever its source: parameters drawn first, then applied."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from adn.config import GridConfig
from adn.config_mix import ChangesConfig
from adn.feed.aligned import LEAST_UNIT
from adn.feed.samples import Sample
from adn.space.warp import mirror

_FLUID_HU = 15.0  # contrast is changed about the median of what is brighter than this
_EDGE_SHARE = 0.05  # voxels with a smaller share of brain become background
_UNSCORED_SHARE = 0.3  # voxels with a larger unscored share are not scored


@dataclass(frozen=True)
class Changes:
    """flip: left-right. turn_deg, scale, shift: in plane; shift along H and W as a share of the box's sides. gain:
    factor of contrast about the brain's median. denser_hu: added to the brain. rough_hu: σ of added noise. shading_hu:
    σ of added smooth shading. seed: of noise and shading."""

    flip: bool
    turn_deg: float
    scale: float
    shift: tuple[float, float]
    gain: float
    denser_hu: float
    rough_hu: float
    shading_hu: float
    seed: int


def draw_changes(generator: torch.Generator, config: ChangesConfig) -> Changes:
    """Draw the changes of one sample."""
    u = torch.rand(3, generator=generator, dtype=torch.float64).tolist()
    n = torch.randn(7, generator=generator, dtype=torch.float64).tolist()
    low, high = config.gain
    return Changes(
        flip=u[0] < config.flip_share,
        turn_deg=config.turn_sd_deg * n[0],
        scale=math.exp(config.scale_sd * n[1]),
        shift=(config.shift_sd * n[2], config.shift_sd * n[3]),
        gain=low * (high / low) ** u[1],
        denser_hu=config.denser_sd_hu * n[4],
        rough_hu=config.rough_sd_hu * abs(n[5]),
        shading_hu=config.shading_sd_hu * abs(n[6]),
        seed=int(u[2] * 2**31),
    )


def change(sample: Sample, changes: Changes, grid: GridConfig) -> Sample:
    """Apply the changes to a sample on the brain box; outside the brain it stays 0, unscored voxels stay unscored."""
    brain, infarct, tissue = (mirror(x[0]) if changes.flip else x[0] for x in sample)
    layers = torch.stack([brain, (brain > 0).float(), (infarct > 0).float(), (infarct < 0).float()], 1)
    places = _places(changes, brain.shape)
    x, inside, ill, unscored = F.grid_sample(layers, places, align_corners=False).unbind(1)
    labels = F.grid_sample(tissue[:, None].float(), places, mode="nearest", align_corners=False)[:, 0]
    lower, upper = grid.window_hu
    hu = x / inside.clamp(min=0.5) * (upper - lower) + lower
    kept = inside > 0.5
    hu = _shade(hu, kept, changes)
    # voxels fade at the brain's edge, as they do when a stripped head is rotated
    value = ((hu - lower) / (upper - lower)).clamp(LEAST_UNIT, 1) * inside * (inside > _EDGE_SHARE)
    reference = torch.where(unscored > _UNSCORED_SHARE, -1.0, ((ill > 0.5) & kept).float())
    return Sample(value[None], reference[None], labels[None].to(torch.uint8))


def _places(changes: Changes, shape: torch.Size) -> Tensor:
    """Where each voxel is read, slice by slice, for `grid_sample`."""
    depth, height, width = shape
    angle = math.radians(changes.turn_deg)
    c, s = math.cos(angle) * changes.scale, math.sin(angle) * changes.scale
    y, x = (2 * shift for shift in changes.shift)
    theta = torch.tensor([[c, -s * height / width, x], [s * width / height, c, y]])
    return F.affine_grid(theta.expand(depth, 2, 3), [depth, 1, height, width], align_corners=False)


def _shade(hu: Tensor, inside: Tensor, changes: Changes) -> Tensor:
    """Apply contrast, density, noise and smooth shading."""
    bright = hu[inside & (hu > _FLUID_HU)]
    median = bright.median() if len(bright) else hu.new_tensor(0.0)
    generator = torch.Generator().manual_seed(changes.seed)
    rough = torch.randn(hu.shape, generator=generator)
    smooth = torch.randn((1, 1, 3, 3), generator=generator)
    shading = F.interpolate(smooth, size=hu.shape[1:], mode="bicubic", align_corners=True)[0]
    hu = median + changes.gain * (hu - median) + changes.denser_hu
    return hu + changes.rough_hu * rough + changes.shading_hu * shading
