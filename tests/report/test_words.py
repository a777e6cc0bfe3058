"""What report and result say follows from remarks, however these are worded."""

from typing import get_args

from fake_prediction import make_prediction

from adn import remarks
from adn.remarks import CHECK_ONLY, Kind
from adn.report import result_dict
from adn.report.words import checks
from test_remarks import example


def test_every_remark_is_in_the_result_and_every_warning_is_one_of_them():
    result = result_dict(make_prediction(remarks=tuple(example(kind) for kind in get_args(Kind))))
    assert [one["kind"] for one in result["remarks"]] == list(get_args(Kind))
    assert result["warnings"] == [one["sentence"] for one in result["remarks"] if one["kind"] not in CHECK_ONLY]


def test_checks_do_not_depend_on_words(monkeypatch):
    prediction = make_prediction(remarks=(example("noisy"), example("head_turned")))
    before = checks(prediction)
    for kind in get_args(Kind):
        monkeypatch.setitem(remarks.SENTENCES, kind, "Other words.")
    assert checks(prediction) == before
    assert [check.name for check in before if not check.good] == ["Head position", "Noise"]
    assert prediction.warnings == ("Other words.",)
