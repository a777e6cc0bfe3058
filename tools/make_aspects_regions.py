"""Make src/adn/findings/aspects_regions.npz: the ten regions of ASPECTS in MNI space, at 2 mm.

    python tools/make_aspects_regions.py --anatomy DIR

After Barber et al., Lancet 2000;355:1670. Caudate, lentiform nucleus, internal capsule and insula lie where most of
the first 12 label maps (FreeSurfer labels with skull, SynthSeg's training maps, Apache-2.0; the other four are kept for
checking) have them after the affine registration of virtual heads. M1 to M6: lateral cortex and the white matter
beneath it between straight borders, drawn in the two standard planes and extended through the slabs around them; M1 to
M3 at the level of the basal ganglia, M4 to M6 above it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from matplotlib.path import Path as Polygon
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt as distance

from adn.atlas import ASPECTS_REGIONS
from adn.prepare.resample import resample
from adn.space.geometry import Grid  # noqa: F401 - the frame: LPS mm
from adn.virtual.library import Library, _read_codes

STEP_MM, START_MM, SHAPE = 2.0, (-30.0, -80.0, -80.0), (50, 100, 81)  # z, y, x in MNI LPS mm
HEADS = 12
LABELS = {"caudate": (11, 50), "lentiform": (12, 13, 51, 52), "thalamus": (10, 49), "cortex": (3, 42), "white": (2, 41),
          "brain": tuple(range(2, 86))}  # fmt: skip
GANGLIONIC_Z, ABOVE_Z = (-8.0, 19.0), (21.0, 46.0)
CAPSULE_Z, INSULA_Z = (-4.0, 21.0), (-12.0, 18.0)
# (|x|, y) in MNI mm, y to the FRONT here, as such maps are printed; hull and deep regions cut them
BORDERS = {
    "M1": ((26, 46), (28, 60), (38, 66), (56, 60), (80, 20), (45, 18), (36, 30), (29, 38)),
    "M2": ((45, 18), (80, 20), (80, -37), (42, -41), (44, -26), (45, -10)),
    "M3": ((42, -41), (80, -37), (80, -60), (54, -82), (46, -78), (35, -65), (38, -52)),
    "M4": ((21, 34), (21, 46), (28, 60), (44, 60), (80, 18), (33, 14)),
    "M5": ((33, 14), (80, 18), (80, -34), (38, -35), (35, -15)),
    "M6": ((38, -35), (80, -34), (80, -60), (50, -82), (40, -74), (32, -60), (37, -48)),
}
INSULA_BORDER = ((29, 27), (38, 27), (44, 5), (44, -22), (36, -22), (30, 5))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--anatomy", type=Path, required=True)
    regions = regions_from(shares(parser.parse_args().anatomy))
    target = Path(__file__).parents[1] / "src/adn/findings/aspects_regions.npz"
    middle = SHAPE[2] // 2  # x = 0; both sides are the same
    np.savez_compressed(target, left=regions[:, :, middle:], step_mm=STEP_MM, start_mm=np.array((*START_MM[:2], 0.0)))
    for number, name in enumerate(ASPECTS_REGIONS, start=1):
        print(f"{name}: {(regions == number).sum() / 2 * STEP_MM**3 / 1000:.1f} mL a side")
    print(target, target.stat().st_size, "bytes")


def shares(anatomy: Path) -> dict[str, NDArray[np.float32]]:
    """Share of heads with each of `LABELS` at each place, both sides averaged."""
    library = Library.from_folders(anatomy)
    names = list(library.heads)[:HEADS]
    found = {name: np.zeros(SHAPE, np.float32) for name in LABELS}
    grid = np.diag([STEP_MM] * 3 + [1.0])
    grid[:3, 3] = START_MM
    turned = np.eye(4)[[2, 1, 0, 3]]
    for name in names:
        head, labels = library.head(name), np.pad(_read_codes(library.heads[name])[1], 1)
        index = head.head_from_aligned.copy()
        index[:3, 3] += (np.array(head.codes.shape[::-1]) - 1) / 2
        matrix = turned @ index @ np.linalg.inv(head.mni_from_aligned) @ turned @ grid
        for group, values in LABELS.items():
            found[group] += resample(np.isin(labels, values).astype(np.float32), matrix, SHAPE) / len(names)
    return {name: ((share + share[:, :, ::-1]) / 2).astype(np.float32) for name, share in found.items()}


def regions_from(share: dict[str, NDArray[np.float32]]) -> NDArray[np.uint8]:
    """Numbers of `ASPECTS_REGIONS`, from 1; 0 elsewhere."""
    z, y, x = np.meshgrid(*(s + STEP_MM * np.arange(n) for s, n in zip(START_MM, SHAPE, strict=True)), indexing="ij")
    across, front = np.abs(x), -y
    brain = share["brain"] > 0.4
    caudate, lentiform = share["caudate"] > 0.35, share["lentiform"] > 0.45

    def near(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.asarray(distance(~mask)) * STEP_MM

    def inside(border: tuple[tuple[float, float], ...], levels: tuple[float, float]) -> NDArray[np.bool_]:
        flat = Polygon(border).contains_points(np.stack([across.ravel(), front.ravel()], 1)).reshape(SHAPE)
        return flat & (z >= levels[0]) & (z <= levels[1]) & brain

    medial = near(caudate | (share["thalamus"] > 0.4))
    capsule = (near(lentiform) <= 7) & (medial <= 7) & (share["white"] > 0.3) & ~caudate & ~lentiform
    capsule &= (z >= CAPSULE_Z[0]) & (z <= CAPSULE_Z[1])
    insula = inside(INSULA_BORDER, INSULA_Z) & (share["cortex"] > 0.3) & ~lentiform
    regions = np.zeros(SHAPE, np.uint8)
    for name in BORDERS:
        regions[inside(BORDERS[name], GANGLIONIC_Z if name < "M4" else ABOVE_Z)] = ASPECTS_REGIONS.index(name) + 1
    for name, mask in {
        "insula": insula,
        "internal capsule": capsule,
        "caudate": caudate,
        "lentiform": lentiform,
    }.items():
        regions[mask] = ASPECTS_REGIONS.index(name) + 1
    return regions


if __name__ == "__main__":
    main()
