"""What the report says in words: the verdict, where, and which quality checks to look at."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from adn.atlas import SUPPLY, Supply, Territory
from adn.remarks import Remark, blocking
from adn.results import USUAL_BRAIN_ML, Measurements, Prediction, TerritoryShare

_MIN_SHARE = 0.1  # of the infarct: lesser territories are not named
_MAIN_SHARE = 0.6  # a territory with so much stands alone in the verdict


class Check(NamedTuple):
    """One quality check: what was measured, whether it is as it should be, and what to think of it."""

    name: str
    measured: str
    good: bool
    meaning: str


def looked_for(prediction: Prediction) -> str:
    """What was looked for, as a verdict begins."""
    return "Bright lesion" if prediction.polarity == "bright" else "Infarct"


def first_line(prediction: Prediction) -> str:
    """What stands above all else: the verdict, or why there was nothing to judge."""
    found = prediction.measurements
    because = reasons(prediction.remarks)
    if because:
        marked = "" if found.side == "none" else f"; do not rely on the {volume_text(found.volume_ml)} marked"
        return f"Not assessable, because {because}{marked}"
    where = " in the part of the head that was scanned" if is_part(prediction) and found.side == "none" else ""
    return verdict(found, looked_for(prediction), prediction.territories) + where


def is_part(prediction: Prediction) -> bool:
    """Whether only a part of the head was scanned."""
    return any(remark.kind == "part_of_head" for remark in prediction.remarks)


def reasons(remarks: Iterable[Remark]) -> str:
    """Why a scan is not assessable, as the end of a sentence; '' where it is."""
    return ", and because ".join(remark.reason for remark in blocking(remarks))


def verdict(found: Measurements, finding: str = "Infarct", territories: tuple[TerritoryShare, ...] = ()) -> str:
    """The finding in one line: volume, side, where."""
    if found.side == "none":
        return f"No {finding.lower()} marked"
    where = "both hemispheres" if found.side == "both" else f"{found.side} hemisphere"
    arteries = main_arteries(territories)
    return f"{finding} marked: {volume_text(found.volume_ml)}, {where}{', ' if arteries else ''}{arteries}"


def main_arteries(territories: tuple[TerritoryShare, ...]) -> str:
    """The one or two arteries with most of the infarct, branches taken together, or ''."""
    totals: dict[Supply, float] = defaultdict(float)
    for share in territories:
        totals[SUPPLY[share.territory]] += share.volume_ml
    order = sorted(totals, key=lambda name: -totals[name])
    if not order:
        return ""
    if totals[order[0]] >= _MAIN_SHARE * sum(totals.values()) or len(order) == 1:
        return order[0]
    return f"mostly {order[0]} and {order[1]}"


def territory_rows(territories: tuple[TerritoryShare, ...]) -> list[tuple[str, str]]:
    """Name and volume of the territories that hold a tenth of the infarct or more, and of the rest together."""
    total = sum(share.volume_ml for share in territories)
    named = [share for share in territories if share.volume_ml >= _MIN_SHARE * total]
    rows = [(f"{share.side.capitalize()} {_spoken(share.territory)}", volume_text(share.volume_ml)) for share in named]
    rest = total - sum(share.volume_ml for share in named)
    return [*rows, ("Elsewhere", volume_text(rest))] if rest > 0.005 * total else rows


def _spoken(territory: Territory) -> str:
    return "middle cerebral artery, deep (lenticulostriate)" if territory == "lenticulostriate" else territory


def checks(prediction: Prediction) -> list[Check]:
    """Quality checks in the order in which they can spoil a result."""
    quality, found, turned = prediction.quality, prediction.measurements, prediction.pose.rotation_deg
    low, high = USUAL_BRAIN_ML
    before, after = quality.asymmetry_before_hu, quality.asymmetry_after_hu
    remarked = {remark.kind for remark in prediction.remarks}
    cut = [name for name, kind in (("base", "base_cut"), ("top", "vertex_cut")) if kind in remarked]
    part = "part_of_head" in remarked
    size_good = not remarked & {"brain_small", "brain_large"}
    pose_good = "head_turned" not in remarked
    aligned_good = not remarked & {"asymmetric", "alignment_no_better"}
    quiet = "noisy" not in remarked
    dark = not remarked & {"may_be_blood", "bright_spots"}
    one_sided = "both_sides" not in remarked
    return [
        Check(
            "Brain outline",
            f"{quality.brain_ml:.0f} mL, by the {prediction.provenance.stripper}"
            f"{' method' if prediction.provenance.stripper == 'classical' else ''}",
            size_good,
            f"{'Of a part of a head' if part else 'A usual size'}; see the blue outline in every slice."
            if size_good
            else f"Adults have {low:.0f} to {high:.0f} mL: see the blue outline. Outside it nothing can be marked.",
        ),
        Check(
            "Whole brain scanned",
            f"{' and '.join(cut)} cut off" if cut else "a part only" if part else "yes",
            not cut and not part,
            "What lies beyond the scan is not assessed."
            if cut or part
            else "The brain ends within the scan on both sides.",
        ),
        Check(
            "Alignment",
            f"sides differ by {before:.1f} HU before, {after:.1f} HU after",
            aligned_good,
            "Left and right match after alignment."
            if aligned_good
            else "Left and right do not match well: asymmetries may be false.",
        ),
        Check(
            "Head position",
            f"turned {abs(turned[2]):.0f}°, rolled {abs(turned[1]):.0f}°".replace("-", "−"),
            pose_good,
            "Within what can be corrected."
            if pose_good
            else "Near the limit of what can be corrected: asymmetries may be false.",
        ),
        Check(
            "Noise",
            f"{quality.noise_hu:.1f} HU in a 5 mm slice",
            quiet,
            "Usual for a head CT." if quiet else "High: early infarcts cannot be told from noise.",
        ),
        Check(
            "Bright spots",
            f"{volume_text(quality.bright_ml)} of 55 to 95 HU away from bone",
            dark,
            "None of note. Bleeding is not assessed."
            if dark
            else "May be blood. Bleeding is not assessed: look for it first.",
        ),
        Check(
            "Sides marked",
            f"left {volume_text(found.left_ml)}, right {volume_text(found.right_ml)}",
            one_sided,
            "No marks on both sides."
            if one_sided
            else "Acute infarcts seldom lie on both sides at once: one of them may be a false mark.",
        ),
    ]


def volume_text(ml: float) -> str:
    """A volume with as many digits as it deserves."""
    return f"{ml:.2f} mL" if 0 < ml < 1 else f"{ml:.1f} mL"


def number(value: float | None, digits: int = 1, unit: str = "") -> str:
    """A number with a real minus sign and its unit, or a dash where there is none."""
    if value is None:
        return "–"
    return f"{round(value, digits) + 0.0:.{digits}f}{unit}".replace("-", "−")


def ranges(indices: Iterable[int]) -> str:
    """Consecutive numbers as ranges: 3–5, 9."""
    parts: list[list[int]] = []
    for index in sorted(indices):
        if parts and index == parts[-1][1] + 1:
            parts[-1][1] = index
        else:
            parts.append([index, index])
    return ", ".join(str(first) if first == last else f"{first}–{last}" for first, last in parts)
