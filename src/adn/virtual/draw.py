"""Drawing virtual patients: what varies, and how far (docs/method.md, section 7)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from adn.virtual.plan import BrightPlan, InfarctPlan, MetalPlan, PatientPlan, ScannerPlan, Stage


@dataclass(frozen=True)
class Choices:
    """What may be drawn: head names, lesion masks by volume stratum, and how far the head may be turned and moved."""

    heads: tuple[str, ...]
    lesions: tuple[tuple[str, ...], ...] = ()
    healthy_share: float = 0.3
    large_share: float = 0.25  # see LARGE_ML
    max_in_plane_deg: float = 30.0
    max_roll_deg: float = 12.0
    max_pitch_deg: float = 15.0
    max_shift_mm: float = 30.0
    ease: float = 0.0  # share of easy patients, for a curriculum: one larger, darker infarct or none, nothing else


MNI = Choices(heads=("mni",))  # what the installed packages hold: one head, procedural infarcts


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

    def choice(self, values: tuple[Any, ...]) -> Any:
        return values[self.index(len(values))]

    def quantile(self, table: tuple[float, ...], least: float = 0.0) -> float:
        """From a distribution given by values at equal steps of probability; log-linear between them."""
        place = self.uniform(least, 1.0) * (len(table) - 1)
        low = min(int(place), len(table) - 2)
        return table[low] * (table[low + 1] / table[low]) ** (place - low)

    def log_uniform(self, low: float, high: float) -> float:
        return math.exp(self.uniform(math.log(low), math.log(high)))


# name, share of infarcts, least and largest volume, mL; regions are in `lesions.py`
TERRITORIES: tuple[tuple[str, float, float, float], ...] = (
    ("middle cerebral artery, trunk", 0.20, 40.0, 300.0),
    ("middle cerebral artery, superior branch", 0.20, 2.0, 110.0),
    ("middle cerebral artery, inferior branch", 0.16, 2.0, 110.0),
    ("lenticulostriate", 0.08, 1.5, 25.0),
    ("anterior cerebral artery", 0.05, 1.0, 60.0),
    ("posterior cerebral artery", 0.09, 1.0, 80.0),
    ("borderzone", 0.06, 1.0, 35.0),
    ("lacunar", 0.10, 0.1, 1.5),
    ("thalamus", 0.04, 0.2, 5.0),
    ("cerebellum", 0.08, 0.5, 60.0),
    ("brainstem", 0.05, 0.2, 4.0),
)
# Volume (mL) at each 5 % of the 656 SOOP masks of at least 0.5 mL, what 5 mm CT can show (OpenNeuro ds004889); the
# last is the largest that one hemisphere holds
VOLUME_ML = (0.5, 0.84, 1.19, 1.8, 2.53, 3.26, 4.41, 6.32, 8.63, 13.6, 18.1, 24.7, 31.1, 41.3, 53.8, 68.8, 89.0, 112.0,
             138.0, 204.0, 300.0)  # fmt: skip


# where masks are given, `large_share` of infarcts are procedural and large: a closed large artery's territory, as real
# CTs show it and masks from MRI, often after treatment, seldom do
LARGE_ML = (40.0, 300.0)
OLD_SHARE, OLD_FLUID = 0.15, 0.95  # with less fluid they look like strong subacute ones


def draw_patient(generator: torch.Generator, choices: Choices = MNI) -> PatientPlan:
    """Draw one patient. The same generator state and choices give the same plan."""
    d = _Dice(generator)
    wm = d.uniform(22, 35)
    rotation = (d.uniform(-1, 1) * choices.max_pitch_deg, d.uniform(-1, 1) * choices.max_roll_deg,
                d.uniform(-1, 1) * choices.max_in_plane_deg)  # fmt: skip
    shift = (d.uniform(-1, 1) * choices.max_shift_mm, d.uniform(-1, 1) * choices.max_shift_mm, d.uniform(-10, 10))
    sulci, ventricles, sylvian = (d.uniform() ** 1.5 for _ in range(3))
    one_sided = d.uniform(-0.5, 0.5) if d.chance(0.25) else d.uniform(-0.12, 0.12)
    fissures = d.uniform(-0.5, 0.5) if d.chance(0.3) else d.uniform(-0.12, 0.12)
    easy = choices.ease > 0 and d.chance(choices.ease)
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
        sylvian=(_clip(sylvian + fissures), _clip(sylvian - fissures)),
        wm_hu=wm,
        gm_hu=wm + d.uniform(6, 12),
        # a scanner that is off in HU is off everywhere: fluid and brain go together
        csf_hu=d.uniform(0, 9) + 0.5 * (wm - 27),
        bone_hu=d.uniform(800, 1400),
        choroid_hu=d.log_uniform(35, 250),
        mottle_hu=d.uniform(0.3, 1.5),
        leukoaraiosis=1.6 * d.uniform() ** 1.5 if not easy and d.chance(0.6) else 0.0,
        infarcts=_draw_infarcts(d, choices, easy),
        bright=tuple(_draw_bright(d) for _ in range(d.index(3) if not easy and d.chance(0.3) else 0)),
        metal=(_draw_metal(d),) if not easy and d.chance(0.04) else (),
        scanner=_draw_scanner(d, rotation[0]),
    )


def draw_acute(generator: torch.Generator, choices: Choices) -> tuple[InfarctPlan, ...]:
    """Draw one patient's acute infarcts alone, as `draw_patient` does; none for the share without."""
    d = _Dice(generator)
    easy = choices.ease > 0 and d.chance(choices.ease)
    return tuple(infarct for infarct in _draw_infarcts(d, choices, easy) if infarct.acute)


def _draw_infarcts(d: _Dice, choices: Choices, easy: bool) -> tuple[InfarctPlan, ...]:
    if easy:
        if d.chance(choices.healthy_share):
            return ()
        return (_draw_infarct(d, choices, d.choice(("acute", "subacute")), easy=True),)
    infarcts = []
    if not d.chance(choices.healthy_share):
        for _ in range(2 if d.chance(0.1) else 1):
            infarcts.append(_draw_infarct(d, choices, d.choice(("hyperacute", "acute", "acute", "subacute"))))
    if d.chance(OLD_SHARE):
        infarcts.append(_draw_infarct(d, choices, "old"))
    return tuple(infarcts)


def _draw_infarct(d: _Dice, choices: Choices, stage: Stage, easy: bool = False) -> InfarctPlan:
    strata = [names for names in choices.lesions[1 if easy else 0 :] if names]
    large = bool(strata) and stage != "old" and d.chance(choices.large_share)
    source = ""
    if strata and not large:
        names = strata[d.index(len(strata))]
        source = names[d.index(len(names))]
    volume = d.log_uniform(*LARGE_ML) if large else d.quantile(VOLUME_ML, least=0.4 if easy else 0.0)
    # grey matter darkens first, which is the loss of grey-white contrast
    least, most, white = {"hyperacute": (2.0, 4.0, 0.2), "acute": (4.0, 9.0, 0.6)}.get(stage, (8.0, 15.0, 0.7))
    drop = d.uniform(least, most)
    return InfarctPlan(
        source=source,
        territory="" if source else _draw_territory(d, volume),
        volume_ml=0.0 if source else volume,
        left_right_flip=d.chance(0.5),
        stage=stage,
        drop_wm_hu=drop * d.uniform(white, min(white + 0.4, 1.0)),
        drop_gm_hu=drop,
        edge_mm=d.uniform(0.8, 3.0),
        effacement=d.uniform(0, 0.9) if stage != "old" else 0.0,
        swelling_mm=d.uniform(0, {"hyperacute": 1.0, "acute": 2.5, "subacute": 4.0, "old": 0.0}[stage]),
        fluid=OLD_FLUID if stage == "old" else 0.0,
    )


def _draw_territory(d: _Dice, volume_ml: float) -> str:
    possible = [(name, share) for name, share, least, most in TERRITORIES if least <= volume_ml <= most]
    place = d.uniform(0, sum(share for _, share in possible))
    for name, share in possible:
        place -= share
        if place <= 0:
            return name
    return possible[-1][0]


def _draw_bright(d: _Dice) -> BrightPlan:
    kind = d.choice(("calcification", "bleed", "artery"))
    side = 1.0 if d.chance(0.5) else -1.0
    if kind == "calcification":  # globus pallidus or pineal
        centre = (side * d.uniform(0, 25), d.uniform(-10, 25), d.uniform(-5, 15))
        return BrightPlan(kind, centre, (3.0, 4.0, 3.0), d.uniform(60, 200))
    if kind == "bleed":
        size = d.uniform(2, 9)
        centre = (side * d.uniform(5, 55), d.uniform(-50, 70), d.uniform(-20, 50))
        return BrightPlan(
            kind, centre, (size, size * d.uniform(0.7, 1.5), size * d.uniform(0.7, 1.3)), d.uniform(50, 80)
        )
    centre = (side * d.uniform(12, 32), d.uniform(-8, 4), d.uniform(-18, -10))  # hyperdense middle cerebral artery
    return BrightPlan(kind, centre, (d.uniform(5, 10), 1.8, 1.8), d.uniform(50, 75))


def _draw_metal(d: _Dice) -> MetalPlan:
    side = 1.0 if d.chance(0.5) else -1.0
    kind = d.index(3)
    if kind == 0:  # aneurysm clip
        return MetalPlan(
            (side * d.uniform(2, 35), d.uniform(-25, 0), d.uniform(-18, -5)), d.uniform(1.5, 3), d.uniform(20, 80)
        )
    if kind == 1:  # cochlear implant or earring
        return MetalPlan(
            (side * d.uniform(72, 84), d.uniform(20, 45), d.uniform(-45, -10)), d.uniform(2, 5), d.uniform(10, 50)
        )
    return MetalPlan(
        (side * d.uniform(55, 72), d.uniform(-50, 40), d.uniform(10, 45)), d.uniform(1, 2.5), d.uniform(5, 25)
    )


def _draw_scanner(d: _Dice, pitch_deg: float) -> ScannerPlan:
    thickness = d.choice((3.0, 5.0, 5.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0))
    cut_below, cut_above = d.chance(0.1), d.chance(0.1)
    return ScannerPlan(
        slice_mm=thickness,
        step_mm=min(thickness * d.uniform(1.0, 1.4), 10.0) if d.chance(0.15) else thickness,
        phase=d.uniform(),
        below_mm=d.uniform(35, 62) if cut_below else d.uniform(75, 110),
        above_mm=d.uniform(45, 66) if cut_above else d.uniform(82, 95),
        pixel_mm=d.uniform(0.6, 1.0) if d.chance(0.2) else d.uniform(0.40, 0.60),
        # the gantry is tilted to make up for the head's pitch
        tilt_deg=min(max(pitch_deg + d.uniform(-8, 8), -24.0), 24.0) if d.chance(0.4) else 0.0,
        noise_hu=d.log_uniform(2.2, 9),
        grain_mm=d.uniform(0.6, 1.5),
        blur_mm=d.uniform(0.3, 1.0),
        sharpen=d.uniform(0, 0.4) if d.chance(0.4) else 0.0,
        cupping_hu=d.uniform(-1, 3),
        ramp_hu=d.uniform(-1.2, 1.2),
        streak_hu=d.uniform(0, 6),
        mask_error_mm=d.uniform(-1.5, 1.5),
        headrest=d.chance(0.7),
    )


def _clip(value: float) -> float:
    return min(max(value, 0.0), 1.0)
