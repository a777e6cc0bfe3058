"""A network in the style of nnU-Net (Isensee et al., Nat Methods 2021), planned from patch size and voxel size."""

from __future__ import annotations

from typing import NamedTuple

from torch import nn

from adn.config import Recipe
from adn.errors import InputError
from adn.nn.slicewise import RARE_LOGIT

Sides = tuple[int, int, int]
_SMALLEST = 4  # minimum number of voxels along a side at the bottom
_MOST = 320  # maximum number of channels
_THICK = 2.0


class Plan(NamedTuple):
    """size: of the patch, rounded up to be divisible. kernels, strides: of each level, finest first."""

    size: Sides
    kernels: tuple[Sides, ...]
    strides: tuple[Sides, ...]


def plan(size: Sides, spacing_mm: tuple[float, float, float], most_halvings: int = 99) -> Plan:
    """nnU-Net's rule: halve an axis as long as 4 voxels are left and it is not twice as coarse as the finest one.

    Kernels have size 1 along an axis until its voxels are no longer twice as long as the shortest.
    """
    sides, mm = list(size), list(spacing_mm)
    kernel, kernels, strides = [1, 1, 1], [], [(1, 1, 1)]
    while len(strides) <= most_halvings:
        kernel = [3 if k == 3 or m / min(mm) < _THICK else 1 for k, m in zip(kernel, mm, strict=True)]
        roomy = [axis for axis in range(3) if sides[axis] >= 2 * _SMALLEST]
        halved = [axis for axis in roomy if mm[axis] / min(mm[other] for other in roomy) < _THICK]
        if not halved or (len(halved) == 1 and sides[halved[0]] < 3 * _SMALLEST):
            break
        kernels.append(tuple(kernel))
        d, h, w = (2 if axis in halved else 1 for axis in range(3))
        strides.append((d, h, w))
        for axis in halved:
            sides[axis], mm[axis] = -(-sides[axis] // 2), 2 * mm[axis]
    kernels.append((3, 3, 3))
    factors = [1, 1, 1]
    for stride in strides:
        factors = [f * s for f, s in zip(factors, stride, strict=True)]
    a, b, c = (-(-side // f) * f for side, f in zip(size, factors, strict=True))
    return Plan((a, b, c), tuple(kernels), tuple(strides))


def patch_plan(recipe: Recipe) -> Plan:
    """The plan for the recipe's patches: `train.patches.size`, or that share of the box's sides."""
    patches, box = recipe.train.patches, recipe.grid.box or recipe.grid.shape
    a, b, c = patches.size or (max(round(side * (patches.share or 1.0)), 1) for side in box)
    return plan((a, b, c), recipe.grid.spacing_mm)


def start_rare(head: nn.Conv3d) -> None:
    """Initialise a last layer's bias to the odds of a rare class, so that the first steps need not learn them."""
    nn.init.constant_(head.bias, RARE_LOGIT)  # type: ignore[arg-type]


def build_nnunet(recipe: Recipe) -> nn.Module:
    """MONAI's DynUNet with instance norm and leaky ReLU, supervised at every depth but the two coarsest.

    32 to 320 channels, times the recipe's width. Raises InputError if MONAI is not installed.
    """
    try:
        from monai.networks.nets.dynunet import DynUNet
    except ImportError as error:
        raise InputError(
            "The method 'nnunet' needs MONAI, which is not installed; `pip install adn-stroke[train]`."
        ) from error
    found, width = patch_plan(recipe), recipe.network.channels[0] / 32
    levels = len(found.strides)
    supervised = max(levels - 3, 0)  # in addition to the last layer
    network = DynUNet(
        spatial_dims=3,
        in_channels=1,
        out_channels=1,
        kernel_size=found.kernels,
        strides=found.strides,
        upsample_kernel_size=found.strides[1:],
        filters=[int(min(32 * 2**level, _MOST) * width) for level in range(levels)],
        dropout=recipe.network.dropout or None,
        deep_supervision=supervised > 0,
        deep_supr_num=max(supervised, 1),
    )
    heads = [network.output_block, *(network.deep_supervision_heads if supervised else ())]
    for head in heads:
        start_rare(head.conv.conv)  # type: ignore[union-attr]
    return network
