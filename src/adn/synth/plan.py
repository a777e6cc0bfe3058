"""Drawing a virtual patient: every random choice as plain data, so that a case can be replayed (method.md, 7)."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch

from adn.geometry import RigidTransform


@dataclass(frozen=True)
class InfarctPlan:
    """One ischaemic lesion. source: a mask's name, or '' for a procedural one of `territory` and `radius_mm`.

    drop_wm_hu, drop_gm_hu: how much darker tissue gets. edge_mm: Gaussian softness. effacement: how far sulcal CSF
    inside takes on the HU of swollen tissue, 0 to 1. acute False: an old one, of CSF density, never labelled.
    """

    source: str
    territory: int
    radius_mm: float
    left_right_flip: bool
    drop_wm_hu: float
    drop_gm_hu: float
    edge_mm: float
    effacement: float
    acute: bool


@dataclass(frozen=True)
class BrightPlan:
    """A bright spot (calcification, small bleed, hyperdense artery): position and half axes in MNI-like LPS mm."""

    centre_mm: tuple[float, float, float]
    half_axes_mm: tuple[float, float, float]
    hu: float


@dataclass(frozen=True)
class ScannerPlan:
    """slice_mm: thickness and spacing; phase: where the first slice lies, 0 to 1. noise_hu: σ at 0.45 mm pixels.

    grain_mm: width of the noise's correlation. blur_mm: point spread (Gaussian σ) in plane. cupping_hu, ramp_hu: bowl
    and left-right ramp. streak_hu: petrous streaks. mask_error_mm: how far the brain mask is off (signed; training).
    tilt_deg (gantry) and headrest are drawn, but `render` does not show them yet.
    """

    slice_mm: float
    phase: float
    pixel_mm: float
    tilt_deg: float
    noise_hu: float
    grain_mm: float
    blur_mm: float
    cupping_hu: float
    ramp_hu: float
    streak_hu: float
    mask_error_mm: float
    headrest: bool


@dataclass(frozen=True)
class PatientPlan:
    """Everything about one virtual patient. rotation_deg, translation_mm: pose of the head on the table.

    scale: head size along x, y, z. warp_mm: amplitude of the smooth deformation. torque_mm: left-right torque.
    atrophy_sulci, atrophy_ventricles: (left, right), 0 none to 1 marked. HU of tissues; mottle_hu: slow variation
    within tissue; leukoaraiosis: 0 to 1.
    """

    head: str
    noise_seed: int
    rotation_deg: tuple[float, float, float]
    translation_mm: tuple[float, float, float]
    scale: tuple[float, float, float]
    warp_mm: float
    torque_mm: float
    atrophy_sulci: tuple[float, float]
    atrophy_ventricles: tuple[float, float]
    wm_hu: float
    gm_hu: float
    csf_hu: float
    bone_hu: float
    choroid_hu: float
    mottle_hu: float
    leukoaraiosis: float
    infarcts: tuple[InfarctPlan, ...]
    bright: tuple[BrightPlan, ...]
    scanner: ScannerPlan

    @property
    def pose(self) -> RigidTransform:
        """aligned(p) = scan(pose · p), LPS mm."""
        return RigidTransform.from_parameters(self.rotation_deg, self.translation_mm)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> PatientPlan:
        """Back from `to_dict`, through JSON."""
        plain = {field.name: _tuple(values[field.name]) for field in fields(cls)}
        plain["infarcts"] = tuple(InfarctPlan(**{k: _tuple(v) for k, v in x.items()}) for x in values["infarcts"])
        plain["bright"] = tuple(BrightPlan(**{k: _tuple(v) for k, v in x.items()}) for x in values["bright"])
        plain["scanner"] = ScannerPlan(**values["scanner"])
        return cls(**plain)


def _tuple(value: Any) -> Any:
    return tuple(_tuple(v) for v in value) if isinstance(value, list) else value


@dataclass(frozen=True)
class Choices:
    """What may be drawn: head names, lesion masks by volume stratum, and how far the head may be turned and moved."""

    heads: tuple[str, ...]
    lesions: tuple[tuple[str, ...], ...] = ()
    healthy_share: float = 0.2
    max_in_plane_deg: float = 30.0
    max_roll_deg: float = 12.0
    max_pitch_deg: float = 15.0
    max_shift_mm: float = 30.0
    ease: float = 0.0  # share of easy patients (a plain, larger, darker infarct, nothing else): a curriculum's start


class _Dice:
    """Uniform numbers, choices and chances from one explicit generator."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        return low + (high - low) * float(torch.rand((), generator=self.generator, dtype=torch.float64))

    def chance(self, probability: float) -> bool:
        return self.uniform() < probability

    def index(self, count: int) -> int:
        return int(torch.randint(count, (), generator=self.generator))

    def log_uniform(self, low: float, high: float) -> float:
        return math.exp(self.uniform(math.log(low), math.log(high)))


N_TERRITORIES = 10


def draw_patient(generator: torch.Generator, choices: Choices) -> PatientPlan:
    """Draw one patient. The same generator state and choices give the same plan."""
    d = _Dice(generator)
    wm = d.uniform(22, 32)
    rotation = (d.uniform(-1, 1) * choices.max_pitch_deg, d.uniform(-1, 1) * choices.max_roll_deg,
                d.uniform(-1, 1) * choices.max_in_plane_deg)  # fmt: skip
    shift = (d.uniform(-1, 1) * choices.max_shift_mm, d.uniform(-1, 1) * choices.max_shift_mm, d.uniform(-10, 10))
    sulci, ventricles = d.uniform(0, 1) ** 1.5, d.uniform(0, 1) ** 1.5
    one_sided = d.uniform(-0.5, 0.5) if d.chance(0.25) else d.uniform(-0.12, 0.12)
    easy = choices.ease > 0 and d.chance(choices.ease)
    healthy = not easy and d.chance(choices.healthy_share)
    infarcts = [] if healthy else [_draw_infarct(d, choices, acute=True, easy=easy)]
    if not easy and infarcts and d.chance(0.1):
        infarcts.append(_draw_infarct(d, choices, acute=True))
    if not easy and d.chance(0.2):
        infarcts.append(_draw_infarct(d, choices, acute=False))
    return PatientPlan(
        head=choices.heads[d.index(len(choices.heads))],
        noise_seed=d.index(2**31),
        rotation_deg=rotation,
        translation_mm=shift,
        scale=(d.uniform(0.94, 1.06), d.uniform(0.94, 1.06), d.uniform(0.95, 1.05)),
        warp_mm=d.uniform(1.0, 4.0),
        torque_mm=d.uniform(-2.0, 4.0),
        atrophy_sulci=(_clip(sulci + one_sided), _clip(sulci - one_sided)),
        atrophy_ventricles=(_clip(ventricles + one_sided), _clip(ventricles - one_sided)),
        wm_hu=wm,
        gm_hu=wm + d.uniform(5, 10),
        csf_hu=d.uniform(0, 13),
        bone_hu=d.uniform(800, 1400),
        choroid_hu=d.log_uniform(35, 250),
        mottle_hu=d.uniform(0.3, 1.5),
        leukoaraiosis=d.uniform() ** 2 if not easy and d.chance(0.5) else 0.0,
        infarcts=tuple(infarcts),
        bright=tuple(_draw_bright(d) for _ in range(d.index(3) if not easy and d.chance(0.3) else 0)),
        scanner=ScannerPlan(
            slice_mm=(3.0, 5.0, 5.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0)[d.index(9)],
            phase=d.uniform(),
            pixel_mm=d.uniform(0.40, 0.60),
            tilt_deg=d.uniform(-20, 20) if d.chance(0.4) else 0.0,
            noise_hu=d.uniform(2, 6),
            grain_mm=d.uniform(0.9, 2.2),
            blur_mm=d.uniform(0.3, 1.0),
            cupping_hu=d.uniform(-1, 3),
            ramp_hu=d.uniform(-1.2, 1.2),
            streak_hu=d.uniform(0, 6),
            mask_error_mm=d.uniform(-1.5, 1.5),
            headrest=d.chance(0.7),
        ),
    )


def _draw_infarct(d: _Dice, choices: Choices, acute: bool, easy: bool = False) -> InfarctPlan:
    strata = [names for names in choices.lesions[1 if easy else 0 :] if names]
    source = ""
    if strata:
        names = strata[d.index(len(strata))]
        source = names[d.index(len(names))]
    stage = d.uniform(0.5, 1.0) if easy else d.uniform()
    drop = d.uniform(2, 5) if stage < 0.3 else d.uniform(4, 9) if stage < 0.75 else d.uniform(8, 15)
    return InfarctPlan(
        source=source,
        territory=d.index(N_TERRITORIES),
        radius_mm=d.log_uniform(15 if easy else 5, 45),
        left_right_flip=d.chance(0.5),
        drop_wm_hu=drop * d.uniform(0.6, 1.0),
        drop_gm_hu=drop + d.uniform(0.0, 3.0),  # grey-white contrast is lost first
        edge_mm=d.uniform(0.8, 3.0),
        effacement=d.uniform(0, 0.9) if acute else 0.0,
        acute=acute,
    )


def _draw_bright(d: _Dice) -> BrightPlan:
    kind = d.index(3)
    side = 1.0 if d.chance(0.5) else -1.0
    if kind == 0:  # calcified globus pallidus or pineal
        centre = (side * d.uniform(0, 25), d.uniform(-10, 25), d.uniform(-5, 15))
        return BrightPlan(centre, (3.0, 4.0, 3.0), d.uniform(60, 200))
    if kind == 1:  # small bleed
        size = d.uniform(2, 9)
        centre = (side * d.uniform(5, 55), d.uniform(-50, 70), d.uniform(-20, 50))
        return BrightPlan(centre, (size, size * d.uniform(0.7, 1.5), size * d.uniform(0.7, 1.3)), d.uniform(50, 80))
    centre = (side * d.uniform(12, 32), d.uniform(-8, 4), d.uniform(-18, -10))  # hyperdense middle cerebral artery
    return BrightPlan(centre, (d.uniform(5, 10), 1.8, 1.8), d.uniform(50, 75))


def _clip(value: float) -> float:
    return min(max(value, 0.0), 1.0)
