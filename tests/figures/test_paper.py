import numpy as np
import pytest

from adn.errors import InputError
from adn.figures import framework, method_comparison
from adn.figures.paper import aligned_slice
from fake_prediction import make_prediction


def test_the_framework_shows_each_stage_and_marks_sides():
    figure = framework(make_prediction("left"))
    pictures = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title().split("$")[1].split(" ")[0] for axes in pictures] == [
        "I", "X", "X'", "A", "P", "Q", r"\hat{X}", "O",
    ]  # fmt: skip
    for axes in pictures:
        marks = {text.get_text(): text.get_position()[0] for text in axes.texts}
        assert (marks["R"] < marks["L"]) == (not axes.get_title().startswith("$X'$"))


@pytest.mark.parametrize("axes", ["LAS", "PIR"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_aligned_slices_are_radiological_and_a_mirror_swaps_sides(axes, side):
    prediction = make_prediction(side, axes)
    (index, *_) = prediction.measurements.slices[1:]
    straight, mirrored = (aligned_slice(prediction.infarct, prediction, index, flip) for flip in (False, True))
    column = np.argwhere(np.nan_to_num(straight) > 0)[:, 1].mean() - (straight.shape[1] - 1) / 2
    assert (column > 0) == (side == "left")
    np.testing.assert_array_equal(np.nan_to_num(mirrored), np.nan_to_num(straight)[:, ::-1])


def test_methods_are_shown_beside_the_reference_with_their_dice():
    patient, healthy = make_prediction("left"), make_prediction("none")
    figure = method_comparison(
        [patient.scan.volume], [patient.infarct], {"same": [patient.infarct], "none": [healthy.infarct]}
    )
    words = [label.text for panel in figure.panels.flat for label in panel.labels]
    assert {"Dice 1.00", "Dice 0.00"} <= set(words)
    assert [panel.title.words for panel in figure.panels[0]] == ["reference", "same", "none"]


def test_a_comparison_refuses_unequal_numbers():
    patient = make_prediction("left")
    with pytest.raises(InputError, match="1 scans, 1 references, 0 a"):
        method_comparison([patient.scan.volume], [patient.infarct], {"a": []})
