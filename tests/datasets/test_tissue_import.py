"""Tissue maps from SPM12 and label images, imported into a case folder; anything that cannot be one is refused."""

import numpy as np
import pytest

from adn.datasets.tissue_import import FREESURFER, import_tissue, parse_labels
from adn.errors import InputError
from adn.io import read_volume, write_volume
from adn.space.geometry import Grid
from adn.space.volume import Volume

GRID = Grid.centred((4, 5, 6), (45.0, 40.0, 30.0), axes="LAS")


@pytest.fixture
def case(tmp_path):
    hu = np.repeat([-1000, 30, 1000], [50, 60, 10]).reshape(GRID.shape).astype(np.int16)
    write_volume(Volume(hu, GRID), tmp_path / "ct.nii.gz")
    return tmp_path


def write(case, name, values, grid=GRID):
    data = np.zeros(grid.shape, np.float32)
    data.flat[: len(values)] = values
    write_volume(Volume(data, grid, "1").reoriented("LAS"), case / name)


def tissue_of(path, count):
    return read_volume(path, np.uint8, "label").data.flatten()[:count].tolist()


def test_the_most_likely_tissue_of_spm12_wins_within_the_brain(case):
    write(case, "c1ct.nii", [0.9, 0.1, 0.0, 0.2, 0.4, 0.0])
    write(case, "c2ct.nii", [0.1, 0.8, 0.1, 0.1, 0.4, 0.0])
    write(case, "c3ct.nii.gz", [0.0, 0.1, 0.8, 0.1, 0.1, 0.0])
    path = import_tissue(case)
    assert tissue_of(path, 6) == [1, 2, 3, 0, 1, 0]  # 0.2 + 0.1 + 0.1 is no brain; of equals GM wins
    assert read_volume(path).grid.same_as(GRID)


def test_a_label_image_in_another_axis_order_is_the_same_lattice(case):
    data = np.zeros(GRID.shape, np.float32)
    data[0, 0, 0], data[1, 0, 0], data[2, 0, 0], data[3, 0, 0] = 3, 41, 4, 165
    write_volume(Volume(data, GRID, "label").reoriented("RPI"), case / "aseg.nii.gz")
    path = import_tissue(case, "aseg.nii.gz", parse_labels("freesurfer"))
    assert read_volume(path, np.uint8).data[:, 0, 0].tolist() == [1, 2, 3, 0]


def test_a_custom_mapping_is_accepted(case):
    write(case, "labels.nii.gz", [1, 2, 3, 7])
    path = import_tissue(case, "labels.nii.gz", parse_labels("2=GM, 3=wm,1=CSF"))
    assert tissue_of(path, 4) == [3, 1, 2, 0]
    assert {FREESURFER[label] for label in (2, 41, 3035)} == {2}
    assert {FREESURFER[label] for label in (3, 42, 1035, 10)} == {1}


def test_an_earlier_map_is_kept_unless_overwritten_on_request(case):
    write(case, "labels.nii.gz", [1, 2])
    import_tissue(case, "labels.nii.gz", {1: 1, 2: 2})
    with pytest.raises(InputError, match="`overwrite`"):
        import_tissue(case, "labels.nii.gz", {1: 1, 2: 2})
    import_tissue(case, "labels.nii.gz", {1: 2, 2: 1}, overwrite=True)
    assert tissue_of(case / "tissue.nii.gz", 2) == [2, 1]


@pytest.mark.parametrize("text", ["1=GM", "1:GM,2:WM", "one=GM,2=WM", "1=GM,2=XX", ""])
def test_an_invalid_mapping_is_refused_with_an_example(text):
    with pytest.raises(InputError, match="1=GM,2=WM,3=CSF"):
        parse_labels(text)


def test_invalid_tissue_maps_are_refused_and_leave_nothing(case):
    with pytest.raises(InputError, match=r"c1\*\.nii of SPM12 .* found none"):
        import_tissue(case)
    write(case, "c1ct.nii", [200.0])
    for name in ("c2ct.nii", "c3ct.nii"):
        write(case, name, [0.5])
    with pytest.raises(InputError, match=r"c1ct.nii: needed probabilities between 0 and 1"):
        import_tissue(case)
    write(case, "labels.nii.gz", [9, 9, 9])
    with pytest.raises(InputError, match="hardly any GM or WM among the labels 0, 9"):
        import_tissue(case, "labels.nii.gz", {1: 1, 2: 2})
    write(case, "moved.nii.gz", [1, 2], Grid.centred(GRID.shape, (45.0, 40.0, 30.0), (0.0, 2.0, 0.0), "LAS"))
    with pytest.raises(InputError, match=r"needs the grid of ct\.nii\.gz"):
        import_tissue(case, "moved.nii.gz", {1: 1, 2: 2})
    assert not (case / "tissue.nii.gz").exists()
    with pytest.raises(InputError, match=r"needs a case folder with ct\.nii\.gz"):
        import_tissue(case / "nowhere")
