"""The tissue network between scans: geometry, fallback. A stand-in that looks at HU replaces the trained network."""

import numpy as np
import pytest
import torch
from torch import nn

from adn.brain import CLASSICAL, NETWORK, TissueModel, find_brain, load_tissue, segment_tissue
from adn.config import TissueConfig
from adn.io.weights import find_weights
from adn.prepare import strip_skull
from adn.remarks import Doubt
from adn.space.geometry import Grid
from adn.space.volume import Volume

HU = {0: 1000.0, 1: 37.0, 2: 26.0, 3: 6.0}  # of bone and the tissues of `labelled_head`
ORDERS = ("SPL", "LAS", "RPI", "ALS", "IRA")


class ReadsHU(nn.Module):
    """Logits of the class whose HU is nearest; soft tissue outside the skull is dark here, so that it is told apart."""

    multiple = 8

    def forward(self, hu):
        nearest = torch.cat([-((hu - HU[k]) / 4).square() for k in range(4)], 1)
        return torch.where((hu > -20) & (hu < 60), nearest, torch.tensor([0.0, -9, -9, -9]).view(1, 4, 1, 1, 1))


class SaysNo(ReadsHU):
    def forward(self, hu):
        return torch.tensor([9.0, 0, 0, 0]).view(1, 4, 1, 1, 1).expand(1, 4, *hu.shape[2:])


def model(network=None):
    return TissueModel(network or ReadsHU(), TissueConfig(), None, torch.device("cpu"), "fp32")  # type: ignore[arg-type]


def labelled_head(shape=(28, 104, 88), spacing=(5.0, 2.0, 2.0)):
    """Shells of GM on WM with a ventricle, in a skull, in fat; and their labels."""
    grid = Grid.centred(shape, spacing, (3.0, -8.0, 40.0))
    z, y, x = np.meshgrid(
        *[(np.arange(n) - (n - 1) / 2) * s for n, s in zip(shape, spacing, strict=True)], indexing="ij"
    )
    radius = np.sqrt((x / 62) ** 2 + (y / 78) ** 2 + (z / 56) ** 2)
    labels = np.select([radius < 0.25, radius < 0.75, radius < 0.95, radius < 1], [3, 2, 1, 3], 0).astype(np.uint8)
    hu = np.select([radius < 1.1, radius < 1.25], [1000.0, -80.0], -1000.0)
    for k in (1, 2, 3):
        hu[labels == k] = HU[k]
    return Volume(hu.astype(np.float32), grid), Volume(labels, grid, "label")


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


@pytest.fixture(scope="module")
def scan():
    return labelled_head()


def test_labels_match_the_tissue(scan):
    ct, labels = scan
    found = segment_tissue(ct, model())
    assert found.doubt is None
    for k in (1, 2, 3):
        assert dice(found.tissue.data == k, labels.data == k) > 0.9
    assert dice(found.brain.data > 0, labels.data > 0) > 0.98
    assert np.array_equal(found.brain.data > 0, found.tissue.data > 0)


def test_the_mirrored_head_gets_the_mirrored_labels(scan):
    class Lopsided(ReadsHU):
        """Takes the last tenth of a row for outside, and darker the further along it."""

        def forward(self, hu):
            place = torch.linspace(0, 1, hu.shape[-1])
            return torch.where(place < 0.9, super().forward(hu - 8 * place), super().forward(torch.full_like(hu, -1e3)))

    ct, _ = scan
    mirrored = ct.with_data(np.ascontiguousarray(ct.data[..., ::-1]))
    for average in (True, False):
        here, there = (segment_tissue(x, model(Lopsided()), mirror_average=average) for x in (ct, mirrored))
        assert np.array_equal(here.tissue.data, there.tissue.data[..., ::-1]) is average


@pytest.mark.parametrize("axes", ORDERS)
def test_any_axis_order_gives_the_same_labels(scan, axes):
    ct, _ = scan
    turned = segment_tissue(ct.reoriented(axes), model())
    assert turned.tissue.grid.axes == axes
    assert np.array_equal(turned.tissue.reoriented("SPL").data, segment_tissue(ct, model()).tissue.data)


@pytest.mark.parametrize("spacing", [(0.8, 2.0, 2.0), (5.0, 0.9, 1.1), (9.0, 2.2, 1.7)])
def test_thin_slices_and_odd_pixels_keep_their_place(spacing):
    shape = tuple(round(side / step) for side, step in zip((143, 209, 175), spacing, strict=True))
    ct, labels = labelled_head(shape, spacing)
    found = segment_tissue(ct, model())
    index = [np.argwhere(x.data > 0).mean(0) for x in (found.brain, labels)]
    assert np.abs((index[0] - index[1]) * spacing).max() < 0.3
    assert dice(found.brain.data > 0, labels.data > 0) > 0.96


def test_the_networks_outline_is_used_if_plausible(scan):
    brain = find_brain(scan[0], model())
    assert (brain.stripper, brain.remarks) == (NETWORK, ())
    assert brain.tissue is not None


def test_otherwise_the_classical_stripper_is_used_and_reported(scan):
    brain = find_brain(scan[0], model(SaysNo()))
    assert brain.stripper == CLASSICAL
    (remark,) = brain.remarks
    assert (remark.kind, remark.values) == ("classical_stripper", {"reason": "empty"})
    assert "outline is empty" in remark.sentence
    assert brain.tissue is None
    assert np.array_equal(brain.mask.data, strip_skull(scan[0]).data)


def test_two_pieces_and_coarse_voxels_are_doubted(scan):
    ct, labels = scan
    halves = ct.data.copy()
    halves[14:17][labels.data[14:17] > 0] = 1000.0
    assert segment_tissue(ct.with_data(halves), model()).doubt == Doubt("pieces")
    coronal, _ = labelled_head((70, 26, 88), (2.0, 8.0, 2.0))
    assert "axial slices" in str(segment_tissue(coronal, model()).doubt)


def test_the_shipped_network_is_small_and_loads():
    found = load_tissue(device="cpu")
    assert find_weights("tissue").megabytes < 6
    assert found.network.multiple == 16
