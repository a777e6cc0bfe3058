"""Laws of the classical skull stripper."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations, product

import numpy as np
import pytest

from adn.errors import InputError
from adn.findings.quality import mask_remarks
from adn.prepare import strip_skull
from adn.remarks import Remark
from adn.space.geometry import Grid
from adn.space.volume import Volume
from prepare.phantom import dice, head

ALL_AXES = ["".join(c) for order in permutations(("LR", "PA", "SI")) for c in product(*order)]


@pytest.fixture(scope="module")
def phantom() -> tuple[Volume, Volume]:
    return head()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"rotation_deg": (0.0, 0.0, 30.0)},
        {"rotation_deg": (10.0, 15.0, -20.0)},
        {"shape": (22, 128, 112), "spacing_mm": (10.0, 1.8, 1.8)},
        {"shape": (100, 110, 100), "spacing_mm": (2.0, 2.1, 2.1), "noise_hu": 12.0},
        pytest.param({"shape": (60, 250, 230), "spacing_mm": (3.3, 0.9, 0.9)}, marks=pytest.mark.slow),
        {"bone_hu": 350.0},
        {"noise_hu": 25.0},
        {"shape": (24, 128, 112), "shift_mm": -10.0},  # vertex and base outside
    ],
    ids=["plain", "turned", "tilted", "thick", "thin-noisy", "fine", "soft-bone", "noisy", "cut"],
)
def test_finds_the_brain(options: dict) -> None:
    scan, truth = head(**options)
    mask = strip_skull(scan)
    assert mask.grid.same_as(scan.grid)
    assert mask.data.dtype == np.uint8
    assert dice(mask, truth) >= 0.95


def test_unusual_tissue_inside_the_brain_is_kept(phantom: tuple[Volume, Volume]) -> None:
    scan, truth = phantom
    mask = strip_skull(scan).data > 0
    inner = (truth.data > 0) & (scan.data > 60.0) & (scan.data < 90.0)  # blood
    assert mask[inner].mean() > 0.99
    falx = (truth.data > 0) & (scan.data > 200.0)
    assert mask[falx].mean() > 0.9


def test_every_axis_order_gives_the_identical_mask() -> None:
    """Eleven of the 48, with each axis at each place and growing either way; `space/test_volume.py` holds all 48."""
    scan, _ = head((34, 74, 66), (6.0, 3.1, 3.1))
    expected = strip_skull(scan).data
    assert len(ALL_AXES) == 48
    some = ALL_AXES[::5] + ALL_AXES[-1:]
    assert {(place, letter) for axes in some for place, letter in enumerate(axes)} == set(product(range(3), "LRPASI"))
    for axes in some:
        mask = strip_skull(scan.reoriented(axes))
        assert mask.grid.axes == axes
        assert np.array_equal(mask.reoriented("SPL").data, expected)


def test_mirror_image_gives_the_mirrored_mask(phantom: tuple[Volume, Volume]) -> None:
    scan, _ = phantom
    mirrored = scan.with_data(np.ascontiguousarray(scan.data[:, :, ::-1]))
    there = strip_skull(scan)
    assert dice(there.with_data(there.data[:, :, ::-1]), strip_skull(mirrored)) > 0.995


@pytest.mark.parametrize("background", [0.0, -1024.0])
def test_accepts_a_scan_without_skull(phantom: tuple[Volume, Volume], background: float) -> None:
    scan, truth = phantom
    stripped = scan.with_data(np.where(truth.data > 0, scan.data, background).astype(np.float32))
    assert dice(strip_skull(stripped), truth) >= 0.97


def kinds(remarks: tuple[Remark, ...]) -> set[str]:
    return {remark.kind for remark in remarks}


def test_warns_of_a_cut_vertex(phantom: tuple[Volume, Volume]) -> None:
    scan, _ = phantom
    assert mask_remarks(scan, strip_skull(scan)) == ()
    planes = scan.data[:28]
    cut = Volume(planes, replace(scan.grid, shape=planes.shape))
    assert "vertex_cut" in kinds(mask_remarks(cut, strip_skull(cut)))


def test_warns_of_unusual_volume_and_brightness(phantom: tuple[Volume, Volume]) -> None:
    scan, truth = phantom
    small = truth.with_data(truth.data * (np.arange(44) > 28)[:, None, None].astype(np.uint8))
    assert "brain_small" in kinds(mask_remarks(scan, small))
    bright = scan.with_data(scan.data + 40.0)
    assert kinds(mask_remarks(bright, truth)) == {"brain_bright"}


def _not_heads() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    shape = (30, 96, 96)
    z, y, x = (i - (n - 1) / 2 for i, n in zip(np.indices(shape), shape, strict=True))
    radius = np.hypot(x, y)
    belly = np.where(radius < 44, 40.0, -1000.0)
    belly[np.hypot(x, y - 30) < 8] = 500.0  # spine
    water = np.where(radius < 35, 0.0, -1000.0)
    bottle = np.where(radius < 42, 500.0, -1000.0)
    bottle[(radius < 38) & (np.abs(z) < 12)] = -1000.0  # hollow skull
    return {
        "air": np.full(shape, -1000.0),
        "zero": np.zeros(shape),
        "noise": rng.normal(0.0, 300.0, shape),
        "belly": belly,
        "water": water,
        "hollow": bottle,
        "bone": np.full(shape, 800.0),
    }


@pytest.mark.parametrize("name", list(_not_heads()))
def test_refuses_what_holds_no_brain(name: str) -> None:
    data = _not_heads()[name].astype(np.float32)
    with pytest.raises(InputError, match="no brain was found"):
        strip_skull(Volume(data, Grid.centred(data.shape, (5.0, 2.0, 2.0))))
