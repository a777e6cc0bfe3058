"""Draws virtual patients within the recipe's ranges, from one explicit generator (docs/method.md, section 7)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from adn.config_draws import ExtrasConfig, InfarctsConfig, PatientsConfig, Range, ScannersConfig
from adn.virtual.plan import BrightPlan, InfarctPlan, MetalPlan, PatientPlan, ScannerPlan, Stage


@dataclass(frozen=True)
class Choices:
    """What may be drawn: names of heads, lesion masks by volume stratum, and the ranges of everything else.

    ease: share of easy patients, for a curriculum. An easy patient has one larger, darker infarct or none, and no other
    disease.
    """

    heads: tuple[str, ...]
    lesions: tuple[tuple[str, ...], ...] = ()
    ease: float = 0.0
    patients: PatientsConfig = PatientsConfig()  # noqa: RUF009 - it is frozen


MNI = Choices(heads=("mni",))  # the data that ships with the package: one head, procedural infarcts


class RandomDraws:
    """Random numbers and choices from one explicit generator."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """Uniform between two limits."""
        return low + (high - low) * float(torch.rand((), generator=self.generator, dtype=torch.float64))

    def within(self, ends: Range) -> float:
        """Uniform within a range."""
        return self.uniform(*ends)

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self.uniform() < probability

    def side(self) -> float:
        """1 or -1."""
        return 1.0 if self.chance(0.5) else -1.0

    def index(self, count: int) -> int:
        """0 to count - 1."""
        return int(torch.randint(count, (), generator=self.generator))

    def choice(self, values: tuple[Any, ...]) -> Any:
        """One of some values."""
        return values[self.index(len(values))]

    def quantile(self, table: tuple[float, ...], least: float = 0.0) -> float:
        """Draw from a distribution given by its quantiles at equal steps of probability, log-linear in between."""
        place = self.uniform(least, 1.0) * (len(table) - 1)
        low = min(int(place), len(table) - 2)
        return table[low] * (table[low + 1] / table[low]) ** (place - low)

    def log_within(self, ends: Range) -> float:
        """Log-uniform within a range."""
        return math.exp(self.uniform(math.log(ends[0]), math.log(ends[1])))


def draw_patient(generator: torch.Generator, choices: Choices = MNI) -> PatientPlan:
    """Draw one patient. The same generator state and choices give the same plan."""
    d, heads, extras = RandomDraws(generator), choices.patients.heads, choices.patients.extras
    wm = d.within(heads.white_hu)
    rotation = (
        d.uniform(-1, 1) * heads.max_pitch_deg,
        d.uniform(-1, 1) * heads.max_roll_deg,
        d.uniform(-1, 1) * heads.max_in_plane_deg,
    )
    in_plane = (d.uniform(-1, 1) * heads.max_shift_mm, d.uniform(-1, 1) * heads.max_shift_mm)
    shift = (*in_plane, d.uniform(-heads.max_shift_z_mm, heads.max_shift_z_mm))
    sulci, ventricles, sylvian = (d.uniform() ** heads.atrophy_power for _ in range(3))
    one_sided = d.within(heads.one_sided if d.chance(heads.one_sided_share) else heads.even_sided)
    fissures = d.within(heads.one_sided if d.chance(heads.one_sided_fissures_share) else heads.even_sided)
    easy = choices.ease > 0 and d.chance(choices.ease)
    return PatientPlan(
        head=choices.heads[d.index(len(choices.heads))],
        noise_seed=d.index(2**31),
        rotation_deg=rotation,
        translation_mm=shift,
        scale=(d.within(heads.scale_in_plane), d.within(heads.scale_in_plane), d.within(heads.scale_z)),
        warp_mm=d.within(heads.warp_mm),
        torque_mm=d.within(heads.torque_mm),
        atrophy_sulci=(_clip(sulci + one_sided), _clip(sulci - one_sided)),
        atrophy_ventricles=(_clip(ventricles + one_sided), _clip(ventricles - one_sided)),
        sylvian=(_clip(sylvian + fissures), _clip(sylvian - fissures)),
        wm_hu=wm,
        gm_hu=wm + d.within(heads.grey_above_white_hu),
        csf_hu=d.within(heads.csf_hu) + heads.csf_per_white * (wm - 27),
        bone_hu=d.within(heads.bone_hu),
        choroid_hu=d.log_within(heads.choroid_hu),
        mottle_hu=d.within(heads.mottle_hu),
        leukoaraiosis=(
            heads.most_leukoaraiosis * d.uniform() ** heads.atrophy_power
            if not easy and d.chance(heads.leukoaraiosis_share)
            else 0.0
        ),
        infarcts=_draw_infarcts(d, choices, easy),
        bright=_draw_bright(d, extras, easy),
        metal=(_draw_metal(d, extras),) if not easy and d.chance(extras.metal_share) else (),
        scanner=_draw_scanner(d, choices.patients.scanners, rotation[0]),
    )


def draw_acute(generator: torch.Generator, choices: Choices) -> tuple[InfarctPlan, ...]:
    """Draw only the acute infarcts of a patient, as `draw_patient` does; none for a share `healthy_share`."""
    d = RandomDraws(generator)
    easy = choices.ease > 0 and d.chance(choices.ease)
    return tuple(infarct for infarct in _draw_infarcts(d, choices, easy) if infarct.acute)


def _draw_infarcts(d: RandomDraws, choices: Choices, easy: bool) -> tuple[InfarctPlan, ...]:
    config = choices.patients.infarcts
    if easy:
        if d.chance(config.healthy_share):
            return ()
        return (_draw_infarct(d, choices, d.choice(config.stages.occurring_easy), easy=True),)
    infarcts = []
    if not d.chance(config.healthy_share):
        for _ in range(2 if d.chance(config.second_share) else 1):
            infarcts.append(_draw_infarct(d, choices, d.choice(config.stages.occurring)))
    if d.chance(config.old_share):
        infarcts.append(_draw_infarct(d, choices, "old"))
    return tuple(infarcts)


def _draw_infarct(d: RandomDraws, choices: Choices, stage: Stage, easy: bool = False) -> InfarctPlan:
    config = choices.patients.infarcts
    strata = [names for names in choices.lesions[1 if easy else 0 :] if names]
    large = bool(strata) and stage != "old" and d.chance(config.large_share)
    source = ""
    if strata and not large:
        names = strata[d.index(len(strata))]
        source = names[d.index(len(names))]
    least = config.easy_least if easy else 0.0
    volume = d.log_within(config.large_ml) if large else d.quantile(config.volume_ml, least)
    age = getattr(config.stages, stage)
    drop = d.within(age.drop_hu)
    return InfarctPlan(
        source=source,
        territory="" if source else _draw_territory(d, config, volume),
        volume_ml=0.0 if source else volume,
        left_right_flip=d.chance(0.5),
        stage=stage,
        drop_wm_hu=drop * d.uniform(age.white, min(age.white + config.white_width, 1.0)),
        drop_gm_hu=drop,
        edge_mm=d.within(config.edge_mm),
        effacement=d.uniform(0, config.most_effacement) if stage != "old" else 0.0,
        swelling_mm=d.uniform(0, age.most_swelling_mm),
        fluid=config.old_fluid if stage == "old" else 0.0,
    )


def _draw_territory(d: RandomDraws, config: InfarctsConfig, volume_ml: float) -> str:
    possible = [t for t in config.territories if t.volume_ml[0] <= volume_ml <= t.volume_ml[1]]
    place = d.uniform(0, sum(t.share for t in possible))
    for territory in possible:
        place -= territory.share
        if place <= 0:
            return territory.name
    return possible[-1].name


def _draw_bright(d: RandomDraws, extras: ExtrasConfig, easy: bool) -> tuple[BrightPlan, ...]:
    count = d.index(extras.bright_below) if not easy and d.chance(extras.bright_share) else 0
    kinds = {"calcification": _draw_calcification, "bleed": _draw_bleed, "artery": _draw_artery}
    return tuple(kinds[d.choice(tuple(kinds))](d, extras) for _ in range(count))


def _draw_calcification(d: RandomDraws, extras: ExtrasConfig) -> BrightPlan:
    spot, side = extras.calcification, d.side()
    centre = (side * d.within(spot.x_mm), d.within(spot.y_mm), d.within(spot.z_mm))
    return BrightPlan("calcification", centre, spot.half_axes_mm, d.within(spot.hu))


def _draw_bleed(d: RandomDraws, extras: ExtrasConfig) -> BrightPlan:
    spot, side = extras.bleed, d.side()
    size = d.within(spot.half_axis_mm)
    centre = (side * d.within(spot.x_mm), d.within(spot.y_mm), d.within(spot.z_mm))
    half_axes_mm = (size, size * d.within(spot.ratio_y), size * d.within(spot.ratio_z))
    return BrightPlan("bleed", centre, half_axes_mm, d.within(spot.hu))


def _draw_artery(d: RandomDraws, extras: ExtrasConfig) -> BrightPlan:
    spot, side = extras.artery, d.side()
    centre = (side * d.within(spot.x_mm), d.within(spot.y_mm), d.within(spot.z_mm))
    half_axes_mm = (d.within(spot.half_length_mm), spot.radius_mm, spot.radius_mm)
    return BrightPlan("artery", centre, half_axes_mm, d.within(spot.hu))


def _draw_metal(d: RandomDraws, extras: ExtrasConfig) -> MetalPlan:
    side = d.side()
    kind = d.choice(extras.metal)
    centre = (side * d.within(kind.x_mm), d.within(kind.y_mm), d.within(kind.z_mm))
    return MetalPlan(centre, d.within(kind.radius_mm), d.within(kind.streak_hu))


def _draw_scanner(d: RandomDraws, config: ScannersConfig, pitch_deg: float) -> ScannerPlan:
    thickness, most = d.choice(config.slice_mm), config.max_tilt_deg
    cut_below, cut_above = d.chance(config.cut_share), d.chance(config.cut_share)
    return ScannerPlan(
        slice_mm=thickness,
        step_mm=(
            min(thickness * d.within(config.gap), config.max_step_mm) if d.chance(config.gap_share) else thickness
        ),
        phase=d.uniform(),
        below_mm=d.within(config.cut_below_mm if cut_below else config.below_mm),
        above_mm=d.within(config.cut_above_mm if cut_above else config.above_mm),
        pixel_mm=d.within(config.wide_pixel_mm if d.chance(config.wide_pixel_share) else config.pixel_mm),
        tilt_deg=(
            min(max(pitch_deg + d.within(config.tilt_off_deg), -most), most) if d.chance(config.tilt_share) else 0.0
        ),
        noise_hu=d.log_within(config.noise_hu),
        grain_mm=d.within(config.grain_mm),
        blur_mm=d.within(config.blur_mm),
        sharpen=d.within(config.sharpen) if d.chance(config.sharpen_share) else 0.0,
        cupping_hu=d.within(config.cupping_hu),
        ramp_hu=d.within(config.ramp_hu),
        streak_hu=d.within(config.streak_hu),
        mask_error_mm=d.within(config.mask_error_mm),
        headrest=d.chance(config.headrest_share),
    )


def _clip(value: float) -> float:
    return min(max(value, 0.0), 1.0)
