"""What the networks see in real heads compared with virtual patients: one table and one figure.

    python benchmarks/studies/network_inputs.py --real SCAN... --cases CASES [--anatomy DIR --lesions DIR]
        [--cpaisd DIR] [--weights NAME|PATH] -o DIR

Every scan is processed as in `adn predict` up to the aligned brain box: brain found, conformed, T, refinement. There X
is what D and F see, A = max(X′ − X, 0), and the contrasts are the means over 10 and 20 mm that ADN+ gets as inputs
(`adn.asymmetry`). All in HU, 5 mm or more inside the brain; where a reference is known, the infarct and its mirror
image are left out, so only what the networks must not mark remains. CASES: a folder of `adn synth`. --anatomy,
--lesions: what CASES were made from; then the same patients are also shown as training sees them. --cpaisd: as in
`cpaisd.py`. Writes network-inputs.md and network-inputs.png into DIR.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage as ndi
from torch import Tensor
from virtual_vs_real import COLOURS as OF_SCANS
from virtual_vs_real import cell

from adn.asymmetry import REACHES, mirror_contrast, total_asymmetry
from adn.brain import find_brain
from adn.config import GridConfig
from adn.feed.pool import draw_look, render_member, show
from adn.feed.virtual import aligned_sample
from adn.io import open_scan
from adn.io.nifti import read_volume
from adn.prediction.model import Model, load_model
from adn.prediction.pipeline import locate
from adn.prepare import conform
from adn.results import Scan
from adn.space.geometry import RigidTransform
from adn.space.volume import Volume
from adn.space.warp import mirror, warp
from adn.virtual.folders import patient_generator
from adn.virtual.library import Library
from adn.virtual.plan import PatientPlan

sys.path.insert(0, str(Path(__file__).parents[1] / "quality"))
from cpaisd_slices import SLICES, as_stack, cpaisd_studies

A_HU = np.arange(0.0, 30.5, 0.5)
X_HU = np.arange(0.0, 81.0, 1.0)
INSIDE_MM = 5.0
COLOURS = OF_SCANS | {"virtual": OF_SCANS["virtual, real heads"], "virtual, in training": OF_SCANS["virtual, MNI"]}
Values = dict[str, NDArray[np.float32]]
ROWS = (  # the table's rows: title, key, statistic
    ("X, median HU", "x", lambda v: np.median(v)),
    ("X, 10th to 90th percentile, HU wide", "x", lambda v: np.subtract(*np.percentile(v, [90, 10]))),
    ("A, mean HU", "a", lambda v: v.mean()),
    ("A above 5 HU, %", "a", lambda v: 100 * (v > 5).mean()),
    ("A above 10 HU, %", "a", lambda v: 100 * (v > 10).mean()),
    ("contrast of 10 mm, σ HU", "contrast", lambda v: v.std()),
    ("contrast of 20 mm, σ HU", "broad_contrast", lambda v: v.std()),
    ("contrast of 20 mm above 2 HU, %", "broad_contrast", lambda v: 100 * (v > 2).mean()),
)


def seen(volume: Volume, brain: Volume, reference: Volume | None, model: Model) -> Values:
    """X, A and the contrasts of one scan on the aligned box, HU, as flat arrays over the voxels that count."""
    grid = model.recipe.grid
    located = locate(Scan("", volume, "nifti"), model, strip=lambda _: brain)
    with torch.no_grad():
        x = warp(located.image, located.pose, grid.spacing_mm, grid.box)
        infarct = torch.zeros_like(x, dtype=torch.bool)
        if reference is not None:
            marks = torch.from_numpy(conform(as_brain(reference), brain, grid).brain.data)[None, None]
            infarct = warp(marks, located.pose, grid.spacing_mm, grid.box) > 0.02
    return on_box(x, infarct, grid)


def on_box(x: Tensor, infarct: Tensor, grid: GridConfig) -> Values:
    """The same for an aligned brain and its infarct, each (1, 1, D, H, W)."""
    inside = (x > 0) & (mirror(x) > 0) & ~(infarct | mirror(infarct))
    span = grid.window_hu[1] - grid.window_hu[0]
    depth_mm = np.asarray(ndi.distance_transform_edt(np.asarray(x[0, 0] > 0), sampling=grid.spacing_mm))
    deep = depth_mm > INSIDE_MM
    where = inside[0, 0].numpy() & deep
    maps = {"x": x * span + grid.window_hu[0], "a": total_asymmetry(x) * span}
    for reach, (_, _, full_hu) in REACHES.items():
        maps[reach] = mirror_contrast(x, grid.spacing_mm, grid.window_hu, reach) * full_hu
    return {name: values[0, 0].numpy()[where] for name, values in maps.items()}


def as_brain(mask: Volume) -> Volume:
    """A mask as HU in the middle of the window, so that it is processed exactly as the brain is."""
    return Volume(np.where(mask.data > 0, 40.0, 0.0).astype(np.float32), mask.grid, "HU")


def real(path: Path, model: Model) -> Values:
    volume = open_scan(path).volume.reoriented("SPL")
    assert model.tissue is not None
    return seen(volume, find_brain(volume, model.tissue).mask, None, model)


def virtual(folder: Path, model: Model) -> Iterator[Values]:
    for case in sorted(path.parent for path in folder.glob("*/plan.json")):
        ct, infarct = (read_volume(case / f"{name}.nii.gz").reoriented("SPL") for name in ("ct", "infarct"))
        assert model.tissue is not None
        yield seen(ct, find_brain(ct, model.tissue).mask, infarct, model)


def trained(folder: Path, library: Library, model: Model) -> Iterator[Values]:
    """The patients of `virtual` as training has them: rendered, or, of recipes with a pool, one look at each."""
    for number, path in enumerate(sorted(folder.glob("*/plan.json"))):
        plan = PatientPlan.from_dict(json.loads(path.read_text(encoding="utf-8"))["plan"])
        if model.recipe.train.pool:
            look = draw_look(patient_generator(0, number), plan, library.choices(), model.recipe.train)
            sample = show(render_member(plan, library, model.recipe), look, library, model.recipe)
        else:
            pitch = RigidTransform.from_parameters((-plan.rotation_deg[0], 0.0, 0.0))  # which alignment leaves
            sample = aligned_sample(plan, library, pitch, model.recipe)
        yield on_box(sample.brain[None], sample.infarct[None] > 0, model.recipe.grid)


def cpaisd(folder: Path, model: Model) -> Iterator[Values]:
    for study in cpaisd_studies(folder)[0]:
        volume, brain = as_stack(study)
        assert study.infarct is not None
        infarct = Volume(np.repeat(study.infarct, SLICES, axis=0).astype(np.uint8), volume.grid, "label")
        yield seen(volume, brain, infarct, model)


def figure(columns: dict[str, list[Values]], path: Path) -> None:
    """Histograms of X, of A, and of the contrast of 20 mm."""
    from matplotlib.figure import Figure

    page = Figure(figsize=(13, 4), layout="constrained")
    panels = (
        ("x", X_HU, "X, HU"),
        ("a", A_HU, "A, HU"),
        ("broad_contrast", np.arange(-6, 6.25, 0.25), "contrast, 20 mm, HU"),
    )
    for axes, (key, bins, title) in zip(page.subplots(1, 3), panels, strict=True):
        for name, rows in columns.items():
            curves = np.array([np.histogram(row[key], bins, density=True)[0] for row in rows])
            middle = (bins[:-1] + bins[1:]) / 2
            colour = COLOURS.get(name, COLOURS["real"])
            axes.plot(middle, np.median(curves, 0), color=colour, lw=1.8 if len(rows) > 1 else 0.9, label=name)
            if len(rows) > 1:
                axes.fill_between(middle, *np.percentile(curves, [10, 90], axis=0), color=colour, alpha=0.15, lw=0)
        axes.set(xlabel=title, yticks=[])
        if key == "a":
            axes.set_yscale("log")
    page.axes[0].legend(frameon=False, fontsize=8)
    page.savefig(path, dpi=90)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, nargs="+", default=[])
    parser.add_argument("--cases", type=Path, required=True)
    parser.add_argument("--anatomy", type=Path)
    parser.add_argument("--lesions", type=Path)
    parser.add_argument("--cpaisd", type=Path)
    parser.add_argument("--weights")
    parser.add_argument("-o", "--out", type=Path, required=True)
    arguments = parser.parse_args()
    model = load_model(arguments.weights, device="cpu")
    columns = {path.name.split(".")[0]: [real(path, model)] for path in arguments.real}
    if arguments.cpaisd:
        columns["CPAISD"] = list(cpaisd(arguments.cpaisd, model))
    columns["virtual"] = list(virtual(arguments.cases, model))
    if arguments.anatomy:
        library = Library.from_folders(arguments.anatomy, arguments.lesions)
        columns["virtual, in training"] = list(trained(arguments.cases, library, model))
    counts = [f"{name} (n = {len(rows)})" if len(rows) > 1 else name for name, rows in columns.items()]
    lines = ["| | " + " | ".join(counts) + " |", "|---" * (len(columns) + 1) + "|"]
    for title, key, how in ROWS:
        cells = [cell([float(how(row[key])) for row in rows], 1) for rows in columns.values()]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    arguments.out.mkdir(parents=True, exist_ok=True)
    text = "\n".join(lines) + "\n"
    (arguments.out / "network-inputs.md").write_text(text, encoding="utf-8")
    figure(columns, arguments.out / "network-inputs.png")
    print(text)


if __name__ == "__main__":
    main()
