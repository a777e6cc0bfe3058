"""What a stroke reader asks beside the infarct's volume, as plain data: each an answer, or why there is none.

`adn.findings` answers. Numbers of one side are the patient's left or right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from adn.atlas import AspectsRegion, Territory
from adn.errors import InputError

MOST_LIMIT_ML = 2000.0  # no brain is larger

Reason = Literal[
    "scan_not_assessable",  # the whole scan is not: see its remarks that block
    "part_of_head",  # only a part of the head was scanned
    "place_unknown",  # too little of the head to find its place in MNI space
    "levels_missing",  # the scan, or its brain mask, leaves out a level that is needed
    "not_seen",  # the structure was not found
    "no_infarct",  # nothing is marked
    "no_tissue",  # hardly any tissue of 20 to 80 HU to compare with a twin
    "bright_polarity",  # bright lesions were looked for
    "no_interval",  # the weights give no interval for the volume
]
Against = Literal["above", "below", "cannot_tell"]
OneSide = Literal["left", "right"]


@dataclass(frozen=True)
class Asked:
    """What a user can choose about the answers.

    volume_limit_ml: what the infarct's volume is held against. keep_old: what looks like an old infarct stays marked.
    """

    volume_limit_ml: float = 70.0  # core volume that thrombectomy trials ask about
    keep_old: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.volume_limit_ml < MOST_LIMIT_ML:
            raise InputError(
                f"The volume limit must be more than 0 and less than {MOST_LIMIT_ML:g} mL, but is "
                f"{self.volume_limit_ml:g}."
            )


@dataclass(frozen=True)
class NotAssessable:
    """No answer, because of this."""

    because: Reason


@dataclass(frozen=True)
class WaterUptake:
    """Net water uptake of a region: (1 - mean_hu / mirror_hu) × 100, over tissue of 20 to 80 HU and its mirror twin.

    Where marked, tissue may measure down to 12 HU.

    uncertainty_percent: σ in percentage points, by noise and by how far the sides differ elsewhere. tissue_ml:
    what was compared.
    """

    percent: float
    uncertainty_percent: float
    mean_hu: float
    mirror_hu: float
    tissue_ml: float


@dataclass(frozen=True)
class RegionFinding:
    """One region of ASPECTS on one side.

    tissue_ml: of it in the scan. infarct_share: of that, 0 to 1, that is marked. affected: loses a point.
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
    """Alberta Stroke Program Early CT Score of both sides, 10 (nothing) to 0.

    regions: in the order of `ASPECTS_REGIONS`, left first.
    """

    left: int
    right: int
    regions: tuple[RegionFinding, ...]


@dataclass(frozen=True)
class MassEffect:
    """Shifts in mm off the mid-sagittal plane, positive to the patient's left; septum None where it was not seen.

    ventricle_ml, sulci_ml: fluid of the lateral ventricles and of the sulci of the vault, (left, right).
    narrow_ventricle, narrow_sulci: the side with less than 0.6 of the other's, or 'none'.
    """

    septum_shift_mm: float | None
    pineal_shift_mm: float
    ventricle_ml: tuple[float, float]
    sulci_ml: tuple[float, float]
    narrow_ventricle: OneSide | Literal["none"]
    narrow_sulci: OneSide | Literal["none"]


@dataclass(frozen=True)
class BrightPart:
    """A compact part of 55 to 95 HU. territory: None where the head's place is not known."""

    side: OneSide
    volume_ml: float
    territory: Territory | None


@dataclass(frozen=True)
class Blood:
    """What may be blood, by a plain rule. seen: a part of 0.5 mL or more. parts: of 0.25 mL and more, largest
    first, five at most."""

    seen: bool
    volume_ml: float
    parts: tuple[BrightPart, ...]


@dataclass(frozen=True)
class Age:
    """Whether the marked infarct looks old: fluid_share of it, 0 to 1, is as dark as fluid beside a twin of tissue."""

    fluid_share: float
    looks_old: bool


@dataclass(frozen=True)
class OldInfarct:
    """What was marked and looks like an old infarct throughout, mL; left_out: it is no longer marked."""

    volume_ml: float
    left_out: bool


@dataclass(frozen=True)
class MassLike:
    """The disc of tissue in or beside what is marked that stands out most, as a tumour or a bleed does in its oedema.

    contrast_hu: by which it is brighter than the ring about it, against the mirror twin and in itself. above_grey_hu:
    than usual grey matter. looks_so: it stands out as no infarct does; diameter_mm: of a disc, 0 where none could be.
    """

    contrast_hu: float
    diameter_mm: float
    above_grey_hu: float
    looks_so: bool


@dataclass(frozen=True)
class VolumeLimit:
    """Whether the volume lies above or below a limit, by its interval."""

    limit_ml: float
    against: Against


@dataclass(frozen=True)
class Answers:
    """All of them; `NotAssessable` by default, as in a scan that nobody asked about."""

    water_uptake: WaterUptake | NotAssessable = NotAssessable("scan_not_assessable")
    aspects: Aspects | NotAssessable = NotAssessable("scan_not_assessable")
    blood: Blood | NotAssessable = NotAssessable("scan_not_assessable")
    mass_effect: MassEffect | NotAssessable = NotAssessable("scan_not_assessable")
    age: Age | NotAssessable = NotAssessable("scan_not_assessable")
    volume_limit: VolumeLimit | NotAssessable = NotAssessable("scan_not_assessable")
    old_infarct: OldInfarct | NotAssessable = NotAssessable("scan_not_assessable")
    mass_like: MassLike | NotAssessable = NotAssessable("scan_not_assessable")
