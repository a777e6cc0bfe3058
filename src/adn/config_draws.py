"""Sections of a recipe with the ranges from which virtual patients, their poses and looks at them are drawn.

`PatientsConfig` says how values are drawn from them.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


class Section(BaseModel):
    """A part of a recipe: unknown keys are errors, and it is immutable once read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _rising(ends: tuple[float, float]) -> tuple[float, float]:
    if ends[0] > ends[1]:
        raise ValueError(f"a range is a minimum and a maximum, in this order, but is {ends}")
    return ends


Range = Annotated[tuple[float, float], AfterValidator(_rising)]  # minimum and maximum
Share = Annotated[float, Field(ge=0, le=1)]
Age = Literal["hyperacute", "acute", "subacute"]


class StageConfig(Section):
    """Infarcts of one age. Grey matter darkens first, hence the loss of grey-white contrast."""

    drop_hu: Range  # how much darker grey matter becomes
    white: Share  # smallest darkening of white matter as a share of that of grey matter; see `white_width`
    most_swelling_mm: float  # largest distance by which an infarct displaces its surroundings


class StagesConfig(Section):
    """Infarcts by age."""

    # the age of an infarct is one of these; an entry that is listed twice is twice as likely
    occurring: Annotated[tuple[Age, ...], Field(min_length=1)] = ("hyperacute", "acute", "acute", "subacute")
    # the same for easy patients of a curriculum
    occurring_easy: Annotated[tuple[Age, ...], Field(min_length=1)] = ("acute", "subacute")

    hyperacute: StageConfig = StageConfig(drop_hu=(2.0, 4.0), white=0.2, most_swelling_mm=1.0)
    acute: StageConfig = StageConfig(drop_hu=(4.0, 9.0), white=0.6, most_swelling_mm=2.5)
    subacute: StageConfig = StageConfig(drop_hu=(8.0, 15.0), white=0.7, most_swelling_mm=4.0)
    old: StageConfig = StageConfig(drop_hu=(8.0, 15.0), white=0.7, most_swelling_mm=0.0)


class TerritoryConfig(Section):
    """Procedural infarcts of one artery (regions are in `virtual.lesions`)."""

    name: str  # the artery or region
    share: Share  # weight among the territories whose volume range fits the infarct
    volume_ml: Range  # infarct volumes that this artery can have


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

    healthy_share: Share = 0.3  # share of patients without acute infarct
    second_share: Share = 0.1  # share, of those with an acute infarct, who have two
    old_share: Share = 0.15  # share of patients with an old infarct
    old_fluid: Share = 0.95  # share of an old infarct that is fluid; with less, it looks like a dark subacute one
    # share of infarcts that are procedural and large even if masks are given: the whole territory of a large artery, as
    # CT shows it; masks from MRI, often after treatment, seldom cover that much
    large_share: Share = 0.25
    large_ml: Range = (40.0, 300.0)  # volume of those large infarcts; log-uniform
    # quantiles in steps of 5 % of the 656 SOOP masks (OpenNeuro ds004889) of at least 0.5 mL, which 5 mm slices can
    # show; the last is the largest infarct that fits one hemisphere
    volume_ml: Annotated[tuple[float, ...], Field(min_length=2)] = (
        *(0.5, 0.84, 1.19, 1.8, 2.53, 3.26, 4.41, 6.32, 8.63, 13.6, 18.1),
        *(24.7, 31.1, 41.3, 53.8, 68.8, 89.0, 112.0, 138.0, 204.0, 300.0),
    )
    territories: tuple[TerritoryConfig, ...] = _territories()
    stages: StagesConfig = StagesConfig()
    white_width: float = 0.4  # white matter's share is drawn from `white` to this much more, at most 1
    edge_mm: Range = (0.8, 3.0)  # σ of an infarct's soft edge
    most_effacement: Share = 0.9  # how far sulci in an acute infarct close: from 0 (open) to at most this (1: closed)
    # final share of easy patients in a curriculum, reached after 1 / easy_pace of the run; without any, networks forget
    # large infarcts
    easy_at_last: Share = 0.3
    easy_pace: float = Field(default=1.5, gt=0)  # the share of easy patients falls from 1 over 1 / easy_pace of the run
    easy_least: Share = 0.4  # quantile of volume above which easy infarcts lie


class HeadsConfig(Section):
    """How virtual heads differ."""

    max_in_plane_deg: float = 30.0  # largest rotation within the slice, either way
    max_roll_deg: float = 12.0  # largest tilt towards a shoulder, either way
    max_pitch_deg: float = 15.0  # largest nod, either way
    max_shift_mm: float = 30.0  # largest shift in plane, along x and along y, either way
    max_shift_z_mm: float = 10.0  # largest shift along the body, either way
    scale_in_plane: Range = (0.94, 1.06)  # factor on the head's width, and another on its length
    scale_z: Range = (0.95, 1.05)  # factor on its height
    warp_mm: Range = (1.0, 4.0)  # amplitude of a smooth random deformation
    torque_mm: Range = (-2.0, 4.0)  # how far the left half lies in front of the right one
    atrophy_power: float = 1.5  # power to which a uniform number is raised, so that strong atrophy is rare
    one_sided: Range = (-0.5, 0.5)  # added to atrophy on the left, subtracted on the right, in asymmetric heads
    even_sided: Range = (-0.12, 0.12)  # the same in the other heads
    one_sided_share: Share = 0.25  # share of heads with asymmetric sulci and ventricles
    one_sided_fissures_share: Share = 0.3  # share of heads with asymmetric Sylvian fissures
    white_hu: Range = (22.0, 35.0)  # mean of white matter
    grey_above_white_hu: Range = (6.0, 12.0)  # mean of grey matter minus that of white matter
    csf_hu: Range = (0.0, 9.0)  # of fluid in a head whose white matter is 27 HU
    # change of csf_hu per HU that white matter differs from 27: a scanner's HU error affects fluid and brain alike
    csf_per_white: float = 0.5
    bone_hu: Range = (800.0, 1400.0)  # HU of compact bone
    choroid_hu: Range = (35.0, 250.0)  # HU of dense spots in the choroid plexus; log-uniform
    mottle_hu: Range = (0.3, 1.5)  # σ of smooth random variation within brain tissue
    leukoaraiosis_share: Share = 0.6  # share of patients with darker white matter around the ventricles
    most_leukoaraiosis: float = 1.6  # largest degree of that (degree 1: up to 7 HU); high degrees are rare


class CalcificationConfig(Section):
    """Calcified globus pallidus or pineal gland."""

    x_mm: Range = (0.0, 25.0)  # of its centre, to the side
    y_mm: Range = (-10.0, 25.0)  # of its centre, to the back
    z_mm: Range = (-5.0, 15.0)  # of its centre, upwards
    half_axes_mm: tuple[float, float, float] = (3.0, 4.0, 3.0)  # half axes of the ellipsoid along x, y, z
    hu: Range = (60.0, 200.0)  # of the whole spot


class BleedConfig(Section):
    """Bleeds."""

    x_mm: Range = (5.0, 55.0)  # of its centre, to the side
    y_mm: Range = (-50.0, 70.0)  # of its centre, to the back
    z_mm: Range = (-20.0, 50.0)  # of its centre, upwards
    half_axis_mm: Range = (2.0, 9.0)  # half axis of the ellipsoid along x
    ratio_y: Range = (0.7, 1.5)  # ratio of its half axis along y to that along x
    ratio_z: Range = (0.7, 1.3)  # ratio of its half axis along z to that along x
    hu: Range = (50.0, 80.0)  # of the whole spot


class ArteryConfig(Section):
    """A hyperdense middle cerebral artery."""

    x_mm: Range = (12.0, 32.0)  # of its centre, to the side
    y_mm: Range = (-8.0, 4.0)  # of its centre, to the back
    z_mm: Range = (-18.0, -10.0)  # of its centre, upwards
    half_length_mm: Range = (5.0, 10.0)  # half its length, along x
    radius_mm: float = 1.8  # across x
    hu: Range = (50.0, 75.0)  # of the whole spot


class MetalConfig(Section):
    """One kind of metal."""

    x_mm: Range  # of its centre, to the side
    y_mm: Range  # of its centre, to the back
    z_mm: Range  # of its centre, upwards
    radius_mm: Range  # radius of the ball
    streak_hu: Range  # strength of the streaks that fan out from its centre; half as strong after 12 mm


class ExtrasConfig(Section):
    """Bright spots and metal. Positions are in mm from the origin of MNI space; both sides are equally likely."""

    bright_share: Share = 0.3  # share of patients whose number of bright spots is drawn; the others have none
    bright_below: int = Field(default=3, ge=1)  # that number is from 0 to one less than this
    calcification: CalcificationConfig = CalcificationConfig()
    bleed: BleedConfig = BleedConfig()
    artery: ArteryConfig = ArteryConfig()
    metal_share: Share = 0.04  # share of patients with one piece of metal, of any kind below
    metal: Annotated[tuple[MetalConfig, ...], Field(min_length=1)] = (
        MetalConfig(x_mm=(2, 35), y_mm=(-25, 0), z_mm=(-18, -5), radius_mm=(1.5, 3), streak_hu=(20, 80)),  # clip
        # cochlear implant or earring
        MetalConfig(x_mm=(72, 84), y_mm=(20, 45), z_mm=(-45, -10), radius_mm=(2, 5), streak_hu=(10, 50)),
        MetalConfig(x_mm=(55, 72), y_mm=(-50, 40), z_mm=(10, 45), radius_mm=(1, 2.5), streak_hu=(5, 25)),  # plate
    )


class ScannersConfig(Section):
    """How virtual patients are scanned."""

    # slice thickness of a scan is one of these; an entry that is listed more often is more likely
    slice_mm: Annotated[tuple[float, ...], Field(min_length=1)] = (3.0, 5.0, 5.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0)
    gap_share: Share = 0.15  # share of scans that may have gaps between slices
    gap: Range = (1.0, 1.4)  # slice distance over slice thickness, in those scans
    max_step_mm: float = 10.0  # largest slice distance in those scans
    cut_share: Share = 0.1  # share of scans that end within the head at the bottom; the same share does so at the top
    below_mm: Range = (75.0, 110.0)  # how far a scan reaches below the brain's centre; the brain reaches about 65 mm
    cut_below_mm: Range = (35.0, 62.0)  # the same for scans that end within the head at the bottom
    above_mm: Range = (82.0, 95.0)  # how far a scan reaches above the brain's centre; the brain reaches about 70 mm
    cut_above_mm: Range = (45.0, 66.0)  # the same for scans that end within the head at the top
    pixel_mm: Range = (0.40, 0.60)  # side of a pixel
    wide_pixel_share: Share = 0.2  # share of scans with wider pixels
    wide_pixel_mm: Range = (0.6, 1.0)  # side of a pixel in those scans
    tilt_share: Share = 0.4  # share of scans with the gantry tilted to compensate for the head's pitch
    tilt_off_deg: Range = (-8.0, 8.0)  # difference between tilt and pitch
    max_tilt_deg: float = 24.0  # largest gantry tilt, either way
    noise_hu: Range = (2.2, 9.0)  # σ at 0.45 mm pixels and 5 mm slices; log-uniform
    grain_mm: Range = (0.6, 1.5)  # correlation width of the noise
    blur_mm: Range = (0.3, 1.0)  # point spread, Gaussian σ in plane
    sharpen_share: Share = 0.4  # share of scans with a sharp kernel
    sharpen: Range = (0.0, 0.4)  # weight, in those scans, of detail finer than a blur of σ 0.9 mm, added on top
    cupping_hu: Range = (-1.0, 3.0)  # how much denser the brain is near the skull than in the middle
    ramp_hu: Range = (-1.2, 1.2)  # rise in HU from the middle to 75 mm on the left, and fall on the right
    streak_hu: Range = (0.0, 6.0)  # σ of the streaks between the petrous bones, where they are strongest
    mask_error_mm: Range = (-1.5, 1.5)  # outward error of the brain mask's edge, for training
    headrest_share: Share = 0.7  # share of scans that show the headrest


class PatientsConfig(Section):
    """Ranges from which virtual patients are drawn (`virtual.draw`).

    Draws are uniform unless stated otherwise; a pair of numbers gives minimum and maximum.
    """

    infarcts: InfarctsConfig = InfarctsConfig()
    heads: HeadsConfig = HeadsConfig()
    extras: ExtrasConfig = ExtrasConfig()
    scanners: ScannersConfig = ScannersConfig()

    def with_infarcts(self, **changes: float) -> PatientsConfig:
        """A copy with some settings of its infarcts changed."""
        return self.model_copy(update={"infarcts": self.infarcts.model_copy(update=changes)})


class PosesConfig(Section):
    """Poses of virtual brains: any pose for T, the error that alignment leaves for D and F (`feed.virtual`)."""

    heads: int = Field(default=120, ge=1)  # number rendered for T, which learns from geometry, and reused in many poses
    max_in_plane_deg: float = 32.0  # either way; heads are rotated by up to 30° on scanners; roll: `align.max_roll_deg`
    max_shift_mm: tuple[float, float, float] = (30.0, 20.0, 10.0)  # largest shift along x, y, z, either way
    left_over_deg: float = 0.8  # σ of roll and in-plane rotation remaining after alignment
    left_over_mm: float = 0.8  # σ of the remaining shift across the mid-plane
    max_left_over_mm: float = 6.0  # largest remaining shift along the mid-plane, y and z, either way


class LooksConfig(Section):
    """What is drawn anew in each look at a patient of the pool (`feed.pool`), uniformly unless stated otherwise.

    Ranges are wider than in real scans, so that networks do not come to depend on any of these.
    """

    healthy_share: Share = 0.1  # share of looks without infarct
    least_ml: float = 0.3  # a look with less infarct on the box is drawn again, as 5 mm slices do not show it
    visible_hu: float = 0.0  # a look whose infarct is darker than its twin by less than this is drawn again
    tries: int = Field(default=1, ge=1)  # maximum number of looks drawn; the last one is used as it is
    early_share: Share = 0.6  # share of looks with early infarcts: faint, patchy, without an edge, sulci closed
    early_large_share: Share = 0.75  # share of early infarcts in a large artery's territory
    early_drop_hu: Range = (1.0, 9.0)  # how much darker an early infarct makes grey matter
    early_drop_power: float = 1.3  # power to which the uniform number is raised in that; above 1: faint ones dominate
    early_white: Range = (0.3, 1.1)  # darkening of white matter as a share of that of grey matter
    early_edge_mm: Range = (1.5, 12.0)  # σ of an early infarct's soft edge; log-uniform
    early_edge_of_radius: float = 0.4  # largest such σ as a fraction of a procedural infarct's radius
    early_edge_of_mask_mm: float = 4.0  # largest such σ for an infarct from a mask; more would blur away small ones
    patchy: Range = (0.2, 0.8)  # relative σ of the darkening within an infarct
    noise_hu: Range = (1.0, 6.0)  # scanner noise, log-uniform
    grain_mm: Range = (0.6, 1.5)  # correlation width of the scanner noise
    rough_hu: float = 6.0  # σ of additional noise: this times the square of a uniform number
    mask_error_mm: Range = (-1.5, 1.5)  # outward error of the brain mask's edge
    gain: Range = (0.8, 1.3)  # contrast factor about the brain's mean
    denser_hu: Range = (-4.0, 8.0)  # added to the whole brain
    grey_hu: Range = (-3.0, 3.0)  # added to grey matter
    uneven_hu: Range = (0.0, 4.0)  # σ of smooth shading that differs between the sides
    blur_share: Share = 0.25  # share of looks that are blurred in plane
    blur_voxels: Range = (0.3, 0.6)  # σ of that blur
    stack_share: Share = 0.3  # share of looks that are copies of one slice, as when a single slice is read
    stack_of_area: float = 0.5  # minimum brain area of that slice as a fraction of the largest slice's
