"""Sections of a recipe with the ranges from which virtual patients, their poses and looks at them are drawn.

Draws are uniform unless a comment says otherwise. Places are in MNI space, LPS mm, of the left side.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


class Section(BaseModel):
    """A part of a recipe: an unknown key is an error, and nothing changes once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _rising(ends: tuple[float, float]) -> tuple[float, float]:
    if ends[0] > ends[1]:
        raise ValueError(f"a range is given as least and most, but is {ends}")
    return ends


Range = Annotated[tuple[float, float], AfterValidator(_rising)]  # least and most
Share = Annotated[float, Field(ge=0, le=1)]
Age = Literal["hyperacute", "acute", "subacute"]


class StageConfig(Section):
    """Infarcts of one age. Grey matter darkens first, which is the loss of grey-white contrast."""

    drop_hu: Range  # of grey matter
    white: Share  # of white matter, as a share of that: at least
    most_swelling_mm: float  # of displacement


class StagesConfig(Section):
    """Infarcts by age."""

    occurring: Annotated[tuple[Age, ...], Field(min_length=1)] = ("hyperacute", "acute", "acute", "subacute")
    occurring_easy: Annotated[tuple[Age, ...], Field(min_length=1)] = ("acute", "subacute")

    hyperacute: StageConfig = StageConfig(drop_hu=(2.0, 4.0), white=0.2, most_swelling_mm=1.0)
    acute: StageConfig = StageConfig(drop_hu=(4.0, 9.0), white=0.6, most_swelling_mm=2.5)
    subacute: StageConfig = StageConfig(drop_hu=(8.0, 15.0), white=0.7, most_swelling_mm=4.0)
    old: StageConfig = StageConfig(drop_hu=(8.0, 15.0), white=0.7, most_swelling_mm=0.0)


class TerritoryConfig(Section):
    """Procedural infarcts of one artery (regions are in `virtual.lesions`)."""

    name: str
    share: Share  # of infarcts whose volume fits
    volume_ml: Range


def _territories() -> tuple[TerritoryConfig, ...]:
    rows = (
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
    return tuple(TerritoryConfig(name=name, share=share, volume_ml=(a, b)) for name, share, a, b in rows)


class InfarctsConfig(Section):
    """Infarcts of virtual patients."""

    healthy_share: Share = 0.3  # of patients without acute infarct
    second_share: Share = 0.1  # of the others have two
    old_share: Share = 0.15  # of patients have an old one
    old_fluid: Share = 0.95  # of its tissue; with less, old ones look like strong subacute ones
    # share of infarcts that are procedural and large although masks are given: the whole territory of a large artery,
    # as CT shows it; masks from MRI, often after treatment, seldom do
    large_share: Share = 0.25
    large_ml: Range = (40.0, 300.0)  # log-uniform
    # quantiles in steps of 5 % of the 656 SOOP masks (OpenNeuro ds004889) of at least 0.5 mL, which 5 mm slices can
    # show; the last is the largest infarct that fits one hemisphere
    volume_ml: Annotated[tuple[float, ...], Field(min_length=2)] = (
        *(0.5, 0.84, 1.19, 1.8, 2.53, 3.26, 4.41, 6.32, 8.63, 13.6, 18.1),
        *(24.7, 31.1, 41.3, 53.8, 68.8, 89.0, 112.0, 138.0, 204.0, 300.0),
    )
    territories: tuple[TerritoryConfig, ...] = _territories()
    stages: StagesConfig = StagesConfig()
    white_width: float = 0.4  # width of the range of white matter's share above its minimum; the share is at most 1
    edge_mm: Range = (0.8, 3.0)
    most_effacement: Share = 0.9
    # final share of easy patients of a curriculum, reached after 1 / easy_pace of the run; with none, networks forget
    # large infarcts
    easy_at_last: Share = 0.3
    easy_pace: float = Field(default=1.5, gt=0)
    easy_least: Share = 0.4  # quantile of volume above which easy infarcts lie


class HeadsConfig(Section):
    """How virtual heads differ."""

    max_in_plane_deg: float = 30.0
    max_roll_deg: float = 12.0
    max_pitch_deg: float = 15.0
    max_shift_mm: float = 30.0  # in plane
    max_shift_z_mm: float = 10.0
    scale_in_plane: Range = (0.94, 1.06)
    scale_z: Range = (0.95, 1.05)
    warp_mm: Range = (1.0, 4.0)
    torque_mm: Range = (-2.0, 4.0)
    atrophy_power: float = 1.5  # power of a uniform number, so that much atrophy is rare
    one_sided: Range = (-0.5, 0.5)  # difference of atrophy between the sides in some heads
    even_sided: Range = (-0.12, 0.12)  # in the others
    one_sided_share: Share = 0.25  # of sulci and ventricles
    one_sided_fissures_share: Share = 0.3  # of the Sylvian fissures
    white_hu: Range = (22.0, 35.0)
    grey_above_white_hu: Range = (6.0, 12.0)
    # a scanner's HU error affects fluid and brain alike
    csf_hu: Range = (0.0, 9.0)
    csf_per_white: float = 0.5  # HU per HU by which white matter differs from 27
    bone_hu: Range = (800.0, 1400.0)
    choroid_hu: Range = (35.0, 250.0)  # log-uniform
    mottle_hu: Range = (0.3, 1.5)
    leukoaraiosis_share: Share = 0.6
    most_leukoaraiosis: float = 1.6  # rare when high, like atrophy


class CalcificationConfig(Section):
    """Calcified globus pallidus or pineal gland."""

    x_mm: Range = (0.0, 25.0)
    y_mm: Range = (-10.0, 25.0)
    z_mm: Range = (-5.0, 15.0)
    half_axes_mm: tuple[float, float, float] = (3.0, 4.0, 3.0)
    hu: Range = (60.0, 200.0)


class BleedConfig(Section):
    """Bleeds."""

    x_mm: Range = (5.0, 55.0)
    y_mm: Range = (-50.0, 70.0)
    z_mm: Range = (-20.0, 50.0)
    half_axis_mm: Range = (2.0, 9.0)  # along x
    ratio_y: Range = (0.7, 1.5)  # of the others to that
    ratio_z: Range = (0.7, 1.3)
    hu: Range = (50.0, 80.0)


class ArteryConfig(Section):
    """A hyperdense middle cerebral artery."""

    x_mm: Range = (12.0, 32.0)
    y_mm: Range = (-8.0, 4.0)
    z_mm: Range = (-18.0, -10.0)
    half_length_mm: Range = (5.0, 10.0)
    radius_mm: float = 1.8
    hu: Range = (50.0, 75.0)


class MetalConfig(Section):
    """One kind of metal."""

    x_mm: Range
    y_mm: Range
    z_mm: Range
    radius_mm: Range
    streak_hu: Range


class ExtrasConfig(Section):
    """Bright spots and metal."""

    bright_share: Share = 0.3  # of patients have fewer than `bright_below` bright spots, the others none
    bright_below: int = Field(default=3, ge=1)
    calcification: CalcificationConfig = CalcificationConfig()
    bleed: BleedConfig = BleedConfig()
    artery: ArteryConfig = ArteryConfig()
    metal_share: Share = 0.04
    metal: Annotated[tuple[MetalConfig, ...], Field(min_length=1)] = (
        MetalConfig(x_mm=(2, 35), y_mm=(-25, 0), z_mm=(-18, -5), radius_mm=(1.5, 3), streak_hu=(20, 80)),  # clip
        # cochlear implant or earring
        MetalConfig(x_mm=(72, 84), y_mm=(20, 45), z_mm=(-45, -10), radius_mm=(2, 5), streak_hu=(10, 50)),
        MetalConfig(x_mm=(55, 72), y_mm=(-50, 40), z_mm=(10, 45), radius_mm=(1, 2.5), streak_hu=(5, 25)),  # plate
    )


class ScannersConfig(Section):
    """How virtual patients are scanned."""

    slice_mm: Annotated[tuple[float, ...], Field(min_length=1)] = (3.0, 5.0, 5.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0)
    gap_share: Share = 0.15  # have slices further apart than they are thick, by a factor of
    gap: Range = (1.0, 1.4)
    max_step_mm: float = 10.0
    cut_share: Share = 0.1  # of scans end within the head, below and above alike
    below_mm: Range = (75.0, 110.0)
    cut_below_mm: Range = (35.0, 62.0)
    above_mm: Range = (82.0, 95.0)
    cut_above_mm: Range = (45.0, 66.0)
    pixel_mm: Range = (0.40, 0.60)
    wide_pixel_share: Share = 0.2
    wide_pixel_mm: Range = (0.6, 1.0)
    # the gantry is tilted to make up for the head's pitch, to so many degrees
    tilt_share: Share = 0.4
    tilt_off_deg: Range = (-8.0, 8.0)
    max_tilt_deg: float = 24.0
    noise_hu: Range = (2.2, 9.0)  # log-uniform
    grain_mm: Range = (0.6, 1.5)
    blur_mm: Range = (0.3, 1.0)
    sharpen_share: Share = 0.4
    sharpen: Range = (0.0, 0.4)
    cupping_hu: Range = (-1.0, 3.0)
    ramp_hu: Range = (-1.2, 1.2)
    streak_hu: Range = (0.0, 6.0)
    mask_error_mm: Range = (-1.5, 1.5)
    headrest_share: Share = 0.7


class PatientsConfig(Section):
    """What virtual patients are drawn from (`virtual.draw`)."""

    infarcts: InfarctsConfig = InfarctsConfig()
    heads: HeadsConfig = HeadsConfig()
    extras: ExtrasConfig = ExtrasConfig()
    scanners: ScannersConfig = ScannersConfig()

    def with_infarcts(self, **changes: float) -> PatientsConfig:
        """The same with other infarcts."""
        return self.model_copy(update={"infarcts": self.infarcts.model_copy(update=changes)})


class PosesConfig(Section):
    """Where virtual brains lie: for T at any pose, for D and F where alignment leaves them (`feed.virtual`)."""

    heads: int = Field(default=120, ge=1)  # are rendered for T, which learns from geometry, and turned again and again
    max_in_plane_deg: float = 32.0  # heads lie up to 30° turned in the scanner; roll is `align.max_roll_deg`
    max_shift_mm: tuple[float, float, float] = (30.0, 20.0, 10.0)  # x, y, z
    left_over_deg: float = 0.8  # σ of roll and in-plane rotation that alignment leaves
    left_over_mm: float = 0.8  # σ of shift across the mid-plane
    max_left_over_mm: float = 6.0  # along the mid-plane, y and z


class LooksConfig(Section):
    """What each look at a pool's patient draws anew (`feed.pool`), uniformly where nothing else is said.

    Ranges are wider than real scans', so that what is learnt does not hang on one of them.
    """

    healthy_share: Share = 0.1  # without infarct
    least_ml: float = 0.3  # of infarct on the box; less is not asked for, as 5 mm slices do not show it
    visible_hu: float = 0.0  # a look whose infarct is less dark against its twin, or below least_ml, is drawn again,
    tries: int = Field(default=1, ge=1)  # up to so many looks in all
    early_share: Share = 0.6  # faint, in places only, without an edge, sulci closed
    early_large_share: Share = 0.75  # of the early: a large artery's territory
    early_drop_hu: Range = (1.0, 9.0)  # of grey matter
    early_drop_power: float = 1.3  # above 1: the fainter, the more often
    early_white: Range = (0.3, 1.1)  # of white matter, as a share of that
    early_edge_mm: Range = (1.5, 12.0)  # log-uniform
    early_edge_of_radius: float = 0.4  # and at most so much of a procedural infarct's radius
    early_edge_of_mask_mm: float = 4.0  # or of one from a mask, of which the smallest would be lost in a wider one
    patchy: Range = (0.2, 0.8)  # σ, relative, of the darkening from place to place
    noise_hu: Range = (1.0, 6.0)  # of the scanner, log-uniform
    grain_mm: Range = (0.6, 1.5)  # of its noise
    rough_hu: float = 6.0  # σ of noise on top: so much times the square of a uniform number
    mask_error_mm: Range = (-1.5, 1.5)  # of the brain's outline
    gain: Range = (0.8, 1.3)  # of contrast about the brain's mean
    denser_hu: Range = (-4.0, 8.0)
    grey_hu: Range = (-3.0, 3.0)  # added to grey matter
    uneven_hu: Range = (0.0, 4.0)  # smooth shading that differs between the sides
    blur_share: Share = 0.25
    blur_voxels: Range = (0.3, 0.6)  # σ in plane
    stack_share: Share = 0.3  # copies of one slice, as single slices are read
    stack_of_area: float = 0.5  # which holds so much of the largest slice's brain
