"""Sections of a recipe for training on several sources (`feed.mix`)."""

from __future__ import annotations

from pydantic import Field

from adn.config_draws import Section


class LaidConfig(Section):
    """How infarcts are laid on real brains (`virtual.overlay`; docs/training.md)."""

    donor_share: float = Field(default=0.45, ge=0, le=1)  # of infarcts from a real one; the others from masks
    drop_hu: float = 6.5  # mean darkening of a mask; TEKNOFEST: median 6 HU darker than the twin
    drop_sd_hu: float = 2.8  # σ of that from one infarct to the next
    drop_range_hu: tuple[float, float] = (2.0, 14.0)  # what is drawn below or above these ends is set to them
    patchy: tuple[float, float] = (0.1, 0.3)  # relative σ of the darkening from place to place
    donor_gain_sd: float = 0.2  # σ of the logarithm of the factor of a donor's differences
    edge_mm: tuple[float, float] = (1.0, 3.5)  # σ in plane of the extent's edge
    scale_sd: float = 0.13  # σ of the logarithm of the size in plane
    shift_mm: float = 3.6  # σ in plane of the shift from the place of its mask or donor
    least_ml: float = 1.0  # a smaller infarct is drawn again
    most_ml: float = 220.0  # a larger infarct is drawn again
    least_hu: float = 1.5  # an infarct less dark than this on average, which cannot be seen, is drawn again
    tries: int = Field(default=8, ge=1)  # after so many draws in all, none is laid


class ChangesConfig(Section):
    """The last changes to a sample, whatever its source. Their ranges are wider than the differences of real scans."""

    flip_share: float = Field(default=0.5, ge=0, le=1)  # of samples are mirrored, left for right
    turn_sd_deg: float = 3.0  # σ of rotation in plane
    scale_sd: float = 0.06  # σ of the logarithm of the size in plane
    shift_sd: float = 0.0075  # σ of the shift in plane, as a share of the box's sides
    gain: tuple[float, float] = (0.75, 1.35)  # factor of contrast about the brain's median, log-uniform
    denser_sd_hu: float = 3.0  # σ of what is added to the whole brain
    rough_sd_hu: float = 1.0  # σ of the σ of added noise
    shading_sd_hu: float = 1.0  # σ of the σ of smooth shading


class MixConfig(Section):
    """A training on outlined parts of heads, whole heads without infarct and virtual patients (docs/training.md).

    The source must not give away whether there is an infarct: in each, and in parts and whole heads alike, some samples
    have one.
    """

    outlined: float = Field(default=0.0, ge=0)  # share of samples: outlined cases, unchanged
    emptied: float = Field(default=0.0, ge=0)  # share: outlined cases, the infarct replaced by its mirror twin
    whole: float = Field(default=0.0, ge=0)  # share: whole heads without infarct; blood and oedema are not scored
    virtual: float = Field(default=0.0, ge=0)  # share: virtual patients (`train.pool`, `train.looks`)
    align_with: str = "fast-plus"  # weights whose T aligns real cases to the brain box, once
    # grid on which samples are made, before they are rotated back (align.apply = false); None: grid.box
    box: tuple[int, int, int] | None = None
    kept: bool = False  # store samples on disk (1 MB each at 2.4 mm), for runs that share them: `adn benchmark`
    validated: int | None = Field(
        default=None, ge=1
    )  # most outlined cases, and most heads; None: all that are held out
    filled_share: float = Field(default=0.4, ge=0, le=1)  # of outlined cases whose twin replaces a healthy place
    emptied_laid_share: float = Field(default=0.25, ge=0, le=1)  # of emptied cases that get a virtual infarct
    whole_laid_share: float = Field(default=0.55, ge=0, le=1)  # of whole heads that get a virtual infarct
    whole_twin_share: float = Field(
        default=0.5, ge=0, le=1
    )  # of whole heads in which the twin replaces blood and oedema
    cut_share: float = Field(
        default=0.5, ge=0, le=1
    )  # of whole and virtual heads that are cut to a part, as outlined cases are
    grown_voxels: int = Field(default=2, ge=0)  # an outline is dilated in plane by this before it is replaced
    silent_voxels: int = Field(default=3, ge=0)  # what lies so near in plane to blood or oedema is not scored
    filled_voxels: tuple[float, float] = (4.0, 14.0)  # half axis of a healthy place that is replaced
    uneven_hu: float = 1.2  # largest smooth difference between a twin and what it replaces
    blood_hu: float = 46.0  # a mean of 3 × 3 pixels above it is blood, besides what the case marks
    visible_hu: float = 2.0  # an infarct less dark than this against its twin cannot be seen
    invisible_weight: float = Field(default=0.15, gt=0, le=1)  # how often that case is shown against a visible one
    laid: LaidConfig = LaidConfig()
    changes: ChangesConfig = ChangesConfig()

    @property
    def shares(self) -> dict[str, float]:
        """The share of each source, as configured."""
        return {name: getattr(self, name) for name in ("outlined", "emptied", "whole", "virtual")}

    @property
    def used(self) -> bool:
        """Whether the recipe mixes sources."""
        return sum(self.shares.values()) > 0
