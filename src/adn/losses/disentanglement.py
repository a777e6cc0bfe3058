"""L_D: the loss that keeps the pathological asymmetry P meaningful (paper, eq. 5), per scan, in fp32.

Means run over the voxels of one scan's model grid. Networks on a smaller brain box divide by the same number, so that
λ keeps its meaning.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from adn.asymmetry import Disentangled
from adn.config import LossConfig, Polarity
from adn.space.labels import TISSUES
from adn.space.warp import mirror

InfarctRemoval = Literal["before_mirroring", "after_intersection"]
_DEFAULT = LossConfig()


class DisentanglementTerms(NamedTuple):
    """The four terms of eq. 5, each (B,)."""

    tissue: Tensor
    size: Tensor
    asymmetry: Tensor
    intrinsic: Tensor


def forbidden_tissue(
    tissue: UInt8[Tensor, "b 1 d h w"],
    infarct: Float[Tensor, "b 1 d h w"],
    removal: InfarctRemoval = "before_mirroring",
    polarity: Polarity = "dark",
) -> Float[Tensor, "b 1 d h w"]:
    """R_GW + R_CSF: white matter whose mirror twin is grey, and CSF; both are naturally darker (paper, section 2).

    tissue: `TissueLabel`, aligned. removal: when the infarct is removed from the tissue maps, 'before_mirroring' (which
    also exempts voxels whose twin is infarct) or 'after_intersection' (which exempts only the infarct itself).
    polarity: 'bright' forbids the mirror twins instead, which are naturally brighter.
    """
    outside = infarct < 0.5
    if removal == "before_mirroring":
        tissue = tissue * outside
    grey, white, fluid = (tissue == label for label in TISSUES)
    darker = (mirror(grey) & white) | fluid
    forbidden = darker if polarity == "dark" else mirror(darker)
    return (forbidden & outside).float()


def disentanglement_terms(
    parts: Disentangled,
    infarct: Float[Tensor, "b 1 d h w"],
    tissue: UInt8[Tensor, "b 1 d h w"],
    grid_voxels: int,
    loss: LossConfig = _DEFAULT,
    polarity: Polarity = "dark",
    counted: Float[Tensor, "b 1 d h w"] | None = None,
) -> DisentanglementTerms:
    """L_tissue, L_size, L_asymmetry, L_intrinsic of aligned volumes.

    infarct: T(G), 0 or 1. loss: selects the form of each term. counted: 1 where a voxel counts, 0 where it adds nothing
    to any term; None: every voxel counts.
    """
    p, a = parts.pathological_asymmetry, parts.total_asymmetry
    if counted is not None:
        p, a, infarct = p * counted, a * counted, infarct * counted

    def mean(x: Tensor) -> Tensor:
        return x.sum((1, 2, 3, 4)) / grid_voxels

    target = mean(infarct * a if loss.size_target == "asymmetry" else infarct)
    symmetric = (a == 0).float() if loss.symmetric_mask == "zero_asymmetry" else 1 - a
    q_size = mean(torch.relu(a - p)) if loss.intrinsic == "positive_mean" else mean(a - p).abs()
    forbidden = forbidden_tissue(tissue, infarct, loss.infarct_removal, polarity)
    return DisentanglementTerms(
        tissue=mean((p * forbidden).abs()),
        size=(mean(p) - target).abs(),
        asymmetry=mean((p * symmetric).abs()),
        intrinsic=-q_size,
    )


def collapse_signs(parts: Disentangled, infarct: Float[Tensor, "b 1 d h w"]) -> dict[str, float]:
    """Statistics of the batch that distinguish a meaningful P from P = 0 and P = A (docs/method.md, section 2)."""
    p, a, q = (x.detach().flatten() for x in (parts[3], parts[1], parts[4]))
    inside = infarct.flatten() > 0.5
    varied = float(p.std()) > 0 and float(a.std()) > 0
    correlation = torch.corrcoef(torch.stack([p, a]))[0, 1] if varied else torch.zeros(())
    return {
        "mean_p": float(p.mean()),
        "p_over_a": float(p.mean() / a.mean().clamp(min=1e-9)),
        "p_a_correlation": float(correlation),
        "p_inside": float(p[inside].sum() / p.sum().clamp(min=1e-9)),
        "q_inside": float(q[inside].mean()) if bool(inside.any()) else 0.0,
    }
