"""The paper's equations: total, pathological and intrinsic asymmetry, and the volumes they compensate."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from adn.config import Polarity
from adn.space.warp import mirror

_FLUID_HU = 15.0  # surely fluid, or cut away: the median of what lies above stands for the brain
_FLUID_SHARE = 0.55  # what is darker than this share of that median is left out as fluid: 18 HU where the brain has 33
_LEAST_SHARE = 0.3  # least share of parenchyma among the voxels around a point
_FULL_HU = 10.0  # against the brain's median, count as 1
_MOST = 4.0  # of these; beyond lie calcification, blood and what partial volume leaves of bone
Reach = Literal["contrast", "broad_contrast"]
# of local means: mm in plane, mm in depth, and the HU that count as 1
REACHES: dict[Reach, tuple[float, float, float]] = {"contrast": (10.0, 0.0, 10.0), "broad_contrast": (20.0, 15.0, 6.0)}
PForm = Literal["probability", "fraction"]
SIGN = {"dark": 1.0, "bright": -1.0}  # of what compensation adds: dark lesions are filled in, bright ones taken away


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

    polarity: 'bright' turns it round, A = max(X − X′, 0), for bleeds (the paper's outlook).
    """
    return torch.relu(SIGN[polarity] * (mirror(aligned) - aligned))


def disentangle(
    aligned: Float[Tensor, "b 1 d h w"],
    logits: Float[Tensor, "b 1 d h w"],
    p_form: PForm = "fraction",
    clamp_q: bool = False,
    polarity: Polarity = "dark",
) -> Disentangled:
    """Split A into P and Q and compensate Q: X̂ = X + Q (eq. 3), of bright lesions X − Q; all in fp32.

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
    """X̃ = X + P (paper, section 2), of bright lesions X − P: only normal anatomical asymmetry is left.

    clamp: no further than the mirror twin, min(X + P, max(X, X′)) (the released code).
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
    """By how much the parenchyma around a voxel is darker than that around its twin, in [−1, 1].

    An extension of ours for D and F: noise of 4 HU hides a faint infarct in A, and twins of which one is fluid fill A.
    reach: 'contrast' takes means over about 10 mm of a slice, and 10 HU count as 1; 'broad_contrast' over 20 mm, and 15
    mm of depth, and 6 HU count as 1, for faint infarcts. Means leave out fluid, which is what is darker than 0.55 of
    the brain's median, so that a strong infarct in a scan that is dark throughout counts; 0 where either twin has
    little parenchyma about it. As the map of relative hypodensity, which helps readers (Christensen et al. 2023).

    fluid_edge_hu: over so many HU about that limit what is darker counts less and less; 0: all or nothing, so that an
    infarct near the limit counts in one scanner and not in another one of 3 HU less.
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
    """How much denser than the brain's median a voxel is: 10 HU count as 1, in [−4, 4], 0 outside the brain.

    An extension of ours for D and F: scanners and ages differ by more HU than an early infarct is darker. x: X, its
    mirror image or X̂. aligned: what says where the brain is, 0 outside. median_hu: `brain_median_hu` of X.
    """
    lower, upper = window_hu
    hu = x.float() * (upper - lower) + lower
    return ((hu - median_hu) / _FULL_HU).clamp(-_MOST, _MOST) * (aligned > 0)


def brain_median_hu(
    aligned: Float[Tensor, "b 1 d h w"], window_hu: tuple[float, float] = (0.0, 80.0)
) -> Float[Tensor, "b 1 1 1 1"]:
    """Median HU of what is no fluid, of each scan; 27 where there is nothing of the kind."""
    return _median_hu(aligned.float() * (window_hu[1] - window_hu[0]) + window_hu[0])


def _box_mean(x: Float[Tensor, "b c d h w"], around: tuple[int, ...]) -> Float[Tensor, "b c d h w"]:
    """Mean over boxes of so many voxels (odd) about each; outside lies 0.

    As `avg_pool3d` gives it, but by one band matrix per axis, which is many times faster on a CPU.
    """
    d, h, w = (_band(n, side, x) for n, side in zip(around, x.shape[2:], strict=True))
    with torch.autocast(x.device.type, enabled=False):  # products of matrices would be bf16
        x = h @ x @ w
        return x if around[0] == 1 else (d @ x.flatten(3)).view_as(x)


def _band(n: int, side: int, like: Tensor) -> Float[Tensor, "side side"]:
    place = torch.arange(side, device=like.device)
    return ((place[:, None] - place).abs() <= n // 2).to(like.dtype) / n


def _tissue(hu: Float[Tensor, "b 1 d h w"], edge_hu: float) -> Float[Tensor, "b 1 d h w"]:
    """How far a voxel is no fluid, in [0, 1]."""
    limit_hu = _fluid_hu(hu)
    return ((hu - limit_hu) / edge_hu + 0.5).clamp(0, 1) if edge_hu else (hu > limit_hu).float()


def _fluid_hu(hu: Float[Tensor, "b 1 d h w"]) -> Float[Tensor, "b 1 1 1 1"]:
    """Below it lies fluid, for each scan."""
    return _FLUID_SHARE * _median_hu(hu)


def _median_hu(hu: Float[Tensor, "b 1 d h w"]) -> Float[Tensor, "b 1 1 1 1"]:
    brain = torch.where(hu > _FLUID_HU, hu, torch.nan).flatten(1).nanmedian(dim=1).values
    return brain.nan_to_num(nan=_FLUID_HU / _FLUID_SHARE)[:, None, None, None, None]
