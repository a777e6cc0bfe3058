"""Sections of a recipe that say what a training on several sources draws (`feed.mix`)."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Section(BaseModel):
    """A part of a recipe: an unknown key is an error, and nothing changes once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class LaidConfig(Section):
    """How infarcts are laid on real brains (`virtual.overlay`; docs/method.md, section 7b)."""

    donor_share: float = Field(default=0.45, ge=0, le=1)  # have a real infarct's HU differences; the others are masks
    drop_hu: float = 6.5  # mean darkening of a mask; TEKNOFEST: median −6 HU against the twin
    drop_sd_hu: float = 2.8
    drop_range_hu: tuple[float, float] = (2.0, 14.0)
    patchy: tuple[float, float] = (0.1, 0.3)  # σ, relative, of the darkening from place to place
    donor_gain_sd: float = 0.2  # σ of the logarithm of what a donor's differences are multiplied by
    edge_mm: tuple[float, float] = (1.0, 3.5)  # σ in plane of the extent's edge
    scale_sd: float = 0.13  # σ of the logarithm of the size in plane
    shift_mm: float = 3.6  # σ in plane of where it lies, against where its mask or donor lay
    least_ml: float = 1.0  # what is smaller is drawn again, and so is
    most_ml: float = 220.0  # what is larger,
    least_hu: float = 1.5  # and what is less dark on average, which cannot be seen
    tries: int = Field(default=8, ge=1)
