"""The infarct model by hand, and that samples and mixed voxels agree if a voxel holds one tissue."""

import dataclasses

import pytest
import torch

from adn.config_draws import PatientsConfig
from adn.virtual.disease import Shares, closing, darkened, infarct_in_samples, infarct_in_voxels
from adn.virtual.draw import Choices, draw_patient
from adn.virtual.plan import InfarctPlan
from adn.virtual.tissue_codes import Tissue

ILL = PatientsConfig().with_infarcts(healthy_share=0.0)


@pytest.fixture
def plan():
    return draw_patient(torch.Generator().manual_seed(3), Choices(heads=("mni",), patients=ILL))


@pytest.fixture
def infarct(plan) -> InfarctPlan:
    made = next(infarct for infarct in plan.infarcts if infarct.acute)
    return dataclasses.replace(made, drop_gm_hu=6.0, drop_wm_hu=3.0, effacement=0.5)


def test_nothing_darkens_below_the_floor_and_lower_values_are_unchanged():
    hu = torch.tensor([30.0, 12.0, 8.0])
    assert darkened(hu, torch.tensor(5.0), 10.0).tolist() == [25.0, 10.0, 8.0]


def test_samples_and_voxels_of_one_tissue_are_the_same(plan, infarct):
    codes = torch.tensor([int(Tissue.GM), int(Tissue.WM), int(Tissue.GM)])
    hu, extent = torch.tensor([36.0, 28.0, 33.0]), torch.tensor([1.0, 0.5, 0.0])
    by_sample = infarct_in_samples(plan, infarct, hu, extent, codes, torch.zeros(3))
    grey = (codes == int(Tissue.GM)).float().reshape(1, 1, 3)
    shares = Shares(grey, 1 - grey, torch.zeros_like(grey), torch.ones_like(grey))
    spread = torch.zeros_like(grey)
    by_voxel, share = infarct_in_voxels(
        plan, infarct, hu.reshape(1, 1, 3), [extent.reshape(1, 1, 3)], shares, uneven=spread
    )
    assert torch.equal(by_sample, by_voxel.flatten())
    assert by_sample.tolist() == pytest.approx([30.0, 26.5, 33.0])
    assert share.flatten().tolist() == [1.0, 0.0, 0.0]  # half an extent is its border


def test_swelling_closes_sulci_and_leaves_ventricles(plan, infarct):
    fluid = torch.zeros(1, 15, 15)
    fluid[:, 7, 2] = 1.0  # a sulcus, one voxel wide
    fluid[:, 3:12, 8:15] = 1.0  # a ventricle
    assert closing(fluid)[0, 7, 2] == 1
    assert closing(fluid)[0, 7, 11] == 0
    nothing, all_of_it = torch.zeros_like(fluid), torch.ones_like(fluid)
    hu = torch.full_like(fluid, plan.csf_hu)
    filled, _ = infarct_in_voxels(
        plan, infarct, hu, [all_of_it], Shares(nothing, nothing, fluid, all_of_it), uneven=nothing
    )
    expected = plan.csf_hu + max(plan.gm_hu - 6.0 - plan.csf_hu, 0) / 2
    assert float(filled[0, 7, 2]) == pytest.approx(expected, abs=1e-4)
    assert float(filled[0, 7, 11]) == pytest.approx(plan.csf_hu, abs=1e-4)


def test_an_old_infarct_becomes_fluid(plan, infarct):
    old = dataclasses.replace(infarct, stage="old", fluid=1.0)
    assert not old.acute
    hu = infarct_in_samples(
        plan, old, torch.tensor([30.0]), torch.ones(1), torch.tensor([int(Tissue.WM)]), torch.zeros(1)
    )
    assert float(hu) == pytest.approx(plan.csf_hu + 2.0)
