"""Drawing: plain data, replayable."""

import json

import pytest
import torch

from adn.synth.plan import Choices, PatientPlan, draw_patient


def draw(seed, **settings):
    return draw_patient(torch.Generator().manual_seed(seed), Choices(heads=("a", "b"), **settings))


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
