"""Label 4 of AISD: `ignore.nii.gz` beside the infarct reaches training as −1, and the infarct itself wins."""

import numpy as np
import torch

from adn.datasets.layouts import find_cases
from adn.feed.cases import PreparedCases
from adn.io.nifti import write_volume
from adn.recipes import load_recipe
from phantoms import head


def test_the_ignore_mask_of_a_case_is_respected(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    ct = head((24, 72, 60), (7.0, 3.1, 2.9))
    brain = ((ct.data > 0) & (ct.data < 38)).astype(np.uint8)
    infarct, ignore = np.zeros_like(brain), np.zeros_like(brain)
    infarct[9:15, 25:45, 32:44] = 1
    ignore[9:15, 25:45, 38:52] = 1  # overlaps half of the infarct
    case = tmp_path / "data" / "one"
    case.mkdir(parents=True)
    for name, data, unit in (
        ("ct", ct.data.astype(np.int16), "HU"),
        ("brain", brain, "label"),
        ("infarct", infarct, "label"),
        ("ignore", ignore, "label"),
    ):
        write_volume(ct.with_data(data, unit), case / f"{name}.nii.gz")
    cases = find_cases(tmp_path / "data")
    assert cases[0].ignore == case / "ignore.nii.gz"
    sample = PreparedCases(load_recipe("tiny"), cases, 1)[0]
    assert sample.infarct.unique().tolist() == [-1.0, 0.0, 1.0]
    voxel_ml = {"case": 7.0 * 3.1 * 2.9, "model": 10.0 * 6.0 * 6.0}
    for value, mask in ((1.0, infarct > 0), (-1.0, (ignore > 0) & (infarct == 0))):
        found = float((sample.infarct == value).sum()) * voxel_ml["model"]
        assert abs(found / (mask.sum() * voxel_ml["case"]) - 1) < 0.25
    assert torch.count_nonzero(sample.tissue) == 0
