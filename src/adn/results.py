"""What the verbs return. Numpy and `Volume` only, so that reports need no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from adn.answers import Answers
from adn.atlas import Territory
from adn.remarks import Remark, blocking, warnings
from adn.space.geometry import RigidTransform
from adn.space.volume import Volume

USUAL_BRAIN_ML = (900.0, 1900.0)  # for a whole head; defined here because reports must not load anything heavy
RESULT_FILE = "result.json"  # its presence marks a result folder
Side = Literal["left", "right", "both", "none"]
DISCLAIMER = "For research use only. Not a medical device; not for diagnosis or treatment decisions."


@dataclass(frozen=True)
class Scan:
    """A head CT as read. volume: HU. source: 'nifti', 'dicom' and so on. remarks: made while reading it.

    padding: True where the scanner measured nothing; None if there is no such place.
    """

    name: str
    volume: Volume
    source: str
    padding: Volume | None = None
    remarks: tuple[Remark, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """The remarks as plain sentences."""
        return warnings(self.remarks)


@dataclass(frozen=True)
class Measurements:
    """Numbers of one predicted infarct, on the scan's own grid.

    left_ml + right_ml = volume_ml. slices: indices along the scan's superior-inferior axis (as stored in the file),
    0-based. mean_hu and mirror_hu: over the infarct and over its mirror twin in the other hemisphere; None without
    infarct. hu_ratio = mean_hu / mirror_hu. volume_interval_ml: holds 80 % of true volumes; None if the weights are not
    calibrated for it.
    """

    volume_ml: float
    side: Side
    left_ml: float
    right_ml: float
    slices: tuple[int, ...]
    mean_hu: float | None
    mirror_hu: float | None
    hu_ratio: float | None
    volume_interval_ml: tuple[float, float] | None = None


@dataclass(frozen=True)
class TerritoryShare:
    """How much of an infarct lies in one arterial territory of one side; approximate, by affine registration to MNI."""

    territory: Territory
    side: Literal["left", "right"]
    volume_ml: float


@dataclass(frozen=True)
class Quality:
    """Measures that tell whether a prediction can be trusted.

    brain_ml: volume of the brain mask. asymmetry_before_hu, asymmetry_after_hu: mean difference between the hemispheres
    before and after alignment. noise_hu: σ within tissue, in a slice of 5 mm. base_cut, vertex_cut: the brain reaches
    that end of the scan. bright_ml: brain of 55 to 95 HU away from bone, which may be blood.
    """

    brain_ml: float
    asymmetry_before_hu: float
    asymmetry_after_hu: float
    noise_hu: float
    base_cut: bool
    vertex_cut: bool
    bright_ml: float


@dataclass(frozen=True)
class Provenance:
    """How a prediction was made. seconds: wall time per step. stripper: what found the brain. licence: the weights'."""

    adn_version: str
    recipe: str
    weights: str
    weights_sha256: str
    precision: str
    device: str
    threshold: float
    versions: dict[str, str]
    seconds: dict[str, float]
    stripper: str = "classical"
    licence: str = ""


@dataclass(frozen=True)
class Prediction:
    """Everything found in one scan; every volume lies on the scan's grid.

    infarct, brain_mask: uint8, 0 or 1. infarct_probability: [0, 1]. asymmetry_total, asymmetry_pathological,
    asymmetry_intrinsic: HU by which a voxel is darker than its mirror twin (A, P, Q of the paper), ≥ 0. salient,
    compensated: the scan's HU plus Q and plus P, inside the brain (X̂ and X̃). pose_network, pose: aligned brain →
    model grid, before and after refinement. relative_hypodensity: the fraction by which tissue is darker than its twin
    (`adn.findings.hypodensity`). territories: of the infarct, largest first. aligned_from_scan: 4 × 4, array index of
    the scan → LPS mm in the aligned frame, mid-sagittal plane at x = 0. polarity: 'bright' if bright lesions were
    looked for; then the asymmetries and the relative hypodensity say how much brighter tissue is than its twin, and
    compensation subtracts. remarks: on scan, brain and result, including those made when reading the scan. answers:
    what a stroke reader asks besides the volume. mni_from_aligned: 4 × 4, the aligned frame → MNI, LPS mm; None if too
    little of the head was scanned.
    """

    case: str
    scan: Scan
    infarct: Volume
    infarct_probability: Volume
    brain_mask: Volume
    asymmetry_total: Volume
    asymmetry_pathological: Volume
    asymmetry_intrinsic: Volume
    salient: Volume
    compensated: Volume
    pose_network: RigidTransform
    pose: RigidTransform
    measurements: Measurements
    provenance: Provenance
    relative_hypodensity: Volume
    quality: Quality
    territories: tuple[TerritoryShare, ...]
    aligned_from_scan: NDArray[np.float64]
    remarks: tuple[Remark, ...] = ()
    polarity: Literal["dark", "bright"] = "dark"
    answers: Answers = Answers()  # noqa: RUF009 - it is frozen
    mni_from_aligned: NDArray[np.float64] | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """The remarks that warn, as plain sentences."""
        return warnings(self.remarks)

    @property
    def assessable(self) -> bool:
        """Whether the scan could be judged: no remark blocks (see `adn.remarks.blocking`)."""
        return not blocking(self.remarks)


@dataclass(frozen=True)
class TrainingPicture:
    """What the networks made of one sample during training, on the aligned brain box.

    aligned, salient: HU (X and X̂). asymmetry_…: the networks' own A, P and Q, times the window's width in HU; in
    recipes where P is a probability it can reach the whole width, and Q is then negative.
    """

    aligned: Volume
    asymmetry_total: Volume
    asymmetry_pathological: Volume
    asymmetry_intrinsic: Volume
    salient: Volume
    infarct_probability: Volume
    reference: Volume
