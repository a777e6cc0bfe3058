"""A pool of virtual patients: anatomy is rendered once; infarct, noise and density are drawn anew for each look.

Rendering anatomy is slow, and networks need to see many different infarcts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from adn.config import Recipe, TrainConfig
from adn.config_draws import LooksConfig
from adn.feed.mix import contrast_hu
from adn.feed.samples import Sample, deskull
from adn.feed.virtual import draw_left_over, easy_share, scanned_lattice, turning_shape
from adn.io.atomic import atomic_path
from adn.space.geometry import RigidTransform
from adn.space.warp import mirror
from adn.virtual.blur import blur
from adn.virtual.disease import Shares, infarct_in_voxels
from adn.virtual.draw import Choices, draw_acute, draw_patient
from adn.virtual.fields import Lesion, apply, lesions_of, normalised, random_field, read_field, shifted, swelling
from adn.virtual.folders import patient_generator
from adn.virtual.library import Library
from adn.virtual.plan import InfarctPlan, PatientPlan
from adn.virtual.render import QuietScan, develop, render_quiet, truth

POOL_STREAM = 20_000_000  # first index of the members' draws, separate from those of the looks
STORED_HU = (-300.0, 400.0)  # range of stored slices; half precision resolves 0.1 HU in the brain
COARSE = (2, 4, 4)  # voxels between which an infarct's swelling is interpolated


class Member(NamedTuple):
    """A patient without acute infarct, in the pose of the scan and without noise, on the box plus a margin."""

    plan: PatientPlan
    scan: QuietScan


@dataclass(frozen=True)
class Look:
    """One look at a member: everything that is drawn anew each time.

    plan: the member's, with other acute infarcts, noise and mask error. left_over: the alignment error. gain: contrast
    factor about the brain's mean. denser_hu: added to the brain. grey_hu: added to grey matter. uneven_hu: σ of smooth
    shading that differs between the sides. rough_hu: σ of noise beyond the scanner's. patchy: relative σ of the
    variation of darkening within an infarct. blur_voxels: σ in plane. slice_share: picks one slice, 0 to 1, whose
    copies replace all others; None: keep all slices. flip: left-right. seed: of fields and noise.
    """

    plan: PatientPlan
    left_over: RigidTransform
    gain: float = 1.0
    denser_hu: float = 0.0
    grey_hu: float = 0.0
    uneven_hu: float = 0.0
    rough_hu: float = 0.0
    patchy: float = 0.2
    blur_voxels: float = 0.0
    slice_share: float | None = None
    flip: bool = False
    seed: int = 0

    @property
    def acute(self) -> bool:
        """Whether the look has an acute infarct, visible or not."""
        return any(infarct.acute for infarct in self.plan.infarcts)


class PooledPatients(Dataset[Sample]):
    """Looks at a pool of patients on the brain box, for D and F; sample i depends on (seed, i) only.

    The pool is kept in a folder and rendered on demand, so that runs can resume and share it.
    """

    def __init__(self, recipe: Recipe, library: Library, seed: int, count: int, pool: int, folder: Path) -> None:
        self.recipe, self.library, self.seed = recipe, library, seed
        self.count, self.pool, self.folder = count, pool, folder
        patients = recipe.train.patients.with_infarcts(healthy_share=recipe.train.looks.healthy_share)
        self.choices = library.choices(patients)
        self.curriculum = recipe.train.segment.curriculum

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        """One look at one member, both drawn from (seed, index)."""
        generator = patient_generator(self.seed, index)
        member = self.member(int(torch.randint(self.pool, (), generator=generator)))
        train = self.recipe.train
        ease = easy_share(index, self.count, train.patients.infarcts) if self.curriculum else 0.0
        for left in reversed(range(train.looks.tries)):
            look = draw_look(generator, member.plan, replace(self.choices, ease=ease), train)
            sample = show(member, look, self.library, self.recipe)
            if not left or not look.acute or is_visible(sample, self.recipe):
                return sample
        raise AssertionError("train.looks.tries is at least 1")

    def member(self, place: int) -> Member:
        """The patient at this position in the pool, read from the folder or rendered and stored there."""
        stored = torch.load(self._rendered(place))
        scan = QuietScan(stored["slices"].float(), stored["centres"], stored["shares"].float() / 255)
        return Member(PatientPlan.from_dict(stored["plan"]), scan)

    def fill(self, device: torch.device | str, first: int = 0, step: int = 1) -> None:
        """Render the missing ones among every `step`-th member, on a device. A GPU is faster than workers."""
        for place in range(first, self.pool, step):
            self._rendered(place, device)

    def _rendered(self, place: int, device: torch.device | str = "cpu") -> Path:
        path = self.folder / f"{self.seed}-{place}.pt"
        if not path.is_file():
            plan = draw_patient(patient_generator(self.seed, POOL_STREAM + place), self.choices)
            self._put(render_member(plan, self.library, self.recipe, device), path)
        return path

    def _put(self, member: Member, path: Path) -> None:
        plan, (slices, centres, shares) = member
        values = {
            "plan": plan.to_dict(),
            "slices": slices.clamp(*STORED_HU).half(),
            "centres": centres,
            "shares": (shares * 255).round().to(torch.uint8),
        }
        with atomic_path(path, make_folder=True) as temporary:
            torch.save(values, temporary)


def is_visible(sample: Sample, recipe: Recipe) -> bool:
    """Whether a look shows an infarct large and dark enough to be seen (`train.looks`)."""
    return bool(sample.infarct.any()) and contrast_hu(sample, recipe.grid) >= recipe.train.looks.visible_hu


def render_member(plan: PatientPlan, library: Library, recipe: Recipe, device: torch.device | str = "cpu") -> Member:
    """Render a plan's anatomy and old disease in the scanner's pose, on a device; the result is on the CPU."""
    plan = replace(plan, infarcts=tuple(i for i in plan.infarcts if not i.acute))
    lattice = scanned_lattice(plan, turning_shape(recipe.grid), recipe)
    with torch.no_grad():
        lesions = lesions_of(plan, library.lesion, device)
        slices, centres, shares = render_quiet(plan, library.head(plan.head), lattice, lesions, device)
    return Member(plan, QuietScan(slices.cpu(), centres, shares[:4].cpu()))


def draw_look(
    generator: torch.Generator,
    plan: PatientPlan,
    choices: Choices,
    train: TrainConfig = TrainConfig(),  # noqa: B008 - it is frozen
) -> Look:
    """Draw a look from the ranges of `train.looks` and `train.poses`."""
    looks = train.looks
    u = torch.rand(19, generator=generator).tolist()
    seed = int(torch.randint(2**31, (), generator=generator))
    scanner = replace(
        plan.scanner,
        noise_hu=_log_between(looks.noise_hu, u[0]),
        grain_mm=_between(looks.grain_mm, u[1]),
        mask_error_mm=_between(looks.mask_error_mm, u[2]),
    )
    early = 0 <= u[13] - choices.ease < looks.early_share * (1 - choices.ease)  # if u[13] < ease: an easy one
    choices = replace(choices, ease=float(u[13] < choices.ease))
    if early:
        patients = choices.patients.with_infarcts(large_share=looks.early_large_share)
        choices = replace(choices, patients=patients)
    infarcts = draw_acute(generator, choices)
    if early:
        infarcts = tuple(_as_early(infarct, looks, *u[14:18]) for infarct in infarcts)
    return Look(
        plan=replace(plan, infarcts=infarcts, scanner=scanner, noise_seed=seed),
        left_over=draw_left_over(generator, plan, train.poses),
        gain=_between(looks.gain, u[3]),
        denser_hu=_between(looks.denser_hu, u[4]),
        grey_hu=_between(looks.grey_hu, u[5]),
        uneven_hu=_between(looks.uneven_hu, u[6]),
        rough_hu=looks.rough_hu * u[18] ** 2,
        patchy=_between(looks.patchy, u[12]),
        blur_voxels=_between(looks.blur_voxels, u[7]) if u[8] < looks.blur_share else 0.0,
        slice_share=u[10] if u[9] < looks.stack_share else None,
        flip=u[11] < 0.5,
        seed=seed,
    )


def _between(ends: tuple[float, float], u: float) -> float:
    return ends[0] + (ends[1] - ends[0]) * u


def _log_between(ends: tuple[float, float], u: float) -> float:
    return ends[0] * (ends[1] / ends[0]) ** u


def _as_early(infarct: InfarctPlan, looks: LooksConfig, u0: float, u1: float, u2: float, u3: float) -> InfarctPlan:
    """An infarct of the first hours, as experts outline it: slightly darker, with an edge as wide as its size allows.

    Networks trained only on sharp, uniform infarcts do not mark real ones (docs/lab/2026-11-28-first-weights.md,
    round 10).
    """
    drop = _between(looks.early_drop_hu, u0**looks.early_drop_power)
    widest = looks.early_edge_of_radius * infarct.radius_mm if infarct.territory else looks.early_edge_of_mask_mm
    edge_mm = min(_log_between(looks.early_edge_mm, u1), widest)
    white = drop * _between(looks.early_white, u2)
    return replace(infarct, drop_gm_hu=drop, drop_wm_hu=white, edge_mm=edge_mm, effacement=u3)


def show(member: Member, look: Look, library: Library, recipe: Recipe) -> Sample:
    """Build the sample of a look, on the brain box: scan with noise, align, then darken by the infarcts.

    The infarct is added after the scan. Darkening is linear in the content of a voxel, so the result differs from a
    full rendering only in the blur along thick slices, which is sampled at a few heights.
    """
    with torch.no_grad():
        sample = _show(member, look, library, recipe)
    return Sample(*(mirror(x).contiguous() for x in sample)) if look.flip else sample


def _show(member: Member, look: Look, library: Library, recipe: Recipe) -> Sample:
    grid, plan, box = recipe.grid, look.plan, recipe.grid.box or recipe.grid.shape
    span = grid.window_hu[1] - grid.window_hu[0]
    lattice = scanned_lattice(plan, turning_shape(grid), recipe)
    ct, seen = develop(plan, member.scan.slices, member.scan.centres, lattice)
    brain = (member.scan.shares[3] > 0.5) & seen
    scanned = deskull(ct, brain, grid, plan.scanner.mask_error_mm)

    # positions of the box's voxels in the patient's aligned frame, mm, (3, D, H, W), before and after swelling
    here = _positions(box, grid.spacing_mm, look.left_over)
    lesions = lesions_of(plan, library.lesion)
    mni_from_aligned = library.head(plan.head).mni_from_aligned @ np.diag([*(1 / np.array(plan.scale)), 1.0])
    from_where = here + _pushed(lesions, here, mni_from_aligned)
    to_scan = _unit_from_mm(RigidTransform.from_parameters(plan.rotation_deg).matrix, scanned.shape, grid.spacing_mm)
    layers = torch.cat([scanned[None], (scanned > 0).float()[None], member.scan.shares])
    x, inside, *shares = F.grid_sample(
        layers[None], apply(to_scan, from_where).movedim(0, -1)[None], align_corners=False
    )[0]
    # voxels fade at the brain's edge; dividing by `inside` restores the intensity of the part that is brain
    x = x / inside.clamp(min=1e-3)
    shares = torch.stack(shares)

    fields = random_field(torch.Generator().manual_seed(look.seed), 2, 45.0)
    density, shading = read_field(fields, here.movedim(0, -1))
    uneven = look.patchy * density
    hu, infarcted = _darken(plan, x * span + grid.window_hu[0], shares, lesions, from_where, mni_from_aligned, uneven)
    known = inside > 0.5
    mean = hu[known].mean() if known.any() else hu.new_tensor(30.0)
    hu = mean + look.gain * (hu - mean) + look.denser_hu + look.grey_hu * shares[0] + look.uneven_hu * shading
    if look.blur_voxels:
        sigma = (0.0, look.blur_voxels, look.blur_voxels)
        hu = (blur((hu * inside)[None, None], sigma) / blur(inside[None, None], sigma).clamp(min=1e-3))[0, 0]
    rough = torch.randn(hu.shape, generator=torch.Generator().manual_seed(look.seed + 1))
    hu = hu + look.rough_hu * 3 * F.avg_pool2d(rough[None], 3, 1, 1)[0]  # the mean of 3 × 3 pixels has a third of its σ
    lower = grid.window_hu[0]
    value = ((hu - lower) / span).clamp(1 / 1024, 1) * inside
    infarct, tissue, _ = truth(shares, infarcted, grid.spacing_mm[1:])
    infarct = infarct & (inside > 0)
    asked = infarct.sum() * math.prod(grid.spacing_mm) >= 1000 * recipe.train.looks.least_ml
    sample = Sample(value[None], (infarct * asked).float()[None], tissue[None])
    return sample if look.slice_share is None else _stacked(sample, look.slice_share, recipe.train.looks)


def _positions(shape: tuple[int, ...], spacing_mm: tuple[float, ...], pose: RigidTransform) -> Tensor:
    """Positions of a centred grid's voxels after a rigid motion, LPS mm, (3, D, H, W)."""
    z, y, x = ((torch.arange(n) + 0.5 - n / 2) * mm for n, mm in zip(shape, spacing_mm, strict=True))
    points = torch.stack(torch.broadcast_tensors(x, y[:, None], z[:, None, None]))
    return apply(pose.matrix, points)


def _unit_from_mm(motion: np.ndarray, shape: tuple[int, ...], spacing_mm: tuple[float, ...]) -> np.ndarray:
    """Matrix from LPS mm to the [-1, 1] coordinates of a centred grid, after a rigid motion."""
    sides = [n * mm / 2 for n, mm in zip(shape, spacing_mm, strict=True)]
    return np.diag([*(1 / np.array(sides[::-1])), 1.0]) @ motion


def _pushed(lesions: list[Lesion], here: Tensor, mni_from_aligned: np.ndarray) -> Tensor:
    """Offset from each voxel to where swelling takes its content from, mm, (3, D, H, W); on a coarse grid."""
    total = torch.zeros_like(here)
    swollen = [lesion for lesion in lesions if lesion.broad is not None]
    if swollen:
        coarse = F.avg_pool3d(here[None], COARSE)[0]
        mni = apply(mni_from_aligned, coarse)
        pushed = sum(swelling(lesion, mni) for lesion in swollen)
        total = F.interpolate(pushed[None], size=here.shape[1:], mode="trilinear")[0]  # type: ignore[index]
    return total


def _darken(
    plan: PatientPlan,
    hu: Tensor,
    shares: Tensor,
    lesions: list[Lesion],
    from_where: Tensor,
    mni_from_aligned: np.ndarray,
    uneven: Tensor,
) -> tuple[Tensor, Tensor]:
    """HU darkened by the infarcts, and the infarcted share of each voxel, (D, H, W) each."""
    infarcted = torch.zeros_like(hu)
    for lesion in lesions:
        extents = [_extent(lesion, from_where, mni_from_aligned, height) for height in _heights(plan)]
        hu, share = infarct_in_voxels(plan, lesion.plan, hu, extents, Shares(*shares[:4]), uneven)
        infarcted = torch.maximum(infarcted, share)
    return hu, infarcted


def _heights(plan: PatientPlan) -> tuple[float, ...]:
    """Heights over which a thick slice averages, mm from its middle."""
    third = plan.scanner.slice_mm / 3
    return (-third, 0.0, third)


def _extent(lesion: Lesion, from_where: Tensor, mni_from_aligned: np.ndarray, height_mm: float) -> Tensor:
    """A lesion's soft extent, 0 to 1, at positions shifted up by height_mm."""
    to_unit = normalised(np.array(lesion.soft.shape[:1:-1])) @ lesion.index_from_mni @ mni_from_aligned
    place = apply(to_unit @ shifted((0.0, 0.0, height_mm)), from_where)
    return F.grid_sample(lesion.soft, place.movedim(0, -1)[None], align_corners=False)[0, 0]


def _stacked(sample: Sample, share: float, looks: LooksConfig) -> Sample:
    """Copies of a single slice with much brain, and with infarct if the sample has any."""
    area = (sample.brain > 0)[0].flatten(1).sum(1)
    large = area >= looks.stack_of_area * area.max()
    ill = large & (sample.infarct > 0)[0].flatten(1).any(1)
    held = (ill if ill.any() else large).nonzero()[:, 0]
    place = int(held[min(int(share * len(held)), len(held) - 1)])
    return Sample(*(x[:, place : place + 1].expand_as(x).contiguous() for x in sample))
