"""Endless virtual patients as data sets: sample i depends on (seed, i) only, so that training can resume anywhere."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.utils.data import Dataset

from adn.config import Recipe
from adn.data.samples import Sample, deskull
from adn.geometry import RigidTransform
from adn.synth.draw import draw_patient
from adn.synth.lattice import Lattice
from adn.synth.render import VirtualPatient
from adn.synthesize import Library, patient_generator, render_plan
from adn.warp import rigid_matrix, warp

JITTER_DEG, JITTER_MM = 0.8, 0.8  # what alignment leaves over (σ)
MAX_IN_PLANE_DEG = 32.0  # heads lie up to 30° turned in the scanner


class AlignedPatients(Dataset[Sample]):
    """Patients rendered straight on the brain box, for D and F: the plane is known, but for alignment's usual error."""

    def __init__(self, recipe: Recipe, library: Library, seed: int, count: int, curriculum: bool = False) -> None:
        """curriculum: begin with easy patients only; their share falls to none over two thirds of `count`."""
        self.recipe, self.library, self.seed = recipe, library, seed
        self.count, self.curriculum = count, curriculum
        self.choices = library.choices()

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        """Draw, pose and render sample `index`."""
        grid = self.recipe.grid
        generator = patient_generator(self.seed, index)
        ease = max(0.0, 1 - 1.5 * index / self.count) if self.curriculum else 0.0
        plan = draw_patient(generator, replace(self.choices, ease=ease))
        jitter = torch.randn(3, generator=generator).tolist()
        place = torch.rand(2, generator=generator).sub(0.5).tolist()
        pose = RigidTransform.from_parameters(
            (-plan.rotation_deg[0], jitter[0] * JITTER_DEG, jitter[1] * JITTER_DEG),
            (jitter[2] * JITTER_MM, place[0] * 12, place[1] * 12),
        )
        lattice = Lattice(grid.box or grid.shape, grid.spacing_mm, pose)
        patient = render_plan(plan, self.library, lattice)
        return to_sample(patient, self.recipe, plan.scanner.mask_error_mm)


def to_sample(patient: VirtualPatient, recipe: Recipe, mask_error_mm: float = 0.0) -> Sample:
    """Window and deskull a rendered patient."""
    brain = deskull(patient.ct, patient.brain, recipe.grid, mask_error_mm)
    return Sample(brain[None], patient.infarct.float()[None], patient.tissue[None])


class PosedBrains(Dataset[Tensor]):
    """Brains at random poses on T's coarse copy of the model grid: a pool is rendered once, then turned and moved.

    Rendering is the dear part and T learns from geometry, so a pool of 120 heads serves thousands of poses.
    """

    def __init__(self, recipe: Recipe, library: Library, seed: int, count: int, pool: int = 120) -> None:
        self.recipe, self.library, self.seed, self.count = recipe, library, seed, count
        grid, shrink = recipe.grid, recipe.align.shrink
        spacing = (grid.spacing_mm[0], grid.spacing_mm[1] * shrink, grid.spacing_mm[2] * shrink)
        self.grid = grid.model_copy(update={"spacing_mm": spacing})
        self.shape = (grid.shape[0], grid.shape[1] // shrink, grid.shape[2] // shrink)
        self.choices = library.choices()
        self.pool: dict[int, Tensor] = {}
        self.pool_size = min(pool, count)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Tensor:
        """(1, D, H, W): a pool member at a random in-plane rotation, roll and shift."""
        generator = patient_generator(self.seed, index)
        brain = self._member(int(torch.randint(self.pool_size, (), generator=generator)))[None, None]
        u = torch.rand(5, generator=generator) * 2 - 1
        roll, in_plane = u[0] * self.recipe.align.max_roll_deg, u[1] * MAX_IN_PLANE_DEG
        rotation = torch.stack([torch.zeros(()), roll, in_plane])[None]
        pose = rigid_matrix(rotation, torch.stack([u[2] * 30, u[3] * 20, u[4] * 10])[None])
        return warp(brain, pose, self.grid.spacing_mm)[0]

    def _member(self, place: int) -> Tensor:
        if place not in self.pool:
            plan = draw_patient(patient_generator(self.seed, 10_000_000 + place), self.choices)
            nod = RigidTransform.from_parameters((-plan.rotation_deg[0], 0.0, 0.0))
            patient = render_plan(plan, self.library, Lattice(self.shape, self.grid.spacing_mm, nod))
            self.pool[place] = deskull(patient.ct, patient.brain, self.grid).half()
        return self.pool[place].float()
