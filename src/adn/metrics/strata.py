"""Strata of infarct volume, shared by scores, fixed sets of virtual patients and draws of lesion masks."""

from __future__ import annotations

SEEN_ML = 0.5  # less is hardly visible on CT with 5 mm slices
SMALL_ML, LARGE_ML = 30.0, 70.0  # small: up to the first; large: more than the second
ALL, WITH_INFARCT, NONE = "all", "with infarct", "none"
SMALL, MIDDLE, LARGE = f"≤ {SMALL_ML:g} mL", f"{SMALL_ML:g}–{LARGE_ML:g} mL", f"> {LARGE_ML:g} mL"
STRATA: tuple[str, ...] = (ALL, WITH_INFARCT, SMALL, MIDDLE, LARGE, NONE)


def volume_stratum(reference_ml: float) -> str:
    """The stratum of a reference volume, mL: none, ≤ 30, 30–70 (70 included), > 70.

    >>> volume_stratum(30.0), volume_stratum(70.0), volume_stratum(0.0)
    ('≤ 30 mL', '30–70 mL', 'none')
    """
    if reference_ml == 0.0:
        return NONE
    return SMALL if reference_ml <= SMALL_ML else MIDDLE if reference_ml <= LARGE_ML else LARGE
