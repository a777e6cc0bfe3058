"""How bright grey matter, white matter and fluid are on head CT, and on heads painted to look like MR.

    python benchmarks/quality/tissue_levels.py CT [CT ...] [-n 200] [--painted VP] [--heads 6]

CT: scans, which give one row, or folders of cases with ct.nii.gz, of which the first n are taken and each gives a row.
VP: virtual patients with tissue.nii.gz and brain.nii.gz, some of which are painted as MR and scaled to 8 to 52 "HU".
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from adn import load_model
from adn.errors import InputError
from adn.findings.tissue_levels import Levels, level_remarks, tissue_levels
from adn.io import open_scan, read_volume
from adn.prediction.assemble import mni_from_scan
from adn.prediction.model import Model
from adn.prediction.pipeline import locate
from adn.results import Scan

MR = {  # brightness of grey matter, white matter, fluid
    "T1": (400.0, 550.0, 150.0),
    "T2": (110.0, 75.0, 250.0),
    "PD": (95.0, 78.0, 110.0),
    "ADC": (80.0, 72.0, 300.0),
    "DWI": (100.0, 88.0, 25.0),
    "FLAIR": (100.0, 78.0, 22.0),
}


def painted(
    tissue: NDArray[np.uint8], brain: NDArray[np.bool_], levels: tuple[float, ...], noise: np.random.Generator
) -> NDArray:
    """A brain whose tissues have these levels, in label order, with noise, scaled to 8 to 52 and 0 outside."""
    values = np.array([0.0, *levels])[tissue] + noise.normal(0, 0.05 * levels[1], tissue.shape)
    low, high = np.percentile(values[brain], [1, 99])
    return np.where(brain, 8 + 44 * (values - low) / (high - low), 0)


def painted_scans(folder: Path, heads: int, levels: tuple[float, ...]) -> Iterator[Scan]:
    """The first virtual patients of a folder, painted."""
    for case in sorted(folder.glob("*/tissue.nii.gz"))[:heads]:
        tissue, brain = (
            read_volume(case.with_name(name), np.uint8, "label").reoriented("SPL")
            for name in ("tissue.nii.gz", "brain.nii.gz")
        )
        data = painted(tissue.data, brain.data > 0, levels, np.random.default_rng(0)).astype(np.float32)
        yield Scan(case.parent.name, tissue.with_data(data, "HU"), "nifti")


def opened(paths: list[Path]) -> Iterator[Scan]:
    """Open scans; those that cannot be read are reported and skipped."""
    for path in paths:
        try:
            yield open_scan(path)
        except InputError as error:
            print(f"{path}: {error.what}", flush=True)


def row(name: str, scans: Iterator[Scan], model: Model) -> str:
    """Number of scans, of those that show enough, the range of each difference, and how many lie outside the limits."""
    found: list[Levels] = []
    count = outside = 0
    for scan in scans:
        count += 1
        try:
            located = locate(scan, model)
        except InputError as error:
            print(f"{scan.name}: {error.what}", flush=True)
            continue
        to_mni = mni_from_scan(located)
        levels = None if to_mni is None else tissue_levels(located.volume, located.brain.mask, to_mni)
        if levels is None or to_mni is None:
            continue
        found.append(levels)
        outside += bool(level_remarks(located.volume, located.brain.mask, to_mni))
    grey, white, fluid = np.array(found or [(np.nan,) * 3]).T
    spans = (f"{values.min():.1f} to {values.max():.1f}" for values in (grey - white, white - fluid, white))
    return f"| {name} | {count} | {len(found)} | {' | '.join(spans)} | {outside} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scans", type=Path, nargs="*")
    parser.add_argument("-n", type=int, default=200)
    parser.add_argument("--painted", type=Path)
    parser.add_argument("--heads", type=int, default=6)
    arguments = parser.parse_args()
    model = load_model()
    print("| scans | n | measured | grey less white, HU | white less fluid | white | outside the limits |")
    print("|---|---|---|---|---|---|---|", flush=True)
    folders = {given: sorted(given.glob("*/ct.nii.gz"))[: arguments.n] for given in arguments.scans}
    rows = {given.name: cases for given, cases in folders.items() if cases}
    single = [given for given, cases in folders.items() if not cases]
    for name, paths in {**({"scans": single} if single else {}), **rows}.items():
        print(row(name, opened(paths), model), flush=True)
    if arguments.painted:
        for kind, levels in MR.items():
            scans = painted_scans(arguments.painted, arguments.heads, levels)
            print(row(f"painted as {kind}", scans, model), flush=True)


if __name__ == "__main__":
    main()
