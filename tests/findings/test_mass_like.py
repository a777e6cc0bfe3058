"""Something bright within darkened tissue is flagged as perhaps not an infarct; darkened tissue alone is not."""

import numpy as np
import pytest

from adn.answers import MassLike, NotAssessable
from adn.findings.mass_like import mass_like
from adn.findings.quality import mass_remarks
from adn.findings.twins import twins_of
from adn.space.geometry import Grid
from adn.space.volume import Volume
from given import loose

SHAPE, SPACING_MM = (9, 90, 76), (5.0, 2.0, 2.0)
TISSUE_HU, OEDEMA_HU = 32.0, 22.0


def found(nodule_hu=None, nodule_mm=9.0, oedema_hu=OEDEMA_HU, noise_hu=0.5, marked=True, side=1.0):
    """Of a flat brain with a dark disc of 22 mm on one side, marked, and a nodule in it."""
    z, y, x = ((np.arange(n) - (n - 1) / 2) * mm for n, mm in zip(SHAPE, SPACING_MM, strict=True))
    z, y, x = np.meshgrid(z, y, x, indexing="ij")
    brain = (x / 66) ** 2 + (y / 82) ** 2 < 1
    away, level = np.hypot(x - side * 32.0, y), np.abs(z) < 12
    dark = (away < 22) & level
    hu = np.where(brain, TISSUE_HU, -100.0)
    hu[dark] = oedema_hu
    if nodule_hu is not None:
        hu[(away < nodule_mm) & level] = nodule_hu
    hu += np.random.default_rng(1).normal(0, noise_hu, SHAPE)
    grid = Grid.centred(SHAPE, SPACING_MM)
    centred = np.linalg.inv(grid.index_from_frame).astype(np.float64)
    infarct = (dark & marked).astype(np.uint8)
    volume, mask = Volume(hu.astype(np.float32), grid), Volume(brain.astype(np.uint8), grid, "label")
    return loose(mass_like(twins_of(volume, mask, infarct, centred)))


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_bright_nodule_in_oedema_raises_doubt_and_its_contrast_is_reported(side):
    answer = found(nodule_hu=44.0, side=side)
    assert answer.looks_so
    assert answer.contrast_hu == pytest.approx(22.0, abs=3.0)
    assert answer.above_grey_hu == pytest.approx(12.0, abs=3.0)
    assert answer.diameter_mm == 16.0
    assert [remark.kind for remark in mass_remarks(answer)] == ["may_be_mass"]


def test_a_nodule_as_bright_as_the_mirror_side_raises_no_doubt_as_spared_tissue_looks_alike():
    assert not found(nodule_hu=TISSUE_HU).looks_so


def test_a_bleed_needs_no_dark_ring_beside_it():
    assert found(nodule_hu=65.0, oedema_hu=TISSUE_HU).looks_so


@pytest.mark.parametrize("oedema_hu", [28.0, 22.0, 12.5])
def test_darkened_tissue_alone_raises_no_doubt(oedema_hu):
    answer = found(oedema_hu=oedema_hu)
    assert not answer.looks_so
    assert mass_remarks(answer) == ()


def test_noise_raises_the_required_contrast():
    assert found(nodule_hu=36.0, noise_hu=0.5).looks_so
    assert not found(nodule_hu=36.0, noise_hu=9.0).looks_so


def test_a_nodule_as_small_as_a_vessel_raises_no_doubt():
    assert not found(nodule_hu=44.0, nodule_mm=3.0).looks_so


def test_nothing_marked_raises_no_doubt():
    assert found(nodule_hu=44.0, marked=False) == NotAssessable("no_infarct")
    assert mass_remarks(NotAssessable("no_infarct")) == mass_remarks(MassLike(0.0, 0.0, 0.0, looks_so=False)) == ()
