"""`compare` on result folders: what it writes, and which pairs it refuses."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from adn.comparison.compare import compare
from adn.errors import InputError, OutputError
from adn.io import read_volume
from adn.remarks import Remark
from adn.report import save_prediction
from comparison.heads import scanned
from fake_prediction import make_prediction
from given import given


def saved(head, case, folder, remarks=()):
    """A result folder of a small head."""
    infarct_ml = float(head.infarct.data.sum()) * head.scan.grid.voxel_ml
    blank = head.scan.with_data(np.zeros_like(head.scan.data))
    made = make_prediction("left", "SPL", case, shape=head.scan.grid.shape, remarks=remarks)
    prediction = replace(
        made,
        scan=replace(made.scan, volume=head.scan),
        infarct=head.infarct,
        infarct_probability=head.infarct.with_data(head.infarct.data.astype(np.float32), "1"),
        brain_mask=head.brain,
        **dict.fromkeys(("asymmetry_total", "asymmetry_pathological", "asymmetry_intrinsic"), blank),
        relative_hypodensity=blank,
        salient=head.scan,
        compensated=head.scan,
        measurements=replace(made.measurements, volume_ml=infarct_ml, left_ml=infarct_ml),
        aligned_from_scan=head.aligned_from_index,
    )
    return save_prediction(prediction, folder)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    place = tmp_path_factory.mktemp("results")
    return [saved(scanned(lesion_mm=radius), f"day{radius:.0f}", place) for radius in (18.0, 24.0)]


def test_growth_is_written_as_page_json_and_csv(folders, tmp_path):
    points = compare(folders, tmp_path / "out", language="de")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    images = {"day24_scan.nii.gz", "day24_infarct.nii.gz"}
    assert names == {"comparison.html", "comparison.json", "comparison.csv", *images}
    written = json.loads((tmp_path / "out/comparison.json").read_text(encoding="utf-8"))
    growth = given(points[1].growth)
    assert written["scans"][1]["growth_ml"] == pytest.approx(growth.growth_ml, abs=1e-5)
    assert written["verdict"].startswith("Infarkt größer: ")
    first, second = csv.DictReader((tmp_path / "out/comparison.csv").open(encoding="utf-8"))
    assert (first["case"], first["growth_ml"]) == ("day18", "")
    assert float(second["growth_percent"]) == pytest.approx(growth.percent, abs=1e-5)
    page = (tmp_path / "out/comparison.html").read_text(encoding="utf-8")
    assert page.count("<figure>") == 2 * page.count('class="row')
    assert "https:" not in page
    scan, infarct = (read_volume(tmp_path / "out" / name) for name in ("day24_scan.nii.gz", "day24_infarct.nii.gz"))
    assert scan.grid.same_as(read_volume(folders[0] / "infarct.nii.gz").grid)
    assert infarct.data.sum() * scan.grid.voxel_ml == pytest.approx(growth.second_ml, rel=0.03)
    with pytest.raises(OutputError):
        compare(folders, tmp_path / "out")


@pytest.mark.parametrize(
    ("remark", "why"),
    [
        (Remark("part_of_head", {"slices": 4, "height_mm": 20.0}), "whole head"),
        (Remark("noisy", {"noise_hu": 31.0}, blocks=True), "not assessable, because the scan is too noisy"),
    ],
)
def test_scans_that_cannot_be_judged_are_refused(folders, tmp_path, remark, why):
    bad = saved(scanned(), "bad", tmp_path / "results", remarks=(remark,))
    with pytest.raises(InputError, match=why):
        compare([folders[0], bad], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_two_patients_and_half_a_head_are_refused(folders, tmp_path):
    other = saved(scanned(width=0.84), "other", tmp_path / "results")
    with pytest.raises(InputError, match="one patient"):
        compare([folders[0], other], tmp_path / "out")
    half = saved(scanned(shape=(10, 70, 58)), "half", tmp_path / "results")
    with pytest.raises(InputError, match="whole brain"):
        compare([folders[0], half], tmp_path / "out")


def test_one_scan_is_no_comparison(folders, tmp_path):
    with pytest.raises(InputError, match="at least one follow-up scan"):
        compare(folders[:1], tmp_path / "out")
