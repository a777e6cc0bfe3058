import numpy as np
import pytest

from adn.datasets.export import export_cases
from adn.datasets.inspection import inspect_case
from adn.datasets.layouts import find_cases, write_cases
from adn.datasets.parts import close_speckles, lay_mask, lay_slices, slice_numbers
from adn.errors import InputError
from adn.evaluation import evaluate
from adn.feed.cache import NOT_SCORED, case_key, ensure_prepared, load_prepared, prepare_case
from adn.io import read_volume, write_volume
from adn.recipes import load_recipe
from damaged import SPACING_MM, patient
from given import given

pytestmark = pytest.mark.usefixtures("taken_as_upright")

SPACING = (5.0, 2.0, 2.0)


def slices(n=4, rows=30, columns=20):
    hu = np.stack([np.full((rows, columns), 10.0 * i) for i in range(n)])
    infarct = np.zeros(hu.shape, np.uint8)
    infarct[:, 10:20, 5:12] = 1
    return hu, infarct


def test_gaps_are_filled_between_acquired_neighbours_and_marked():
    hu, infarct = slices()
    part = lay_slices(hu, infarct, SPACING, [7, 8, 12, 13])
    acquired = part.seen.data[:, 0, 0]
    middle = np.flatnonzero(acquired)
    assert middle.tolist() == [middle[0] + step for step in (0, 1, 5, 6)]
    along = part.ct.data[middle[0] : middle[-1] + 1, 0, 0]
    assert along.tolist() == [0, 10, 12, 15, 18, 20, 30]
    assert part.infarct_ml == pytest.approx(4 * 70 * 0.02)  # what lies between is no outline
    assert (part.infarct.data.any(axis=(1, 2))).all()
    assert part.ct.grid.axes == "SPL"
    assert part.ct.grid.spacing_mm == pytest.approx(SPACING)


def test_an_interpolated_outline_is_between_its_neighbours():
    hu, infarct = slices(2)
    infarct[1] = np.roll(infarct[1], 4, axis=1)
    part = lay_slices(hu, infarct, (10.0, 2.0, 2.0), [0, 2])
    first = int(np.flatnonzero(part.seen.data[:, 0, 0])[0])
    between = np.flatnonzero(part.infarct.data[first + 1].any(axis=0))
    assert (between[0] + between[-1]) / 2 == pytest.approx((5 + 11) / 2 + 2, abs=0.5)


def test_a_short_stack_repeats_its_ends_as_unseen_slices():
    hu, infarct = slices(1)
    part = lay_slices(hu + 31, infarct, (2.5, 2.0, 2.0))
    assert part.ct.grid.shape[0] * 2.5 == 45.0
    assert part.seen.data.any(axis=(1, 2)).sum() == 1
    assert (part.ct.data == 31).all()
    long = lay_slices(*slices(16), SPACING)
    assert long.seen.data.all()
    assert long.ct.grid.shape[0] == 16


@pytest.mark.parametrize("places", [[0, 1, 2], [0, 2, 1, 3], [0, 1, 1, 2]])
def test_slice_numbers_that_do_not_increase_are_refused(places):
    with pytest.raises(InputError, match="rising slice numbers"):
        lay_slices(*slices(), SPACING, places)


def test_speckle_is_closed_and_a_drawn_outline_is_unchanged():
    drawn = np.kron(slices()[1], np.ones((1, 3, 3), np.uint8))
    kept, share = close_speckles(drawn, (5.0, 0.5, 0.5))
    assert np.array_equal(kept, drawn)
    assert share < 0.05
    speckled = drawn * (np.random.default_rng(0).random(drawn.shape) < 0.6).astype(np.uint8)
    closed, share = close_speckles(speckled, (5.0, 0.5, 0.5))
    assert share > 0.3
    assert closed[drawn > 0].mean() > 0.9
    assert not closed[drawn == 0].any()


def test_a_partial_scan_is_found_as_a_case(tmp_path):
    part = lay_slices(*slices(), SPACING, [0, 1, 5, 6])
    (tmp_path / "data" / "a").mkdir(parents=True)
    part.write(tmp_path / "data" / "a")
    case = find_cases(tmp_path / "data")[0]
    assert case.seen == tmp_path / "data" / "a" / "seen.nii.gz"
    assert np.array_equal(read_volume(given(case.seen), np.uint8).data, part.seen.data)
    write_cases([case], tmp_path / "cases.csv")
    assert find_cases(tmp_path / "cases.csv")[0].seen == given(case.seen).resolve()


def part_of_patient(folder, places=(0, 1, 2, 5, 6, 7, 8, 12)):
    """The phantom's slices from the sixth, some of them left out."""
    chosen = [6 + place for place in places]
    ct, infarct = (patient()[name].data[chosen] for name in ("ct", "infarct"))
    part = lay_slices(ct, infarct, SPACING_MM, places)
    folder.mkdir(parents=True)
    part.write(folder)
    brain = part.seen.with_data(patient()["brain"].data[6:19])
    write_volume(brain, folder / "brain.nii.gz")
    return part


def test_unacquired_slices_are_ignored_in_a_prepared_case(tmp_path):
    part = part_of_patient(tmp_path / "data" / "p")
    (case,) = find_cases(tmp_path / "data")
    grid = load_recipe("tiny").grid
    prepared = prepare_case(case, grid)
    silent = prepared.infarct == NOT_SCORED
    assert silent[[0, -1]].all()  # above and below the part
    counted_mm = (~silent).any(axis=(1, 2)).sum() * grid.spacing_mm[0]
    assert counted_mm == pytest.approx(8 * SPACING_MM[0], abs=2 * grid.spacing_mm[0])
    marked_ml = (prepared.infarct == 1).sum() * np.prod(grid.spacing_mm) / 1000
    assert marked_ml == pytest.approx(part.infarct_ml, rel=0.3)
    path, _ = ensure_prepared(case, grid, tmp_path / "cache")
    assert np.array_equal(load_prepared(path).infarct, prepared.infarct)
    key = case_key(case, grid)
    write_volume(part.seen.with_data(np.ones_like(part.seen.data)), tmp_path / "data" / "p" / "seen.nii.gz")
    assert case_key(case, grid) != key
    assert (prepare_case(case, grid).infarct == NOT_SCORED).sum() < silent.sum()


def test_a_partial_scan_passes_the_check_and_is_reported(tmp_path):
    part = part_of_patient(tmp_path / "data" / "p")
    (case,) = find_cases(tmp_path / "data")
    found = inspect_case(case)
    assert found.infarct_ml == pytest.approx(part.infarct_ml)
    assert "part of a head" in {finding.kind for finding in found.findings}
    assert not any(finding.blocks for finding in found.findings)
    write_volume(part.seen.with_data(part.seen.data * 0), tmp_path / "data" / "p" / "seen.nii.gz")
    assert any(finding.blocks and finding.kind == "nothing seen" for finding in inspect_case(case).findings)


def test_scores_use_acquired_slices_only(tmp_path):
    part = part_of_patient(tmp_path / "reference" / "p")
    marked = part.infarct.data.copy()
    marked[part.seen.data == 0] = 1  # whatever is marked there costs nothing
    (tmp_path / "predicted" / "p").mkdir(parents=True)
    write_volume(part.infarct.with_data(marked), tmp_path / "predicted" / "p" / "infarct.nii.gz")
    found = evaluate(tmp_path / "predicted", tmp_path / "reference")
    for case in found.cases:
        assert case.scores.dice == 1.0
    assert found.cases[0].scores.reference_ml == pytest.approx(part.infarct_ml)


def test_the_seen_mask_survives_export_to_bids(tmp_path):
    part = part_of_patient(tmp_path / "data" / "p")
    export_cases(find_cases(tmp_path / "data"), "bids", tmp_path / "bids")
    (again,) = find_cases(tmp_path / "bids")
    assert np.array_equal(read_volume(given(again.seen), np.uint8).data, part.seen.data)


def test_slice_heights_become_numbers_with_gaps():
    numbers, step = slice_numbers([-40.0, -35.1, -30.0, -15.0, 5.0])  # as scanners round positions
    assert numbers == [0, 1, 2, 5, 9]
    assert step == pytest.approx(5.0, abs=0.01)


@pytest.mark.parametrize("heights", [[0, 5, 12, 17], [0], [0, 0], [5, 0], [0, 5, 10, 900]])
def test_irregular_slice_heights_are_refused(heights):
    with pytest.raises(InputError):
        slice_numbers(heights)


def test_an_additional_mask_is_on_the_same_grid():
    hu, infarct = slices(4)
    part = lay_slices(hu, infarct, SPACING, [0, 1, 5, 6])
    again = lay_mask(infarct, SPACING, [0, 1, 5, 6])
    assert again.grid.same_as(part.infarct.grid)
    assert np.array_equal(again.data, part.infarct.data)
