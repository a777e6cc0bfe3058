"""Endless virtual patients as data sets: sample i depends on (seed, i) only, so that training can resume anywhere."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from adn.config import Recipe
from adn.data.samples import PosedBrain, Sample, deskull
from adn.geometry import RigidTransform
from adn.synth.draw import draw_patient
from adn.synth.lattice import Lattice
from adn.synth.plan import PatientPlan
from adn.synth.render import VirtualPatient
from adn.synthesize import Library, patient_generator, render_plan
from adn.warp import invert_rigid, mirror, rigid_matrix, warp

JITTER_DEG, JITTER_MM = 0.8, 0.8  # what alignment leaves over (σ)
EASY_AT_LAST = 0.3  # without any, networks lose large infarcts again (validation patients)
POOL_STREAM = 20_000_000  # where a pool's members are drawn, apart from the looks at them
TURNING_ROOM = (8, 16, 16)  # voxels more than the box along D, H, W, for heads that lie turned
MAX_IN_PLANE_DEG = 32.0  # heads lie up to 30° turned in the scanner


class _Patients(ABC, Dataset[Sample]):
    """Patients drawn and rendered one by one; where they lie is what the classes below differ in."""

    def __init__(self, recipe: Recipe, library: Library, seed: int, count: int, curriculum: bool = False) -> None:
        """curriculum: begin with easy patients only; their share falls over two thirds of `count`."""
        self.recipe, self.library, self.seed = recipe, library, seed
        self.count, self.curriculum = count, curriculum
        self.choices = library.choices()

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        """Draw, pose and render sample `index`."""
        generator = patient_generator(self.seed, index)
        plan = draw_patient(generator, replace(self.choices, ease=_ease(index, self.count, self.curriculum)))
        return self.show(plan, generator)

    @abstractmethod
    def show(self, plan: PatientPlan, generator: torch.Generator) -> Sample:
        """Render a plan where this data set wants it."""


class AlignedPatients(_Patients):
    """Patients on the brain box, for D and F: scanned as they lie, then aligned, but for alignment's usual error.

    As at prediction, and not straight on the box: a rolled head's slices cut its sides at different places, so that
    thick slices mix them unlike, and the resampling that turns a head back takes noise away.
    """

    def show(self, plan: PatientPlan, generator: torch.Generator) -> Sample:
        """The brain box, slightly off."""
        jitter = torch.randn(3, generator=generator).tolist()
        place = torch.rand(2, generator=generator).sub(0.5).tolist()
        left_over = RigidTransform.from_parameters(
            (-plan.rotation_deg[0], jitter[0] * JITTER_DEG, jitter[1] * JITTER_DEG),
            (jitter[2] * JITTER_MM, place[0] * 12, place[1] * 12),
        )
        return aligned_sample(plan, self.library, left_over, self.recipe)


class Twins(NamedTuple):
    """One patient with and without the acute infarct, as `Sample`'s fields; the noise is the same."""

    ill: Sample
    spared: Tensor


@dataclass(frozen=True)
class Again:
    """What one more look at a rendered patient changes.

    spared: shown without the acute infarct. strength: of what the infarct changes. denser_hu: added to all of the
    brain. noise_hu: σ of white noise on the box, the same in every slice if `along`. flip: left-right.
    """

    spared: bool
    strength: float
    denser_hu: float
    noise_hu: float
    along: bool
    flip: bool


class PooledPatients(AlignedPatients):
    """A pool of aligned patients, each rendered once with and once without infarct, and at each look changed anew.

    Rendering takes longer than a step of small networks, and looks differ in what costs nothing (`Again`). The pool is
    kept in a folder, made as it is asked for, so that runs resume and share it.
    """

    def __init__(self, recipe: Recipe, library: Library, seed: int, count: int, pool: int, folder: Path) -> None:
        super().__init__(recipe, library, seed, count)
        self.pool, self.folder = pool, folder
        # the spared add to those without infarct
        self.choices = replace(self.choices, ease=EASY_AT_LAST, healthy_share=self.choices.healthy_share / 2)

    def __getitem__(self, index: int) -> Sample:
        """Look at one of the pool, drawn with its change from (seed, index)."""
        generator = patient_generator(self.seed, index)
        place = int(torch.randint(self.pool, (), generator=generator))
        return look(self.member(place), draw_again(generator), self.recipe, generator)

    def member(self, place: int) -> Twins:
        """The patient at this place of the pool, read from the folder or rendered and put there."""
        path = self.folder / f"{self.seed}-{place}.pt"
        if not path.is_file():
            generator = patient_generator(self.seed, POOL_STREAM + place)
            plan = draw_patient(generator, self.choices)
            state = generator.get_state()
            ill = self.show(plan, generator)
            generator.set_state(state)
            acute_spared = replace(plan, infarcts=tuple(i for i in plan.infarcts if i.stage == "old"))
            spared = self.show(acute_spared, generator).brain if acute_spared != plan else ill.brain
            fields = (ill.brain.half(), ill.infarct.bool(), ill.tissue, spared.half())
            self.folder.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(f".{os.getpid()}")
            torch.save(fields, part)
            part.replace(path)
        brain, infarct, tissue, spared = torch.load(path)
        return Twins(Sample(brain.float(), infarct.float(), tissue), spared.float())


def draw_again(generator: torch.Generator) -> Again:
    """A tenth spared, strength 0.5 to 1.5, density −4 to 8 HU, up to 3 HU of noise every other time."""
    u = torch.rand(7, generator=generator).tolist()
    noise_hu = 3 * u[3] if u[4] < 0.5 else 0.0
    return Again(u[0] < 0.1, 0.5 + u[1], 12 * u[2] - 4, noise_hu, u[5] < 0.3, u[6] < 0.5)


def look(twins: Twins, again: Again, recipe: Recipe, generator: torch.Generator) -> Sample:
    """The patient with this change; the generator draws the noise."""
    (brain, infarct, tissue), spared = twins
    lower, upper = recipe.grid.window_hu
    inside = brain > 0
    shown = spared + (0.0 if again.spared else again.strength) * (brain - spared) + again.denser_hu / (upper - lower)
    if again.noise_hu:
        shape = (1, 1, *brain.shape[2:]) if again.along else brain.shape
        shown = shown + torch.randn(shape, generator=generator) * again.noise_hu / (upper - lower)
    shown = shown.clamp(1 / 1024, 1) * inside
    sample = Sample(shown, torch.zeros_like(infarct) if again.spared else infarct, tissue)
    return Sample(*(mirror(x) for x in sample)) if again.flip else sample


class PosedPatients(_Patients):
    """Patients as scanned, turned, on the whole model grid about the brain's middle, as `conform` leaves a case.

    For recipes that compute L_F in input space: T has to find the plane, and its way back counts.
    """

    def show(self, plan: PatientPlan, generator: torch.Generator) -> Sample:
        """The model grid about the turned head."""
        return render_sample(plan, self.library, _scanned(plan, self.recipe.grid.shape, self.recipe), self.recipe)


def aligned_sample(plan: PatientPlan, library: Library, left_over: RigidTransform, recipe: Recipe) -> Sample:
    """A plan scanned as the head lies, then turned back onto the brain box, where voxel p reads patient(left_over · p).

    One linear resampling, as T's at prediction; tissue by the nearest voxel.
    """
    grid = recipe.grid
    box = grid.box or grid.shape
    shape = tuple(min(n, side + margin) for n, side, margin in zip(grid.shape, box, TURNING_ROOM, strict=True))
    scanned = render_sample(plan, library, _scanned(plan, shape, recipe), recipe)
    motion = RigidTransform.from_parameters(plan.rotation_deg) @ left_over
    pose = torch.tensor(motion.matrix, dtype=torch.float32)[None]

    def turn(x: Tensor, mode: str = "bilinear") -> Tensor:
        return warp(x[None].float(), pose, grid.spacing_mm, box, mode)[0]

    infarct = (turn(scanned.infarct) >= 0.5).float()
    return Sample(turn(scanned.brain), infarct, turn(scanned.tissue, "nearest").to(torch.uint8))


def _scanned(plan: PatientPlan, shape: tuple[int, ...], recipe: Recipe) -> Lattice:
    """Voxels of the model grid about the head as it lies in the scanner."""
    depth, height, width = shape
    turned = RigidTransform.from_parameters(plan.rotation_deg).inverse()
    return Lattice((depth, height, width), recipe.grid.spacing_mm, turned)


def _ease(index: int, count: int, curriculum: bool) -> float:
    """Share of easy patients: all at first, from two thirds on a fixed share."""
    return max(EASY_AT_LAST, 1 - 1.5 * (1 - EASY_AT_LAST) * index / count) if curriculum else 0.0


def render_sample(plan: PatientPlan, library: Library, lattice: Lattice, recipe: Recipe) -> Sample:
    """Render a plan as training sees it. With polarity 'bright' the reference is the plan's bleeds."""
    patient = render_plan(plan, library, lattice)
    if recipe.network.polarity == "bright":
        patient = replace(patient, infarct=bleeds_shown(plan, patient, library, lattice))
    return to_sample(patient, recipe, plan.scanner.mask_error_mm)


def bleeds_shown(plan: PatientPlan, patient: VirtualPatient, library: Library, lattice: Lattice) -> Tensor:
    """Where the plan's bleeds show, (D, H, W) bool.

    The patient is rendered once more without them, with the same noise: a voxel that they brighten by half their
    contrast or more is theirs.
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

    def __getitem__(self, index: int) -> PosedBrain:
        """A pool member at a random in-plane rotation, roll and shift."""
        generator = patient_generator(self.seed, index)
        brain = self._member(int(torch.randint(self.pool_size, (), generator=generator)))[None, None]
        u = torch.rand(5, generator=generator) * 2 - 1
        roll, in_plane = u[0] * self.recipe.align.max_roll_deg, u[1] * MAX_IN_PLANE_DEG
        rotation = torch.stack([torch.zeros(()), roll, in_plane])[None]
        pose = rigid_matrix(rotation, torch.stack([u[2] * 30, u[3] * 20, u[4] * 10])[None])
        return PosedBrain(warp(brain, pose, self.grid.spacing_mm)[0], invert_rigid(pose)[0])

    def _member(self, place: int) -> Tensor:
        if place not in self.pool:
            plan = draw_patient(patient_generator(self.seed, 10_000_000 + place), self.choices)
            nod = RigidTransform.from_parameters((-plan.rotation_deg[0], 0.0, 0.0))
            patient = render_plan(plan, self.library, Lattice(self.shape, self.grid.spacing_mm, nod))
            self.pool[place] = deskull(patient.ct, patient.brain, self.grid).half()
        return self.pool[place].float()
