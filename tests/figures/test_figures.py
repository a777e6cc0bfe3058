import subprocess
import sys

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from adn.errors import InputError
from adn.figures import asymmetry_panel, case_sheet, contact_sheet, key_slices, overlay, slice_sheet
from adn.figures.panels import INFARCT_COLOUR, write
from adn.space.geometry import Grid
from adn.space.volume import Volume
from fake_prediction import make_prediction


def pixels(figure) -> np.ndarray:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3] / 255.0


def reddish(picture: np.ndarray) -> np.ndarray:
    return np.abs(picture - to_rgb(INFARCT_COLOUR)).max(axis=-1) < 0.15


@pytest.mark.parametrize("axes", ["LAS", "PIR", "SPL"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_the_contour_lies_where_the_side_mark_says(axes, side):
    prediction = make_prediction(side=side, axes=axes)
    figure = overlay(prediction, key_slices(prediction)[0])
    picture = pixels(figure)
    bare, contoured = np.array_split(reddish(picture), 2, axis=1)
    assert not bare.any()
    column = np.argwhere(contoured)[:, 1].mean() / contoured.shape[1]
    mark = {"left": "L", "right": "R"}[side]
    place = next(text.get_position()[0] for text in figure.axes[1].texts if text.get_text() == mark)
    assert (column > 0.5) == (place > 0.5) == (side == "left")


def test_every_picture_is_marked_left_and_right():
    prediction = make_prediction()
    slices = key_slices(prediction, 2)
    sheet = contact_sheet([prediction.scan.volume], [prediction.infarct], ["a$b"], columns=3)
    for figure in (overlay(prediction, slices[0]), asymmetry_panel(prediction, slices), slice_sheet(prediction), sheet):
        pictures = [axes for axes in figure.axes if axes.images]
        assert pictures
        for axes in pictures:
            marks = {text.get_text(): text.get_position()[0] for text in axes.texts}
            assert marks["R"] < 0.5 < marks["L"]


def test_voxels_are_drawn_in_true_proportion():
    figure = overlay(make_prediction(axes="LAS"), 7)
    figure.canvas.draw()
    axes = figure.axes[0]
    box, (height, width) = axes.get_window_extent(), axes.images[0].get_array().shape
    assert (box.height / box.width) == pytest.approx(height * 3.5 / (width * 3.7), rel=0.02)


def test_a_slice_without_infarct_is_shown_once_and_bare():
    figure = overlay(make_prediction(side="none"), 7)
    assert len(figure.axes) == 1
    assert not reddish(pixels(figure)).any()


def test_asymmetries_share_one_scale_in_hu():
    figure = asymmetry_panel(make_prediction(), (6, 7))
    limits = {axes.get_title(): axes.images[0].get_clim() for axes in figure.axes if axes.images and axes.get_title()}
    assert len(limits) == 6
    assert len({limit for title, limit in limits.items() if title[:3] in ("$A$", "$P$", "$Q$")}) == 1


def test_contact_sheet_shows_the_infarct_of_every_patient():
    patients = [make_prediction("left"), make_prediction("right", axes="PIR"), make_prediction("none", axes="LAI")]
    figure = contact_sheet([p.scan.volume for p in patients], [p.infarct for p in patients], ["a", "b", "c"], columns=4)
    first, second, third = np.array_split(reddish(pixels(figure)), 3, axis=0)
    assert first.any()
    assert second.any()
    assert not third.any()


def test_case_sheet_shows_its_slices_plain_and_then_outlined():
    patient = make_prediction("left")
    figure = case_sheet(patient.scan.volume, patient.infarct, columns=3, numbers=range(100, 200))
    plain, outlined = np.array_split(reddish(pixels(figure)), 2, axis=0)
    assert outlined.any()
    assert not plain.any()
    above, below = figure.axes[0], figure.axes[3]
    assert np.array_equal(above.images[0].get_array(), below.images[0].get_array())
    assert any(text.get_text().startswith("1") and len(text.get_text()) == 3 for text in above.texts)


@pytest.mark.parametrize(("marked", "shown"), [
    ([20, 21, 22, 23, 24], [19, 20, 21, 23, 24, 25]),
    (range(10, 30), [9, 13, 17, 22, 26, 30]),  # from the last slice without to the first
    ([0, 1], [0, 1, 2, 3, 4, 5]),
    ([39], [34, 35, 36, 37, 38, 39]),
    ([], [3, 10, 16, 23, 30, 36]),
])  # fmt: skip
def test_case_sheet_shows_the_slices_about_the_outline(marked, shown):
    grid = Grid.centred((40, 12, 10), (5.0, 2.0, 2.0))
    mask = np.zeros(grid.shape, np.uint8)
    mask[list(marked), 4:8, 3:6] = 1
    figure = case_sheet(Volume(np.full(grid.shape, 30, np.int16), grid), Volume(mask, grid, "label"))
    labels = [{text.get_text() for text in axes.texts} - {"R", "L", ""} for axes in figure.axes[:6]]
    assert [int(label) for (label,) in labels] == shown


def test_contact_sheet_refuses_unequal_numbers():
    prediction = make_prediction()
    with pytest.raises(InputError, match="1 scans, 0 masks"):
        contact_sheet([prediction.scan.volume], [])


def test_importing_figures_and_report_loads_neither_torch_nor_matplotlib():
    code = (
        "import sys, adn.figures, adn.report; "
        "assert not {'torch', 'SimpleITK', 'monai', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("step", range(8))
def test_the_side_letter_keeps_its_foot_wherever_it_falls_between_pixels(step):
    figure = Figure(figsize=(1, 1), dpi=65, facecolor="black")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    write(axes, 0.5, 0.5 + step / 8 / 65, "L", 7.0)
    lit = pixels(figure)[..., 0]
    rows = np.flatnonzero(lit.max(1) > 0.4)
    stem, foot = lit[rows[len(rows) // 2]], lit[rows[-1] - 1 : rows[-1] + 2].max(0)
    assert (foot > 0.2).sum() > (stem > 0.2).sum()
