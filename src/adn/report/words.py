"""What the report says in words: the verdict, the location, and which quality checks to look at."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from adn.atlas import SUPPLY, Supply
from adn.lang import Words, words
from adn.remarks import Kind, Remark, blocking
from adn.results import Measurements, Prediction, TerritoryShare

_MIN_SHARE = 0.1  # territories with a smaller share of the infarct are not named
_MAIN_SHARE = 0.6  # a territory with this share is the only one named in the verdict
# Quality checks, in the order in which they can spoil a result, and the remarks that make each fail.
_CHECKS: dict[str, tuple[Kind, ...]] = {
    "outline": ("brain_small", "brain_large"),
    "whole": ("part_of_head", "base_cut", "vertex_cut"),
    "alignment": ("asymmetric", "alignment_no_better"),
    "position": ("head_turned",),
    "noise": ("noisy",),
    "bright": ("may_be_blood", "bright_spots"),
    "sides": ("both_sides",),
}


class Check(NamedTuple):
    """One quality check: what was measured, whether it is fine, and what that means; inside: its name within a
    sentence."""

    name: str
    measured: str
    good: bool
    meaning: str
    inside: str


def first_line(prediction: Prediction, say: Words | None = None) -> str:
    """The top line: the verdict, or why the scan is not assessable. say: a language; English by default."""
    say, found = say or words(), prediction.measurements
    because = reasons(prediction.remarks, say)
    if because and found.side == "none":
        return say("verdict.not_assessable", reasons=because)
    if because:
        return say("verdict.not_assessable_marked", reasons=because, volume=say.volume(found.volume_ml))
    line = verdict(found, prediction.polarity, prediction.territories, say)
    return say("verdict.none_in_part", verdict=line) if is_part(prediction) and found.side == "none" else line


def is_part(prediction: Prediction) -> bool:
    """Whether only part of the head was scanned."""
    return any(remark.kind == "part_of_head" for remark in prediction.remarks)


def reasons(remarks: Iterable[Remark], say: Words | None = None) -> str:
    """Why a scan is not assessable, as the end of a sentence; '' if it is assessable."""
    say = say or words()
    return say("verdict.and_because").join(remark.because(say) for remark in blocking(remarks))


def verdict(
    found: Measurements,
    polarity: str = "dark",
    territories: tuple[TerritoryShare, ...] = (),
    say: Words | None = None,
) -> str:
    """The finding in one line: volume, side, location. polarity: what was looked for, as in `Prediction`."""
    say = say or words()
    if found.side == "none":
        return say(f"verdict.none.{polarity}")
    where = say(f"verdict.where.{found.side}")
    line = say(f"verdict.found.{polarity}", volume=say.volume(found.volume_ml), where=where)
    arteries = main_arteries(territories, say)
    return say("verdict.with_arteries", verdict=line, arteries=arteries) if arteries else line


def main_supplies(territories: tuple[TerritoryShare, ...]) -> tuple[Supply, ...]:
    """The artery with most of the infarct, or the two with the largest shares, branches merged."""
    totals: dict[Supply, float] = defaultdict(float)
    for share in territories:
        totals[SUPPLY[share.territory]] += share.volume_ml
    order = sorted(totals, key=lambda name: -totals[name])
    alone = order and totals[order[0]] >= _MAIN_SHARE * sum(totals.values())
    return tuple(order[: 1 if alone else 2])


def main_arteries(territories: tuple[TerritoryShare, ...], say: Words | None = None) -> str:
    """The arteries of `main_supplies` in words, or ''."""
    say = say or words()
    names = [say(f"places.{name}") for name in main_supplies(territories)]
    return say("verdict.mostly", first=names[0], second=names[1]) if len(names) > 1 else "".join(names)


def main_shares(territories: tuple[TerritoryShare, ...]) -> list[TerritoryShare]:
    """The territories that hold a tenth of the infarct or more."""
    total = sum(share.volume_ml for share in territories)
    return [share for share in territories if share.volume_ml >= _MIN_SHARE * total]


def territory_rows(territories: tuple[TerritoryShare, ...], say: Words | None = None) -> list[tuple[str, str]]:
    """Name and volume of each of `main_shares`, and of the rest combined."""
    say = say or words()
    total, named = sum(share.volume_ml for share in territories), main_shares(territories)
    rows = [
        (say(f"places.row.{share.side}", place=say(f"places.{share.territory}")), say.volume(share.volume_ml))
        for share in named
    ]
    rest = total - sum(share.volume_ml for share in named)
    return [*rows, (say("places.elsewhere"), say.volume(rest))] if rest > 0.005 * total else rows


def checks(prediction: Prediction, say: Words | None = None) -> list[Check]:
    """Quality checks; where one fails, the remarks against it say what is wrong."""
    say = say or words()
    measured = _measured(prediction, say)
    found = []
    for name, kinds in _CHECKS.items():
        against = [remark.told(say) for remark in prediction.remarks if remark.kind in kinds]
        part = "_part" if name == "outline" and is_part(prediction) else ""
        meaning = " ".join(against) or say(f"checks.{name}.good{part}")
        texts = say(f"checks.{name}.name"), measured[name], not against, meaning, say(f"checks.{name}.inside")
        found.append(Check(*texts))
    return found


def _measured(prediction: Prediction, say: Words) -> dict[str, str]:
    """What each check measured."""
    quality, found = prediction.quality, prediction.measurements
    _, rolled_deg, turned_deg = (abs(degrees) for degrees in prediction.pose.rotation_deg)
    remarked = {remark.kind for remark in prediction.remarks}
    cut = {("base_cut",): "_base", ("vertex_cut",): "_top", ("base_cut", "vertex_cut"): "_both"}
    whole = cut.get(tuple(sorted(remarked & {"base_cut", "vertex_cut"})), "_part" if is_part(prediction) else "")
    values: dict[str, dict[str, float | str]] = {
        "outline": {"brain_ml": quality.brain_ml, "stripper": say.term(prediction.provenance.stripper)},
        "whole": {},
        "alignment": {"before_hu": quality.asymmetry_before_hu, "after_hu": quality.asymmetry_after_hu},
        "position": {"turned_deg": turned_deg, "rolled_deg": rolled_deg},
        "noise": {"noise_hu": quality.noise_hu},
        "bright": {"bright": say.volume(quality.bright_ml)},
        "sides": {"left": say.volume(found.left_ml), "right": say.volume(found.right_ml)},
    }
    endings = {"whole": whole}
    return {name: say(f"checks.{name}.measured{endings.get(name, '')}", **given) for name, given in values.items()}


def ranges(indices: Iterable[int]) -> str:
    """Consecutive numbers as ranges: 3–5, 9."""
    parts: list[list[int]] = []
    for index in sorted(indices):
        if parts and index == parts[-1][1] + 1:
            parts[-1][1] = index
        else:
            parts.append([index, index])
    return ", ".join(str(first) if first == last else f"{first}–{last}" for first, last in parts)
