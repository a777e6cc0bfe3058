"""Facts first, words last: every kind has its sentence, and nothing depends on how it is worded."""

import json
import pickle
from pathlib import Path
from typing import get_args

import pytest

from adn.atlas import REGIONS, SUPPLY, Supply, Territory
from adn.errors import InputError
from adn.findings.quality import finding_remarks, method_remarks, quality_remarks
from adn.io.head_ct import NotHounsfieldError
from adn.lang import words
from adn.remarks import CHECK_ONLY, NOTES, Doubt, DoubtKind, Kind, Remark
from adn.results import Measurements, Quality
from adn.space.geometry import RigidTransform
from remark_examples import VALUES, example

GOOD = Quality(1300.0, 6.0, 4.0, 4.0, False, False, 0.0)
FOUND = Measurements(10.0, "left", 10.0, 0.0, (3,), 27.0, 33.0, 0.8)


def under(table):
    return {key.removeprefix(f"{table}.") for key in words().texts if key.startswith(f"{table}.")}


def test_the_kinds_are_fixed_and_each_has_its_sentence():
    assert under("remarks") == set(get_args(Kind))
    assert under("doubts") == set(get_args(DoubtKind))
    assert under("reasons") < set(get_args(Kind))
    assert set(get_args(Kind)) > CHECK_ONLY | NOTES
    assert not CHECK_ONLY & NOTES


@pytest.mark.parametrize("kind", get_args(Kind))
def test_a_sentence_is_built_from_kind_and_values(kind):
    sentence = example(kind).sentence
    assert sentence.endswith((".", "?"))
    assert "{" not in sentence


@pytest.mark.parametrize("kind", get_args(Kind))
def test_a_remark_survives_json_and_pickling(kind):
    remark = example(kind)
    plain = json.loads(json.dumps({"kind": remark.kind, "values": dict(remark.values), "blocks": remark.blocks}))
    assert Remark(**plain) == pickle.loads(pickle.dumps(remark)) == remark


def test_a_doubt_completes_a_sentence():
    assert str(Doubt("bone_or_air", {"bone_percent": 4.2, "air_percent": 0.0})) == "holds 4 % bone and 0 % air"
    remark = Remark("classical_stripper", VALUES["classical_stripper"])
    assert remark.sentence.endswith("because the tissue network's outline holds 120 mL.")


def kinds(found):
    return [remark.kind for remark in found]


@pytest.mark.parametrize(
    ("changed", "dark", "bright"),
    [
        ({}, [], []),
        ({"bright_ml": 1.01}, ["may_be_blood"], ["bright_spots"]),
        ({"noise_hu": 9.1}, ["noisy"], ["noisy"]),
        ({"asymmetry_after_hu": 12.1}, ["asymmetric"], ["asymmetric"]),
        ({"asymmetry_after_hu": 6.6}, ["alignment_no_better"], ["alignment_no_better"]),
    ],
)
def test_quality_is_judged_by_its_thresholds(changed, dark, bright):
    quality = Quality(**{**vars(GOOD), **changed})
    assert kinds(quality_remarks(quality, "dark")) == dark
    assert kinds(quality_remarks(quality, "bright")) == ["bright_polarity", *bright]


def test_pose_sides_and_method_have_remarks():
    turned = RigidTransform.from_parameters((0, 2.0, -46.0), (0, 0, 0))
    both = Measurements(10.0, "both", 4.0, 6.0, (3,), 27.0, 33.0, 0.8)
    assert kinds(finding_remarks(both, turned)) == ["head_turned", "both_sides"]
    assert finding_remarks(FOUND, RigidTransform.from_parameters((0, 2.0, -44.0), (0, 0, 0))) == ()
    assert method_remarks("adn", aligns=True) == ()
    (remark,) = method_remarks("resunet", aligns=False)
    assert "does not align the head" in remark.sentence


def test_each_territory_has_a_place_and_an_artery():
    assert set(REGIONS) == set(SUPPLY) == set(get_args(Territory))
    assert set(SUPPLY.values()) == set(get_args(Supply))


@pytest.mark.parametrize("kind", [InputError, NotHounsfieldError])
def test_an_error_stores_file_and_message_separately(kind):
    error = pickle.loads(pickle.dumps(kind("needed a head CT.", Path("a/b.nii"))))
    assert (str(error), error.what, error.path) == ("a/b.nii: needed a head CT.", "needed a head CT.", "a/b.nii")
    assert (str(kind("Bad.")), kind("Bad.").path) == ("Bad.", None)
