"""Heads: tissue codes at 1 mm, the mid-sagittal plane, and the transform to MNI space."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from adn.space.geometry import RigidTransform
from adn.space.warp import mirror, rigid_matrix, warp
from adn.virtual.blur import blur
from adn.virtual.soft_tissue import add_soft_tissue, isin, solid_map
from adn.virtual.tissue_codes import BRAIN_CODES, FLUID, GREY, LEFT_CEREBRUM, RIGHT_CEREBRUM, Tissue

INSIDE = 140  # of 255: closeness to the brain above which a voxel counts as enclosed by it
MNI_HALF_MM = 112.0  # registration uses a cube of ± this about the brain's centre


@dataclass(frozen=True, eq=False)
class Head:
    """One anatomy.

    codes: (D, H, W) uint8 `Tissue`, SPL, 1 mm; the border is air. near_ventricle, near_csf: uint8, 255 ×
    closeness (Gaussian-blurred indicator), for atrophy. solid: bone and air with smooth edges (`solid_map`).
    head_from_aligned: 4 × 4, LPS mm in the patient's aligned frame (mid-sagittal plane at x = 0, origin at the brain's
    centre) → LPS mm about the array's centre. mni_from_aligned: 4 × 4, → MNI in LPS mm.
    """

    name: str
    codes: Tensor
    near_ventricle: Tensor
    near_csf: Tensor
    solid: Tensor
    head_from_aligned: NDArray[np.float64]
    mni_from_aligned: NDArray[np.float64]

    def flat(self, device: torch.device | str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """codes, near_ventricle, near_csf and solid, flattened, on a device."""
        return _on_device(self, torch.device(device))


@lru_cache(maxsize=32)
def _on_device(head: Head, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    maps = (head.codes, head.near_ventricle, head.near_csf, head.solid)
    codes, ventricle, csf, solid = (x.reshape(-1).to(device) for x in maps)
    return codes, ventricle, csf, solid


@dataclass(frozen=True, eq=False)
class TissuePriors:
    """MNI grey and white matter probabilities resampled to (D, H, W) SPL, 4 mm cube about `centre_mm` (MNI, LPS)."""

    maps: Tensor
    centre_mm: tuple[float, float, float]


def closeness(codes: Tensor, values: tuple[int, ...], sigma_mm: float) -> Tensor:
    """255 × blurred indicator of `values`, uint8; computed at 2 mm for speed."""
    x = isin(codes, values).float()[None, None]
    coarse = F.avg_pool3d(x, 2, ceil_mode=True)
    smooth = blur(coarse, (sigma_mm / 2,) * 3)
    return (F.interpolate(smooth, size=x.shape[2:], mode="trilinear")[0, 0] * 255).round().to(torch.uint8)


def _brain_centre_mm(codes: Tensor) -> NDArray[np.float64]:
    """Centroid of the brain, (x, y, z) LPS mm about the array's centre."""
    index = isin(codes, BRAIN_CODES).nonzero().double().mean(0).numpy()
    return (index - (np.array(codes.shape) - 1) / 2)[::-1]


def _plane_from_sides(labels: NDArray) -> NDArray[np.float64]:
    """First guess of the mid-sagittal plane's normal: the mean direction from right regions to their left partners."""
    lefts, rights = [], []
    for left, right in zip(LEFT_CEREBRUM, RIGHT_CEREBRUM, strict=True):
        a, b = np.argwhere(labels == left), np.argwhere(labels == right)
        if len(a) > 50 and len(b) > 50:
            lefts.append(a.mean(0)[::-1])
            rights.append(b.mean(0)[::-1])
    normal = np.mean(np.array(lefts) - np.array(rights), 0)
    return normal / np.linalg.norm(normal)


def _mirror_loss(maps: Tensor, pose: Tensor) -> Tensor:
    x = warp(maps, pose, (4.0, 4.0, 4.0))
    return (x - mirror(x)).abs().mean()


def find_midplane(codes: Tensor, labels: NDArray | None = None) -> NDArray[np.float64]:
    """head_from_aligned: the rigid motion after which the brain looks most like its own mirror image.

    Minimises the L1 difference of blurred tissue maps at 4 mm over in-plane rotation, roll and shift (Adam, then
    smaller steps). labels: FreeSurfer labels of the same shape, for the first guess.
    """
    centre = _brain_centre_mm(codes)
    maps = torch.stack([isin(codes, values).float() for values in (GREY, (int(Tissue.WM),), FLUID)])[None]
    cube = _cube(maps, centre)
    normal = _plane_from_sides(labels) if labels is not None else np.array([1.0, 0.0, 0.0])
    in_plane = np.rad2deg(np.arctan2(normal[1], normal[0]))
    roll = -np.rad2deg(np.arcsin(np.clip(normal[2], -1, 1)))
    values = torch.tensor([roll, in_plane, 0.0], dtype=torch.float32, requires_grad=True)
    for rate, steps in ((0.4, 40), (0.1, 30)):
        optimiser = torch.optim.Adam([values], lr=rate)
        for _ in range(steps):
            optimiser.zero_grad()
            _mirror_loss(cube, _plane_pose(values)).backward()
            optimiser.step()
    pose = _plane_pose(values.detach())[0].double().numpy()
    pose[:3, 3] += centre
    return pose


def _plane_pose(values: Tensor) -> Tensor:
    zero = torch.zeros(())
    rotation = torch.stack([zero, values[0], values[1]])[None]
    return rigid_matrix(rotation, torch.stack([values[2], zero, zero])[None])


def _cube(maps: Tensor, centre_mm: NDArray[np.float64]) -> Tensor:
    """Maps (1, C, D, H, W) at 1 mm → 56³ at 4 mm about a point given in LPS mm about the array's centre."""
    shift = torch.eye(4)[None]
    shift[0, :3, 3] = torch.tensor(centre_mm.copy())
    coarse = blur(F.avg_pool3d(maps, 2, ceil_mode=True), (1.0, 1.0, 1.0))
    # ceil_mode may add half a voxel at the far ends; the pooled array's centre moves by that much
    for axis, size in enumerate(maps.shape[:1:-1]):
        shift[0, axis, 3] -= 0.5 * (size % 2)
    side = int(2 * MNI_HALF_MM / 4)
    fine = warp(coarse, shift, (2.0, 2.0, 2.0), (2 * side, 2 * side, 2 * side))
    return F.avg_pool3d(fine, 2)


def register_to_mni(
    codes: Tensor, head_from_aligned: NDArray[np.float64], priors: TissuePriors, steps: int = 150
) -> NDArray[np.float64]:
    """mni_from_aligned: the affine that maps the head's grey and white matter onto MNI's (least squares, 4 mm)."""
    maps = torch.stack([isin(codes, GREY).float(), isin(codes, (int(Tissue.WM), int(Tissue.STEM))).float()])[None]
    rotation = torch.tensor(head_from_aligned, dtype=torch.float32)
    moving = _cube(maps, head_from_aligned[:3, 3])
    straight = rotation.clone()
    straight[:3, 3] = 0
    aligned = warp(moving, straight[None], (4.0, 4.0, 4.0))
    fixed = priors.maps
    delta = torch.zeros(3, 4, requires_grad=True)

    def aligned_from_mni() -> Tensor:
        matrix = torch.eye(4)
        scale = torch.tensor([0.01, 0.01, 0.01, 1.0])
        return torch.cat([matrix[:3] + delta * scale, matrix[3:]])[None]

    for rate, count in ((1.0, steps // 2), (0.2, steps - steps // 2)):
        optimiser = torch.optim.Adam([delta], lr=rate)
        for _ in range(count):
            optimiser.zero_grad()
            (warp(aligned, aligned_from_mni(), (4.0, 4.0, 4.0)) - fixed).square().mean().backward()
            optimiser.step()
    matrix = np.linalg.inv(aligned_from_mni().detach()[0].double().numpy())
    matrix[:3, 3] += np.asarray(priors.centre_mm)
    return matrix


def head_from_codes(name: str, codes: NDArray[np.uint8], priors: TissuePriors, labels: NDArray | None = None) -> Head:
    """Build a head from tissue codes (D, H, W), SPL, 1 mm, computing the plane and the registration."""
    tensor = torch.from_numpy(np.ascontiguousarray(codes))
    plane = find_midplane(tensor, labels)
    mni = register_to_mni(tensor, plane, priors)
    # take MNI's pitch: the mid-sagittal plane leaves it free
    pitch = np.arctan2(mni[2, 1] - mni[1, 2], mni[1, 1] + mni[2, 2])
    nod = RigidTransform.from_parameters((-float(np.rad2deg(pitch)), 0.0, 0.0)).matrix
    return make_head(name, codes, plane @ nod, mni @ nod)


def make_head(name: str, codes: NDArray[np.uint8], head_from_aligned: NDArray, mni_from_aligned: NDArray) -> Head:
    """A head whose plane and registration are already known. Unlabelled specks inside the brain become CSF."""
    tensor = torch.from_numpy(np.array(codes))
    tensor[(tensor == int(Tissue.AIR)) & (closeness(tensor, BRAIN_CODES, 4.0) > INSIDE)] = int(Tissue.CSF)
    ventricle, csf = closeness(tensor, (int(Tissue.VENTRICLE),), 3.0), closeness(tensor, (int(Tissue.CSF),), 2.0)
    index_from_aligned = np.array(head_from_aligned, dtype=np.float64)
    index_from_aligned[:3, 3] += (np.array(tensor.shape[::-1]) - 1) / 2
    # a border of air, which positions outside the head read
    tensor, ventricle, csf = (F.pad(x, (1,) * 6) for x in (tensor, ventricle, csf))
    index_from_aligned[:3, 3] += 1
    tensor = add_soft_tissue(tensor, (mni_from_aligned @ np.linalg.inv(index_from_aligned)).astype(np.float64))
    return Head(name, tensor, ventricle, csf, solid_map(tensor), head_from_aligned, mni_from_aligned)
