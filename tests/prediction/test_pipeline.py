"""Laws of the main job, with untrained small networks: geometry must hold whatever the networks say."""

from dataclasses import replace
from itertools import permutations, product

import numpy as np
import pytest
import torch

from adn.answers import AnswerOptions, OldInfarct
from adn.config import PartsConfig
from adn.errors import InputError
from adn.findings.measure import volume_interval
from adn.findings.parts import Evidence
from adn.io import open_scan
from adn.io.weights import save_weights
from adn.nn.adn import build_adn
from adn.prediction import assemble as assembly
from adn.prediction.assemble import predict
from adn.prediction.model import load_model
from adn.prediction.pipeline import STEPS, box_corners, home, infer, locate
from adn.recipes import load_recipe
from adn.results import Scan
from adn.space.geometry import Grid, reorient_array
from adn.space.volume import Volume
from given import loose
from phantoms import head, write_dicom_series

ORDERS = [
    "".join(letters[i][flip] for i, flip in zip(order, flips, strict=True))
    for letters in [("RL", "AP", "SI")]
    for order in permutations(range(3))
    for flips in product((0, 1), repeat=3)
]
SOME = ORDERS[::9]  # six orders of the axes, each with other signs
OTHERS = [axes for axes in ORDERS if axes not in SOME]


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    torch.manual_seed(3)
    recipe = load_recipe("tiny")
    network = build_adn(recipe)
    torch.nn.init.normal_(loose(network).align.head.weight, std=0.3)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_weights(network.state_dict(), recipe.model_dump(), path)
    return load_model(path, device="cpu", precision="fp32")


@pytest.fixture(scope="session")
def phantom():
    """A head with a dark area on its left."""
    volume = head((24, 72, 60), (7.0, 3.1, 2.9))
    data = volume.data.copy()
    d, h, w = np.indices(data.shape)
    lesion = ((d - 13) / 3) ** 2 + ((h - 36) / 8) ** 2 + ((w - 42) / 6) ** 2 < 1
    data[lesion & (data > 0) & (data < 80)] -= 12
    return Volume(data.astype(np.float32), volume.grid)


def run(volume, model):
    p = float(np.float32(0.5))
    return predict(Scan("case", volume, "nifti"), model, threshold=p)


@pytest.fixture(scope="session")
def found(phantom, model):
    return run(phantom, model)


def test_there_are_48_axis_orders():
    """Some of them run always: each order of the axes, each axis both ways. `space/test_volume.py` turns all."""
    assert len(set(ORDERS)) == 48
    assert len({tuple("RL AP SI".find(letter) // 3 for letter in axes) for axes in SOME}) == 6
    assert {letter for axes in SOME for letter in axes} == set("RLAPSI")


@pytest.mark.parametrize(
    "axes", [axes if axes in SOME else pytest.param(axes, marks=pytest.mark.slow) for axes in ORDERS]
)
def test_every_axis_order_gives_the_identical_result(axes, phantom, found, model):
    other = run(phantom.reoriented(axes), model)
    for name in ("infarct", "infarct_probability", "brain_mask", "asymmetry_total", "salient"):
        volume = getattr(other, name)
        assert volume.grid.axes == axes
        back = reorient_array(volume.data, axes, found.infarct.grid.axes)
        np.testing.assert_array_equal(back, getattr(found, name).data)
    assert other.measurements.left_ml == found.measurements.left_ml
    assert other.measurements.volume_ml == found.measurements.volume_ml


def test_outputs_are_on_the_scans_grid_and_obey_the_paper(phantom, found):
    inside = found.brain_mask.data > 0
    for name in ("infarct", "infarct_probability", "asymmetry_total", "asymmetry_pathological", "asymmetry_intrinsic"):
        data = getattr(found, name).data
        assert data.shape == phantom.data.shape
        assert (data[~inside] == 0).all()
        assert (data >= 0).all()
    total = found.asymmetry_pathological.data + found.asymmetry_intrinsic.data
    np.testing.assert_allclose(total, found.asymmetry_total.data, atol=1e-4)
    np.testing.assert_allclose(found.salient.data, phantom.data + found.asymmetry_intrinsic.data, atol=1e-3)
    np.testing.assert_allclose(found.compensated.data, phantom.data + found.asymmetry_pathological.data, atol=1e-3)
    assert found.measurements.left_ml + found.measurements.right_ml == pytest.approx(found.measurements.volume_ml)


def test_the_dark_side_is_the_asymmetric_one(phantom, found):
    """A is what is darker than its mirror twin, so most of it within the lesion lies on the patient's left."""
    spl = found.asymmetry_total.reoriented("SPL").data
    left, right = spl[10:17, 28:44, 36:50].sum(), spl[10:17, 28:44, 10:24].sum()
    assert left > 1.5 * right


def test_slices_are_numbered_as_stored_in_the_file(phantom, found, model):
    down = run(phantom.reoriented("IPL"), model)
    last = phantom.grid.shape[0] - 1
    assert down.measurements.slices == tuple(sorted(last - i for i in found.measurements.slices))


def test_a_tilted_dicom_series_gives_the_same_brain(model, tmp_path):
    volumes = []
    for tilt in (0.0, 12.0):
        write_dicom_series(head((56, 72, 60), (3.0, 3.1, 2.9)), tmp_path / f"{tilt}", tilt_deg=tilt)
        mask = predict(open_scan(tmp_path / f"{tilt}"), model).brain_mask
        volumes.append(float(mask.data.sum()) * mask.grid.voxel_ml)
    assert volumes[1] == pytest.approx(volumes[0], rel=0.08)  # bone edges are blurred by the tilt correction


def test_predict_runs_the_three_stages_and_reports_every_step(phantom, found, model):
    told = []
    again = predict(Scan("case", phantom, "nifti"), model, threshold=float(np.float32(0.5)), progress=told.append)
    assert told == list(STEPS) == list(again.provenance.seconds)
    located = locate(Scan("case", phantom, "nifti"), model)
    on_scan = home(infer(located, model), located, model.recipe, float(np.float32(0.5)))
    np.testing.assert_array_equal(on_scan.infarct, found.infarct.reoriented("SPL").data)
    np.testing.assert_array_equal(on_scan.probability, found.infarct_probability.reoriented("SPL").data)
    half = float(on_scan.probability.max()) / 2
    lenient = home(infer(located, model), located, model.recipe, half)
    np.testing.assert_array_equal(lenient.infarct, lenient.probability >= half)
    assert lenient.infarct.any()


@pytest.mark.parametrize("keep", [False, True])
def test_an_old_infarct_is_left_out_of_every_mask_unless_kept_on_request(keep, model, monkeypatch):
    fluid = head((24, 72, 60), (7.0, 3.1, 2.9))
    d, h, w = np.indices(fluid.data.shape)
    old = (np.abs(d - 13) < 3) & (np.abs(h - 36) < 5) & (np.abs(w - 42) < 4)
    scan = Scan("case", fluid.with_data(np.where(old, np.float32(4.0), fluid.data)), "nifti")
    located = locate(scan, model)
    on_scan = home(infer(located, model), located, model.recipe, 0.5)
    place = tuple(slice(0, side) for side in old.shape)
    on_scan = replace(on_scan, infarct=old.astype(np.uint8), found=np.where(old, np.float32(0.9), 0), place=place)
    judge = assembly.judge
    monkeypatch.setattr(assembly, "judge", lambda *given: (judge(*given)[0], ()))  # a phantom is not assessable
    found = assembly.assemble(scan, located, on_scan, model, options=AnswerOptions(keep_old=keep))
    ml = float(old.sum() * fluid.grid.voxel_ml)
    assert found.answers.old_infarct == OldInfarct(ml, not keep)
    assert found.measurements.volume_ml == pytest.approx(ml if keep else 0.0)
    assert bool((found.infarct_probability.data >= 0.5).any()) == keep
    assert ("old_marked" if keep else "old_left_out") in {remark.kind for remark in found.remarks}


def test_a_scan_without_brain_is_named(model):
    air = Volume(np.full((20, 40, 40), -1000.0, np.float32), Grid.centred((20, 40, 40), (7.0, 4.0, 4.0)))
    with pytest.raises(InputError, match=r"^patient: "):
        locate(Scan("patient", air, "nifti"), model)


def test_a_brain_that_fits_needs_one_centred_box_and_a_longer_one_two():
    inside = torch.zeros(24, 48, 48, dtype=torch.bool)
    inside[8:16, 10:38, 12:36] = True
    assert box_corners(inside, (16, 40, 32)) == [(4, 4, 8)]
    inside[2:20] = inside[10]
    corners = box_corners(inside, (16, 40, 32))
    assert [c[0] for c in corners] == [2, 4]
    assert {c[2] for c in corners} == {8}


def test_shear_and_obliquity_are_undone(phantom, model):
    angle = np.deg2rad(8)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    oblique = Volume(phantom.data, Grid(phantom.grid.shape, turn @ phantom.grid.affine))
    result = run(oblique, model)
    np.testing.assert_array_equal(result.infarct.grid.affine, oblique.grid.affine)


def test_calibration_changes_the_probability_by_its_logit_and_gives_the_volume_an_interval(phantom, model):
    scan, plain = Scan("case", phantom, "nifti"), model.recipe
    calibration = plain.calibration.model_copy(
        update={"logit_scale": 0.5, "logit_shift": -0.3, "volume_errors": (-1.0, 2.0)}
    )
    other = replace(model, recipe=plain.model_copy(update={"calibration": calibration}))
    located = locate(scan, model)
    before, after = infer(located, model).stack, infer(located, other).stack
    inside = before[0] > 0
    expected = torch.sigmoid(0.5 * before[0].clamp(1e-4, 1 - 1e-4).logit() - 0.3)
    assert torch.allclose(after[0][inside], expected[inside], atol=1e-5)
    assert torch.equal(after[1:], before[1:])
    assert not after[0][~inside].any()
    found = predict(scan, other).measurements
    assert found.volume_interval_ml == volume_interval(found.volume_ml, (-1.0, 2.0))


def test_parts_that_do_not_look_like_an_infarct_are_left_out_and_reported(phantom, model, monkeypatch):
    monkeypatch.setattr("adn.findings.parts.LARGE_ML", np.inf)  # else the whole brain, marked here, is kept
    plain = model.recipe.model_copy(update={"threshold": 0.01})
    nothing = PartsConfig(intercept=-1.0, **dict.fromkeys(Evidence._fields, 0.0))
    strict = plain.model_copy(update={"calibration": plain.calibration.model_copy(update={"parts": nothing})})
    scan = Scan("case", phantom, "nifti")
    before = predict(scan, replace(model, recipe=plain), options=AnswerOptions(keep_old=True)).measurements.volume_ml
    found = predict(scan, replace(model, recipe=strict))
    told = [remark for remark in found.remarks if remark.kind == "parts_left_out"]
    assert before > 0
    assert found.measurements.volume_ml == 0.0
    assert [remark.values["left_out_ml"] for remark in told] == [pytest.approx(before)]
