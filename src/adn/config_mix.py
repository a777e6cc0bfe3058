"""Sections of a recipe that say what a training on several sources draws (`feed.mix`)."""

from __future__ import annotations

from pydantic import Field

from adn.config_draws import Section


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


class ChangesConfig(Section):
    """How a sample is changed at last, whatever its source; wider than real scans differ."""

    flip_share: float = Field(default=0.5, ge=0, le=1)  # left-right
    turn_sd_deg: float = 3.0  # in plane
    scale_sd: float = 0.06  # σ of the logarithm of the size in plane
    shift_sd: float = 0.0075  # of the box's sides
    gain: tuple[float, float] = (0.75, 1.35)  # of contrast about the brain's median, log-uniform
    denser_sd_hu: float = 3.0
    rough_sd_hu: float = 1.0  # σ of the σ of added noise
    shading_sd_hu: float = 1.0  # σ of the σ of smooth shading


class MixConfig(Section):
    """A training on outlined parts of heads, whole heads without infarct and virtual patients (docs/training.md).

    A source must not tell whether there is an infarct: of each some have one, parts and whole heads alike.
    """

    outlined: float = Field(default=0.0, ge=0)  # share of samples: outlined cases as they are
    emptied: float = Field(default=0.0, ge=0)  # outlined cases, the infarct replaced by its mirrored twin
    whole: float = Field(default=0.0, ge=0)  # whole heads without infarct; blood and oedema are not scored
    virtual: float = Field(default=0.0, ge=0)  # virtual patients (`train.pool`, `train.looks`)
    align_with: str = "fast-plus"  # weights whose T carries real cases to the brain box, once
    # where samples are made, and then turned back to how the head lay (align.apply = false); None: grid.box
    box: tuple[int, int, int] | None = None
    kept: bool = False  # samples are kept on disk (1 MB each at 2.4 mm), for runs that share them: `adn benchmark`
    validated: int | None = Field(default=None, ge=1)  # at most so many outlined cases, and heads; None: all held out
    filled_share: float = Field(default=0.4, ge=0, le=1)  # of outlined: a healthy place replaced by its twin, too
    emptied_laid_share: float = Field(default=0.25, ge=0, le=1)  # get a virtual infarct
    whole_laid_share: float = Field(default=0.55, ge=0, le=1)  # get a virtual infarct
    whole_twin_share: float = Field(default=0.5, ge=0, le=1)  # blood and oedema replaced by their twin
    cut_share: float = Field(default=0.5, ge=0, le=1)  # of whole and virtual: cut to a part as outlined ones are
    grown_voxels: int = Field(default=2, ge=0)  # in plane, about an outline that is replaced
    silent_voxels: int = Field(default=3, ge=0)  # not scored in plane around blood and oedema
    filled_voxels: tuple[float, float] = (4.0, 14.0)  # half axis of a healthy place that is replaced
    uneven_hu: float = 1.2  # most smooth difference of what replaces a region from its twin
    blood_hu: float = 46.0  # mean of 3 × 3 pixels above it is blood, beside what the case marks
    visible_hu: float = 2.0  # an outline less dark than this against its twin cannot be seen
    invisible_weight: float = Field(default=0.15, gt=0, le=1)  # and is shown so much more seldom
    laid: LaidConfig = LaidConfig()
    changes: ChangesConfig = ChangesConfig()

    @property
    def shares(self) -> dict[str, float]:
        """Of each source, as given."""
        return {name: getattr(self, name) for name in ("outlined", "emptied", "whole", "virtual")}

    @property
    def used(self) -> bool:
        """True where a recipe mixes sources."""
        return sum(self.shares.values()) > 0
