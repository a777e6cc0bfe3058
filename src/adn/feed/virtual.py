"""Endless virtual patients as data sets: sample i depends on (seed, i) only, so that training can resume anywhere."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace

import torch
from torch import Tensor
from torch.utils.data import Dataset

from adn.config import GridConfig, Recipe
from adn.config_draws import InfarctsConfig, PosesConfig
from adn.feed.samples import PosedBrain, Sample, deskull
from adn.space.geometry import RigidTransform
from adn.space.warp import invert_rigid, rigid_matrix, warp
from adn.virtual.draw import draw_patient
from adn.virtual.folders import patient_generator, render_plan
from adn.virtual.lattice import Lattice
from adn.virtual.library import Library
from adn.virtual.plan import PatientPlan
from adn.virtual.render import VirtualPatient

TURNING_ROOM = (8, 16, 16)  # margin of the box along D, H, W, voxels, for rotated heads
POOL_BEGINS = 10_000_000  # index of the first head of T's pool, beyond the indices of the poses


class _Patients(ABC, Dataset[Sample]):
    """Patients drawn and rendered one by one; subclasses choose the pose and the grid."""

    def __init__(self, recipe: Recipe, library: Library, seed: int, count: int, curriculum: bool = False) -> None:
        """curriculum: start with easy patients only (`easy_share`)."""
        self.recipe, self.library, self.seed = recipe, library, seed
        self.count, self.curriculum = count, curriculum
        self.choices = library.choices(recipe.train.patients)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        """Draw, pose and render sample `index`."""
        generator = patient_generator(self.seed, index)
        ease = easy_share(index, self.count, self.recipe.train.patients.infarcts) if self.curriculum else 0.0
        plan = draw_patient(generator, replace(self.choices, ease=ease))
        return self.show(plan, generator)

    @abstractmethod
    def show(self, plan: PatientPlan, generator: torch.Generator) -> Sample:
        """Render a plan in the pose and on the grid of this data set."""


class AlignedPatients(_Patients):
    """Patients on the brain box, for D and F: scanned in their pose, then aligned up to the usual error.

    They are not rendered directly on the box, because prediction never sees such heads: slices of a rolled head cut its
    two sides at different heights, so thick slices average them differently, and the resampling in alignment removes
    noise.
    """

    def show(self, plan: PatientPlan, generator: torch.Generator) -> Sample:
        """The patient on the brain box, with a small alignment error."""
        return aligned_sample(plan, self.library, draw_left_over(generator, plan, self.recipe.train.poses), self.recipe)


def draw_left_over(generator: torch.Generator, plan: PatientPlan, poses: PosesConfig) -> RigidTransform:
    """The pose that remains after alignment: all of the pitch and a little of the rest."""
    jitter = torch.randn(3, generator=generator).tolist()
    place, along = torch.rand(2, generator=generator).sub(0.5).tolist(), 2 * poses.max_left_over_mm
    return RigidTransform.from_parameters(
        (-plan.rotation_deg[0], jitter[0] * poses.left_over_deg, jitter[1] * poses.left_over_deg),
        (jitter[2] * poses.left_over_mm, place[0] * along, place[1] * along),
    )


class PosedPatients(_Patients):
    """Patients in their scanned pose, on the whole model grid centred on the brain, as `conform` leaves a case.

    For recipes that compute L_F in input space, where T has to find the plane and its inverse is scored as well.
    """

    def show(self, plan: PatientPlan, generator: torch.Generator) -> Sample:
        """The patient on the model grid, in its pose."""
        lattice = scanned_lattice(plan, self.recipe.grid.shape, self.recipe)
        return render_sample(plan, self.library, lattice, self.recipe)


def aligned_sample(plan: PatientPlan, library: Library, left_over: RigidTransform, recipe: Recipe) -> Sample:
    """Scan a plan in its pose, then align it onto the brain box, where voxel p reads patient(left_over · p).

    One linear resampling, as T does at prediction; tissue takes the nearest voxel.
    """
    grid = recipe.grid
    box = grid.box or grid.shape
    scanned = render_sample(plan, library, scanned_lattice(plan, turning_shape(grid), recipe), recipe)
    motion = RigidTransform.from_parameters(plan.rotation_deg) @ left_over
    pose = torch.tensor(motion.matrix, dtype=torch.float32)[None]

    def turn(x: Tensor, mode: str = "bilinear") -> Tensor:
        return warp(x[None].float(), pose, grid.spacing_mm, box, mode)[0]

    infarct = (turn(scanned.infarct) >= 0.5).float()
    return Sample(turn(scanned.brain), infarct, turn(scanned.tissue, "nearest").to(torch.uint8))


def turning_shape(grid: GridConfig) -> tuple[int, int, int]:
    """The brain box with a margin for rotated heads, at most the model grid."""
    depth, height, width = (
        min(n, side + margin) for n, side, margin in zip(grid.shape, grid.box or grid.shape, TURNING_ROOM, strict=True)
    )
    return depth, height, width


def scanned_lattice(plan: PatientPlan, shape: tuple[int, ...], recipe: Recipe) -> Lattice:
    """Voxels of the model grid about the head in its pose in the scanner."""
    depth, height, width = shape
    turned = RigidTransform.from_parameters(plan.rotation_deg).inverse()
    return Lattice((depth, height, width), recipe.grid.spacing_mm, turned)


def easy_share(index: int, count: int, config: InfarctsConfig) -> float:
    """Share of easy patients in a curriculum: from 1 down to `easy_at_last` over 1 / `easy_pace` of `count`."""
    return max(config.easy_at_last, 1 - config.easy_pace * (1 - config.easy_at_last) * index / count)


def render_sample(plan: PatientPlan, library: Library, lattice: Lattice, recipe: Recipe) -> Sample:
    """Render a plan as a training sample. With polarity 'bright' its bleeds are the reference."""
    patient = render_plan(plan, library, lattice)
    if recipe.network.polarity == "bright":
        patient = replace(patient, infarct=bleeds_shown(plan, patient, library, lattice))
    return to_sample(patient, recipe, plan.scanner.mask_error_mm)


def bleeds_shown(plan: PatientPlan, patient: VirtualPatient, library: Library, lattice: Lattice) -> Tensor:
    """Where the plan's bleeds are visible, (D, H, W) bool.

    The patient is rendered again without them, with the same noise: a voxel belongs to a bleed if the bleed makes it
    brighter by more than half of its contrast.
    """
    bleeds = [spot for spot in plan.bright if spot.kind == "bleed"]
    if not bleeds:
        return torch.zeros_like(patient.infarct)
    others = tuple(spot for spot in plan.bright if spot.kind != "bleed")
    without = render_plan(replace(plan, bright=others), library, lattice)
    contrast = min(spot.hu for spot in bleeds) - plan.gm_hu
    return (patient.ct - without.ct > contrast / 2) & patient.brain


def to_sample(patient: VirtualPatient, recipe: Recipe, mask_error_mm: float = 0.0) -> Sample:
    """Window and deskull a rendered patient."""
    brain = deskull(patient.ct, patient.brain, recipe.grid, mask_error_mm)
    return Sample(brain[None], patient.infarct.float()[None], patient.tissue[None])


class PosedBrains(Dataset[PosedBrain]):
    """Brains in random poses on T's coarse copy of the model grid: a pool is rendered once, then rotated and shifted.

    Rendering is expensive and T learns from geometry, so a few heads serve thousands of poses.
    """

    def __init__(self, recipe: Recipe, library: Library, seed: int, count: int, pool: int | None = None) -> None:
        """pool: number of heads; None: the recipe's (`train.poses.heads`)."""
        self.recipe, self.library, self.seed, self.count = recipe, library, seed, count
        grid, shrink = recipe.grid, recipe.align.shrink
        spacing = (grid.spacing_mm[0], grid.spacing_mm[1] * shrink, grid.spacing_mm[2] * shrink)
        self.grid = grid.model_copy(update={"spacing_mm": spacing})
        self.shape = (grid.shape[0], grid.shape[1] // shrink, grid.shape[2] // shrink)
        self.choices = library.choices(recipe.train.patients)
        self.pool: dict[int, Tensor] = {}
        self.pool_size = min(pool or recipe.train.poses.heads, count)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> PosedBrain:
        """A head of the pool with random in-plane rotation, roll and shift."""
        generator = patient_generator(self.seed, index)
        brain = self._member(int(torch.randint(self.pool_size, (), generator=generator)))[None, None]
        u = torch.rand(5, generator=generator) * 2 - 1
        poses = self.recipe.train.poses
        x, y, z = poses.max_shift_mm
        roll, in_plane = u[0] * self.recipe.align.max_roll_deg, u[1] * poses.max_in_plane_deg
        rotation = torch.stack([torch.zeros(()), roll, in_plane])[None]
        pose = rigid_matrix(rotation, torch.stack([u[2] * x, u[3] * y, u[4] * z])[None])
        return PosedBrain(warp(brain, pose, self.grid.spacing_mm)[0], invert_rigid(pose)[0])

    def _member(self, place: int) -> Tensor:
        if place not in self.pool:
            plan = draw_patient(patient_generator(self.seed, POOL_BEGINS + place), self.choices)
            nod = RigidTransform.from_parameters((-plan.rotation_deg[0], 0.0, 0.0))
            patient = render_plan(plan, self.library, Lattice(self.shape, self.grid.spacing_mm, nod))
            self.pool[place] = deskull(patient.ct, patient.brain, self.grid).half()
        return self.pool[place].float()
