"""Adds what CT shows but label maps lack: skin, fat, muscle, falx, tentorium and smooth edges of bone."""

from __future__ import annotations

import itertools

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from adn.space.warp import move_points
from adn.virtual.tissue_codes import AIR_HU, Tissue

SKIN_MM = 2
VAULT_MM = 0.0  # above this MNI height (lower at the back), the only air in the skull is the frontal sinus
FASCIA_MM, LUMP_MM = 18.0, 30.0  # size of muscles, and of patches of fat and muscle in the face
FALX_MM = 0.8  # half its thickness: 1 mm of dura looks like 1.5 to 2 mm on CT
# Lower edge of the falx in MNI (y, z) LPS mm: crista galli, above the callosum, along the straight sinus to the inion
FALX_EDGE = (
    (-66.0, -52.0, -38.0, -20.0, 0.0, 25.0, 42.0, 48.0, 92.0),
    (-14.0, 8.0, 32.0, 44.0, 48.0, 42.0, 26.0, 9.0, -14.0),
)
STRAIGHT_SINUS = ((48.0, 92.0), (9.0, -14.0))
TENTORIUM_FALL = 0.42  # mm down per mm to the side
GLOMUS = ((14.0, 34.0), (26.0, 52.0), (-4.0, 22.0))  # ranges of |x|, y and z of the choroid plexus that calcifies
SOFT_HU = 25.0  # between bone and air: mucosa, marrow
SOLID_MM, SHARPER = 0.7, 1.4  # σ of the blur that smooths the surfaces of bone and air, and the sharpening after it


def add_soft_tissue(codes: Tensor, mni_from_index: NDArray[np.float64]) -> Tensor:
    """Add skin, fat, muscle and dura to codes (D, H, W). mni_from_index: (W, H, D) index → MNI, LPS mm.

    The same head always gets the same pattern of fat and muscle.
    """
    codes = codes.clone()
    air = (codes == int(Tissue.AIR)).float()[None, None]
    # share of air within about 12 mm, from blocks of 4 mm: ½ at the surface
    around = F.avg_pool3d(F.avg_pool3d(air, 4, ceil_mode=True), 3, 1, 1, count_include_pad=False)
    around = F.interpolate(around, size=codes.shape, mode="trilinear")[0, 0]
    _vault(codes, around, mni_from_index)
    _flesh(codes, around)
    _plexus(codes, mni_from_index)
    _dura(codes, mni_from_index)
    return codes


def solid_map(codes: Tensor) -> Tensor:
    """Smooth bone and air, uint8 (D, H, W): 255 bone, 128 neither, 1 air; values between are shares of a voxel."""
    solid = torch.zeros(1, 1, *codes.shape, device=codes.device)
    shares = {Tissue.BONE: 1.0, Tissue.AIR: -1.0, Tissue.MARROW: 0.5, Tissue.AIR_CELLS: -0.5}
    for code, share in shares.items():
        solid.masked_fill_(codes == int(code), share)
    taps = torch.exp(-0.5 * (torch.arange(-2, 3) / SOLID_MM) ** 2)
    taps = taps / taps.sum()
    for axis in (2, 3, 4):
        pads = [0] * 6
        pads[2 * (4 - axis)] = pads[2 * (4 - axis) + 1] = 2
        padded = F.pad(solid, pads, mode="replicate")
        n = solid.shape[axis]
        solid = torch.zeros_like(solid)
        for k, tap in enumerate(taps.tolist()):
            solid += tap * padded.narrow(axis, k, n)
    solid = solid[0, 0]
    sharper = (0.5 + SHARPER * (solid.abs() - 0.5)).clamp(0, 1) * solid.sign()
    return (128 + 127 * sharper).round().to(torch.uint8)


def mix_solids(hu: Tensor, solid: Tensor, index_xyz: Tensor, flat: Tensor, shape: torch.Size, bone_hu: float) -> Tensor:
    """Mix bone and air into soft tissue's HU (n) by their interpolated share; changes `hu` in place.

    solid: the flattened `solid_map` of a head of `shape`. index_xyz: (3, n). flat: each sample's nearest voxel.
    """
    nearest = solid.index_select(0, flat)
    edge = ((nearest > 1) & (nearest < 255) & (nearest != 128)).nonzero()[:, 0]
    place = index_xyz.index_select(1, edge)
    limits = torch.tensor(shape[::-1], device=place.device)[:, None] - 1.001
    place = torch.minimum(place.clamp(min=0), limits)
    low = place.int()
    (x, y, z), (right, back, up) = place - low, low
    start = (up * shape[1] + back) * shape[2] + right
    share = torch.zeros(len(edge), device=hu.device)
    for k, j, i in itertools.product((0, 1), repeat=3):
        weight = (x if i else 1 - x) * (y if j else 1 - y) * (z if k else 1 - z)
        share += weight * solid.index_select(0, start + ((k * shape[1] + j) * shape[2] + i))
    share = (share - 128) / 127
    soft = hu[edge]
    soft = torch.where((soft > AIR_HU) & (soft < bone_hu), soft, SOFT_HU)
    hu[edge] = torch.where(share > 0, soft + share * (bone_hu - soft), soft + share * (soft - AIR_HU))
    return hu


def smooth_noise(shape: torch.Size, scale_mm: float, seed: int) -> Tensor:
    """Smooth noise of about unit variance (D, H, W)."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn((1, 1, *(max(int(n / scale_mm), 2) for n in shape)), generator=generator)
    return 1.6 * F.interpolate(coarse, size=shape, mode="trilinear")[0, 0]


def _vault(codes: Tensor, around: Tensor, mni_from_index: NDArray[np.float64]) -> None:
    """Fill the label maps' holes in the vault, except the frontal sinus, with marrow. around: share of air nearby."""
    inner = torch.zeros_like(codes, dtype=torch.bool)
    inner[4:-4, 4:-4, 4:-4] = True  # the border stays air, because positions outside the head read it
    index = ((codes == int(Tissue.AIR)) & (around < 0.25) & inner).nonzero()
    x, y, z = _place(index, mni_from_index)
    sinus = (x.abs() < 38) & (y < -48) & (z < 35)
    vault = (z > VAULT_MM) | (y > 60) & (z > VAULT_MM - 35)
    codes[tuple(index[vault & ~sinus].T)] = int(Tissue.MARROW)


def _flesh(codes: Tensor, around: Tensor) -> None:
    """Divide soft tissue outside the skull into skin, fat under it, and muscles between sheets of fat.

    around: share of air nearby.
    """
    flesh = (codes == int(Tissue.SOFT)) | (codes == int(Tissue.SCALP))
    if not flesh.any():
        return
    skin = codes == int(Tissue.AIR)
    for axis in range(3):
        for _ in range(SKIN_MM):
            skin = spread(skin, axis)
    # sheets lie where smooth noise crosses 0, and are thicker near the skin
    sheet = smooth_noise(codes.shape, FASCIA_MM, 1).abs() < 0.14 + 0.8 * around
    lump = smooth_noise(codes.shape, LUMP_MM, 2) > 1.1
    fat = (codes == int(Tissue.SCALP)) | sheet | lump | (around > 0.12)
    codes[flesh & fat] = int(Tissue.SCALP)
    codes[flesh & ~fat] = int(Tissue.SOFT)
    codes[flesh & skin] = int(Tissue.SOFT)


def spread(mask: Tensor, axis: int) -> Tensor:
    """A bool mask and its neighbours along an axis."""
    wide, n = mask.clone(), mask.shape[axis] - 1
    wide.narrow(axis, 1, n).logical_or_(mask.narrow(axis, 0, n))
    wide.narrow(axis, 0, n).logical_or_(mask.narrow(axis, 1, n))
    return wide


def isin(codes: Tensor, values: tuple[int, ...]) -> Tensor:
    """Whether each code is among `values`, bool."""
    found = torch.zeros_like(codes, dtype=torch.bool)
    for value in values:
        found |= codes == int(value)
    return found


def _voxels(codes: Tensor, values: tuple[int, ...], mni_from_index: NDArray[np.float64]) -> tuple[Tensor, Tensor]:
    """Indices (n, 3) of voxels whose code is in `values`, and their MNI x, y, z, (3, n), LPS mm."""
    index = isin(codes, values).nonzero()
    return index, _place(index, mni_from_index)


def _place(index: Tensor, mni_from_index: NDArray[np.float64]) -> Tensor:
    """MNI x, y, z, (3, n), LPS mm, of indices (n, 3) along D, H, W."""
    return move_points(torch.tensor(mni_from_index, dtype=torch.float32), index.flip(1).float().T)


def _plexus(codes: Tensor, mni_from_index: NDArray[np.float64]) -> None:
    """Turn choroid plexus into fluid, except in the trigones, where it calcifies and stands out on CT."""
    index, (x, y, z) = _voxels(codes, (int(Tissue.CHOROID),), mni_from_index)
    inside = torch.ones(len(index), dtype=torch.bool)
    for axis, (low, high) in zip((x.abs(), y, z), GLOMUS, strict=True):
        inside &= (axis > low) & (axis < high)
    codes[tuple(index[~inside].T)] = int(Tissue.VENTRICLE)


def _dura(codes: Tensor, mni_from_index: NDArray[np.float64]) -> None:
    """Draw falx, straight sinus and tentorium in their fissures."""
    index, (x, y, z) = _voxels(codes, (int(Tissue.GM), int(Tissue.CSF)), mni_from_index)
    fluid = codes[tuple(index.T)] == int(Tissue.CSF)
    edge, sinus = (torch.from_numpy(np.interp(y.numpy(), *table)).float() for table in (FALX_EDGE, STRAIGHT_SINUS))
    beside = x - _fissure(codes.shape, index[:, (0, 1)], x, fluid & (x.abs() < 4))
    falx = (beside.abs() < FALX_MM) & (z > edge) & (y > FALX_EDGE[0][0]) & (y < FALX_EDGE[0][-1] + 12)
    falx |= (torch.hypot(beside, z - sinus) < 2.2) & (y > STRAIGHT_SINUS[0][0]) & (y < STRAIGHT_SINUS[0][1])
    above = z - (sinus - TENTORIUM_FALL * x.abs())
    above = above - _fissure(codes.shape, index[:, (1, 2)], above, fluid & (above.abs() < 5))
    notch = torch.hypot(x / 22, (y - 22) / 26) < 1
    tent = (above.abs() < FALX_MM) & ~notch & (y > 12) & (x.abs() < 62)
    codes[tuple(index[falx | tent].T)] = int(Tissue.VESSEL)


def _fissure(shape: torch.Size, column: Tensor, beside_mm: Tensor, fluid: Tensor) -> Tensor:
    """Distance of a fissure from its usual surface, mm, (n): the mean over the fluid of each column, smoothed.

    column: (n, 2), the column of each voxel. beside_mm: (n), its distance from the usual surface. fluid: (n), the
    voxels that are averaged.
    """
    maps = torch.zeros(2, max(shape), max(shape))
    place = column[:, 0] * max(shape) + column[:, 1]
    maps[0].view(-1).index_add_(0, place, fluid.float())
    maps[1].view(-1).index_add_(0, place, fluid * beside_mm)
    total, moment = F.avg_pool2d(maps[None], 11, 1, 5)[0]
    return (moment / (total + 0.3)).view(-1)[place]
