import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from adn.errors import OutputError
from adn.remarks import Remark
from adn.report import csv_row, result_dict, write_results_csv
from adn.report.words import checks
from adn.results import DISCLAIMER
from fake_prediction import make_prediction

REMARKS = (
    Remark("tilt_corrected", {"tilt_deg": 18.25}),
    Remark("contrast_recorded"),
    Remark("head_turned", {"turned_deg": 50.0, "rolled_deg": 2.0}),
)


def test_result_survives_strict_json():
    result = result_dict(make_prediction(remarks=REMARKS))
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert result["disclaimer"] == DISCLAIMER
    assert result["left_ml"] + result["right_ml"] == pytest.approx(result["volume_ml"])
    assert result["poses"]["refined"]["rotation_deg"] == pytest.approx({"pitch": 0, "roll": 1.5, "in_plane": -7.0})
    assert result["poses"]["network"]["translation_mm"] == {"left": 2.0, "posterior": 0.0, "superior": 0.0}
    assert result["grid"]["axes"] == "LAS"
    assert result["grid"]["shape"] == [47, 61, 14]
    assert result["schema_version"] == 2
    assert result["polarity"] == "dark"
    assert result["remarks"] == [
        {"kind": one.kind, "values": one.values, "blocks": False, "sentence": one.sentence} for one in REMARKS
    ]
    assert result["warnings"] == [REMARKS[1].sentence]  # the first is a note, the third is told by a check
    assert result["territories"][0]["artery"] == "middle cerebral artery"
    assert result["verdict"].startswith("Infarct marked: ")
    assert [check["good"] for check in result["checks"]] == [
        check.good for check in checks(make_prediction(remarks=REMARKS))
    ]


def test_the_interval_of_the_volume_is_two_numbers():
    prediction = make_prediction()
    found = replace(prediction, measurements=replace(prediction.measurements, volume_interval_ml=(3.1234567, 20.0)))
    assert json.loads(json.dumps(result_dict(found)))["volume_interval_ml"] == [3.123457, 20.0]


def test_the_result_says_whether_it_is_assessable_and_which_remarks_decided():
    noisy = Remark("noisy", {"noise_hu": 31.0}, blocks=True)
    assert result_dict(make_prediction(remarks=REMARKS))["assessable"] is True
    result = result_dict(make_prediction("none", remarks=(*REMARKS, noisy)))
    assert result["assessable"] is False
    assert result["not_assessable_because"] == ["noisy"]
    assert result["verdict"].startswith("Not assessable, because ")
    assert csv_row(result)["assessable"] == "no"
    assert csv_row(result)["not_assessable_because"] == "noisy"


def test_missing_values_are_null():
    prediction = make_prediction("none")
    broken = replace(prediction, measurements=replace(prediction.measurements, mean_hu=np.float32("nan")))
    for result in (result_dict(prediction), result_dict(broken)):
        assert result["mean_hu"] is None
        assert result["hu_ratio"] is None
        assert result["slices"] == []


def test_csv_holds_results_and_failures(tmp_path):
    prediction = make_prediction(case='a,"b"\nc', remarks=REMARKS)
    path = tmp_path / "results.csv"
    write_results_csv([csv_row(result_dict(prediction)), {"case": "bad", "error": "no brain"}], path)
    good, bad = csv.DictReader(path.open(newline="", encoding="utf-8"))
    assert good["case"] == prediction.case
    assert float(good["volume_ml"]) == pytest.approx(prediction.measurements.volume_ml, abs=1e-5)
    assert good["warnings"] == REMARKS[1].sentence
    assert good["slices"] == " ".join(map(str, prediction.measurements.slices))
    assert float(good["seconds"]) == 1.25
    assert good["territories"] == "; ".join(
        f"{share.side} {share.territory} {share.volume_ml:.1f} mL" for share in prediction.territories
    )
    assert (bad["case"], bad["volume_ml"], bad["error"]) == ("bad", "", "no brain")
    assert good["disclaimer"] == bad["disclaimer"] == DISCLAIMER


def test_an_unwritable_csv_is_reported(tmp_path):
    with pytest.raises(OutputError, match=r"results\.csv"):
        write_results_csv([], tmp_path / "absent" / "results.csv")
