"""Virtual patients about whom everything is known, for the scripts that measure findings other than the infarct.

Besides the scan: the same head without noise, the same without its infarcts, the head's FreeSurfer labels and MNI
coordinates mapped by the generator's own warp, and the true mid-sagittal plane. Heads 13 to 16, never used in training.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from adn.prediction.model import Model
from adn.prediction.pipeline import home, infer, locate
from adn.results import Scan
from adn.space.geometry import Grid
from adn.space.volume import Volume
from adn.virtual.draw import draw_patient
from adn.virtual.fields import lesions_of
from adn.virtual.folders import patient_generator, render_plan, scanner_lattice
from adn.virtual.library import Library, _read_codes
from adn.virtual.plan import PatientPlan
from adn.virtual.render import head_places

SEED = 3030


@dataclass(frozen=True, eq=False)
class KnownHead:
    """Arrays (D, H, W), SPL. scan, brain: as adn is given them. infarct: the plan's acute ones.

    quiet: HU without noise, the infarct not swollen, so that tissue stays where it was; healthy: without infarct, too.
    labels: FreeSurfer's. mni: (3, D, H, W), LPS mm, by the true warp. aligned: array index → LPS mm about the
    mid-sagittal plane as adn found it; true_aligned: the true.
    marked: what the weights mark, where they were asked.
    """

    plan: PatientPlan
    scan: Volume
    brain: Volume
    infarct: NDArray[np.bool_]
    quiet: NDArray[np.float32]
    healthy: NDArray[np.float32]
    labels: NDArray[np.int32]
    mni: NDArray[np.float32]
    aligned: NDArray[np.float64]
    true_aligned: NDArray[np.float64]
    marked: NDArray[np.uint8] | None


def drawn_plans(library: Library, seed: int = SEED) -> Iterator[PatientPlan]:
    """Plans of whole heads without gantry tilt, one after the other."""
    choices, i = library.choices(), 0
    while True:
        plan = draw_patient(patient_generator(seed, i), choices)
        i += 1
        scanner = replace(plan.scanner, tilt_deg=0.0, below_mm=80.0, above_mm=86.0)
        rotation = (plan.rotation_deg[0], plan.rotation_deg[1] * 0.6, plan.rotation_deg[2] * 0.6)
        yield replace(plan, scanner=scanner, rotation_deg=rotation)


def known_head(
    plan: PatientPlan, library: Library, model: Model, matrix: int = 256, mark: bool = False, healthy: bool = True
) -> KnownHead:
    """Render a plan with its ground truth. mark: let the weights mark the infarct. healthy: also render it without."""
    lattice = scanner_lattice(plan, matrix)
    patient = render_plan(plan, library, lattice)
    silent = replace(plan.scanner, noise_hu=1e-3)
    still = tuple(replace(infarct, swelling_mm=0.0, effacement=0.0) for infarct in plan.infarcts)
    quiet = render_plan(replace(plan, scanner=silent, infarcts=still), library, lattice).ct if healthy else patient.ct
    well = render_plan(replace(plan, scanner=silent, infarcts=()), library, lattice).ct if healthy else patient.ct
    head = library.head(plan.head)
    with torch.no_grad():
        place = head_places(plan, head, lattice, lesions_of(plan, library.lesion)).numpy()
    index_from_aligned = head.head_from_aligned.copy()
    index_from_aligned[:3, 3] += (np.array(head.codes.shape[::-1]) - 1) / 2
    to_mni = head.mni_from_aligned @ np.linalg.inv(index_from_aligned)
    mni = np.einsum("ij,jdhw->idhw", to_mni[:3, :3], place) + to_mni[:3, 3][:, None, None, None]
    grid = Grid.centred(lattice.shape, lattice.spacing_mm)
    scan = Volume(patient.ct.numpy().astype(np.float32), grid)
    brain = Volume(patient.brain.numpy().astype(np.uint8), grid, "label")
    located = locate(Scan(plan.head, scan, "virtual"), model, strip=lambda _: brain)
    return KnownHead(
        plan, scan, brain, patient.infarct.numpy(), quiet.numpy(), well.numpy(),
        _labels(library, plan.head, place), mni.astype(np.float32), located.aligned_from_scan,
        lattice.pose.matrix @ np.linalg.inv(grid.index_from_frame),
        home(infer(located, model), located, model.recipe).infarct if mark else None,
    )  # fmt: skip


def _labels(library: Library, head: str, place: NDArray) -> NDArray[np.int32]:
    """FreeSurfer labels at places of the head's array, which has a border of one voxel about the label map's."""
    labels = np.pad(_read_codes(library.heads[head])[1], 1)
    x, y, z = (np.clip(np.rint(p), 0, n - 1).astype(int) for p, n in zip(place, labels.shape[::-1], strict=True))
    return labels[z, y, x]
