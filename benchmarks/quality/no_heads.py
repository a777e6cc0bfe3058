"""What adn says about volumes that are not a head CT in HU.

    python benchmarks/quality/no_heads.py CT BRAIN TISSUE [KIND ...]

CT, BRAIN, TISSUE: files of one virtual patient, from which the volumes are made. Each line: the kind, then the first
line of the report, or the refusal, and for whole heads the Dice of the brain with BRAIN. Kinds that begin with 'cut' or
'ok' do hold a head CT and should be processed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tissue_levels import painted

from adn import load_model, predict
from adn.errors import InputError
from adn.io import read_volume
from adn.io.head_ct import check_grid, check_values
from adn.metrics.overlap import dice
from adn.prediction.assemble import judge, mni_from_scan
from adn.prediction.model import Model
from adn.prediction.pipeline import locate
from adn.remarks import blocking
from adn.report.words import first_line
from adn.results import Scan
from adn.space.geometry import Grid
from adn.space.volume import Volume

Make = Callable[[], Volume]


def kinds(ct: Volume, brain: NDArray[np.bool_], tissue: NDArray[np.uint8]) -> dict[str, Make]:
    """Name → function that makes the volume. All in SPL order."""
    hu = ct.data
    noise = np.random.default_rng(0)
    z, y, x = np.meshgrid(*(np.linspace(0, 1, n) for n in hu.shape), indexing="ij")
    mm = [(q - 0.5) * n * s for q, n, s in zip((z, y, x), hu.shape, ct.grid.spacing_mm, strict=True)]
    head = [hu > 130, hu > -300]
    mr = np.where(brain, np.array([200, 400, 550, 150])[tissue], np.select(head, [40, 300], 5))
    used = np.flatnonzero(brain.any(axis=(1, 2)))
    middle, half = int(used.mean()), hu.shape[2] // 2
    level = np.sqrt((mm[2] / 72) ** 2 + (mm[1] / 87) ** 2 + (mm[0] / 72) ** 2)
    with_neck = np.hypot(mm[2] / 65, mm[1] / 60)
    spine = np.hypot(mm[2], mm[1] - 15)

    radius, flat = np.hypot(mm[2], mm[1]), noise.normal(0, 4, hu.shape)
    belly = np.hypot(mm[2] / 105, mm[1] / 80)

    def looks(*levels: float) -> NDArray:
        """A brain whose tissues have these levels, in the order of the labels."""
        return painted(tissue, brain, levels, noise)

    def halves(filled: float | None) -> NDArray:
        """The right half copied from the left, or filled with a value."""
        values = hu.copy()
        values[:, :, half:] = filled if filled is not None else hu[:, :, :half][:, :, ::-1][:, :, : hu.shape[2] - half]
        return values

    def of(values: NDArray) -> Make:
        return lambda: ct.with_data(np.ascontiguousarray(values, np.float32))

    def spaced(*factors: float) -> Make:
        affine = ct.grid.affine.copy()
        affine[:3, :3] *= factors
        return lambda: Volume(hu, Grid(hu.shape, affine), "HU")

    def part(*box: slice) -> Make:
        data = hu[box]
        return lambda: Volume(np.ascontiguousarray(data), Grid.centred(data.shape, ct.grid.spacing_mm), "HU")

    return {
        "labels": of(tissue),
        "labels times 20": of(tissue * 20.0),
        "labels in HU": of(np.where(brain, np.array([15, 37, 30, 8])[tissue], np.select(head, [1000, 40], -1000))),
        "ramp, HU": of(2000 * y - 1000),
        "ramp, 0 to 80": of(80 * z),
        "constant": of(np.full(hu.shape, 35.0)),
        "brain constant": of(np.where(brain, 33.0, hu)),
        "half size": spaced(0.5, 0.5, 0.5),
        "double size": spaced(2, 2, 2),
        "half height": spaced(0.5, 1, 1),
        "half in plane": spaced(1, 0.5, 0.5),
        "half width": spaced(1, 1, 0.5),
        "0.7 of the size": spaced(0.7, 0.7, 0.7),
        "HU times 0.5": of(hu * 0.5),
        "HU times 1.5": of(hu * 1.5),
        "HU times 2": of(hu * 2.0),
        "HU plus 25": of(hu + 25.0),
        "HU minus 25": of(hu - 25.0),
        "HU plus 1024": of(hu + 1024.0),
        "attenuation, 1/cm": of(0.19 * (1 + hu / 1000)),
        "8-bit, -1024 to 3071": of(np.round((hu.clip(-1024, 3071) + 1024) / 4095 * 255)),
        "8-bit, 0 to 80": of(np.round(hu.clip(0, 80) / 80 * 255)),
        "inverted": of(-hu),
        "inverted, 0 to 80": of(80 - hu.clip(0, 80)),
        "noise about 35": of(noise.normal(35, 10, hu.shape)),
        "noise about 0": of(noise.normal(0, 300, hu.shape)),
        "head with noise of 120 HU": of(hu + noise.normal(0, 120, hu.shape)),
        "water in a skull": of(np.select([level < 1, level < 1.1], [33, 900], -1000) + noise.normal(0, 4, hu.shape)),
        "neck": of(
            np.select([spine < 9, spine < 18, with_neck < 1], [20, 500, 50], -1000) + noise.normal(0, 4, hu.shape)
        ),
        "MR": of(mr + noise.normal(0, 15, hu.shape)),
        "MR, stripped, 8 to 52": of(np.where(brain, (mr + noise.normal(0, 15, hu.shape)) / 12, 0)),
        "MR T2, stripped, 8 to 52": of(looks(110, 75, 250)),
        "MR FLAIR, stripped, 8 to 52": of(looks(100, 78, 22)),
        "MR DWI, stripped, 8 to 52": of(looks(100, 88, 25)),
        "MR PD, stripped, 8 to 52": of(looks(95, 78, 110)),
        "MR T1, stripped, 0 to 255": of(np.where(brain, (mr + noise.normal(0, 15, hu.shape)) / 2.5, 0)),
        "MR T1, stripped, bone and air drawn": of(np.select([brain, head[0], head[1]], [mr / 15, 1000, 40], -1000)),
        "PET, 0 to 20000": of(np.where(brain, np.array([0, 16000, 6000, 1000])[tissue], 200 * head[1]) + 40 * flat),
        "PET, stripped, 8 to 52": of(looks(160, 60, 10)),
        "water cylinder": of(np.select([radius < 85, radius < 95], [0, 120], -1000) + flat),
        "belly": of(np.select([spine < 16, belly < 0.6, belly < 0.9, belly < 1], [400, 55, 45, -100], -1000) + flat),
        "knee": of(np.select([radius < 22, radius < 26, radius < 60], [-40, 700, 50], -1000) + flat),
        "HU, 0 to 1": of((hu.clip(-1000, 1000) + 1000) / 2000),
        "0 to 80 HU, 0 to 1": of(hu.clip(0, 80) / 80),
        "-20 to 100 HU, 8-bit": of(np.round((hu.clip(-20, 100) + 20) / 120 * 255)),
        "HU plus 1000": of(hu + 1000.0),
        "inverted within the skull": of(np.where(brain, 60 - hu, hu)),
        "left half copied": of(halves(None)),
        "right half air": of(halves(-1000.0)),
        "right half 0": of(halves(0.0)),
        "one slice copied": of(np.repeat(hu[middle : middle + 1], len(hu), 0)),
        "ok, 0.9 of the size": spaced(0.9, 0.9, 0.9),
        "left half only": part(slice(None), slice(None), slice(half, None)),
        "front half only": part(slice(None), slice(0, hu.shape[1] // 2)),
        "above the brain": part(slice(used[-1] + 1, None)),
        "ok, the head": of(hu),
        "cut, one slice": part(slice(middle, middle + 1)),
        "cut, three slices": part(slice(middle - 1, middle + 2)),
        "cut, upper half": part(slice(middle, None)),
        "ok, values cut to 0 to 80": of(hu.clip(0, 80)),
        "ok, values cut to 0 to 60": of(hu.clip(0, 60)),
        "ok, values cut to 10 to 70": of(hu.clip(10, 70)),
        "ok, values cut to -20 to 100": of(hu.clip(-20, 100)),
        "ok, values cut to -100 to 200": of(hu.clip(-100, 200)),
        "ok, stripped, 0 outside": of(np.where(brain, hu, 0)),
        "ok, stripped, -1000 outside": of(np.where(brain, hu, -1000)),
        "ok, bone set to -1000": of(np.where(hu > 130, -1000, hu)),
        "ok, bone set to 0": of(np.where(hu > 130, 0, hu)),
    }


def verdict(scan: Scan, model: Model, brain: NDArray[np.bool_]) -> str:
    """The report's first line; if the scan is not assessable, without running the networks that look for infarcts."""
    located = locate(scan, model)
    found = located.brain.mask.data > 0
    overlap = f"; brain Dice {dice(found, brain):.3f}" if found.shape == brain.shape else ""
    because = blocking(judge(scan, located, model.recipe, mni_from_scan(located))[1])
    if because:
        return f"not assessable, because {'; '.join(remark.reason for remark in because)}{overlap}"
    return first_line(predict(scan, model)) + overlap


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("ct", "brain", "tissue"):
        parser.add_argument(name, type=Path)
    parser.add_argument("only", nargs="*")
    arguments = parser.parse_args()
    ct = read_volume(arguments.ct, np.float32).reoriented("SPL")
    brain, tissue = (
        read_volume(p, np.uint8, "label").reoriented("SPL").data for p in (arguments.brain, arguments.tissue)
    )
    model = load_model()
    for name, make in kinds(ct, brain > 0, tissue).items():
        if arguments.only and not any(word in name for word in arguments.only):
            continue
        try:
            volume = make()
            check_grid(volume.grid, name)
            check_values(volume, None, name)
            said = verdict(Scan(name, volume, "nifti"), model, brain > 0)
        except InputError as error:
            said = f"refused: {error.what}"
        print(f"| {name} | {said} |", flush=True)


if __name__ == "__main__":
    main()
