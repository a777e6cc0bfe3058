"""Values clipped to a window, bone removed, skull stripped: detected, and the brain is found as on the full scan."""

import numpy as np
import pytest
from tests.prepare.phantom import dice, head

from adn.brain import find_brain, shipped_tissue
from adn.prepare import strip_skull
from adn.prepare.restore import restored

SCAN, BRAIN = head((36, 128, 112), shift_mm=0.0)
INSIDE = BRAIN.data > 0
HU = SCAN.data
CUT = {
    "0 to 80": HU.clip(0, 80),
    "10 to 70, whole numbers": np.rint(HU).clip(10, 70),
    "-20 to 100": HU.clip(-20, 100),
    "-200 to 300": HU.clip(-200, 300),
    "0 to 80, 8-bit steps": np.rint(HU.clip(0, 80) / 80 * 255) * 80 / 255,
}
BONELESS = {"-1000": np.where(HU > 130, -1000, HU), "0": np.where(HU > 130, 0, HU)}
STRIPPED = {str(value): np.where(INSIDE, HU, value) for value in (0, -1000, -1024)}


def scan_of(values):
    return SCAN.with_data(values.astype(np.float32))


def test_a_complete_scan_is_unchanged():
    found = restored(SCAN)
    assert found.scan is SCAN
    assert found.tissue is None
    assert found.remarks == ()


@pytest.mark.parametrize("name", CUT)
def test_values_clipped_to_a_window_are_restored(name):
    found = restored(scan_of(CUT[name]))
    (remark,) = found.remarks
    assert remark.kind == "values_cut"
    assert remark.values == {"floor_hu": pytest.approx(CUT[name].min()), "top_hu": pytest.approx(CUT[name].max())}
    assert not remark.blocks
    within = INSIDE & (HU < 60)
    assert np.array_equal(found.scan.data[within], CUT[name].astype(np.float32)[within])  # tissue keeps its values
    assert found.scan.data[HU > 800].mean() > 900
    assert (found.scan.data[HU < -900] == -1000.0).mean() > 0.9
    assert dice(strip_skull(found.scan), BRAIN) > 0.95


@pytest.mark.parametrize("fill", BONELESS)
def test_removed_bone_is_restored(fill):
    found = restored(scan_of(BONELESS[fill]))
    assert [remark.kind for remark in found.remarks] == ["bone_removed"]
    assert (found.scan.data[HU > 800] == 1000.0).mean() > 0.9
    assert dice(strip_skull(found.scan), BRAIN) > 0.95


@pytest.mark.parametrize("fill", STRIPPED)
def test_a_stripped_skull_is_recognised(fill):
    found = restored(scan_of(STRIPPED[fill]))
    assert [remark.kind for remark in found.remarks] == ["skull_stripped"]
    assert found.tissue is not None
    assert 2 * (found.tissue & INSIDE).sum() / (found.tissue.sum() + INSIDE.sum()) > 0.99


@pytest.mark.parametrize("values", [CUT["0 to 80"], BONELESS["-1000"], STRIPPED["0"]], ids=["cut", "bone", "stripped"])
def test_the_brain_is_found_and_the_method_reported(values):
    scan = scan_of(values).reoriented("LAS")
    brain = find_brain(scan, shipped_tissue())
    assert brain.mask.grid.same_as(scan.grid)
    assert dice(brain.mask.reoriented("SPL"), BRAIN) > 0.93
    assert brain.remarks[0].kind in {"values_cut", "bone_removed", "skull_stripped"}
