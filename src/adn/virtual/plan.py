"""A virtual patient as plain data: all random choices, so that a case can be replayed (docs/method.md, section 7)."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import torch

from adn.space.geometry import RigidTransform

Stage = Literal["hyperacute", "acute", "subacute", "old"]


@dataclass(frozen=True)
class InfarctPlan:
    """One ischaemic lesion. source: a mask's name, or '' for a procedural one of `territory` and `volume_ml` (in MNI).

    drop_wm_hu, drop_gm_hu: how much darker white and grey matter become. edge_mm: σ of the edge. effacement: how far
    sulcal CSF inside takes on the HU of swollen tissue, 0 to 1. swelling_mm: how far a large infarct displaces its
    surroundings. fluid: share of an old infarct's tissue that has turned to CSF, 0 to 1; old ones are never labelled.
    """

    source: str
    territory: str
    volume_ml: float
    left_right_flip: bool
    stage: Stage
    drop_wm_hu: float
    drop_gm_hu: float
    edge_mm: float
    effacement: float
    swelling_mm: float
    fluid: float = 0.75  # default for stored plans from versions that did not draw it

    @property
    def acute(self) -> bool:
        """Whether the reference contains it."""
        return self.stage != "old"

    @property
    def radius_mm(self) -> float:
        """Radius of a ball of its volume. Only for procedural infarcts: the plan does not hold a mask's volume."""
        return (self.volume_ml * 1000 * 3 / (4 * math.pi)) ** (1 / 3)


@dataclass(frozen=True)
class BrightPlan:
    """A bright spot: position and half axes in MNI-like LPS mm."""

    kind: Literal["calcification", "bleed", "artery"]
    centre_mm: tuple[float, float, float]
    half_axes_mm: tuple[float, float, float]
    hu: float


@dataclass(frozen=True)
class MassPlan:
    """A tumour with surrounding oedema, never labelled as infarct. centre_mm, half_axes_mm: MNI-like LPS mm.

    rim_mm: thickness of the wall around a core, 0 for a solid tumour. rim_hu: of the wall, or of a solid tumour;
    core_hu: of the core. oedema_mm: how far around it white matter is darker, by drop_hu. effacement: how far sulci
    there close, 0 to 1. swelling_mm: how far it displaces its surroundings.
    """

    centre_mm: tuple[float, float, float]
    half_axes_mm: tuple[float, float, float]
    rim_mm: float
    rim_hu: float
    core_hu: float
    oedema_mm: float
    drop_hu: float
    effacement: float
    swelling_mm: float

    @property
    def radius_mm(self) -> float:
        """Radius of a ball of its volume, without the oedema."""
        return math.prod(self.half_axes_mm) ** (1 / 3)


@dataclass(frozen=True)
class MetalPlan:
    """A clip, an implant or a plate: a metal ball at MNI-like LPS mm, and the streaks (HU) that fan out from it."""

    centre_mm: tuple[float, float, float]
    radius_mm: float
    streak_hu: float


@dataclass(frozen=True)
class ScannerPlan:
    """How the scan is acquired.

    slice_mm: thickness. step_mm: spacing. phase: of the first slice, as a share of the spacing, 0 to 1. below_mm,
    above_mm: how far the scanned range reaches from the brain's centre (a brain reaches about 65 down and 70 up).
    tilt_deg: of the gantry; positive lifts the back of the slices. noise_hu: σ at 0.45 mm pixels and 5 mm slices.
    grain_mm: correlation width of the noise. blur_mm: point spread (Gaussian σ) in plane. sharpen: edge enhancement of
    the kernel, 0 to 0.4. cupping_hu: bowl-shaped shading. ramp_hu: left-right shading. streak_hu: streaks between the
    petrous bones. mask_error_mm: error of the brain mask's edge, signed, for training.
    """

    slice_mm: float
    step_mm: float
    phase: float
    below_mm: float
    above_mm: float
    pixel_mm: float
    tilt_deg: float
    noise_hu: float
    grain_mm: float
    blur_mm: float
    sharpen: float
    cupping_hu: float
    ramp_hu: float
    streak_hu: float
    mask_error_mm: float
    headrest: bool


@dataclass(frozen=True)
class PatientPlan:
    """Everything about one virtual patient. rotation_deg, translation_mm: pose of the head on the table.

    scale: head size along x, y, z. warp_mm: amplitude of the smooth deformation. torque_mm: left-right torque.
    atrophy_sulci, atrophy_ventricles, sylvian (fissure): (left, right), 0 none to 1 marked. wm_hu to choroid_hu: mean
    HU of tissues. mottle_hu: smooth variation within tissue. leukoaraiosis: 0 none to 1.6 severe (11 HU).
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
    sylvian: tuple[float, float]
    wm_hu: float
    gm_hu: float
    csf_hu: float
    bone_hu: float
    choroid_hu: float
    mottle_hu: float
    leukoaraiosis: float
    infarcts: tuple[InfarctPlan, ...]
    bright: tuple[BrightPlan, ...]
    metal: tuple[MetalPlan, ...]
    scanner: ScannerPlan
    masses: tuple[MassPlan, ...] = ()

    @property
    def pose(self) -> RigidTransform:
        """aligned(p) = scan(pose · p), LPS mm."""
        return RigidTransform.from_parameters(self.rotation_deg, self.translation_mm)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON. `masses` is left out if empty, so that plans stored by older versions compare equal."""
        plain = asdict(self)
        if not self.masses:
            del plain["masses"]
        return plain

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> PatientPlan:
        """Back from `to_dict`, through JSON."""
        plain = {field.name: _tuple(values[field.name]) for field in fields(cls) if field.name in values}
        plain["infarcts"] = tuple(InfarctPlan(**{k: _tuple(v) for k, v in x.items()}) for x in values["infarcts"])
        plain["bright"] = tuple(BrightPlan(**{k: _tuple(v) for k, v in x.items()}) for x in values["bright"])
        plain["metal"] = tuple(MetalPlan(**{k: _tuple(v) for k, v in x.items()}) for x in values["metal"])
        plain["scanner"] = ScannerPlan(**values["scanner"])
        plain["masses"] = tuple(MassPlan(**{k: _tuple(v) for k, v in x.items()}) for x in values.get("masses", ()))
        return cls(**plain)


def stream(plan: PatientPlan, number: int, device: torch.device | str = "cpu") -> torch.Generator:
    """An independent random generator of one patient. number: 0 fields, 1 lesions, 2 noise, 3 metal.

    Values that must be equal on all devices are drawn on the CPU; noise is drawn on the device that uses it.
    """
    return torch.Generator(device).manual_seed(plan.noise_seed * 8 + number)


def _tuple(value: Any) -> Any:
    return tuple(_tuple(v) for v in value) if isinstance(value, list) else value
