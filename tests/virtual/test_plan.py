"""Drawing plans: plain data, reproducible."""

import json

import numpy as np
import pytest
import torch

from adn.config_draws import ExtrasConfig, HeadsConfig, InfarctsConfig, PatientsConfig, ScannersConfig
from adn.virtual.draw import Choices, draw_patient
from adn.virtual.lesions import procedural_mask
from adn.virtual.plan import InfarctPlan, PatientPlan

TERRITORIES, VOLUME_ML = InfarctsConfig().territories, InfarctsConfig().volume_ml


def draw(seed, lesions=(), **infarcts):
    choices = Choices(heads=("a", "b"), lesions=lesions, patients=PatientsConfig().with_infarcts(**infarcts))
    return draw_patient(torch.Generator().manual_seed(seed), choices)


@pytest.mark.parametrize("seed", range(12))
def test_a_plan_survives_json(seed):
    plan = draw(seed, lesions=(("small",), (), ("large", "larger")))
    assert PatientPlan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan


def test_the_same_generator_state_draws_the_same_patient():
    assert draw(4) == draw(4)
    assert draw(4) != draw(5)


def test_a_share_of_patients_has_no_acute_infarct():
    assert not any(i.acute for seed in range(20) for i in draw(seed, healthy_share=1.0).infarcts)
    assert all(any(i.acute for i in draw(seed, healthy_share=0.0).infarcts) for seed in range(20))


def test_procedural_volumes_are_distributed_like_the_real_masks():
    volumes = sorted(i.volume_ml for seed in range(400) for i in draw(seed, healthy_share=0.0).infarcts if i.acute)
    n = len(volumes)
    for place in (5, 10, 15):  # quartiles
        assert sum(v < VOLUME_ML[place] for v in volumes) / n == pytest.approx(place / 20, abs=0.06)


def test_with_masks_a_quarter_of_acute_infarcts_is_still_a_large_territory():
    plans = [draw(seed, healthy_share=0.0, lesions=(("small",), ("large",))) for seed in range(400)]
    infarcts = [i for plan in plans for i in plan.infarcts]
    assert all(i.source for i in infarcts if not i.acute)
    large = [i for i in infarcts if not i.source]
    assert len(large) / sum(i.acute for i in infarcts) == pytest.approx(0.25, abs=0.05)
    assert all(40 <= i.volume_ml <= 300 for i in large)
    assert sum("trunk" in i.territory for i in large) > len(large) / 2


def test_every_stage_and_territory_occurs_and_volumes_fit_their_territory():
    infarcts = [i for seed in range(600) for i in draw(seed).infarcts]
    assert {i.stage for i in infarcts} == {"hyperacute", "acute", "subacute", "old"}
    assert {i.territory for i in infarcts} == {territory.name for territory in TERRITORIES}
    limits = {territory.name: territory.volume_ml for territory in TERRITORIES}
    assert all(limits[i.territory][0] <= i.volume_ml <= limits[i.territory][1] for i in infarcts)


@pytest.mark.parametrize(
    ("name", "volume_ml"), [(t.name, (t.volume_ml[0] * t.volume_ml[1]) ** 0.5) for t in TERRITORIES]
)
def test_a_procedural_mask_has_its_volume_and_is_on_the_left(name, volume_ml):
    infarct = InfarctPlan("", name, volume_ml, False, "acute", 5.0, 6.0, 1.0, 0.0, 0.0)
    mask = procedural_mask(infarct, torch.Generator().manual_seed(1))
    assert float((mask.data > 0).sum()) * 8 / 1000 == pytest.approx(volume_ml, abs=0.01 * volume_ml + 0.008)
    where = (mask.data > 0).nonzero().double().mean(0)[[2, 1, 0]].numpy()
    assert (np.linalg.inv(mask.index_from_mni) @ [*where, 1.0])[0] > 2


def test_gantry_tilt_compensates_for_the_heads_pitch():
    tilted = [p for p in map(draw, range(100)) if p.scanner.tilt_deg]
    assert 20 < len(tilted) < 60
    assert all(abs(p.scanner.tilt_deg - p.rotation_deg[0]) <= 8 for p in tilted)


def test_ranges_narrowed_by_the_recipe_are_respected():
    """Each range that is given as one number gives that number, and each share of 0 or 1 never or always."""
    patients = PatientsConfig(
        infarcts=InfarctsConfig(healthy_share=0.0, old_share=1.0, second_share=0.0, edge_mm=(2.0, 2.0)),
        heads=HeadsConfig(max_roll_deg=0.0, bone_hu=(900.0, 900.0), leukoaraiosis_share=0.0),
        extras=ExtrasConfig(bright_share=0.0, metal_share=1.0),
        scanners=ScannersConfig(slice_mm=(4.0,), gap_share=0.0, tilt_share=0.0, noise_hu=(3.0, 3.0)),
    )
    for seed in range(20):
        plan = draw_patient(torch.Generator().manual_seed(seed), Choices(heads=("a",), patients=patients))
        assert [infarct.acute for infarct in plan.infarcts] == [True, False]
        assert {infarct.edge_mm for infarct in plan.infarcts} == {2.0}
        assert (plan.rotation_deg[1], plan.bone_hu, plan.leukoaraiosis) == (0.0, 900.0, 0.0)
        assert (plan.bright, len(plan.metal)) == ((), 1)
        scanner = plan.scanner
        assert (scanner.slice_mm, scanner.step_mm, scanner.tilt_deg) == (4.0, 4.0, 0.0)
        assert scanner.noise_hu == pytest.approx(3.0)
