"""Is P the infarct's asymmetry, and Q normal anatomy? On virtual patients the truth is known; a Markdown table.

    python benchmarks/quality/disentanglement.py WEIGHTS... [--anatomy DIR --lesions DIR] [--split val] [-n 24]
        [-o PICTURE.png]

Each patient is rendered twice: as planned, and without the acute infarcts but with the same noise. The second gives
the true intrinsic asymmetry Q* = A of the patient before the stroke, and P* = A − Q* (where positive) the true
pathological one. Found P and Q are compared with them:

- recovered: sum of P inside the infarct / sum of P* there (1: all of it)
- leaked: share of P that lies outside the infarct
- residual: ‖Q − Q*‖₁ / ‖A − Q*‖₁ inside the infarct (1: nothing was gained by disentangling; 0: Q is normal anatomy)
- damaged: ‖Q − Q*‖₁ / ‖Q*‖₁ outside it (0: normal asymmetry is left alone)
- P : A, mean over the brain: 0 and 1 are the two ways to collapse

Medians of patients, and then, pooled, the share of all patients' P that lies inside their infarcts, and the share of
all their P* that is recovered: small and faint infarcts, of which there is little to recover, weigh little there.

Patients lie on the aligned brain box, as in training.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from adn.asymmetry import total_asymmetry
from adn.feed.virtual import aligned_sample
from adn.nn.baselines import Baseline
from adn.prediction.model import Model, load_model
from adn.results import TrainingPicture
from adn.space.geometry import Grid, RigidTransform
from adn.space.volume import Volume
from adn.virtual.draw import draw_patient
from adn.virtual.folders import patient_generator
from adn.virtual.library import Library

COLUMNS = ("recovered", "leaked", "residual", "damaged", "P : A", "Dice")
SEED, LEAST_ML = 31, 1.0


def twins(model: Model, library: Library, index: int):
    """A patient as planned and, with the same noise, before the acute infarcts. Samples of (1, D, H, W)."""
    generator = patient_generator(SEED, index)
    plan = draw_patient(generator, library.choices())
    pitch = RigidTransform.from_parameters((-plan.rotation_deg[0], 0.0, 0.0))  # which alignment leaves
    before = replace(plan, infarcts=tuple(infarct for infarct in plan.infarcts if not infarct.acute))
    return tuple(aligned_sample(p, library, pitch, model.recipe) for p in (plan, before))


def measure(model: Model, library: Library, index: int) -> tuple[list[float], list[float], TrainingPicture] | None:
    """A row of `COLUMNS`, the sums of P inside, P and P* inside, and a picture; None for a patient without infarct."""
    sample, before = twins(model, library, index)
    grid = model.recipe.grid
    inside = sample.infarct[0] > 0
    if float(inside.sum()) * np.prod(grid.spacing_mm) / 1000 < LEAST_ML:
        return None
    assert not isinstance(model.network, Baseline)  # they do not disentangle
    with torch.no_grad():
        output = model.network.from_aligned(sample.brain[None], torch.eye(4)[None])
    parts = output.parts
    a, p = parts.total_asymmetry[0, 0], parts.pathological_asymmetry[0, 0].clamp(max=parts.total_asymmetry[0, 0])
    true_q = total_asymmetry(before.brain[None], model.recipe.network.polarity)[0, 0]
    true_p, q = (a - true_q).clamp(min=0), a - p
    probability = output.infarct_probability_aligned[0, 0]
    mask = probability >= model.recipe.threshold
    values = [
        p[inside].sum() / true_p[inside].sum(),
        p[~inside].sum() / p.sum().clamp(min=1e-6),
        (q - true_q)[inside].abs().sum() / (a - true_q)[inside].abs().sum(),
        (q - true_q)[~inside].abs().sum() / true_q[~inside].sum(),
        p.sum() / a.sum(),
        2 * (mask & inside).sum() / (mask.sum() + inside.sum()),
    ]
    sums = [float(x.sum()) for x in (p[inside], p, true_p[inside])]
    return [float(value) for value in values], sums, picture(model, sample, a, p, parts.salient[0, 0], probability)


def picture(model: Model, sample, a, p, salient, probability) -> TrainingPicture:
    grid = Grid.centred(tuple(a.shape), model.recipe.grid.spacing_mm)
    low, high = model.recipe.grid.window_hu
    width = high - low

    def volume(x: torch.Tensor, unit: str, scale: float = 1.0, shift: float = 0.0) -> Volume:
        return Volume((x * scale + shift).numpy().astype(np.float32), grid, unit)

    return TrainingPicture(
        aligned=volume(sample.brain[0], "HU", width, low),
        salient=volume(salient, "HU", width, low),
        asymmetry_total=volume(a, "HU", width),
        asymmetry_pathological=volume(p, "HU", width),
        asymmetry_intrinsic=volume(a - p, "HU", width),
        infarct_probability=volume(probability, "1"),
        reference=Volume((sample.infarct[0] > 0).numpy().astype(np.uint8), grid, "label"),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", nargs="+")
    parser.add_argument("--anatomy", type=Path)
    parser.add_argument("--lesions", type=Path)
    parser.add_argument("--split", default="val", choices=("train", "val", "test", "all"))
    parser.add_argument("-n", type=int, default=24, help="patients drawn; those without infarct are left out")
    parser.add_argument("-o", "--out", type=Path, help="a picture of six patients, of the first weights")
    arguments = parser.parse_args()
    library = Library.from_folders(arguments.anatomy, arguments.lesions, arguments.split)
    print(f"| median (quartiles) | n | {' | '.join(COLUMNS)} |\n|---|---|{'---|' * len(COLUMNS)}")
    for place, weights in enumerate(arguments.weights):
        model = load_model(weights)
        found = [measure(model, library, index) for index in range(arguments.n)]
        kept = [one for one in found if one]
        table = np.array([values for values, _, _ in kept])
        found_inside, found_all, true_inside = np.sum([sums for _, sums, _ in kept], axis=0)
        low, middle, high = np.percentile(table, [25, 50, 75], axis=0)
        cells = [f"{m:.2f} ({a:.2f} to {b:.2f})" for a, m, b in zip(low, middle, high, strict=True)]
        print(f"| {weights} | {len(kept)} | {' | '.join(cells)} |")
        shares = f"inside the infarcts {found_inside / found_all:.2f}, recovered {found_inside / true_inside:.2f}"
        print(f"| {weights}, pooled: {shares} |", flush=True)
        if arguments.out and place == 0:
            from adn.figures.training import training_sheet

            training_sheet([shown for _, _, shown in kept[:6]]).save(arguments.out, dpi=90)


if __name__ == "__main__":
    main()
