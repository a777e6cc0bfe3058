"""What a stroke reader asks, in words: one line each for the first page, and a table of ASPECTS's regions."""

from __future__ import annotations

from typing import NamedTuple

from adn.answers import Answers, Aspects, NotAssessable, RegionFinding, WaterUptake
from adn.atlas import ASPECTS_REGIONS, AspectsRegion
from adn.lang import Words


class Line(NamedTuple):
    """One line of the first page. known: False where there is no answer."""

    name: str
    text: str
    known: bool = True


class RegionRow(NamedTuple):
    """One region of ASPECTS, both sides: why each has its point or not."""

    region: str
    left: str
    right: str
    left_affected: bool
    right_affected: bool


def lines(answers: Answers, say: Words) -> list[Line]:
    """What is answered, and what could not be, in the order in which it is read."""
    return [_aspects_line(answers.aspects, say), _water_line(answers.water_uptake, say)]


def _unknown(name: str, why: NotAssessable, say: Words) -> Line:
    because = say(f"answers.because.{why.because}")
    return Line(say(f"answers.{name}.name"), say("answers.not_assessable", because=because), False)


def _aspects_line(score: Aspects | NotAssessable, say: Words) -> Line:
    if isinstance(score, NotAssessable):
        return _unknown("aspects", score, say)
    named = []
    for side, points in (("left", score.left), ("right", score.right)):
        text = say(f"answers.aspects.points.{side}", points=points)
        lost = [region_name(x.region, say) for x in score.regions if x.side == side and x.affected]
        named.append(say("answers.aspects.lost", side=text, regions=", ".join(lost)) if lost else text)
    return Line(say("answers.aspects.name"), "; ".join(named))


def region_name(region: AspectsRegion, say: Words) -> str:
    """A region of ASPECTS as readers call it; M1 to M6 are called so everywhere."""
    key = f"answers.regions.{region}"
    return say(key) if say.has(key) else region


def _water_line(water: WaterUptake | NotAssessable, say: Words) -> Line:
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
