"""Shipped weights on real slices with experts' core and penumbra (CPAISD), as a rough check; a Markdown table.

    python benchmarks/quality/cpaisd.py DIR [--weights NAME|PATH] [-o PICTURE.png]

DIR: images/*.png and masks/*.png, 8 bits. What a slice lacks is assumed, in the same way for every slice and all
weights: its window (from the most common brain and CSF levels of all slices, see cpaisd_slices.py), its pixel size (so
that the brain has 175 cm², an ellipse of 135 × 165 mm), and its neighbours, which are copies of it (16 slices, 5 mm
apart). The brain mask is what bone encloses. The threshold is that of the weights. Reference: core and penumbra
together. Penumbra need not show on CT, so slices whose outlined tissue is on average 3 % (1 HU) darker than its mirror
twin (`adn.findings.hypodensity`) are also reported separately, as is the half with the larger outlines. For comparison,
rules without any network: everything that is this much darker than its twin; and a fixed ellipse where a middle
cerebral artery's territory lies, on the darker side, and on the outline's side.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from cpaisd_slices import BRAIN_MM2, SLICES, as_stack, cpaisd_studies
from ct_measures import Study

from adn.metrics.overlap import dice
from adn.prediction.assemble import predict
from adn.prediction.model import Model, load_model
from adn.results import Prediction, Scan

DARKER = (0.03, 0.05, 0.08)  # than the twin, as fractions
ELLIPSE_MM, LATERAL_MM, FLUID_HU = (45.0, 26.0), 38.0, 18.0  # half axes along the slice's rows and columns


def find_infarct(study: Study, model: Model) -> Prediction:
    """Predict a slice as a stack of copies."""
    ct, brain = as_stack(study)
    return predict(Scan(study.name, ct, "CPAISD"), model, strip=lambda _: brain)


def outlined(study: Study) -> np.ndarray:
    """The experts' outline, (1, H, W) bool, which every slice of CPAISD has."""
    assert study.infarct is not None
    return study.infarct > 0


def ellipses(study: Study) -> list[np.ndarray]:
    """The same ellipse in both hemispheres, (1, H, W) each, the image's left first, about the brain's middle."""
    pixel_mm = np.sqrt(BRAIN_MM2 / study.brain.sum())
    places = np.indices(study.brain.shape)
    y, x = ((at - at[study.brain].mean()) * pixel_mm for at in (places[1], places[2]))
    along, across = ELLIPSE_MM
    return [((y / along) ** 2 + ((x - place) / across) ** 2 < 1) & study.brain for place in (-LATERAL_MM, LATERAL_MM)]


def side(mask: np.ndarray, study: Study) -> int:
    """0 where most of a mask lies in the image's left half, 1 in its right half, -1 where there is none."""
    column = np.indices(mask.shape)[2]
    return int((column[mask] > column[study.brain].mean()).mean() > 0.5) if mask.any() else -1


def draw(studies: list[Study], found: list[np.ndarray], path: Path) -> None:
    """Every slice with the experts' outline (blue) and the network's (orange)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(18, 12.5), layout="constrained")
    for axes, study, mask in zip(figure.subplots(4, 6).flat, studies, found, strict=False):
        axes.imshow(study.hu[0], cmap="gray", vmin=10, vmax=55)
        axes.contour(outlined(study)[0], [0.5], colors="#3da5ff", linewidths=1)
        if mask.any():
            axes.contour(mask[0], [0.5], colors="#ff9a1f", linewidths=1)
        axes.set_title(f"{study.name}  Dice {dice(mask, outlined(study)):.2f}", fontsize=9)
        axes.axis("off")
    figure.savefig(path, dpi=70)


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights")
    parser.add_argument("-o", "--out", type=Path, help="a picture of all slices")
    return parser.parse_args()


def main() -> None:
    arguments = read_arguments()
    model = load_model(arguments.weights)
    studies, window = cpaisd_studies(arguments.folder)
    print(f"Window as estimated: {window[0]:.1f} to {window[1]:.1f} HU; threshold {model.recipe.threshold}.\n")
    print("| slice | reference, % of brain | darker than twin by, % | marked, % | Dice | highest probability inside |\n"
          "|---|---|---|---|---|---|")  # fmt: skip
    masks, rows, shows, ruled, placed, sides, sizes = [], [], [], [], [], [], []
    agreed = np.zeros(2)
    for study in studies:
        prediction = find_infarct(study, model)
        middle, reference = slice(SLICES // 2, SLICES // 2 + 1), outlined(study)
        mask, p = prediction.infarct.data[middle] > 0, prediction.infarct_probability.data[middle]
        masks.append(mask)
        darker = prediction.relative_hypodensity.data[middle]
        ruled.append([dice(darker >= share, reference) for share in DARKER])
        both, true = ellipses(study), side(reference, study)
        levels = [study.hu[place & (study.hu > FLUID_HU)].mean() for place in both]
        placed.append([dice(both[int(np.argmin(levels))], reference), dice(both[true], reference)])
        sides.append((side(mask, study) == true, np.argmin(levels) == true))
        agreed += (2 * (mask & reference).sum(), mask.sum() + reference.sum())
        share = [100 * float(m.sum() / study.brain.sum()) for m in (reference, mask)]
        rows.append(dice(mask, reference))
        sizes.append(share[0])
        seen = darker[reference & (darker != 0)]
        contrast = seen.mean() if seen.size else 0.0
        shows.append(contrast >= DARKER[0])
        best = p[reference].max() if reference.any() else np.nan
        values = (f"{share[0]:.0f}", f"{100 * contrast:.1f}", f"{share[1]:.0f}", f"{rows[-1]:.3f}", f"{best:.2f}")
        print(f"| {' | '.join((study.name, *values))} |", flush=True)
    print(f"\nn = {len(rows)}: mean Dice {np.mean(rows):.3f}, median {np.median(rows):.3f}; of all voxels together "
          f"{agreed[0] / agreed[1]:.3f}. Slices without overlap: {sum(d == 0 for d in rows)}.")  # fmt: skip
    apart, least = np.array(shows), f"{DARKER[0]:.0%}"
    there, elsewhere = (np.array(rows)[which].mean() for which in (apart, ~apart))
    print(f"Where the outline is {least} darker (n = {apart.sum()}): {there:.3f}; where it is not: {elsewhere:.3f}.")
    large, right = np.array(sizes) > np.median(sizes), np.array(sides).sum(0)
    there = np.array(rows)[large].mean()
    print(f"Outlines above {np.median(sizes):.0f} % of the brain (n = {large.sum()}): {there:.3f}.")
    print(f"Most of the mark lies on the outline's side in {right[0]} of {len(rows)}.")
    for share, ruling in zip(DARKER, np.array(ruled).T, strict=True):
        found = f"mean Dice {ruling.mean():.3f}; where the outline is darker {ruling[apart].mean():.3f}"
        print(f"Everything {share:.0%} darker than its twin, without a network: {found}.")
    names = (f"darker side, which is the outline's in {right[1]}", "side that is told")
    for name, ruling in zip(names, np.array(placed).T, strict=True):
        print(f"An ellipse, without a network, on the {name}: mean Dice {ruling.mean():.3f}; of the larger outlines "
              f"{ruling[large].mean():.3f}.")  # fmt: skip
    if arguments.out:
        draw(studies, masks, arguments.out)


if __name__ == "__main__":
    main()
