import errno
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from adn.errors import InputError, OutputError
from adn.io import open_scan, write_volume
from adn.space.geometry import RAS_FROM_LPS, Grid
from adn.space.volume import Volume
from phantoms import ball, head


def written(tmp_path, volume: Volume, name="ct.nii.gz"):
    write_volume(volume, tmp_path / name)
    return tmp_path / name


def changed(data) -> Volume:
    return head().with_data(np.asarray(data, dtype=np.float32))


def test_a_head_is_read_back_unchanged(tmp_path):
    scan = open_scan(written(tmp_path, head(axes="LAS"), "case 1.nii.gz"))
    assert (scan.name, scan.source, scan.padding, scan.warnings) == ("case_1", "nifti", None, ())
    assert np.array_equal(scan.volume.data, head(axes="LAS").data)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha", ".mhd"])
def test_itk_formats_give_the_same_position(suffix, tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    volume = head(axes="RAS")
    turn = np.deg2rad(12)
    rotation = np.array([[1, 0, 0], [0, np.cos(turn), -np.sin(turn)], [0, np.sin(turn), np.cos(turn)]])
    affine = volume.grid.affine.copy()
    affine[:3, :3] = rotation @ affine[:3, :3]
    volume = replace(volume, grid=Grid(volume.grid.shape, affine))
    lps = RAS_FROM_LPS @ affine
    image = sitk.GetImageFromArray(volume.data.transpose(2, 1, 0))
    image.SetSpacing(volume.grid.spacing_mm)
    image.SetOrigin(lps[:3, 3])
    image.SetDirection((lps[:3, :3] / np.array(volume.grid.spacing_mm)).ravel())
    sitk.WriteImage(image, str(tmp_path / f"a{suffix}"))
    scan, nifti = open_scan(tmp_path / f"a{suffix}"), open_scan(written(tmp_path, volume))
    assert scan.volume.grid.same_as(nifti.volume.grid)
    assert np.array_equal(scan.volume.data, nifti.volume.data)
    assert scan.warnings == ()


def test_damaged_itk_files_are_refused(tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    image = sitk.GetImageFromArray(np.random.default_rng(0).normal(size=(10, 11, 12)).astype(np.float32))
    for name in ("a.nrrd", "b.mha", "c.mhd"):
        sitk.WriteImage(image, str(tmp_path / name))
    for name in ("a.nrrd", "b.mha"):
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:900])
    (tmp_path / "c.raw").unlink()
    for name in ("a.nrrd", "b.mha", "c.mhd"):
        with pytest.raises(InputError, match=f"{name}.*damaged"):
            open_scan(tmp_path / name)


def test_not_finite_voxels_are_filled_and_counted(tmp_path):
    data = head().data.copy()
    data[0, 0, :7] = np.nan
    data[1, 0, :3] = np.inf
    scan = open_scan(written(tmp_path, changed(data)))
    assert "10 of 230400 voxels were NaN or infinite" in scan.warnings[0]
    assert np.isfinite(scan.volume.data).all()
    assert np.all(scan.volume.data[0, 0, :7] == -1024)
    assert scan.padding is not None
    assert scan.padding.data.sum() == 10


def test_padding_of_a_nifti_file_is_recognised(tmp_path):
    data = head().data.copy()
    data[:, :10] = -3024
    scan = open_scan(written(tmp_path, changed(data)))
    assert scan.padding is not None
    assert np.array_equal(scan.padding.data > 0, data == -3024)
    assert scan.volume.data.min() == -1024


BRAIN = head().data == 32
MR = np.where(BRAIN, 420, np.where(head().data > 0, 150, 0)) + np.random.default_rng(0).rayleigh(12, BRAIN.shape)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (np.zeros(BRAIN.shape), "every voxel is 0"),
        (np.full(BRAIN.shape, -1000), "every voxel is -1000"),
        (np.full(BRAIN.shape, np.nan), "no voxel holds a number"),
        (np.full(BRAIN.shape, -3024), "voxels are padding"),
        (MR, "from 0 to .* there is no air"),
        (np.where(BRAIN, MR, 0), "an MR"),
        (head().data + 1024, "an MR, or a CT that was rescaled"),
        (head().data * 0 + np.random.default_rng(0).uniform(-4096, 4095, BRAIN.shape), "needed a head CT in HU"),
        ((head().data + 1000) / 2100, "needed a head CT in HU"),
        (np.where(BRAIN, np.random.default_rng(0).normal(size=BRAIN.shape), 0), "needed a head CT in HU"),
    ],
)
def test_values_that_are_not_hu_are_refused(data, words, tmp_path):
    with pytest.raises(InputError, match=rf"ct\.nii\.gz.*{words}"):
        open_scan(written(tmp_path, changed(data)))


@pytest.mark.parametrize(
    "data",
    [
        np.where(BRAIN | ball(head().grid), head().data, 0),  # skull stripped
        np.where(BRAIN | ball(head().grid), head().data, -1024),
        np.clip(head().data, 0, 80),  # windowed
        np.clip(head().data, -10, 90),
        np.maximum(head().data, 0),  # air clipped
        np.maximum(head().data, -200),
        head().data + np.random.default_rng(0).normal(0, 30, BRAIN.shape),  # noisy
    ],
)
def test_unusual_but_valid_hu_are_accepted(data, tmp_path):
    assert open_scan(written(tmp_path, changed(data))).volume.data.shape == BRAIN.shape


@pytest.mark.parametrize(
    ("shape", "spacing_mm", "words"),
    [
        ((30, 96, 80), (5.0, 0.2, 0.2), "16 × 19 mm in plane"),
        ((30, 96, 80), (0.1, 2.0, 2.0), "0.2 mm apart, but they are 0.1 mm"),
        ((30, 96, 80), (5.0, 20.0, 20.0), "1600 × 1920 mm"),
    ],
)
@pytest.mark.parametrize("axes", ["SPL", "RAS", "ASL"])
def test_fields_of_view_too_small_or_large_for_a_head_are_refused(shape, spacing_mm, words, axes, tmp_path):
    grid = Grid.centred(shape, spacing_mm)
    volume = Volume(np.resize(head().data, shape), grid).reoriented(axes)
    with pytest.raises(InputError, match=words):
        open_scan(written(tmp_path, volume))


@pytest.mark.parametrize(("step", "word", "warns"), [(1.2, "Thin slices", False), (11.0, "Thick slices", True)])
def test_thin_slices_are_noted_and_thick_ones_warned_of(step, word, warns, tmp_path):
    volume = head((round(150 / step), 96, 80), (step, 2.0, 2.0), axes="ASL")
    remark = open_scan(written(tmp_path, volume)).remarks[0]
    assert word in remark.sentence
    assert remark.warns == warns


def test_missing_empty_text_and_unknown_files_are_refused(tmp_path):
    (tmp_path / "empty.nii.gz").touch()
    (tmp_path / "text.nii.gz").write_text("hello, this is no image")
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0" * 10)
    (tmp_path / "broken.dcm").write_bytes(b"hello" * 100)
    expected = {"absent.nii.gz": "no such file", "empty.nii.gz": "file is empty", "text.nii.gz": "not NIfTI",
                "photo.jpg": "none of these", "broken.dcm": "damaged"}  # fmt: skip
    for name, words in expected.items():
        with pytest.raises(InputError, match=f"{name}.*{words}"):
            open_scan(tmp_path / name)


def test_a_full_temporary_folder_and_an_unreadable_file_are_reported(tmp_path, monkeypatch):
    for code, kind, words in ((errno.ENOSPC, OutputError, "disk is full"), (errno.EACCES, InputError, "permissions")):

        def fail(*_, code=code, **__):
            raise OSError(code, "no")

        monkeypatch.setattr("adn.io.nifti.load", fail)
        with pytest.raises(kind, match=words):
            open_scan(written(tmp_path, head()))


def test_a_singular_affine_is_refused(tmp_path):
    image = nib.Nifti1Image(head().data, None)
    image.set_sform(np.diag([2.0, 0.0, 5.0, 1.0]), 1)
    image.to_filename(tmp_path / "flat.nii.gz")
    with pytest.raises(InputError, match=r"flat\.nii\.gz.*singular"):
        open_scan(tmp_path / "flat.nii.gz")


def test_a_folder_with_one_image_file_is_that_scan(tmp_path):
    write_volume(head(), tmp_path / "c1_0000.nii.gz")
    (tmp_path / "notes.txt").write_text("x")
    scan = open_scan(tmp_path)
    assert (scan.source, scan.name) == ("nifti", tmp_path.name)
    with pytest.raises(InputError, match="chooses among DICOM series, but this is nifti; leave it out"):
        open_scan(tmp_path, series="3")


def test_a_folder_with_several_image_files_says_how_to_name_them(tmp_path):
    for name in ("a.nii.gz", "b.nii.gz"):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=r"holds 2 image files \(a\.nii\.gz, b\.nii\.gz\).* as in .*/\*\.nii\.gz"):
        open_scan(tmp_path)


@pytest.mark.parametrize("value", [1e30, np.nan, -1e6])
@pytest.mark.parametrize("axis", [0, 2])
def test_an_origin_far_outside_any_scanner_is_refused(axis, value, tmp_path):
    affine = head().grid.affine.copy()
    affine[axis, 3] = value
    with pytest.raises(InputError, match=r"origin lies|finite"):
        open_scan(written(tmp_path, replace(head(), grid=Grid(head().grid.shape, affine))))
