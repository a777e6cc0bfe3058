import numpy as np
import pytest

from adn.figures import axial_slice, axial_stack, even_slices, key_slices, slice_areas_cm2
from adn.figures.display import axial_slab, crop_to, slab_slices, stack_spacing_mm, stroke_window_hu
from adn.space.geometry import Grid
from adn.space.volume import Volume
from fake_prediction import make_prediction

ORDERS = ("SPL", "LAS", "RAS", "PIR", "AIL", "RSA")


def marked(axes: str, towards: str) -> Volume:
    """Zeros with one bright block at the end `towards` of its axis, in the middle of the others."""
    volume = Volume(np.zeros((9, 30, 21), np.float32), Grid.centred((9, 30, 21), (5.0, 1.0, 2.0))).reoriented(axes)
    data = volume.reoriented(_led_by(towards)).data
    data[-4:, data.shape[1] // 2, data.shape[2] // 2] = 1.0
    return Volume(data, volume.grid.reoriented(_led_by(towards))).reoriented(axes)


def _led_by(letter: str) -> str:
    return {"L": "LSP", "R": "RSP", "A": "ASL", "P": "PSL"}[letter]


@pytest.mark.parametrize("axes", ORDERS)
def test_patient_left_is_on_the_right_of_the_image_and_anterior_on_top(axes):
    for towards, axis, high in (("L", 2, True), ("R", 2, False), ("A", 1, False), ("P", 1, True)):
        stack = axial_stack(marked(axes, towards))
        middle = np.argwhere(stack > 0).mean(axis=0)[axis]
        assert (middle > (stack.shape[axis] - 1) / 2) == high


@pytest.mark.parametrize("axes", ORDERS)
def test_slices_are_numbered_as_stored_in_the_file(axes):
    prediction = make_prediction(axes=axes)
    infarct, axis = prediction.infarct, [code in "SI" for code in axes].index(True)
    for index in range(infarct.grid.shape[axis]):
        stored = np.take(infarct.data, index, axis=axis)
        assert axial_slice(infarct, index).sum() == stored.sum()
    assert set(key_slices(prediction, 99, apart_mm=0)) == set(prediction.measurements.slices)


def test_spacing_follows_the_display_axes():
    assert stack_spacing_mm(make_prediction(axes="PIR").scan.volume) == pytest.approx((9.0, 3.5, 3.7))


def test_areas_times_thickness_are_the_volume():
    prediction = make_prediction()
    assert slice_areas_cm2(prediction.infarct).sum() * 0.9 == pytest.approx(prediction.measurements.volume_ml)


def test_key_slices_start_with_the_largest_area_and_keep_their_distance():
    prediction = make_prediction(shape=(80, 61, 47), spacing_mm=(1.5, 3.5, 3.7))
    slices = key_slices(prediction, 5)
    areas = slice_areas_cm2(prediction.infarct)
    assert len(slices) == 5
    assert areas[slices[0]] == areas.max()
    assert list(areas[list(slices)]) == sorted(areas[list(slices)], reverse=True)
    assert min(abs(a - b) for a in slices for b in slices if a != b) * 1.5 >= 4.5


@pytest.mark.parametrize("axes", ["SPL", "LAI"])
def test_evenly_spaced_slices_start_at_the_skull_base(axes):
    prediction = make_prediction(side="none", axes=axes)
    slices = key_slices(prediction, 4)
    assert slices == even_slices(prediction.brain_mask, 4, 0.3)
    assert len(set(slices)) == 4
    assert list(slices) == sorted(slices, reverse=axes == "LAI")
    assert all(axial_slice(prediction.brain_mask, index).any() for index in slices)


def test_asking_for_too_many_slices_gives_each_once():
    empty = Volume(np.zeros((3, 4, 5), np.uint8), Grid.centred((3, 4, 5), (5.0, 1.0, 1.0)))
    assert even_slices(empty, 10) == (0, 1, 2)


def test_crop_holds_the_mask_and_the_margin():
    mask = Volume(np.zeros((3, 40, 30), np.uint8), Grid.centred((3, 40, 30), (5.0, 2.0, 1.0)))
    assert crop_to(mask, 6.0) == (slice(0, 40), slice(0, 30))
    mask.data[1, 10:20, 2:8] = 1
    assert crop_to(mask, 6.0) == (slice(7, 23), slice(0, 14))


def test_thin_slices_are_shown_as_slabs_of_5_mm():
    thick, thin = make_prediction(), make_prediction(shape=(80, 61, 47), spacing_mm=(1.5, 3.5, 3.7), noise_hu=6.0)
    assert slab_slices(thick.scan.volume) == 1
    assert np.array_equal(axial_slab(thick.scan.volume, 7), axial_slice(thick.scan.volume, 7))
    stack = axial_stack(thin.scan.volume)
    assert slab_slices(thin.scan.volume) == 3
    assert np.allclose(axial_slab(thin.scan.volume, 40), stack[39:42].mean(axis=0), atol=1e-3)
    assert np.allclose(axial_slab(thin.scan.volume, 0), stack[:2].mean(axis=0), atol=1e-3)


def test_the_stroke_window_moves_only_for_an_unusual_brain():
    prediction = make_prediction()
    scan, brain = prediction.scan.volume, prediction.brain_mask
    assert stroke_window_hu(scan, brain) == (20.0, 60.0)
    assert stroke_window_hu(scan.with_data(scan.data - 13), brain) == (7.0, 47.0)
    assert stroke_window_hu(scan, brain.with_data(brain.data * 0)) == (20.0, 60.0)
