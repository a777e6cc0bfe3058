import subprocess
import sys

import numpy as np
import pytest
from PIL import ImageColor

from adn.errors import InputError
from adn.figures import asymmetry_panel, case_sheet, contact_sheet, key_slices, overlay, slice_sheet
from adn.figures.paint import colours_of
from adn.figures.panels import INFARCT_COLOUR, Board, Label, Panel, board, outline, show
from adn.space.geometry import Grid
from adn.space.volume import Volume
from fake_prediction import make_prediction

EVERYTHING = slice(None), slice(None)


def pixels(sheet) -> np.ndarray:
    return np.asarray(sheet.paint()) / 255.0


def reddish(picture: np.ndarray) -> np.ndarray:
    return np.abs(picture - np.array(ImageColor.getrgb(INFARCT_COLOUR)) / 255).max(axis=-1) < 0.15


@pytest.mark.parametrize("axes", ["LAS", "PIR", "SPL"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_the_contour_is_on_the_side_of_its_letter(axes, side):
    prediction = make_prediction(side=side, axes=axes)
    figure = overlay(prediction, key_slices(prediction)[0])
    picture = pixels(figure)
    bare, contoured = np.array_split(reddish(picture), 2, axis=1)
    assert not bare.any()
    column = np.argwhere(contoured)[:, 1].mean() / contoured.shape[1]
    mark = {"left": "L", "right": "R"}[side]
    place = next(label.x for label in figure.panels[0, 1].labels if label.text == mark)
    assert (column > 0.5) == (place > 0.5) == (side == "left")


def test_every_picture_is_marked_left_and_right():
    prediction = make_prediction()
    slices = key_slices(prediction, 2)
    sheet = contact_sheet([prediction.scan.volume], [prediction.infarct], ["a$b"], columns=3)
    for figure in (overlay(prediction, slices[0]), asymmetry_panel(prediction, slices), slice_sheet(prediction), sheet):
        pictures = [panel for panel in figure.panels.flat if panel.shown]
        assert pictures
        for panel in pictures:
            marks = {label.text: label.x for label in panel.labels}
            assert marks["R"] < 0.5 < marks["L"]


def test_voxels_are_drawn_in_true_proportion():
    figure = overlay(make_prediction(axes="LAS"), 7)
    panel = figure.panels[0, 0]
    (_, _, wide, high), (height, width) = panel.box_in, panel.shown.values.shape
    for ratio in (high / wide, panel.shown.high):
        assert ratio == pytest.approx(height * 3.5 / (width * 3.7))


def test_a_slice_without_infarct_is_shown_once_without_contour():
    figure = overlay(make_prediction(side="none"), 7)
    assert figure.panels.size == 1
    assert not reddish(pixels(figure)).any()


def test_asymmetries_share_one_scale_in_hu():
    figure = asymmetry_panel(make_prediction(), (6, 7))
    limits = {panel.title.symbol: panel.shown.limits for panel in figure.panels[0]}
    assert len(limits) == 6
    assert len({limits[symbol] for symbol in "APQ"}) == 1
    assert [panel.bar.limits for panel in figure.panels[-1]] == list(limits.values())


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
    above, below = figure.panels[:, 0]
    assert np.array_equal(above.shown.values, below.shown.values)
    assert any(label.text.startswith("1") and len(label.text) == 3 for label in above.labels)


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
    labels = [{label.text for label in panel.labels} - {"R", "L", ""} for panel in figure.panels[0]]
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
def test_the_side_letter_is_complete_at_any_subpixel_position(step):
    panel = Panel((0.0, 0.0, 1.0, 1.0), labels=[Label("L", 0.5, 0.5 + step / 8 / 65, 7.0)])
    sheet = Board((1.0, 1.0), np.array([[panel]], dtype=object))
    lit = np.asarray(sheet.paint(65))[..., 0] / 255
    rows = np.flatnonzero(lit.max(1) > 0.25)
    stem, foot = lit[rows[len(rows) // 2]], lit[rows[-1] - 1 : rows[-1] + 2].max(0)
    assert (foot > 0.2).sum() > (stem > 0.2).sum()


def test_a_contour_is_drawn_on_the_edge_of_its_voxels():
    grid = Grid.centred((1, 10, 10), (5.0, 1.0, 1.0))
    mask = np.zeros(grid.shape, np.uint8)
    mask[0, 2:5, 6:9] = 1
    sheet = board(Volume(mask, grid), EVERYTHING, 1, 1, panel_in=1.0)
    show(sheet.panels[0, 0], Volume(np.zeros(grid.shape, np.float32), grid), 0, EVERYTHING)
    sheet.panels[0, 0].labels.clear()
    outline(sheet.panels[0, 0], Volume(mask, grid, "label"), 0, EVERYTHING)
    rows, columns = np.nonzero(np.asarray(sheet.paint(200))[..., 0] > 100)
    assert rows.min() == pytest.approx(2 * 20, abs=3)
    assert rows.max() == pytest.approx(5 * 20, abs=3)
    assert columns.min() == pytest.approx(6 * 20, abs=3)
    assert columns.max() == pytest.approx(9 * 20, abs=3)


def test_a_picture_of_other_proportions_stays_in_the_middle_of_its_panel():
    grid = Grid.centred((1, 10, 10), (5.0, 1.0, 1.0))
    bright = Volume(np.full(grid.shape, 100.0, np.float32), grid)
    sheet = board(bright, EVERYTHING, 1, 1, panel_in=1.0)
    show(sheet.panels[0, 0], bright, 0, (slice(0, 5), slice(None)))
    sheet.panels[0, 0].labels.clear()
    rows = np.flatnonzero(np.asarray(sheet.paint(100))[..., 0].max(1))
    assert (rows[0], rows[-1]) == (25, 74)


@pytest.mark.parametrize("scale", ["inferno", "magma", "gray"])
def test_colours_are_those_of_the_published_scales(scale):
    from matplotlib import colormaps

    known = colormaps[scale](np.linspace(0, 1, 256))[:, :3] * 255
    assert np.abs(colours_of(scale) - known).max() < 2.0
