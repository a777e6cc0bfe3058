"""How close virtual patients are to real head CT: one figure and one table.

    python benchmarks/studies/virtual_vs_real.py --real SCAN... [--cpaisd DIR] [--anatomy DIR --lesions DIR]
        [-n N] -o DIR

Writes virtual-vs-real.png and virtual-vs-real.md into DIR. Real scans, virtual patients on label maps of real heads
with real infarct masks, and virtual patients made from the MNI priors alone are measured by the same functions
(`ct_measures.py`), 3 mm or more inside the brain, which the skull stripper finds in real scans and which is known in
virtual ones. --cpaisd: a folder with images/ and masks/ of 8-bit slices, whose window is estimated from the most common
brain and ventricle level (taken as 33 and 7 HU).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi

from adn.io import open_scan
from adn.prepare import strip_skull
from adn.space.geometry import RigidTransform
from adn.virtual.draw import draw_patient
from adn.virtual.folders import patient_generator, render_plan, scanner_lattice
from adn.virtual.lattice import Lattice
from adn.virtual.library import Library, lesion_volumes_ml
from adn.virtual.plan import PatientPlan

sys.path.insert(0, str(Path(__file__).parents[1] / "quality"))
import ct_measures as ct
from cpaisd_slices import cpaisd_studies
from ct_measures import Study

COLOURS = {"real": "#222222", "CPAISD": "#2a7fbf", "virtual, real heads": "#d9532b", "virtual, MNI": "#3a9a4b"}
Columns = dict[str, list[dict[str, Any]]]  # measurements by group or real scan
ROWS = (  # key, what the table calls it, digits
    ("mode", "brain, commonest HU", 1),
    ("csf", "ventricular CSF, HU", 1),
    ("grey_white", "grey-white contrast, HU", 1),
    ("level", "noise level σ, HU", 1),
    ("half_width", "noise autocorrelation falls to ½ at, mm", 2),
    ("at_2mm", "noise autocorrelation at 2 mm", 2),
    ("behind_bone", "noise behind the inner table : centre", 2),
    ("low_high", "noise in lower third : upper third", 2),
    ("contrast", "infarct less mirror side, HU", 1),
)


def real_study(path: Path) -> Study:
    volume = open_scan(path).volume.reoriented("SPL")
    return Study.cropped(path.name.split(".")[0], volume.data, volume.grid.spacing_mm, strip_skull(volume).data > 0)


def virtual_study(plan: PatientPlan, library: Library, name: str) -> Study:
    lattice = scanner_lattice(plan)
    patient = render_plan(plan, library, lattice)
    hu, brain, infarct = (x.numpy() for x in (patient.ct.round(), patient.brain, patient.infarct))
    return Study.cropped(name, hu, lattice.spacing_mm, brain, infarct)


def virtual_studies(library: Library, n: int, seed: int) -> Iterator[tuple[PatientPlan, Study]]:
    for i in range(n):
        plan = draw_patient(patient_generator(seed, i), library.choices())
        yield plan, virtual_study(plan, library, f"{i}")


def measure(study: Study) -> dict[str, Any]:
    sd = ct.local_sd(study)
    curve = ct.autocorrelation(study, sd)
    return {
        "histogram": ct.brain_histogram(study),
        "curve": curve,
        "mode": ct.brain_mode_hu(study),
        "csf": ct.ventricle_hu(study),
        "grey_white": ct.grey_white_hu(study),
        **ct.noise(study, sd),
        "half_width": ct.half_width_mm(curve),
        "at_2mm": float(np.interp(2.0, ct.LAGS_MM, curve)),
        "contrast": ct.infarct_contrast_hu(study),
    }


def virtual_volumes_ml(library: Library, n: int, seed: int) -> NDArray[np.float64]:
    """Acute infarct volumes of drawn patients that have one, on a coarse grid."""
    volumes = []
    for i in range(n):
        plan = draw_patient(patient_generator(seed, i), library.choices())
        pose = RigidTransform.from_parameters((plan.rotation_deg[0], 0.0, 0.0))
        lattice = Lattice((36, 96, 80), (5.0, 2.4, 2.4), pose)
        volumes.append(float(render_plan(plan, library, lattice).infarct.sum()) * 5 * 2.4 * 2.4 / 1000)
    return np.array([v for v in volumes if v > 0])


def cell(values: list[float], digits: int) -> str:
    """One value, or median (10th to 90th percentile)."""
    known = [v for v in values if np.isfinite(v)]
    if not known:
        return "–"
    if len(known) == 1:
        return f"{known[0]:.{digits}f}"
    low, middle, high = np.percentile(known, [10, 50, 90])
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def table(columns: Columns, volumes: dict[str, NDArray]) -> str:
    counts = [f"{name} (n = {len(rows)})" if len(rows) > 1 else name for name, rows in columns.items()]
    lines = ["| | " + " | ".join(counts) + " |", "|---" * (len(columns) + 1) + "|"]
    for key, title, digits in ROWS:
        lines.append(
            f"| {title} | " + " | ".join(cell([r[key] for r in rows], digits) for rows in columns.values()) + " |"
        )
    lines += ["", "| infarct volume, mL | n | 10 % | 25 % | median | 75 % | 90 % |", "|---|---|---|---|---|---|---|"]
    for name, values in volumes.items():
        lines.append(
            f"| {name} | {len(values)} | "
            + " | ".join(f"{q:.1f}" for q in np.percentile(values, [10, 25, 50, 75, 90]))
            + " |"
        )
    return "\n".join(lines) + "\n"


def figure(columns: Columns, volumes: dict[str, NDArray], path: Path) -> None:
    """Six panels: brain histogram, autocorrelation, and strips of what the table lists."""
    from matplotlib.figure import Figure

    page = Figure(figsize=(13, 7.5), layout="constrained")
    panels = page.subplots(2, 3)
    for group, rows in columns_by_group(columns).items():
        colour = COLOURS[group]
        histograms, curves = (np.array([row[key] for row in rows]) for key in ("histogram", "curve"))
        histograms = ndi.uniform_filter1d(histograms, 3, axis=1)  # 8-bit levels do not fall on whole HU
        for axes, x, y in ((panels[0, 0], ct.BINS_HU[:-1] + 0.5, histograms), (panels[0, 1], ct.LAGS_MM, curves)):
            if group == "real":
                for number, one in enumerate(y):
                    axes.plot(x, one, color=colour, lw=1.2, label="real, each" if number == 0 else None)
            else:
                low, middle, high = np.nanpercentile(y, [10, 50, 90], axis=0)
                axes.fill_between(x, low, high, color=colour, alpha=0.18, lw=0)
                axes.plot(x, middle, color=colour, lw=1.5, label=group)
    panels[0, 0].set(title="brain: share per HU (median, 10–90 %)", xlabel="HU", xlim=(-10, 60))
    panels[0, 1].set(title="autocorrelation of noise in plane", xlabel="mm", ylim=(-0.35, 1.02))
    panels[0, 1].axhline(0, color="#999999", lw=0.6)
    panels[0, 0].legend(fontsize=8)
    strips = ((panels[0, 2], ("csf", "grey_white", "level")), (panels[1, 0], ("half_width", "behind_bone", "low_high")))
    names = {"csf": "CSF, HU", "grey_white": "grey − white, HU", "level": "noise σ, HU", "half_width": "ACF ½, mm"}
    names |= {"behind_bone": "noise: rim / centre", "low_high": "noise: low / high"}
    for axes, keys in strips:
        for place, key in enumerate(keys):
            for shift, (group, rows) in enumerate(columns_by_group(columns).items()):
                values = np.array([r[key] for r in rows])
                spread = np.random.default_rng(0).uniform(-0.05, 0.05, len(values))
                axes.plot(place + 0.2 * shift - 0.3 + spread, values, ".", color=COLOURS[group], ms=6, alpha=0.7)
        axes.set_xticks(range(len(keys)), [names[k] for k in keys])
        axes.axhline(0, color="#999999", lw=0.6)
    for group, rows in columns_by_group(columns).items():
        values = np.array([r["contrast"] for r in rows])
        values = np.sort(values[np.isfinite(values)])
        if len(values) > 1:
            share = np.arange(1, len(values) + 1) / len(values)
            panels[1, 1].step(values, share, where="post", color=COLOURS[group], label=f"{group}, n = {len(values)}")
    panels[1, 1].set(title="infarct less mirror side, HU: share below", xlabel="HU")
    panels[1, 1].legend(fontsize=8)
    for (name, values), colour in zip(volumes.items(), ("#2a7fbf", "#d9532b", "#3a9a4b"), strict=False):
        panels[1, 2].step(np.sort(values), np.arange(1, len(values) + 1) / len(values), color=colour, label=name)
    panels[1, 2].set(title="infarct volume, mL: share below", xscale="log", xlim=(0.1, 500), xlabel="mL")
    panels[1, 2].legend(fontsize=8)
    page.savefig(path, dpi=80)


def columns_by_group(columns: Columns) -> Columns:
    """Merge the real scans, which have a column each in the table, into one group for the figure."""
    groups: Columns = {}
    for name, rows in columns.items():
        groups.setdefault(name if name in COLOURS else "real", []).extend(rows)
    return groups


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, nargs="*", default=[], help="head CTs: files or DICOM folders")
    parser.add_argument("--cpaisd", type=Path, help="folder with images/*.png and masks/*.png")
    parser.add_argument("--anatomy", type=Path, help="folder of label maps with skull")
    parser.add_argument("--lesions", type=Path, help="folder of infarct masks in MNI space")
    parser.add_argument("--split", default="val", help="heads and lesions of: train, val, test, all")
    parser.add_argument("-n", type=int, default=12, help="virtual patients of each kind")
    parser.add_argument("--volumes", type=int, default=150, help="patients whose infarct volumes are compared")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--out", type=Path, required=True)
    options = parser.parse_args()
    columns: Columns = {}
    for path in options.real:
        study = real_study(path)
        columns[study.name] = [measure(study)]
    note = ""
    if options.cpaisd:
        slices, window = cpaisd_studies(options.cpaisd)
        columns["CPAISD"] = [measure(study) for study in slices]
        note = f"\nCPAISD window as estimated: {window[0]:.0f} to {window[1]:.0f} HU.\n"
    libraries = {"virtual, MNI": Library.from_folders()}
    volumes = {}
    if options.anatomy and options.lesions:
        every = Library.from_folders(options.anatomy, options.lesions)
        volumes["SOOP masks"] = np.array(lesion_volumes_ml(tuple(every.lesions.values())))
        libraries = {
            "virtual, real heads": Library.from_folders(options.anatomy, options.lesions, options.split)
        } | libraries
    for name, library in libraries.items():
        drawn, columns[name] = [], []
        for plan, study in virtual_studies(library, options.n, options.seed):
            drawn.append(plan.gm_hu - plan.wm_hu)
            columns[name].append(measure(study))
        seen = [row["grey_white"] for row in columns[name]]
        note += f"\n{name}: grey-white contrast drawn {np.mean(drawn):.1f}, measured {np.nanmean(seen):.1f} HU.\n"
        volumes[name] = virtual_volumes_ml(library, options.volumes, options.seed + 1)
    options.out.mkdir(parents=True, exist_ok=True)
    text = table(columns, volumes) + note
    (options.out / "virtual-vs-real.md").write_text(text, encoding="utf-8")
    figure(columns, volumes, options.out / "virtual-vs-real.png")
    print(text)


if __name__ == "__main__":
    main()
