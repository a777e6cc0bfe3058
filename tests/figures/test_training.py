"""Pictures of a training run show what is in its log and networks."""

import numpy as np

from adn.figures import training_curves, training_sheet
from adn.results import TrainingPicture
from adn.space.geometry import Grid
from adn.space.volume import Volume


def labels(axes):
    return {line.get_label() for line in axes.get_lines()}


def test_curves_have_a_panel_per_group_that_the_log_holds():
    rows = [
        {"epoch": n, "loss": 1 / n, "dice": 0.1 * n, "p_over_a": 0.5, "val_dice": 0.1, "val_false_positive_ml": 3.0}
        for n in (1, 2, 3)
    ]
    panels = training_curves(rows, "run, segment").axes
    assert [axes.get_title().split()[0] for axes in panels] == ["Loss", "Dice", "Is", "Validation"]
    assert labels(panels[1]) == {"training", "validation, mean"}
    assert labels(panels[3]) == {"false positive ml"}
    assert np.asarray(panels[0].get_lines()[0].get_ydata()).tolist() == [1.0, 0.5, 1 / 3]
    assert len(training_curves([{"epoch": 1, "loss": 1.0}], "run, align").axes) == 1


def picture(slice_of_infarct):
    grid = Grid.centred((4, 10, 8), (5.0, 2.0, 2.0))
    reference = np.zeros(grid.shape, np.float32)
    if slice_of_infarct is not None:
        reference[slice_of_infarct, 3:6, 5:7] = 1
    half = Volume(np.full(grid.shape, 4.0, np.float32), grid)
    brain = Volume(30 * np.pad(np.ones((2, 6, 6), np.float32), ((1, 1), (2, 2), (1, 1))), grid)
    return TrainingPicture(
        brain, half, half, half, brain, Volume(reference, grid, "1"), Volume(reference, grid, "label")
    )


def test_the_sheet_shows_each_sample_where_its_infarct_is_largest():
    figure = training_sheet([picture(2), picture(None)])
    panels = list(figure.panels.flat)
    assert [f"{panel.title.symbol} {panel.title.words}" for panel in panels[:6]] == [
        "X reference outlined", "A total", "P pathological", "Q intrinsic", "X\u0302 salient", "Y\u0302 infarct",
    ]  # fmt: skip
    texts = [{label.text for label in panel.labels} for panel in panels]
    assert texts[0] == {"R", "L", "2"}
    assert texts[6] == {"R", "L", "2"}  # without infarct: the middle of 4
    probability = panels[5].shown.values
    assert probability[4, 5] == 1.0  # patient left, W index 5 of 8, is on image right
