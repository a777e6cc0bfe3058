"""The loss of the tissue network: cross-entropy and soft Dice of each tissue and of their union, the brain."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from adn.space.labels import TISSUES, TissueLabel


class TissueTerms(NamedTuple):
    """Means over the batch. dice_gm, dice_wm, dice_csf, dice_brain: soft Dice, 1 is perfect."""

    cross_entropy: Tensor
    dice_gm: Tensor
    dice_wm: Tensor
    dice_csf: Tensor
    dice_brain: Tensor

    @property
    def loss(self) -> Tensor:
        """Cross-entropy + 1 − mean Dice."""
        return self.cross_entropy + 1 - torch.stack(self[1:]).mean()


def tissue_terms(
    logits: Float[Tensor, "b 4 d h w"], tissue: UInt8[Tensor, "b d h w"], brain: Bool[Tensor, "b d h w"]
) -> TissueTerms:
    """Terms in fp32. tissue: `TissueLabel`; where it is OUTSIDE within the brain (vessels, calcification), any tissue
    is accepted."""
    log_p = F.log_softmax(logits.float(), 1)
    log_brain = torch.logsumexp(log_p[:, 1:], 1)
    of_class = log_p.gather(1, tissue.long()[:, None])[:, 0]
    cross_entropy = -torch.where(brain & (tissue == TissueLabel.OUTSIDE), log_brain, of_class).mean()
    p = log_p.exp()
    gm, wm, csf = (soft_dice(p[:, k], (tissue == k).float()) for k in TISSUES)
    return TissueTerms(cross_entropy, gm, wm, csf, soft_dice(1 - p[:, 0], brain.float()))


def soft_dice(p: Float[Tensor, "b d h w"], target: Float[Tensor, "b d h w"]) -> Float[Tensor, ""]:
    """2 Σ p t / (Σ p + Σ t) per scan, averaged over the batch."""
    axes = (1, 2, 3)
    return (2 * (p * target).sum(axes) / (p.sum(axes) + target.sum(axes)).clamp(min=1.0)).mean()
