"""The paper's equations: total, pathological and intrinsic asymmetry, and the volumes they compensate."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from adn.config import Polarity
from adn.warp import mirror

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
    (P = A · σ(D), so that 0 ≤ P ≤ A; method.md section 1). clamp_q: Q = max(A − P, 0) (the released code).
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
