"""The weights that ship, on a virtual patient with a plain infarct: found, on its side, through tilted DICOM too."""

from dataclasses import replace
from importlib.metadata import metadata

import numpy as np
import pytest
import torch

from adn.config_draws import PatientsConfig
from adn.feed.virtual import PosedBrains
from adn.io import dicom, open_scan
from adn.io.weights import OWN_LICENCE, find_weights, list_weights, read_weights
from adn.metrics import score
from adn.prediction.assemble import predict
from adn.prediction.model import load_model
from adn.recipes import load_recipe, recipe_from_dict
from adn.results import Scan
from adn.space.geometry import Grid
from adn.space.volume import Volume
from adn.space.warp import warp
from adn.virtual.draw import draw_patient
from adn.virtual.folders import patient_generator, render_plan, scanner_lattice
from adn.virtual.library import Library
from phantoms import write_dicom_series

ILL = PatientsConfig().with_infarcts(healthy_share=0.0)


@pytest.fixture(scope="module")
def model():
    return load_model(device="cpu")


@pytest.fixture(scope="module")
def patient():
    """CT and reference of a template head with a dark infarct of a middle cerebral artery branch."""
    library = Library()
    plan = draw_patient(patient_generator(8, 0), replace(library.choices(ILL), ease=1.0))
    infarct = replace(
        plan.infarcts[0],
        territory="middle cerebral artery, superior branch",
        volume_ml=80.0,
        drop_wm_hu=9.0,
        drop_gm_hu=11.0,
    )
    scanner = replace(plan.scanner, slice_mm=5.0, noise_hu=3.0)
    plan = replace(plan, infarcts=(infarct,), scanner=scanner, rotation_deg=(0.0, 3.0, 9.0))
    lattice = scanner_lattice(plan, 160)
    rendered = render_plan(plan, library, lattice)
    grid = Grid.centred(lattice.shape, lattice.spacing_mm)
    ct = Volume(rendered.ct.numpy().astype(np.float32), grid)
    side = "right" if infarct.left_right_flip else "left"
    return ct, Volume(rendered.infarct.numpy().astype(np.uint8), grid, "label"), side


@pytest.fixture(scope="module")
def found(model, patient):
    return predict(Scan("vp", patient[0], "virtual"), model)


@pytest.mark.parametrize("name", ["fast-plus", "slicewise-mix"])
def test_weights_can_be_fine_tuned_with_the_recipe_of_their_name(name):
    found, recipe = recipe_from_dict(read_weights(find_weights(name).path)[1]), load_recipe(name)
    assert (found.grid, found.align, found.network) == (recipe.grid, recipe.align, recipe.network)
    assert found.smallest_ml == recipe.smallest_ml
    assert found.calibration or found.threshold == recipe.threshold  # a calibration brings a threshold of its own


def test_what_was_trained_on_real_patients_says_so():
    """The weights that ship carry their licence in the file, and the package's licence expression names it."""
    licences = {entry.name: entry.licence for entry in list_weights()}
    assert licences.pop("slicewise-mix").startswith("For research use only: trained on ")
    assert set(licences.values()) == {OWN_LICENCE}
    assert metadata("adn-stroke")["License-Expression"] == "Apache-2.0 AND LicenseRef-adn-research-weights"


def test_shipped_weights_are_undamaged_and_small():
    weights = list_weights()
    assert weights
    for entry in weights:
        assert find_weights(entry.name).sha256 == entry.sha256  # raises where the recorded hash differs
        assert entry.members or entry.megabytes <= 20  # an ensemble counts the files of its members
    assert sum(entry.megabytes for entry in weights if not entry.members) <= 40


def test_an_obvious_infarct_is_found_on_its_side(found, patient):
    _, reference, side = patient
    assert found.measurements.side == side
    assert score(found.infarct, reference).dice > 0.4


def test_pathological_asymmetry_is_within_the_infarct(found, patient):
    """P is a part of A and, per voxel, at least five times denser inside the reference than elsewhere in the brain."""
    p, a = found.asymmetry_pathological.data, found.asymmetry_total.data
    inside = patient[1].data > 0
    elsewhere = (found.brain_mask.data > 0) & ~inside
    assert (p <= a + 1e-4).all()
    assert p[inside].mean() > 5 * p[elsewhere].mean()


def test_the_finding_is_the_same_through_a_tilted_dicom_series(found, patient, model, tmp_path):
    ct, reference, side = patient
    write_dicom_series(ct, tmp_path / "ct", tilt_deg=15.0)
    other = predict(open_scan(tmp_path / "ct"), model)
    assert other.measurements.side == side
    assert other.measurements.volume_ml == pytest.approx(found.measurements.volume_ml, rel=0.1)
    write_dicom_series(reference.with_data(reference.data * 1000.0), tmp_path / "mask", tilt_deg=15.0, outside_hu=0.0)
    carried = dicom.load(tmp_path / "mask")[0]
    volume_ml = float((carried.data >= 500).sum()) * carried.grid.voxel_ml
    assert volume_ml == pytest.approx(float(reference.data.sum()) * reference.grid.voxel_ml, rel=0.02)


def test_after_t_99_percent_of_the_brain_is_in_the_grid(model):
    """Turned by up to 32° and moved by up to 3 cm; refinement is left out."""
    recipe = model.recipe
    brains = PosedBrains(recipe, Library(), seed=3, count=12, pool=2)
    coarse = torch.stack([brains[i].brain for i in range(12)])
    depth, height, width = recipe.grid.spacing_mm
    spacing = (depth, height * recipe.align.shrink, width * recipe.align.shrink)
    with torch.no_grad():
        mask = (coarse > 0).float()
        kept = warp(mask, model.network.align.from_coarse(coarse), spacing).sum((1, 2, 3, 4)) / mask.sum((1, 2, 3, 4))
    assert kept.min() >= 0.99
