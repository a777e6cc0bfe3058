"""What a stroke reader asks, as keys of `result.json` and columns of `results.csv`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import Any

from adn.answers import Answers

UNITS = {
    "answers": "what a stroke reader asks; where 'because' is not null there is no answer, for that reason",
    "net_water_uptake": "percent: (1 - mean_hu / mirror_hu) x 100 of marked tissue of 12 to 80 HU and of its twin "
    "of 20 to 80 HU; "
    "uncertainty_percent: sigma by noise and by how far the sides differ elsewhere",
    "aspects": "0 to 10 a side; regions: mL of tissue, share of it that is marked (0 to 1), HU, its twin's HU, "
    "net water uptake",
    "blood": "mL of compact parts of 55 to 95 HU away from bone, which may be blood; seen: one of 0.5 mL or more",
    "mass_effect": "mm off the mid-sagittal plane, positive to the patient's left; ventricle_ml, sulci_ml: mL of "
    "fluid, left and right",
    "age": "fluid_share: 0 to 1 of what is marked is as dark as fluid beside a twin of tissue",
    "old_infarct": "volume_ml: mL that were marked and look like an old infarct; left_out: no longer marked",
    "mass_like": "the disc in or beside what is marked that stands out most: contrast_hu: HU above the ring about it; "
    "diameter_mm; above_grey_hu: HU above usual grey matter; looks_so: it may be a tumour, or a bleed with oedema",
    "volume_limit": "against: above, below or cannot_tell, by volume_interval_ml; limit_ml: mL, as asked for",
}
CSV_COLUMNS: tuple[str, ...] = (
    "net_water_uptake_percent",
    "aspects_left",
    "aspects_right",
    "blood_ml",
    "septum_shift_mm",
    "pineal_shift_mm",
    "looks_old",
    "old_infarct_ml",
    "looks_like_mass",
    "volume_limit_ml",
    "volume_against_limit",
)
CSV_NUMBERS = frozenset(CSV_COLUMNS) - {"looks_old", "looks_like_mass", "volume_against_limit"}  # what holds numbers
_KEYS = {"water_uptake": "net_water_uptake"}


def answers_dict(answers: Answers) -> dict[str, Any]:
    """Answers by name; each has `because`: null, or why there is no answer."""
    found = {name: getattr(answers, name) for name in answers.__dataclass_fields__}
    return {_KEYS.get(name, name): {"because": None, **_plain(answer)} for name, answer in found.items()}


def csv_answers(answers: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of one scan from `answers_dict`; None where there is no answer."""
    water, score = answers["net_water_uptake"], answers["aspects"]
    return {
        "net_water_uptake_percent": water.get("percent"),
        "aspects_left": score.get("left"),
        "aspects_right": score.get("right"),
        "blood_ml": answers["blood"].get("volume_ml"),
        "septum_shift_mm": answers["mass_effect"].get("septum_shift_mm"),
        "pineal_shift_mm": answers["mass_effect"].get("pineal_shift_mm"),
        "looks_old": {True: "yes", False: "no"}.get(answers["age"].get("looks_old")),
        "old_infarct_ml": answers["old_infarct"].get("volume_ml"),
        "looks_like_mass": {True: "yes", False: "no"}.get(answers["mass_like"].get("looks_so")),
        "volume_limit_ml": answers["volume_limit"].get("limit_ml"),
        "volume_against_limit": answers["volume_limit"].get("against"),
    }


def _plain(value: Any) -> Any:
    """Dataclasses as dicts, tuples as lists."""
    if is_dataclass(value) and not isinstance(value, type):
        return {key: _plain(item) for key, item in asdict(value).items()}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value
