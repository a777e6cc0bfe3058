"""Dressing a head: what is added, and that nothing else changes."""

import numpy as np
import torch

from adn.virtual.soft_tissue import SKIN_MM, add_soft_tissue, mix_solids, solid_map
from adn.virtual.tissue_codes import AIR_HU, BRAIN_CODES, Tissue

SHAPE = (101, 181, 141)  # D, H, W, 1 mm, MNI's origin at the middle and 10 mm below the array's centre


def mni_from_index():
    matrix = np.eye(4)
    matrix[:3, 3] = [-70.0, -90.0, -40.0]
    return matrix


def head():
    """Grey matter halved by a 4 mm fissure at x = 0, in bone and 12 mm of soft tissue."""
    z, y, x = np.ogrid[-50:51, -90:91, -70:71]
    codes = np.zeros(SHAPE, np.uint8)
    for edge, code in ((1.0, Tissue.SOFT), (0.82, Tissue.BONE), (0.75, Tissue.GM)):
        codes[(x / 68) ** 2 + (y / 88) ** 2 + (z / 48) ** 2 < edge**2] = code
    codes[(codes == Tissue.GM) & (abs(x) < 2)] = Tissue.CSF
    codes[50, 90:94, 100:104] = Tissue.CHOROID
    return torch.from_numpy(codes)


def test_only_soft_tissue_plexus_and_fissures_change_and_the_brain_stays_the_brain():
    before = head()
    after = add_soft_tissue(before, mni_from_index())
    kept = [Tissue.AIR, Tissue.BONE]
    for code in kept:
        assert torch.equal(before == code, after == code)
    inside = torch.isin(before, torch.tensor(BRAIN_CODES, dtype=torch.uint8))
    assert torch.equal(inside, torch.isin(after, torch.tensor(BRAIN_CODES, dtype=torch.uint8)))
    assert not (after == Tissue.CHOROID).any()  # it lay far from the trigones
    assert torch.equal(after, add_soft_tissue(before, mni_from_index()))


def test_skin_covers_fat_and_muscle_lies_deeper():
    after = add_soft_tissue(head(), mni_from_index())
    line = after[50, 90]  # along x: air, skin, fat, ...
    first = int((line > 0).nonzero()[0, 0])
    assert (line[first : first + SKIN_MM] == Tissue.SOFT).all()
    assert line[first + SKIN_MM] == Tissue.SCALP
    assert (after == Tissue.SOFT).sum() > 1000


def test_the_falx_lies_in_the_fissure_above_its_edge():
    after = add_soft_tissue(head(), mni_from_index())
    falx = (after == Tissue.VESSEL).nonzero() - torch.tensor([40, 90, 70])  # z, y, x in MNI mm
    z, y, x = falx.T
    behind = (y > 50) & (y < 62) & (z > 14) & (z < 25)
    assert int(behind.sum()) > 100
    assert (x[behind].abs() <= 1).all()
    assert not ((z < 25) & (y > -35) & (y < 10)).any()  # below the edge lies the callosum


def test_bone_surfaces_are_partial_volume_and_the_inside_is_bone():
    codes = torch.full((9, 9, 12), int(Tissue.CSF), dtype=torch.uint8)
    codes[:, :, 6:] = int(Tissue.BONE)
    solid = solid_map(codes)
    assert solid[4, 4, 0] == 128
    assert solid[4, 4, 11] == 255
    x = torch.tensor([2.0, 5.49, 9.0])
    index = torch.stack([x, torch.full((3,), 4.0), torch.full((3,), 4.0)])
    flat = ((4 * 9 + 4) * 12 + x.round()).int()
    hu = torch.tensor([8.0, 8.0, 1000.0])
    mixed = mix_solids(hu, solid.reshape(-1), index, flat, codes.shape, 1000.0)
    assert mixed[0] == 8
    assert 470 < float(mixed[1]) < 530
    assert mixed[2] == 1000


def test_marrow_is_partly_bone_and_air_is_unchanged():
    codes = torch.full((7, 7, 7), int(Tissue.MARROW), dtype=torch.uint8)
    index = torch.full((3, 1), 3.0)
    flat = torch.tensor([3 * 49 + 3 * 7 + 3], dtype=torch.int32)
    marrow = mix_solids(torch.tensor([25.0]), solid_map(codes).reshape(-1), index, flat, codes.shape, 1000.0)
    assert 500 < float(marrow) < 530
    air = solid_map(torch.zeros_like(codes)).reshape(-1)
    assert float(mix_solids(torch.tensor([AIR_HU]), air, index, flat, codes.shape, 1000.0)) == AIR_HU


def test_a_hole_in_the_vault_is_marrow_and_one_in_the_skull_base_is_air():
    codes = head()
    bone = (codes[:, 90, 70] == Tissue.BONE).nonzero()[:, 0]
    high, low = int(bone.max()) - 1, int(bone.min()) + 1
    codes[high, 90, 70] = codes[low, 90, 70] = int(Tissue.AIR)
    after = add_soft_tissue(codes, mni_from_index())
    cropped = torch.nn.functional.pad(codes[:, 2:-2, 2:-2], (1,) * 6)  # to the head, as label maps are
    bordered = add_soft_tissue(cropped, mni_from_index())
    assert not any(bordered.select(axis, end).any() for axis in range(3) for end in (0, -1))
    assert after[high, 90, 70] == Tissue.MARROW
    assert after[low, 90, 70] == Tissue.AIR
