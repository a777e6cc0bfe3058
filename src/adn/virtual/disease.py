"""How an infarct changes Hounsfield units: one model for rendered heads, pools of them, and real brains.

Parenchyma darkens by a few HU, unevenly and never below fluid. Swelling closes sulci. An old infarct becomes fluid.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from adn.virtual.plan import InfarctPlan, PatientPlan
from adn.virtual.tissue_codes import Tissue

ABOVE_CSF_HU = 3.0  # an acute infarct stays this much brighter than CSF
CAVITY_HU = 2.0  # an old infarct is this much brighter than CSF
WIDE_FLUID = 0.55  # with a larger mean share over 12 mm, fluid is in a ventricle or cistern, which do not close
_WIDE_VOXELS = 5  # 12 mm on the grid of pools


class Shares(NamedTuple):
    """The share of each voxel that is grey matter, other parenchyma, fluid and brain, (D, H, W) each, 0 to 1."""

    grey: Tensor
    white: Tensor
    fluid: Tensor
    brain: Tensor


def darkened(hu: Tensor, by_hu: Tensor, floor_hu: float) -> Tensor:
    """HU minus `by_hu`, but not below the floor; values already below it are unchanged."""
    return torch.maximum(hu - by_hu, hu.clamp(max=floor_hu))


def infarct_in_samples(
    plan: PatientPlan, infarct: InfarctPlan, hu: Tensor, extent: Tensor, codes: Tensor, density: Tensor
) -> Tensor:
    """HU with an infarct, (n,), of samples that hold one tissue each.

    extent: 0 to 1. codes: `Tissue`. density: a smooth random field that varies the darkening.
    """
    parenchyma = codes <= int(Tissue.STEM)
    if not infarct.acute:
        cavity = extent * (infarct.fluid + 0.15 * density).clamp(0, 1)
        return torch.where(parenchyma, hu + (plan.csf_hu + CAVITY_HU - hu) * cavity, hu)
    drop = torch.where(codes <= int(Tissue.DEEP_GM), infarct.drop_gm_hu, infarct.drop_wm_hu)
    darker = darkened(hu, extent * drop * (1 + 0.2 * density).clamp(0.4, 1.6), plan.csf_hu + ABOVE_CSF_HU)
    swollen = hu + (plan.gm_hu - infarct.drop_gm_hu - hu).clamp(min=0) * extent * infarct.effacement
    return torch.where(parenchyma, darker, torch.where(codes == int(Tissue.CSF), swollen, hu))


def infarct_in_voxels(
    plan: PatientPlan, infarct: InfarctPlan, hu: Tensor, extents: list[Tensor], shares: Shares, uneven: Tensor
) -> tuple[Tensor, Tensor]:
    """HU with an acute infarct, (D, H, W), of voxels that mix tissues, and the share of each voxel that is infarct.

    extents: 0 to 1, at a few heights of a thick slice. uneven: a smooth field of relative changes of the darkening.
    Darkening is linear in a voxel's content, so this agrees with `infarct_in_samples` except for the slice's blur.
    """
    sulci = closing(shares.fluid)
    extent = torch.stack(extents).mean(0)
    drop = (shares.grey * infarct.drop_gm_hu + shares.white * infarct.drop_wm_hu) * (1 + uneven).clamp(0, 1.8)
    darker = darkened(hu, extent * drop, plan.csf_hu + ABOVE_CSF_HU)
    closed = (plan.gm_hu - infarct.drop_gm_hu - plan.csf_hu) * infarct.effacement
    inside = torch.stack([(e > 0.5).float() for e in extents]).mean(0)
    share = inside * shares.brain * (1 - (shares.fluid - sulci).clamp(0, 1))
    return darker + extent * sulci * max(closed, 0.0), share


def closing(fluid: Tensor) -> Tensor:
    """The share of fluid that is in sulci, which swelling closes, and not in ventricles or cisterns."""
    half = _WIDE_VOXELS // 2
    around = F.avg_pool2d(F.pad(fluid, (half, half, half, half))[None], _WIDE_VOXELS, 1)[0]
    return fluid * (around < WIDE_FLUID)
