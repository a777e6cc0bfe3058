"""What a stroke reader asks, in words: one line each for the first page, and a table of ASPECTS's regions."""

from __future__ import annotations

from typing import NamedTuple

from adn.answers import (
    Age,
    Aspects,
    Blood,
    MassEffect,
    MassLike,
    NotAssessable,
    OldInfarct,
    RegionFinding,
    VolumeLimit,
    WaterUptake,
)
from adn.atlas import ASPECTS_REGIONS, AspectsRegion
from adn.lang import Words
from adn.report.words import main_shares, main_supplies, territory_rows
from adn.results import Prediction

LEAST_SHIFT_MM = 3.0  # less is within the error at the septum: 2.0 mm on average, 4.1 at most (docs/answers.md)


class Line(NamedTuple):
    """One line of the first page. known: False where there is no answer."""

    name: str
    text: str
    known: bool = True


class RegionRow(NamedTuple):
    """One region of ASPECTS on both sides: why each keeps or loses its point."""

    region: str
    left: str
    right: str
    left_affected: bool
    right_affected: bool


def lines(prediction: Prediction, say: Words) -> list[Line]:
    """The answers in reading order; a last line names what could not be answered, and why."""
    answers, score = prediction.answers, _aspects_line(prediction, say)
    first = isinstance(answers.aspects, NotAssessable) or _scores(prediction)
    found = [
        score if first else None,
        _volume_line(prediction, say),
        _where_line(prediction, say),
        _blood_line(answers.blood, say),
        _mass_line(answers.mass_effect, say),
        None if first else score,
        _water_line(answers.water_uptake, say),
        _age_line(answers.age, say),
        _old_line(answers.old_infarct, say),
        _mass_like_line(answers.mass_like, say),
    ]
    told = [line for line in found if line is not None and line.known]
    because = [line for line in found if line is not None and not line.known]
    if because and prediction.assessable:
        told.append(Line(say("answers.not_judged.name"), "; ".join(_not_judged(because, say)), False))
    return told


def _not_judged(unknown: list[Line], say: Words) -> list[str]:
    """One text per reason, naming the questions that it leaves unanswered."""
    by_reason: dict[str, list[str]] = {}
    for line in unknown:
        by_reason.setdefault(line.text, []).append(line.name)
    return [say("answers.not_judged.text", name=", ".join(names), because=why) for why, names in by_reason.items()]


def _unknown(name: str, why: NotAssessable, say: Words) -> Line | None:
    """Why there is no answer; None if nothing is marked, because the verdict says that."""
    if why.because == "no_infarct":
        return None
    return Line(say(f"answers.{name}.name"), say(f"answers.because.{why.because}"), False)


def _volume_line(prediction: Prediction, say: Words) -> Line | None:
    found, against = prediction.measurements, prediction.answers.volume_limit
    if found.side == "none" or not prediction.assessable:
        return None
    name, volume = say("answers.limit.name"), say.volume(found.volume_ml)
    if found.volume_interval_ml is None or not isinstance(against, VolumeLimit):
        return Line(name, say("answers.limit.no_interval", volume=volume))
    low, high = (say.volume(ml) for ml in found.volume_interval_ml)
    verdict, limit_ml = say(f"answers.limit.{against.against}"), against.limit_ml
    text = say("answers.limit.interval", volume=volume, low=low, high=high, verdict=verdict, limit_ml=limit_ml)
    return Line(name, text)


def _where_line(prediction: Prediction, say: Words) -> Line | None:
    """The territories, if there is more to say than the verdict does."""
    found = prediction.measurements
    if found.side == "none" or not prediction.assessable:
        return None
    if len(main_shares(prediction.territories)) < 2:
        return None
    rows = territory_rows(prediction.territories, say)
    return Line(say("answers.where.name"), "; ".join(f"{place} {size}" for place, size in rows))


def _blood_line(found: Blood | NotAssessable, say: Words) -> Line | None:
    if isinstance(found, NotAssessable):
        return _unknown("blood", found, say)
    texts = []
    for part in found.parts:
        volume, side = say.volume(part.volume_ml), say(f"answers.sides.{part.side}")
        if part.territory is None:
            texts.append(say("answers.blood.part", volume=volume, side=side))
        else:
            place = say(f"places.row.{part.side}", place=say(f"places.{part.territory}"))
            texts.append(say("answers.blood.part_at", volume=volume, place=place))
    key = "seen" if found.seen else "none"
    return Line(say("answers.blood.name"), say(f"answers.blood.{key}", parts=", ".join(texts)))


def _mass_line(found: MassEffect | NotAssessable, say: Words) -> Line | None:
    if isinstance(found, NotAssessable):
        return _unknown("mass_effect", found, say)
    shifts = {"pineal": found.pineal_shift_mm}
    if found.septum_shift_mm is not None:
        shifts["septum"] = found.septum_shift_mm
    seen = "shift" if "septum" in shifts else "unseen"
    if all(abs(mm) < LEAST_SHIFT_MM for mm in shifts.values()):
        sizes = {level: say.number(abs(mm)) for level, mm in shifts.items()}
        text = say(f"answers.mass_effect.none.{seen}", **sizes)
    else:
        text = say(f"answers.mass_effect.{seen}", **{level: _shift(mm, say) for level, mm in shifts.items()})
    for what, side in (("narrow_ventricle", found.narrow_ventricle), ("narrow_sulci", found.narrow_sulci)):
        if side != "none":
            text += "; " + say(f"answers.mass_effect.{what}.{side}")
    return Line(say("answers.mass_effect.name"), text)


def _shift(mm: float, say: Words) -> str:
    """A shift and its side; 'none' if it is no larger than on heads without any shift."""
    side = "none" if abs(mm) < LEAST_SHIFT_MM else "left" if mm > 0 else "right"
    return say(f"answers.mass_effect.to.{side}", mm=say.number(abs(mm)))


def _age_line(found: Age | NotAssessable, say: Words) -> Line | None:
    if isinstance(found, NotAssessable):
        return _unknown("age", found, say)
    if not found.looks_old:
        return None  # the rule says when something looks old; it does not say that it is new
    return Line(say("answers.age.name"), say("answers.age.old", percent=100 * found.fluid_share))


def _old_line(found: OldInfarct | NotAssessable, say: Words) -> Line | None:
    """None if nothing looks like one, or if that could not be judged: the line on age says so."""
    if isinstance(found, NotAssessable) or found.volume_ml <= 0:
        return None
    key = "left_out" if found.left_out else "marked"
    return Line(say("answers.old_infarct.name"), say(f"answers.old_infarct.{key}", volume=say.volume(found.volume_ml)))


def _mass_like_line(found: MassLike | NotAssessable, say: Words) -> Line | None:
    """None unless something stands out: the rule finds some masses and rules out none."""
    if isinstance(found, NotAssessable) or not found.looks_so:
        return None
    text = say("answers.mass_like.text", diameter_mm=found.diameter_mm, contrast_hu=found.contrast_hu)
    return Line(say("answers.mass_like.name"), text)


def _scores(prediction: Prediction) -> bool:
    """Whether ASPECTS applies: a region lost its point, or the mark is mainly in the middle cerebral artery's area."""
    score = prediction.answers.aspects
    if isinstance(score, NotAssessable):
        return False
    return min(score.left, score.right) < 10 or "middle cerebral artery" in main_supplies(prediction.territories)


def _aspects_line(prediction: Prediction, say: Words) -> Line | None:
    score, found = prediction.answers.aspects, prediction.measurements
    if isinstance(score, NotAssessable):
        return _unknown("aspects", score, say)
    name = say("answers.aspects.name")
    if not _scores(prediction):
        return Line(name, say("answers.aspects.unmarked" if found.side == "none" else "answers.aspects.outside"))
    named = []
    for side, points in (("left", score.left), ("right", score.right)):
        text = say(f"answers.aspects.points.{side}", points=points)
        lost = [region_name(x.region, say) for x in score.regions if x.side == side and x.affected]
        if lost:
            text = say("answers.aspects.lost", side=text, regions=", ".join(lost))
        elif found.side in (side, "both"):
            text = say("answers.aspects.kept", side=text)
        named.append(text)
    return Line(name, "; ".join(named))


def region_name(region: AspectsRegion, say: Words) -> str:
    """A region of ASPECTS as readers call it; M1 to M6 have the same names in every language."""
    key = f"answers.regions.{region}"
    return say(key) if say.has(key) else region


def _water_line(water: WaterUptake | NotAssessable, say: Words) -> Line | None:
    if isinstance(water, NotAssessable):
        return _unknown("water", water, say)
    percent, sigma = say.number(water.percent), say.number(water.uncertainty_percent)
    return Line(say("answers.water.name"), say("answers.water.text", percent=percent, sigma=sigma))


def region_rows(score: Aspects | NotAssessable, say: Words) -> list[RegionRow]:
    """Each region with its reason, left and right; none where there is no score."""
    if isinstance(score, NotAssessable):
        return []
    by_place = {(finding.region, finding.side): finding for finding in score.regions}
    rows = []
    for region in ASPECTS_REGIONS:
        left, right = by_place[region, "left"], by_place[region, "right"]
        texts = _reason(left, say), _reason(right, say)
        rows.append(RegionRow(region_name(region, say), *texts, left.affected, right.affected))
    return rows


def _reason(finding: RegionFinding, say: Words) -> str:
    share = 100 * finding.infarct_share
    marked = say("answers.aspects.marked", percent=share, tissue_ml=finding.tissue_ml)
    if finding.water is None:
        return marked
    hu, mirror, percent = (
        say.number(x) for x in (finding.water.mean_hu, finding.water.mirror_hu, finding.water.percent)
    )
    return say("answers.aspects.reason", marked=marked, hu=hu, mirror=mirror, percent=percent)
