"""The paper's equations: total, pathological and intrinsic asymmetry, and the volumes they compensate."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from adn.config import Polarity
from adn.space.warp import mirror

_FLUID_HU = 15.0  # below: certainly fluid, or stripped; the brain's median is taken over voxels above it
_FLUID_SHARE = 0.55  # voxels below this share of that median are excluded as fluid: 18 HU for a brain of 33
_LEAST_SHARE = 0.3  # least share of parenchyma among the voxels around a point
_FULL_HU = 10.0  # this difference from the brain's median counts as 1
_MOST = 4.0  # clipped there, in those units; beyond lie calcification, blood and partial volume of bone
Reach = Literal["contrast", "broad_contrast"]
# Size of the local means in plane and in depth, mm, and the difference in HU that counts as 1.
REACHES: dict[Reach, tuple[float, float, float]] = {"contrast": (10.0, 0.0, 10.0), "broad_contrast": (20.0, 15.0, 6.0)}
PForm = Literal["probability", "fraction"]
SIGN = {"dark": 1.0, "bright": -1.0}  # compensation fills dark lesions in and takes bright ones away


class Disentangled(NamedTuple):
    """Everything between X and F, each (B, 1, D, H, W), fp32. `gate` is σ(D(X))."""

    aligned: Tensor
    total_asymmetry: Tensor
    gate: Tensor
    pathological_asymmetry: Tensor
    intrinsic_asymmetry: Tensor
    salient: Tensor


def total_asymmetry(aligned: Float[Tensor, "b 1 d h w"], polarity: Polarity = "dark") -> Float[Tensor, "b 1 d h w"]:
    """A = max(X′ − X, 0), in [0, 1]: how much darker a voxel is than its mirror twin (eq. 2).

    polarity: 'bright' reverses it, A = max(X − X′, 0), for bleeds (suggested in the paper's outlook).
    """
    return torch.relu(SIGN[polarity] * (mirror(aligned) - aligned))


def disentangle(
    aligned: Float[Tensor, "b 1 d h w"],
    logits: Float[Tensor, "b 1 d h w"],
    p_form: PForm = "fraction",
    clamp_q: bool = False,
    polarity: Polarity = "dark",
) -> Disentangled:
    """Split A into P and Q and compensate Q: X̂ = X + Q (eq. 3), or X − Q for bright lesions; all in fp32.

    aligned: X in [0, 1]. logits: D(X) before its sigmoid. p_form: 'probability' (P = σ(D), the paper) or 'fraction'
    (P = A · σ(D), so that 0 ≤ P ≤ A; docs/method.md, section 1). clamp_q: Q = max(A − P, 0) (the released code).
    """
    aligned, gate = aligned.float(), torch.sigmoid(logits.float())
    a = total_asymmetry(aligned, polarity)
    p = a * gate if p_form == "fraction" else gate
    q = torch.relu(a - p) if clamp_q else a - p
    return Disentangled(aligned, a, gate, p, q, aligned + SIGN[polarity] * q)


def compensated(
    aligned: Float[Tensor, "b 1 d h w"],
    pathological_asymmetry: Float[Tensor, "b 1 d h w"],
    clamp: bool = False,
    polarity: Polarity = "dark",
) -> Float[Tensor, "b 1 d h w"]:
    """X̃ = X + P (paper, section 2), or X − P for bright lesions: only normal anatomical asymmetry is left.

    clamp: never beyond the mirror twin, min(X + P, max(X, X′)) (the released code).
    """
    p = pathological_asymmetry
    if clamp:  # max(X, X′) = X + A
        p = torch.minimum(p, total_asymmetry(aligned, polarity))
    return aligned + SIGN[polarity] * p


def mirror_contrast(
    aligned: Float[Tensor, "b 1 d h w"],
    spacing_mm: tuple[float, float, float],
    window_hu: tuple[float, float] = (0.0, 80.0),
    reach: Reach = "contrast",
    fluid_edge_hu: float = 0.0,
) -> Float[Tensor, "b 1 d h w"]:
    """How much darker the parenchyma around a voxel is than that around its twin, in [−1, 1].

    Our own extension for D and F: in A, noise of 4 HU hides a faint infarct, and pairs with fluid on one side dominate.
    reach: 'contrast' averages over about 10 mm in plane, and 10 HU count as 1; 'broad_contrast', for faint infarcts,
    over 20 mm in plane and 15 mm in depth, and 6 HU count as 1. Means leave out fluid, that is, voxels below 0.55 of
    the brain's median: a relative limit, so that a severe infarct in a scan that is dark throughout still counts. 0
    where either twin has little parenchyma around it. Akin to the map of relative hypodensity, which helps readers
    (Christensen et al. 2023).

    fluid_edge_hu: width in HU over which the weight falls off around that limit; 0: a hard cut, so that an infarct near
    the limit counts on one scanner but not on another that reads 3 HU lower.
    """
    across_mm, deep_mm, full_hu = REACHES[reach]
    aligned, span = aligned.float(), window_hu[1] - window_hu[0]
    lengths = zip((deep_mm, across_mm, across_mm), spacing_mm, strict=True)
    around = tuple(2 * max(round((length / mm - 1) / 2), 0) + 1 for length, mm in lengths)
    hu = aligned * span + window_hu[0]
    tissue = _tissue(hu, fluid_edge_hu)
    both = _box_mean(torch.cat([tissue, aligned * tissue], 1), around)
    share, total = both[:, :1], both[:, 1:]
    mean = total / share.clamp(min=1e-3)
    least = torch.minimum(share, mirror(share))
    known = (least / _LEAST_SHARE - 0.5).clamp(0, 1) if fluid_edge_hu else least > _LEAST_SHARE
    return ((mirror(mean) - mean) * span / full_hu).clamp(-1, 1) * (known * (aligned > 0))


def relative_hu(
    x: Float[Tensor, "b 1 d h w"],
    aligned: Float[Tensor, "b 1 _ h w"],
    median_hu: Float[Tensor, "b 1 1 1 1"],
    window_hu: tuple[float, float] = (0.0, 80.0),
) -> Float[Tensor, "b 1 d h w"]:
    """How much denser a voxel is than the brain's median: 10 HU count as 1, in [−4, 4], 0 outside the brain.

    Our own extension for D and F: scanners and ages differ by more HU than an early infarct does from healthy tissue.
    x: X, its mirror image or X̂. aligned: shows where the brain is, 0 outside. median_hu: `brain_median_hu` of X.
    """
    lower, upper = window_hu
    hu = x.float() * (upper - lower) + lower
    return ((hu - median_hu) / _FULL_HU).clamp(-_MOST, _MOST) * (aligned > 0)


def brain_median_hu(
    aligned: Float[Tensor, "b 1 d h w"], window_hu: tuple[float, float] = (0.0, 80.0)
) -> Float[Tensor, "b 1 1 1 1"]:
    """Median HU of each scan's voxels that are not fluid; 27 where there are none."""
    return _median_hu(aligned.float() * (window_hu[1] - window_hu[0]) + window_hu[0])


def _box_mean(x: Float[Tensor, "b c d h w"], around: tuple[int, ...]) -> Float[Tensor, "b c d h w"]:
    """Mean over a box (odd sizes, in voxels) around each voxel, zero-padded.

    Same result as `avg_pool3d`, but with one band matrix per axis, which is many times faster on a CPU.
    """
    d, h, w = (_band(n, side, x) for n, side in zip(around, x.shape[2:], strict=True))
    with torch.autocast(x.device.type, enabled=False):  # otherwise the matrix products would run in bf16
        x = h @ x @ w
        return x if around[0] == 1 else (d @ x.flatten(3)).view_as(x)


def _band(n: int, side: int, like: Tensor) -> Float[Tensor, "side side"]:
    place = torch.arange(side, device=like.device)
    return ((place[:, None] - place).abs() <= n // 2).to(like.dtype) / n


def _tissue(hu: Float[Tensor, "b 1 d h w"], edge_hu: float) -> Float[Tensor, "b 1 d h w"]:
    """Weight of a voxel as tissue rather than fluid, in [0, 1]."""
    limit_hu = _fluid_hu(hu)
    return ((hu - limit_hu) / edge_hu + 0.5).clamp(0, 1) if edge_hu else (hu > limit_hu).float()


def _fluid_hu(hu: Float[Tensor, "b 1 d h w"]) -> Float[Tensor, "b 1 1 1 1"]:
    """The value below which a voxel counts as fluid, for each scan."""
    return _FLUID_SHARE * _median_hu(hu)


def _median_hu(hu: Float[Tensor, "b 1 d h w"]) -> Float[Tensor, "b 1 1 1 1"]:
    brain = torch.where(hu > _FLUID_HU, hu, torch.nan).flatten(1).nanmedian(dim=1).values
    return brain.nan_to_num(nan=_FLUID_HU / _FLUID_SHARE)[:, None, None, None, None]
