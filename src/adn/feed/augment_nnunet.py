"""nnU-Net's augmentation (Isensee et al. 2021, supplement) from MONAI's transforms, drawn from (seed, index)."""

from __future__ import annotations

from math import pi
from typing import Any

import torch
from torch.utils.data import Dataset

from adn.errors import InputError
from adn.feed.samples import Sample

BRAIN_SD = 0.1  # SD of brain intensities in [0, 1]; nnU-Net's numbers are for images of unit SD
ANISOTROPIC = 3.0  # slice thickness / pixel size from which rotations are in plane only, by any angle
_STREAM = 15_485_863


class NnUnetAugmented(Dataset[Sample]):
    """Another data set with each sample augmented by its own draw.

    spacing_mm: of the voxels. spatial: also rotate, scale and mirror; otherwise change intensities only, as for
    AsymFeX, which needs the mid-plane in the middle. Raises InputError if MONAI is not installed.
    """

    def __init__(self, dataset: Any, seed: int, spacing_mm: tuple[float, float, float], spatial: bool = True) -> None:
        self.dataset, self.seed = dataset, seed
        self.moves = _moves(spacing_mm) if spatial else None
        self.shades = _shades()

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample:
        """Sample `index`, augmented; 0 stays 0 outside the brain."""
        seed = (self.seed * 1_000_003 + index) * _STREAM % 2**32
        parts = self.dataset[index]._asdict()
        if self.moves:
            self.moves.set_random_state(seed=seed)
            kinds = {name: x.dtype for name, x in parts.items()}
            moved: Any = self.moves({name: x.float() for name, x in parts.items()})
            parts = {name: _plain(moved[name]).to(kind) for name, kind in kinds.items()}
        inside = parts["brain"] > 0
        self.shades.set_random_state(seed=seed + 1)
        shaded: Any = self.shades(parts["brain"])
        parts["brain"] = _plain(shaded).clamp(0, 1) * inside
        return Sample(**parts)


def _plain(x: Any) -> torch.Tensor:
    """The tensor without MONAI's metadata, which collating would keep."""
    return x.as_tensor() if hasattr(x, "as_tensor") else x


def _monai() -> Any:
    try:
        import monai.transforms as transforms
    except ImportError as error:
        raise InputError(
            "The recipe's augmentation needs MONAI, which is not installed; `pip install adn-stroke[train]`."
        ) from error
    return transforms


def _moves(spacing_mm: tuple[float, float, float]) -> Any:
    """Rotation (p 0.2), scaling 0.7 to 1.4 (p 0.2), mirroring of each axis (p 0.5); labels take the nearest voxel."""
    t = _monai()
    keys, modes = ("brain", "infarct", "tissue"), ("bilinear", "nearest", "nearest")
    flat = spacing_mm[0] / min(spacing_mm[1:]) >= ANISOTROPIC
    turn = (pi, 0.0, 0.0) if flat else (pi / 6, pi / 6, pi / 6)  # about D, H, W
    size = (0.0, (-0.3, 0.4), (-0.3, 0.4)) if flat else ((-0.3, 0.4),) * 3
    common = {"mode": modes, "padding_mode": "zeros", "prob": 0.2}
    return t.Compose(
        [
            t.RandAffined(keys, rotate_range=turn, **common),
            t.RandAffined(keys, scale_range=size, **common),
            *(t.RandFlipd(keys, prob=0.5, spatial_axis=axis) for axis in range(3)),
        ]
    )


def _shades() -> Any:
    """Noise, blur, brightness, contrast, low resolution, gamma of the inverted image, gamma."""
    t = _monai()
    gamma = {"gamma": (0.7, 1.5), "retain_stats": True}
    return t.Compose(
        [
            t.RandGaussianNoise(prob=0.1, std=0.1**0.5 * BRAIN_SD),  # variance up to 0.1
            t.RandGaussianSmooth((0.5, 1.0), (0.5, 1.0), (0.5, 1.0), prob=0.2),
            t.RandScaleIntensity(0.25, prob=0.15),
            t.RandScaleIntensityFixedMean(prob=0.15, factors=0.25, preserve_range=True),
            t.RandSimulateLowResolution(prob=0.25, zoom_range=(0.5, 1.0)),
            t.RandAdjustContrast(prob=0.1, invert_image=True, **gamma),
            t.RandAdjustContrast(prob=0.3, **gamma),
        ]
    )
