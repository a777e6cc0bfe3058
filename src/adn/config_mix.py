"""Sections of a recipe for training on several sources (`feed.mix`)."""

from __future__ import annotations

from pydantic import Field

from adn.config_draws import Section


class LaidConfig(Section):
    """How virtual infarcts are added to real brains (`virtual.overlay`; docs/training.md)."""

    donor_share: float = Field(default=0.45, ge=0, le=1)  # share of infarcts from a real one; others: from masks
    drop_hu: float = 6.5  # mean darkening of a mask; TEKNOFEST: median 6 HU darker than the twin
    drop_sd_hu: float = 2.8  # σ of that darkening between infarcts
    drop_range_hu: tuple[float, float] = (2.0, 14.0)  # the darkening is clipped to this range
    patchy: tuple[float, float] = (0.1, 0.3)  # relative σ of the darkening within an infarct
    donor_gain_sd: float = 0.2  # σ of the logarithm of the factor on a donor's darkening
    edge_mm: tuple[float, float] = (1.0, 3.5)  # σ in plane of the soft edge
    scale_sd: float = 0.13  # σ of the logarithm of the scale in plane
    shift_mm: float = 3.6  # σ in plane of the shift from the position of its mask or donor
    least_ml: float = 1.0  # a smaller infarct is drawn again
    most_ml: float = 220.0  # a larger infarct is drawn again
    least_hu: float = 1.5  # an infarct darker by less than this on average is invisible, so it is drawn again
    tries: int = Field(default=8, ge=1)  # after this many draws, no infarct is added


class ChangesConfig(Section):
    """The last changes to a sample, whatever its source. They vary more than real scans do."""

    flip_share: float = Field(default=0.5, ge=0, le=1)  # share of samples that are mirrored left to right
    turn_sd_deg: float = 3.0  # σ of rotation in plane
    scale_sd: float = 0.06  # σ of the logarithm of the scale in plane
    shift_sd: float = 0.0075  # σ of the shift in plane, as a share of the box's sides
    gain: tuple[float, float] = (0.75, 1.35)  # factor of contrast about the brain's median, log-uniform
    denser_sd_hu: float = 3.0  # σ of the HU added to the whole brain
    rough_sd_hu: float = 1.0  # σ of the σ of added noise
    shading_sd_hu: float = 1.0  # σ of the σ of smooth shading


class MixConfig(Section):
    """Training on outlined parts of heads, whole heads without infarct and virtual patients (docs/training.md).

    The source must not give away whether there is an infarct: some samples of every source have one, whether parts or
    whole heads.
    """

    outlined: float = Field(default=0.0, ge=0)  # share of samples: outlined cases, unchanged
    emptied: float = Field(default=0.0, ge=0)  # share: outlined cases, the infarct replaced by its mirror twin
    whole: float = Field(default=0.0, ge=0)  # share: whole heads without infarct; blood and oedema are not scored
    virtual: float = Field(default=0.0, ge=0)  # share: virtual patients (`train.pool`, `train.looks`)
    align_with: str = "fast-plus"  # weights whose T aligns real cases to the brain box, once
    # grid on which samples are made, before they are rotated back (align.apply = false); None: grid.box
    box: tuple[int, int, int] | None = None
    kept: bool = False  # store samples on disk (1 MB each at 2.4 mm), for runs that share them (`adn benchmark`)
    # maximum number of outlined cases, and of heads, used for validation; None: all that are held out
    validated: int | None = Field(default=None, ge=1)
    filled_share: float = Field(default=0.4, ge=0, le=1)  # outlined cases with a healthy region replaced by its twin
    emptied_laid_share: float = Field(default=0.25, ge=0, le=1)  # share of emptied cases that get a virtual infarct
    whole_laid_share: float = Field(default=0.55, ge=0, le=1)  # share of whole heads that get a virtual infarct
    whole_twin_share: float = Field(default=0.5, ge=0, le=1)  # whole heads with blood and oedema replaced by a twin
    cut_share: float = Field(default=0.5, ge=0, le=1)  # whole and virtual heads cut to parts like outlined ones
    grown_voxels: int = Field(default=2, ge=0)  # dilation, in plane, of an outline before it is replaced
    silent_voxels: int = Field(default=3, ge=0)  # voxels this close, in plane, to blood or oedema are not scored
    filled_voxels: tuple[float, float] = (4.0, 14.0)  # half axis of a replaced healthy region
    uneven_hu: float = 1.2  # largest smooth difference between a twin and the tissue it replaces
    blood_hu: float = 46.0  # a mean over 3 × 3 pixels above this is blood, in addition to what the case marks
    visible_hu: float = 2.0  # an infarct darker than its twin by less than this counts as invisible
    invisible_weight: float = Field(default=0.15, gt=0, le=1)  # frequency of such a case relative to a visible one
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
