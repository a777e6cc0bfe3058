"""The paper's figures with real outputs: the framework (figure 1) and methods side by side (figure 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from adn.errors import InputError
from adn.figures.display import axial_slice, crop_to, key_slices, slice_areas_cm2, stroke_window_hu
from adn.figures.panels import ASYMMETRY_RANGE_HU, INFARCT_COLOUR, INK, PAPER, Board, Title, board, outline, show
from adn.results import Prediction
from adn.space.affine import Affine
from adn.space.volume import Volume

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SIDE_MM, _STEP_MM = 200.0, 0.8  # side and pixel size of an aligned picture
_BOX = 0.145  # width of a picture in the framework, as a share of the figure's width


def method_comparison(
    scans: Sequence[Volume],
    references: Sequence[Volume],
    methods: Mapping[str, Sequence[Volume]],
    names: Sequence[str] = (),
) -> Board:
    """Figure 3. Rows: cases, each at the slice with most of the reference. Columns: reference, then methods, outlined.

    scans: HU. references, methods' masks: on their scan's grid. The Dice of the whole mask is written under each
    method. Raises InputError where the numbers of cases differ.
    """
    counts = {"references": len(references), **{name: len(masks) for name, masks in methods.items()}}
    if not scans or any(count != len(scans) for count in counts.values()) or (names and len(names) != len(scans)):
        listed = ", ".join(f"{count} {name}" for name, count in counts.items())
        raise InputError(f"A comparison needs one mask per scan and method, but got {len(scans)} scans, {listed}.")
    heads = [scan.with_data(scan.data > -300, "label") for scan in scans]
    columns = 1 + len(methods)
    sheet = board(scans[0], crop_to(heads[0], 0.0), len(scans), columns, panel_in=1.9, header_in=0.28)
    for row, (scan, reference) in enumerate(zip(scans, references, strict=True)):
        crop, index = crop_to(heads[row], 0.0), int(slice_areas_cm2(reference).argmax())
        label = names[row] if names else f"slice {index}"
        masks = [reference, *(found[row] for found in methods.values())]
        for column, mask in enumerate(masks):
            text = f"Dice {_dice(mask.data, reference.data):.2f}" if column else label
            show(sheet.panels[row, column], scan, index, crop, label=text, font_pt=8)
            outline(sheet.panels[row, column], mask, index, crop, width=0.9)
    for panel, title in zip(sheet.panels[0], ["reference", *methods], strict=True):
        panel.title = Title("", title, 9)
    return sheet


def aligned_slice(volume: Volume, prediction: Prediction, slice_index: int, mirrored: bool = False) -> NDArray:
    """An axial slice of the aligned head, (rows, columns) at 0.8 mm, nearest voxel; patient left on image right.

    volume: on the scan's grid. slice_index: of the scan, where the mid-plane meets the middle of the brain.
    """
    aligned = Affine(prediction.aligned_from_scan)
    inside = np.argwhere(prediction.brain_mask.data > 0)
    axis = next(i for i, code in enumerate(volume.grid.axes) if code in "SI")
    middle = inside.mean(axis=0)
    middle[axis] = slice_index
    centre = aligned.apply(middle)
    line = np.arange(-_SIDE_MM / 2, _SIDE_MM / 2, _STEP_MM) + _STEP_MM / 2
    y, x = np.meshgrid(line + centre[1], -line if mirrored else line, indexing="ij")
    points = np.stack([x, y, np.full_like(x, centre[2])], -1)
    index = np.rint(aligned.inverse().apply(points)).astype(int)
    known = ((index >= 0) & (index < volume.data.shape)).all(-1)
    index[~known] = 0
    return np.where(known, volume.data[tuple(np.moveaxis(index, -1, 0))], np.nan)


def framework(prediction: Prediction, slice_index: int | None = None) -> Figure:
    """Figure 1 (b): input and output of T, D and F for one scan. slice_index: None: the largest infarct area."""
    from matplotlib.figure import Figure

    index = key_slices(prediction, 1)[0] if slice_index is None else slice_index
    window_hu = stroke_window_hu(prediction.scan.volume, prediction.brain_mask)
    width, height = 12.0, 4.6
    figure = Figure(figsize=(width, height), facecolor=PAPER)
    lay = figure.add_axes((0, 0, 1, 1))
    lay.set(xlim=(0, 1), ylim=(0, 1))
    lay.set_axis_off()
    tall = _BOX * width / height
    columns, rows = (0.01, 0.22, 0.43, 0.64, 0.845), (0.56, 0.02)

    def picture(column: int, row: int, values: NDArray, title: str, limits: tuple[float, float], colours: str) -> Axes:
        box = (columns[column], rows[row], _BOX, tall)
        axes = figure.add_axes(box)
        axes.imshow(values, cmap=colours, vmin=limits[0], vmax=limits[1], interpolation="bilinear")
        axes.set_axis_off()
        sides = "LR" if title.startswith("$X'$") else "RL"  # the mirrored brain's left lies where its right was
        _write(axes, 0.03, 0.98, sides[0], "left")
        _write(axes, 0.97, 0.98, sides[1], "right")
        axes.set_title(title, color=INK, fontsize=9, pad=3)
        return axes

    def aligned(volume: Volume, mirrored: bool = False) -> NDArray:
        brain = aligned_slice(prediction.brain_mask, prediction, index, mirrored) > 0
        return np.where(brain, aligned_slice(volume, prediction, index, mirrored), 0.0)

    scan, maps = prediction.scan.volume, ASYMMETRY_RANGE_HU
    crop = crop_to(prediction.brain_mask, 12.0)
    inside = axial_slice(prediction.brain_mask, index)[crop] > 0
    picture(0, 0, np.where(inside, axial_slice(scan, index)[crop], 0.0), "$I$  brain", window_hu, "gray")
    picture(1, 0, aligned(scan), "$X$  aligned", window_hu, "gray")
    picture(1, 1, aligned(scan, mirrored=True), "$X'$  mirrored", window_hu, "gray")
    picture(2, 0, aligned(prediction.asymmetry_total), "$A$  total asymmetry", maps, "inferno")
    picture(2, 1, aligned(prediction.asymmetry_pathological), "$P$  pathological", maps, "inferno")
    picture(3, 1, aligned(prediction.asymmetry_intrinsic), "$Q = A - P$  intrinsic", maps, "inferno")
    picture(3, 0, aligned(prediction.salient), r"$\hat{X} = X + Q$  salient", window_hu, "gray")
    last = picture(4, 0, np.where(inside, axial_slice(scan, index)[crop], 0.0), "$O$  infarct", window_hu, "gray")
    marked = axial_slice(prediction.infarct, index)[crop] > 0
    if marked.any():
        last.contour(marked.astype(float), levels=[0.5], colors=[INFARCT_COLOUR], linewidths=1.3)
    _draw_flow(lay, columns, rows, tall)
    return figure


def _draw_flow(lay: Axes, columns: tuple[float, ...], rows: tuple[float, ...], tall: float) -> None:
    """Arrows between the pictures, labelled with what turns one into the next, and a note."""
    upper, lower = rows[0] + tall / 2, rows[1] + tall / 2
    _arrow(lay, (columns[0] + _BOX, upper), (columns[1], upper), "T")
    _arrow(lay, (columns[1] + _BOX, upper), (columns[2], upper), "")
    _arrow(lay, (columns[1] + _BOX, lower), (columns[2], upper - 0.12), "")
    _arrow(lay, (columns[2] + _BOX / 2, rows[0] - 0.01), (columns[2] + _BOX / 2, rows[1] + tall + 0.055), "D")
    _arrow(lay, (columns[2] + _BOX, lower), (columns[3], lower), "A − P")
    _arrow(lay, (columns[3] + _BOX / 2, rows[1] + tall + 0.055), (columns[3] + _BOX / 2, rows[0] - 0.01), "+ X")
    _arrow(lay, (columns[3] + _BOX, upper), (columns[4], upper), "F, T⁻¹")
    note = "T aligns the brain,\nD finds what of the asymmetry\nis pathological,\nF marks the infarct."
    lay.text(columns[4], lower, note, color=INK, fontsize=8, va="center")


def _arrow(lay: Axes, start: tuple[float, float], end: tuple[float, float], label: str) -> None:
    lay.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": INK, "shrinkA": 2, "shrinkB": 2})
    middle = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
    upright = abs(start[0] - end[0]) < 1e-6
    offset, place = ((6, 0), "left") if upright else ((0, 4), "center")
    lay.annotate(label, middle, offset, textcoords="offset points", color=INK, fontsize=9, ha=place,
                 va="center" if upright else "bottom")  # fmt: skip


def _write(axes: Axes, x: float, y: float, text: str, side: str) -> None:
    """A letter with a dark rim at the top of a picture."""
    from matplotlib.patheffects import withStroke

    rim = [withStroke(linewidth=2.4, foreground=PAPER)]
    # if snapped to pixels, the foot of a small L can vanish, leaving an I
    place = {"transform": axes.transAxes, "va": "top", "ha": side}
    axes.text(x, y, text, color=INK, fontsize=8, path_effects=rim, snap=False, **place)


def _dice(mask: NDArray, reference: NDArray) -> float:
    a, b = mask > 0, reference > 0
    total = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / total if total else 1.0
