"""Registration to MNI space on MNI's own head, and territories by hand."""

import numpy as np
import pytest

from adn.atlas import REGIONS
from adn.findings.territory import mni_from_aligned, territory_shares
from adn.findings.territory.register import _template
from adn.space.geometry import Grid, RigidTransform
from adn.space.volume import Volume


def mni_head(spacing_mm=(5.0, 3.0, 3.0), nod_deg=0.0, slices=slice(None)):
    """MNI's brain as a scan, nodded and moved, with its array index → MNI and → aligned frame."""
    template, points = _template()
    shape = (40, 72, 60)
    grid = Grid.centred(shape, spacing_mm)
    aligned_from_scan = np.linalg.inv(grid.index_from_frame)
    moved = RigidTransform.from_parameters((nod_deg, 0.0, 0.0), (0.0, 8.0, -6.0)).matrix
    mni_from_scan = moved @ aligned_from_scan
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    place = index @ mni_from_scan[:3, :3].T + mni_from_scan[:3, 3]
    cells = np.rint((place[..., ::-1] - points.min(0)[::-1]) / 8.0).astype(int)
    sides = [len(np.unique(points[:, i])) for i in (2, 1, 0)]
    known = ((cells >= 0) & (cells < sides)).all(-1)
    cells[~known] = 0
    outline, density = (m.numpy().reshape(sides)[tuple(np.moveaxis(cells, -1, 0))] * known for m in template)
    brain = outline > 0.5
    hu = np.where(brain, density / np.maximum(outline, 0.1) * 40.0, 1000.0).astype(np.float32)
    cut = Grid((len(range(*slices.indices(40))), 72, 60), grid.affine @ _shift(slices.start or 0))
    start = _shift(slices.start or 0)
    return (
        Volume(hu[slices], cut), Volume(brain[slices].astype(np.uint8), cut, "label"),
        aligned_from_scan @ start, mni_from_scan @ start,
    )  # fmt: skip


def _shift(first):
    matrix = np.eye(4)
    matrix[0, 3] = first
    return matrix


@pytest.mark.parametrize(("nod_deg", "slices"), [(0.0, slice(None)), (12.0, slice(None)), (-8.0, slice(14, None))])
def test_registration_to_mni_is_accurate_to_a_few_mm(nod_deg, slices):
    scan, brain, aligned, true = mni_head(nod_deg=nod_deg, slices=slices)
    found = mni_from_aligned(scan, brain, aligned) @ aligned
    index = np.c_[np.argwhere(brain.data), np.ones(brain.data.sum())]
    error_mm = np.linalg.norm(index @ (found - true)[:3].T, axis=1)
    assert np.median(error_mm) < 5.0


@pytest.mark.parametrize("name", list(REGIONS))
@pytest.mark.parametrize("side", ["left", "right"])
def test_an_infarct_at_the_centre_of_a_territory_is_assigned_to_it_and_its_side(name, side):
    x, y, z = REGIONS[name][0][0]
    grid = Grid.centred((60, 90, 80), (3.0, 2.5, 2.5))
    mni_from_scan = np.linalg.inv(grid.index_from_frame).astype(np.float64)
    place = np.linalg.inv(mni_from_scan) @ [x if side == "left" else -x, y, z, 1.0]
    infarct = np.zeros(grid.shape, np.uint8)
    infarct[tuple(np.rint(place[:3]).astype(int))] = 1
    (share,) = territory_shares(infarct, 0.5, mni_from_scan)
    assert (share.territory, share.side, share.volume_ml) == (name, side, 0.5)


def test_no_infarct_no_territory():
    assert territory_shares(np.zeros((2, 2, 2)), 1.0, np.eye(4)) == ()
