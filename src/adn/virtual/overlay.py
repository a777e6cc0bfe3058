"""Adds virtual infarcts to real brains, and replaces real ones by their mirror twins, on any grid."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from adn.config_mix import LaidConfig
from adn.space.affine import Affine
from adn.space.geometry import bounding_box
from adn.space.units import WHOLE_BRAIN_MM
from adn.space.warp import mirror
from adn.virtual.blur import blur
from adn.virtual.disease import darkened
from adn.virtual.fields import random_field, read_field
from adn.virtual.lesions import BRAIN, LesionMask

Spacing = tuple[float, float, float]
_SMOOTH_MM = 2.4  # σ over which HU are averaged to tell parenchyma from fluid and blood
_DARK_HU, _BRIGHT_HU = 12.0, 14.0  # limits of parenchyma below and above the brain's median
_FLUID_HU = 10.0  # no infarct makes anything darker than this
_PATCH_MM = 18.0  # distance between independent values of an infarct's darkening
_GREY_PER_HU = 0.05  # extra darkening per HU above the median: brighter tissue is probably grey matter
SHAPE_MM = 2.0  # voxel size of shapes made from masks
_BLEND_VOXELS = 1.2  # σ in plane of the seam between a twin and its surroundings
_NOISE_VOXELS = 1.0  # σ in plane; finer detail is taken for noise


@dataclass(frozen=True, eq=False)
class Shape:
    """The shape of an infarct to add: a mask, or a real infarct (donor).

    extent: (d, h, w) in [0, 1], axes to superior, posterior and left. place: of its centre in the brain's bounding box,
    as shares along D, H, W. drop_hu: (d, h, w), how much darker a donor is than its mirror twin; None for a mask.
    """

    name: str
    extent: Tensor
    spacing_mm: Spacing
    place: tuple[float, float, float]
    drop_hu: Tensor | None = None


@dataclass(frozen=True)
class Overlay:
    """One infarct to add, as plain data.

    shape: name of a `Shape`. place: of its centre in the brain's bounding box, as shares along D, H, W. scale: factor
    on its size in plane. flip: left-right. edge_mm: σ of its edge in plane. drop_hu: mean darkening, for a mask. gain:
    factor on the darkening, for a donor. patchy: relative σ of the darkening within it. seed: of the patches.
    """

    shape: str
    place: tuple[float, float, float]
    scale: float
    flip: bool
    edge_mm: float
    drop_hu: float
    gain: float
    patchy: float
    seed: int

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {**self.__dict__, "place": list(self.place)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Overlay:
        """Back from `to_dict`, through JSON."""
        return cls(**{**values, "place": tuple(values["place"])})


class OverlaidInfarct(NamedTuple):
    """hu: (D, H, W) with the infarct. infarct: (D, H, W), bool. drop_hu: mean darkening inside. overlay: its draw."""

    hu: Tensor
    infarct: Tensor
    volume_ml: float
    drop_hu: float
    overlay: Overlay


def mask_shape(name: str, mask: LesionMask) -> Shape:
    """Turn a mask in MNI space into a shape, placed as in the MNI brain's bounding box."""
    step_mm = 1 / float(abs(mask.index_from_mni[:3, :3]).max())
    factor = max(round(SHAPE_MM / step_mm), 1)
    pads = [v for n in mask.data.shape[::-1] for v in (0, -n % factor)]
    extent = F.avg_pool3d(F.pad(mask.data.float()[None, None] / 255, pads), factor)[0, 0]
    corner, extent = _cropped(extent)
    # array index of the crop's middle, in the mask's own voxels (W, H, D)
    middle = [(c + n / 2) * factor - 0.5 for c, n in zip(corner, extent.shape, strict=True)][::-1]
    at_mm = Affine(mask.index_from_mni).inverse().apply(middle).tolist()
    kept_mm = step_mm * factor
    w, h, d = ((p - c + a) / (2 * a) for p, c, a in zip(at_mm, *BRAIN, strict=True))
    return Shape(name, extent, (kept_mm, kept_mm, kept_mm), (d, h, w))


def donor_shape(name: str, hu: Tensor, brain: Tensor, infarct: Tensor, spacing_mm: Spacing) -> Shape | None:
    """Turn a real infarct on an aligned grid (D, H, W) into a shape, with its darkening relative to its twin per voxel.

    hu: HU. brain, infarct: bool, with the mid-plane in the middle of W. None if hardly any of it has a twin in the
    brain.
    """
    tissue = (hu > _FLUID_HU) & brain
    both = infarct & tissue & mirror(tissue) & ~mirror(infarct)
    if both.sum() < 10:
        return None
    sigma = (0.0, _SMOOTH_MM / spacing_mm[1], _SMOOTH_MM / spacing_mm[2])
    darker = torch.where(both, mirror(hu) - hu, 0.0)
    total, share = blur(torch.stack([darker, both.float()])[None], sigma)[0]
    drop = torch.where(share > 0.2, total / share.clamp(min=0.2), darker[both].median()).clamp(0, 16)
    corner, extent = _cropped(infarct.float())
    box = tuple(slice(c, c + n) for c, n in zip(corner, extent.shape, strict=True))
    low, high = _box(brain)
    middle = [c + (n - 1) / 2 for c, n in zip(corner, extent.shape, strict=True)]
    place = [(m - a) / max(b - a, 1) for m, a, b in zip(middle, low, high, strict=True)]
    return Shape(name, extent, spacing_mm, (place[0], place[1], place[2]), drop[box].contiguous())


def draw_overlay(
    generator: torch.Generator, shapes: Mapping[str, Shape], config: LaidConfig, height_mm: float
) -> Overlay:
    """Draw one infarct. height_mm: of the brain it is added to; in a part of a head it may lie at any height."""
    u = torch.rand(8, generator=generator, dtype=torch.float64).tolist()
    n = torch.randn(5, generator=generator, dtype=torch.float64).tolist()
    donors = [name for name, shape in shapes.items() if shape.drop_hu is not None]
    masks = [name for name, shape in shapes.items() if shape.drop_hu is None]
    among = donors if donors and (u[0] < config.donor_share or not masks) else masks
    shape = shapes[among[min(int(u[1] * len(among)), len(among) - 1)]]
    flip = u[2] < 0.5
    d, h, w = shape.place
    known = shape.drop_hu is None and height_mm >= WHOLE_BRAIN_MM  # a donor scan shows only a part
    d = d if known else 0.1 + 0.8 * u[3]
    low, high = config.drop_range_hu
    return Overlay(
        shape=shape.name,
        # a brain is some 170 × 136 mm in plane
        place=(d, h + n[0] * config.shift_mm / 170, (1 - w if flip else w) + n[1] * config.shift_mm / 136),
        scale=math.exp(n[2] * config.scale_sd),
        flip=flip,
        edge_mm=config.edge_mm[0] + (config.edge_mm[1] - config.edge_mm[0]) * u[4],
        drop_hu=min(max(config.drop_hu + n[3] * config.drop_sd_hu, low), high),
        gain=math.exp(n[4] * config.donor_gain_sd),
        patchy=config.patchy[0] + (config.patchy[1] - config.patchy[0]) * u[5],
        seed=int(u[6] * 2**31),
    )


def lay(
    hu: Any, brain: Any, spacing_mm: Spacing, shape: Shape, overlay: Overlay, avoid: Any | None = None
) -> OverlaidInfarct | None:
    """Add one infarct to a brain, within its parenchyma. The same overlay gives the same infarct, at any spacing.

    hu: (D, H, W), HU. brain: bool. Both tensors or arrays, axes to superior, posterior and left. avoid: bool, voxels to
    leave out. Returns None if no part of it lies in the brain.
    """
    hu, brain = torch.as_tensor(hu).float(), torch.as_tensor(brain) > 0
    low, high = _box(brain)
    centre = [a + share * (b - a) for a, b, share in zip(low, high, overlay.place, strict=True)]
    box = _reach(centre, shape, overlay, spacing_mm, hu.shape)
    if box is None:
        return None
    offsets = [(torch.arange(s.start, s.stop) - c) * mm for s, c, mm in zip(box, centre, spacing_mm, strict=True)]
    extent, drop = _read(shape, overlay, offsets, spacing_mm[0])
    here, inside = hu[box], brain[box]
    median = hu[brain].median()
    sigma = (0.0, _SMOOTH_MM / spacing_mm[1], _SMOOTH_MM / spacing_mm[2])
    value, weight = blur(torch.stack([here * inside, inside.float()])[None], sigma)[0]
    above = value / weight.clamp(min=1e-3) - median
    parenchyma = torch.sigmoid((above + _DARK_HU) / 1.2) * torch.sigmoid((_BRIGHT_HU - above) / 1.5) * inside
    edge = (0.0, overlay.edge_mm / spacing_mm[1], overlay.edge_mm / spacing_mm[2])
    extent = (1.4 * blur(extent[None, None], edge)[0, 0] - 0.2).clamp(0, 1) * parenchyma
    if avoid is not None:
        extent = extent * ~(torch.as_tensor(avoid)[box] > 0)
    if drop is None:
        field = random_field(torch.Generator().manual_seed(overlay.seed), 1, _PATCH_MM)
        z, y, x = torch.meshgrid(*offsets, indexing="ij")
        patches = (1 + overlay.patchy * read_field(field, torch.stack([x, y, z], -1))[0]).clamp(0.4, 1.7)
        drop = overlay.drop_hu * patches * (1 + (_GREY_PER_HU * above).clamp(-0.3, 0.5))
    result, infarct = hu.clone(), torch.zeros_like(brain)
    infarct[box] = extent > 0.5
    if not infarct.any():
        return None
    result[box] = torch.where(inside, darkened(here, extent * drop, _FLUID_HU), here)
    volume_ml = float(infarct.sum()) * math.prod(spacing_mm) / 1000
    return OverlaidInfarct(result, infarct, volume_ml, float((hu - result)[infarct].mean()), overlay)


def lay_one(
    generator: torch.Generator,
    hu: Any,
    brain: Any,
    spacing_mm: Spacing,
    shapes: Mapping[str, Shape],
    config: LaidConfig,
    avoid: Any | None = None,
) -> OverlaidInfarct | None:
    """Draw and lay until volume and darkening satisfy the configuration; None if no try does.

    Otherwise as `lay`; `OverlaidInfarct.overlay` replays the result.
    """
    low, high = _box(torch.as_tensor(brain) > 0)
    if not shapes:
        return None
    for _ in range(config.tries):
        overlay = draw_overlay(generator, shapes, config, (high[0] - low[0] + 1) * spacing_mm[0])
        laid = lay(hu, brain, spacing_mm, shapes[overlay.shape], overlay, avoid)
        if laid and config.least_ml <= laid.volume_ml <= config.most_ml and laid.drop_hu >= config.least_hu:
            return laid
    return None


@dataclass(frozen=True)
class Twin:
    """How a region is replaced by its mirror twin.

    shift: of the twin along H and W, voxels, so that noise is not copied exactly. uneven_hu: σ of added smooth
    differences. seed: of these and of noise.
    """

    shift: tuple[int, int]
    uneven_hu: float
    seed: int


def draw_twin(generator: torch.Generator, most_uneven_hu: float = 1.2) -> Twin:
    """Draw a shift of one voxel along W and at most one along H, and an unevenness of up to `most_uneven_hu`."""
    u = torch.rand(4, generator=generator, dtype=torch.float64).tolist()
    return Twin((int(u[0] * 3) - 1, 1 if u[1] < 0.5 else -1), most_uneven_hu * u[2], int(u[3] * 2**31))


def replace_by_twin(
    hu: Tensor, brain: Tensor, region: Tensor, twin: Twin, spacing_mm: Spacing
) -> tuple[Tensor, Tensor]:
    """HU with the region replaced by its mirror twin, and the replaced voxels, bool; the rest of it has no twin.

    hu: (D, H, W), aligned, with the mid-plane in the middle of W. brain, region: bool. Noise that blending removes at
    the seam is added back.
    """
    other = mirror(hu).roll(twin.shift, (1, 2))
    both = brain & mirror(brain).roll(twin.shift, (1, 2))
    replaced = region & both & ~mirror(region).roll(twin.shift, (1, 2))
    if not replaced.any():
        return hu, replaced
    seam = (0.0, _BLEND_VOXELS, _BLEND_VOXELS)
    weight = blur(replaced.float()[None, None], seam)[0, 0].clamp(0, 1) * both
    generator = torch.Generator().manual_seed(twin.seed)
    field = random_field(generator, 1, 30.0)
    lines = [(torch.arange(n) - n / 2) * mm for n, mm in zip(hu.shape, spacing_mm, strict=True)]
    z, y, x = torch.meshgrid(*lines, indexing="ij")
    uneven = twin.uneven_hu * read_field(field, torch.stack([x, y, z], -1))[0]
    sigma_hu = _noise_hu(hu, _rim(replaced, brain))
    lost = sigma_hu * (2 * weight * (1 - weight)).clamp(min=0).sqrt() * torch.randn(hu.shape, generator=generator)
    return torch.where(both, hu * (1 - weight) + (other + uneven) * weight + lost, hu), replaced


def _rim(region: Tensor, brain: Tensor, voxels: int = 3) -> Tensor:
    """The brain around a region, within `voxels` in plane, bool."""
    side = 2 * voxels + 1
    wide = F.max_pool3d(region.float()[None, None], (1, side, side), 1, (0, voxels, voxels))[0, 0] > 0
    return wide & brain & ~region


def _noise_hu(hu: Tensor, where: Tensor) -> Tensor:
    """Robust σ of detail finer than a voxel or two; 0 if there are too few voxels."""
    if where.sum() < 20:
        return hu.new_tensor(0.0)
    fine = hu - blur(hu[None, None], (0.0, _NOISE_VOXELS, _NOISE_VOXELS))[0, 0]
    return 1.4826 * fine[where].abs().median()


def _box(inside: Tensor) -> tuple[list[int], list[int]]:
    """First and last index along each axis; the whole array if nothing is inside."""
    held = (inside if inside.any() else torch.ones_like(inside)).cpu().numpy()
    box = bounding_box(held)
    return [part.start for part in box], [part.stop - 1 for part in box]


def _cropped(extent: Tensor) -> tuple[list[int], Tensor]:
    """Crop to the nonzero part; return the first index of the crop, and the crop."""
    low, high = _box(extent > 0)
    return low, extent[tuple(slice(a, b + 1) for a, b in zip(low, high, strict=True))].contiguous()


def _reach(
    centre: Sequence[float], shape: Shape, overlay: Overlay, spacing_mm: Spacing, sides: Sequence[int]
) -> tuple[slice, ...] | None:
    """The voxels that the shape and its soft edge can reach; None if there are none."""
    box = []
    for axis, (c, n, step, mm, side) in enumerate(
        zip(centre, shape.extent.shape, shape.spacing_mm, spacing_mm, sides, strict=True)
    ):
        half = (n * step / 2 * (overlay.scale if axis else 1.0) + (3 * overlay.edge_mm if axis else mm)) / mm
        start, stop = max(math.floor(c - half), 0), min(math.ceil(c + half) + 1, side)
        if start >= stop:
            return None
        box.append(slice(start, stop))
    return tuple(box)


def _read(shape: Shape, overlay: Overlay, offsets: list[Tensor], slice_mm: float) -> tuple[Tensor, Tensor | None]:
    """Extent of the shape, averaged over the slice, and a donor's darkening, at offsets (mm) from its centre."""
    layers = [shape.extent] if shape.drop_hu is None else [shape.extent, shape.drop_hu * overlay.gain]
    values = torch.stack(layers)[None]
    values = mirror(values) if overlay.flip else values
    sides = values.shape[2:]
    z, y, x = (
        offset / (scale * step * n / 2)
        for offset, scale, step, n in zip(
            offsets, (1.0, overlay.scale, overlay.scale), shape.spacing_mm, sides, strict=True
        )
    )
    third = slice_mm / 3 / (shape.spacing_mm[0] * sides[0] / 2)

    def at(height: float, padding: str) -> Tensor:
        gz, gy, gx = torch.meshgrid(z + height, y, x, indexing="ij")
        grid = torch.stack([gx, gy, gz], -1)[None]
        return F.grid_sample(values, grid, padding_mode=padding, align_corners=False)[0]

    heights = (-third, 0.0, third) if slice_mm > 1.5 * shape.spacing_mm[0] else (0.0,)
    extent = torch.stack([at(h, "zeros")[0] for h in heights]).mean(0)
    return extent, None if shape.drop_hu is None else at(0.0, "border")[1]
