"""Tumours of virtual patients: a ring or a solid nodule in oedema that follows white matter.

They test whether tumours are told apart from infarcts; none is drawn for training (`adn.config_draws` has none).
"""

from __future__ import annotations

import torch
from torch import Tensor

from adn.space.ellipsoids import depth
from adn.virtual.disease import ABOVE_CSF_HU, darkened
from adn.virtual.draw import RandomDraws
from adn.virtual.fields import gives_way
from adn.virtual.lesions import BRAIN
from adn.virtual.plan import MassPlan, PatientPlan
from adn.virtual.tissue_codes import Tissue

FADE_MM = 18.0  # distance over which a mass's displacement of its surroundings fades
_LUMPS, _RAGGED = 0.15, 0.35  # variation of the reach of the nodule and of the oedema, as a share
_EDGE_MM = 2.0  # softness of the oedema
_UNEVEN_HU = 1.5
_FALX_MM = 2.0  # the oedema hardly crosses the midline
_RING_SHARE, _CEREBELLUM_SHARE = 0.6, 0.12
_CEREBRUM_MM = ((14.0, 48.0), (-46.0, 66.0), (-12.0, 48.0))  # ranges of x, y, z of the centre
_CEREBELLUM_MM = ((10.0, 28.0), (54.0, 76.0), (-44.0, -30.0))
_DIAMETER_MM, _CEREBELLUM_DIAMETER_MM = (10.0, 40.0), (10.0, 24.0)
_RIM_MM = (2.5, 6.0)
_RIM_ABOVE_GREY_HU, _CORE_BELOW_WHITE_HU = (-2.0, 12.0), (2.0, 12.0)  # isodense to hyperdense; necrosis
_OEDEMA_MM, _DROP_HU, _EFFACEMENT = (6.0, 32.0), (7.0, 14.0), (0.3, 0.9)
_SWELLING_SHARE = (0.1, 0.4)  # fraction of the radius
_DEEP = 0.18  # minimum depth of the centre in the brain's ellipsoid


def draw_mass(generator: torch.Generator, plan: PatientPlan) -> MassPlan:
    """Draw a tumour, with HU relative to the patient's tissues: a ring in 6 of 10, else solid; 1 to 4 cm wide."""
    d = RandomDraws(generator)
    below = d.chance(_CEREBELLUM_SHARE)
    radius = d.within(_CEREBELLUM_DIAMETER_MM if below else _DIAMETER_MM) / 2
    side, places = d.side(), _CEREBELLUM_MM if below else _CEREBRUM_MM
    centre = _place(d, side, places)
    while not below and depth(torch.tensor(centre)[:, None], (BRAIN,)).item() < _DEEP:
        centre = _place(d, side, places)
    ring = d.chance(_RING_SHARE) and radius > 2 * _RIM_MM[0]
    return MassPlan(
        centre_mm=centre,
        half_axes_mm=(radius * d.uniform(0.85, 1.1), radius * d.uniform(0.9, 1.25), radius * d.uniform(0.85, 1.1)),
        rim_mm=min(d.within(_RIM_MM), 0.6 * radius) if ring else 0.0,
        rim_hu=plan.gm_hu + d.within(_RIM_ABOVE_GREY_HU),
        core_hu=max(plan.wm_hu - d.within(_CORE_BELOW_WHITE_HU), plan.csf_hu + ABOVE_CSF_HU),
        oedema_mm=d.within(_OEDEMA_MM),
        drop_hu=d.within(_DROP_HU),
        effacement=d.within(_EFFACEMENT),
        swelling_mm=radius * d.within(_SWELLING_SHARE),
    )


def _place(d: RandomDraws, side: float, places: tuple[tuple[float, float], ...]) -> tuple[float, float, float]:
    x, y, z = (d.within(ends) for ends in places)
    return side * x, y, z


def mass_in_samples(
    plan: PatientPlan, mass: MassPlan, hu: Tensor, codes: Tensor, mni: Tensor, density: Tensor
) -> Tensor:
    """HU of brain samples, (n,), with a tumour.

    codes: `Tissue`. mni: (3, n), LPS mm. density: a smooth random field that makes the tumour's borders uneven.
    """
    offset = mni - torch.tensor(mass.centre_mm, device=mni.device)[:, None]
    radius = (offset / torch.tensor(mass.half_axes_mm, device=mni.device)[:, None]).norm(dim=0)
    inside_mm = (1 + _LUMPS * density - radius) * mass.radius_mm
    reach = mass.oedema_mm * (1 + _RAGGED * density)
    same_side = torch.sigmoid(mni[0] * (1.0 if mass.centre_mm[0] > 0 else -1.0) / _FALX_MM)
    extent = torch.sigmoid((reach + inside_mm) / _EDGE_MM) * same_side
    darker = darkened(hu, extent * mass.drop_hu * (1 + 0.2 * density).clamp(0.4, 1.6), plan.csf_hu + ABOVE_CSF_HU)
    closed = hu + (plan.gm_hu - hu).clamp(min=0) * extent * mass.effacement
    hu = torch.where(codes == int(Tissue.WM), darker, torch.where(codes == int(Tissue.CSF), closed, hu))
    wall = (inside_mm < mass.rim_mm) | (mass.rim_mm == 0)
    nodule = torch.where(wall, mass.rim_hu, mass.core_hu) + _UNEVEN_HU * density
    return torch.where(inside_mm > 0, nodule, hu)


def pushed(mass: MassPlan, mni: Tensor) -> Tensor:
    """Displacement from each place to where its content was before the tumour pushed it outwards, (3, d, h, w) mm."""
    offset = mni - torch.tensor(mass.centre_mm, device=mni.device)[:, None, None, None]
    away = offset.norm(dim=0)
    strength = (away / mass.radius_mm).clamp(max=1) * torch.exp(-(away - mass.radius_mm).clamp(min=0) / FADE_MM)
    return -offset / away.clamp(min=0.1) * (strength * mass.swelling_mm * gives_way(mni))
