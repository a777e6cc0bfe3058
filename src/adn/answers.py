"""What a stroke reader asks besides the infarct's volume, as plain data: an answer to each, or why there is none.

`adn.findings` computes the answers. Left and right are always the patient's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from adn.atlas import AspectsRegion, Territory
from adn.errors import InputError

MOST_LIMIT_ML = 2000.0  # larger than any brain

Reason = Literal[
    "scan_not_assessable",  # the scan as a whole: see its blocking remarks
    "part_of_head",  # only part of the head was scanned
    "place_unknown",  # too little of the head to register it to MNI space
    "levels_missing",  # the scan, or its brain mask, leaves out a level that is needed
    "not_seen",  # the structure was not found
    "no_infarct",  # nothing is marked
    "no_tissue",  # hardly any tissue of 20 to 80 HU to compare with its mirror twin
    "bright_polarity",  # the weights look for bright lesions, not infarcts
    "no_interval",  # the weights give no interval for the volume
]
Against = Literal["above", "below", "cannot_tell"]
OneSide = Literal["left", "right"]


@dataclass(frozen=True)
class AnswerOptions:
    """What a user can choose about the answers.

    volume_limit_ml: the limit to compare the infarct's volume with. keep_old: leave marked what looks like an old
    infarct.
    """

    volume_limit_ml: float = 70.0  # core volume used in thrombectomy trials
    keep_old: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.volume_limit_ml < MOST_LIMIT_ML:
            raise InputError(
                f"The volume limit must be more than 0 and less than {MOST_LIMIT_ML:g} mL, but is "
                f"{self.volume_limit_ml:g}."
            )


@dataclass(frozen=True)
class NotAssessable:
    """There is no answer, and why."""

    because: Reason


@dataclass(frozen=True)
class WaterUptake:
    """Net water uptake of a region: (1 - mean_hu / mirror_hu) × 100, over tissue of 20 to 80 HU and its mirror twin.

    Marked tissue counts down to 12 HU.

    uncertainty_percent: σ in percentage points, from noise and from how much the sides differ elsewhere. tissue_ml:
    volume of the tissue compared.
    """

    percent: float
    uncertainty_percent: float
    mean_hu: float
    mirror_hu: float
    tissue_ml: float


@dataclass(frozen=True)
class RegionFinding:
    """One region of ASPECTS on one side.

    tissue_ml: its tissue in the scan. infarct_share: marked share of that tissue, 0 to 1. affected: it loses its point.
    mean_hu, twin_hu: means over its tissue and over the twin's. water: None where too little could be compared.
    """

    region: AspectsRegion
    side: OneSide
    tissue_ml: float
    infarct_share: float
    affected: bool
    mean_hu: float | None
    twin_hu: float | None
    water: WaterUptake | None


@dataclass(frozen=True)
class Aspects:
    """Alberta Stroke Program Early CT Score of both sides, from 10 (nothing affected) to 0.

    regions: in the order of `ASPECTS_REGIONS`, left first.
    """

    left: int
    right: int
    regions: tuple[RegionFinding, ...]


@dataclass(frozen=True)
class MassEffect:
    """Shifts from the mid-sagittal plane in mm, positive to the patient's left; septum None where it was not seen.

    ventricle_ml, sulci_ml: fluid in the lateral ventricles and in the sulci of the vault, (left, right).
    narrow_ventricle, narrow_sulci: the side with less than 0.6 of the other side's fluid, or 'none'.
    """

    septum_shift_mm: float | None
    pineal_shift_mm: float
    ventricle_ml: tuple[float, float]
    sulci_ml: tuple[float, float]
    narrow_ventricle: OneSide | Literal["none"]
    narrow_sulci: OneSide | Literal["none"]


@dataclass(frozen=True)
class BrightPart:
    """A compact region of 55 to 95 HU. territory: None where the head could not be registered to MNI space."""

    side: OneSide
    volume_ml: float
    territory: Territory | None


@dataclass(frozen=True)
class Blood:
    """What may be blood, by a simple rule. seen: some part has 0.5 mL or more. parts: those of 0.25 mL and more,
    largest first, five at most."""

    seen: bool
    volume_ml: float
    parts: tuple[BrightPart, ...]


@dataclass(frozen=True)
class Age:
    """Whether the marked infarct looks old. fluid_share: share as dark as fluid whose twin is tissue, 0 to 1."""

    fluid_share: float
    looks_old: bool


@dataclass(frozen=True)
class OldInfarct:
    """Volume that was marked and looks like an old infarct throughout; left_out: it is no longer marked."""

    volume_ml: float
    left_out: bool


@dataclass(frozen=True)
class MassLike:
    """The brightest disc of tissue in or beside the mark: a tumour or a bleed stands out from its oedema like this.

    contrast_hu: how much brighter it is than the ring around it, both relative to the mirror twin and in itself.
    above_grey_hu: how much brighter than typical grey matter. looks_so: it stands out as no infarct does. diameter_mm:
    0 where no disc fits.
    """

    contrast_hu: float
    diameter_mm: float
    above_grey_hu: float
    looks_so: bool


@dataclass(frozen=True)
class VolumeLimit:
    """Whether the volume lies above or below a limit, judged by its interval."""

    limit_ml: float
    against: Against


@dataclass(frozen=True)
class Answers:
    """All answers; each is `NotAssessable` by default."""

    water_uptake: WaterUptake | NotAssessable = NotAssessable("scan_not_assessable")
    aspects: Aspects | NotAssessable = NotAssessable("scan_not_assessable")
    blood: Blood | NotAssessable = NotAssessable("scan_not_assessable")
    mass_effect: MassEffect | NotAssessable = NotAssessable("scan_not_assessable")
    age: Age | NotAssessable = NotAssessable("scan_not_assessable")
    volume_limit: VolumeLimit | NotAssessable = NotAssessable("scan_not_assessable")
    old_infarct: OldInfarct | NotAssessable = NotAssessable("scan_not_assessable")
    mass_like: MassLike | NotAssessable = NotAssessable("scan_not_assessable")
