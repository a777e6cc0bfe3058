"""Growth is the difference of volumes; parts are new or vanished if the other scan has nothing nearby."""

import pytest

from adn.comparison.growth import measure_growth
from adn.comparison.register import Match
from comparison.heads import scanned, true_matrix


def grown(first, second, intervals=(None, None)):
    return measure_growth(first, second, Match(true_matrix(first, second), 1.0, 1.0, 1.0), intervals)


def test_growth_uses_volumes_on_each_scans_own_voxels():
    growth = grown(scanned(lesion_mm=18.0), scanned(lesion_mm=24.0))
    assert growth.growth_ml == pytest.approx(growth.second_ml - growth.first_ml)
    assert growth.percent == pytest.approx(100 * growth.growth_ml / growth.first_ml)
    assert growth.growth_ml > 20
    assert growth.parts == ()


def test_a_separate_part_is_new_and_in_reverse_vanished():
    first, second = scanned(), scanned(extra=True)
    (new,), (vanished,) = grown(first, second).parts, grown(second, first).parts
    assert (new.what, vanished.what) == ("new", "vanished")
    assert new.volume_ml == pytest.approx(vanished.volume_ml) == pytest.approx(grown(first, second).growth_ml)


def test_growth_from_zero_has_no_percentage():
    growth = grown(scanned(lesion_mm=0.0), scanned())
    assert growth.percent is None
    assert growth.ml_of("new") == pytest.approx(growth.second_ml)


@pytest.mark.parametrize(("after", "sure"), [((50.0, 70.0), True), ((20.0, 70.0), False)])
def test_growth_is_certain_if_the_intervals_do_not_overlap(after, sure):
    assert grown(scanned(), scanned(), ((10.0, 30.0), after)).sure is sure
    assert grown(scanned(), scanned()).sure is None
