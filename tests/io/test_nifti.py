import errno
import gzip
from itertools import permutations, product
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from adn.errors import InputError, OutputError
from adn.io import read_volume, write_volume
from adn.io.nifti import load
from adn.remarks import Remark
from adn.space.geometry import Grid
from adn.space.volume import Volume
from given import loose

ALL_AXES = ["".join(p) for letters in product("RL", "AP", "SI") for p in permutations(letters)]


def stored(path) -> Any:
    """The file as nibabel reads it."""
    return nib.load(path)


def ramp(axes="SPL", shape=(5, 7, 6)) -> Volume:
    grid = Grid.centred(shape, (5.0, 1.3, 1.1), (1.0, -2.0, 3.0))
    return Volume(np.arange(np.prod(shape), dtype=np.float32).reshape(shape), grid).reoriented(axes)


def oblique() -> Volume:
    turn = np.deg2rad(17)
    rotation = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = rotation @ np.diag([-1.1, 1.3, 5.0])
    affine[:3, 3] = 12.3, -4.5, 6.7
    return Volume(ramp().data, Grid((5, 7, 6), affine))


def test_there_are_48_axis_orders():
    assert len(set(ALL_AXES)) == 48


@pytest.mark.parametrize("axes", ALL_AXES)
def test_files_survive_a_round_trip_in_every_axis_order(axes, tmp_path):
    volume = ramp(axes)
    write_volume(volume, tmp_path / "a.nii.gz")
    back = read_volume(tmp_path / "a.nii.gz")
    assert back.grid.axes == axes
    assert np.array_equal(back.data, volume.data)
    assert np.array_equal(back.grid.affine, volume.grid.affine.astype(np.float32))
    assert np.array_equal(back.reoriented("SPL").data, ramp().data)


def test_oblique_grid_has_both_forms(tmp_path):
    write_volume(oblique(), tmp_path / "a.nii.gz")
    image = stored(tmp_path / "a.nii.gz")
    assert (image.header["sform_code"], image.header["qform_code"]) == (1, 1)
    assert np.array_equal(image.affine, oblique().grid.affine.astype(np.float32))
    assert np.allclose(image.get_qform(), oblique().grid.affine, atol=1e-4)


def test_sheared_grid_keeps_its_affine_without_qform(tmp_path):
    affine = oblique().grid.affine.copy()
    affine[1, 2] += 1.4
    volume = Volume(ramp().data, Grid((5, 7, 6), affine))
    write_volume(volume, tmp_path / "a.nii.gz")
    image = stored(tmp_path / "a.nii.gz")
    assert (image.header["sform_code"], image.header["qform_code"]) == (1, 0)
    assert np.array_equal(image.affine, affine.astype(np.float32))
    assert np.allclose(image.header.get_zooms(), volume.grid.spacing_mm)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_dtype_is_kept(dtype, tmp_path):
    write_volume(ramp().with_data(ramp().data.astype(dtype)), tmp_path / "a.nii.gz")
    assert stored(tmp_path / "a.nii.gz").get_data_dtype() == dtype


def test_bool_becomes_uint8_and_files_are_reproducible(tmp_path):
    mask = ramp().with_data(ramp().data > 50, "label")
    for name in ("a.nii.gz", "b.nii.gz"):
        write_volume(mask, tmp_path / name)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()
    assert np.array_equal(read_volume(tmp_path / "a.nii.gz", np.uint8).data, mask.data)


def test_scaling_is_applied(tmp_path):
    image = nib.Nifti1Image(np.full((4, 5, 6), 100, dtype=np.int16), np.eye(4))
    image.header.set_slope_inter(0.5, -1024)
    image.to_filename(tmp_path / "a.nii")
    with (tmp_path / "a.nii").open("r+b") as stream:  # nibabel resets both when it writes
        stream.seek(112)
        stream.write(np.array([0.5, -1024], dtype="<f4").tobytes())
        stream.seek(352)
        stream.write(np.full(120, 100, dtype="<i2").tobytes())
    volume = read_volume(tmp_path / "a.nii")
    assert volume.data.dtype == np.float32
    assert np.all(volume.data == -974.0)


def test_4d_with_one_volume_is_squeezed_and_more_is_an_error(tmp_path):
    for count in (1, 2):
        nib.Nifti1Image(np.zeros((4, 5, 6, count), np.float32), np.eye(4)).to_filename(tmp_path / f"{count}.nii.gz")
    assert read_volume(tmp_path / "1.nii.gz").data.shape == (4, 5, 6)
    with pytest.raises(InputError, match=r"2\.nii\.gz.*2 volumes"):
        read_volume(tmp_path / "2.nii.gz")


def test_the_content_decides_not_the_name(tmp_path):
    write_volume(ramp(), tmp_path / "a.nii")
    (tmp_path / "plain.nii.gz").write_bytes((tmp_path / "a.nii").read_bytes())
    (tmp_path / "packed.nii").write_bytes(gzip.compress((tmp_path / "a.nii").read_bytes()))
    for name in ("plain.nii.gz", "packed.nii"):
        assert np.array_equal(read_volume(tmp_path / name).data, ramp().data)


def test_big_endian_nifti2_is_read(tmp_path):
    image = nib.Nifti2Image(ramp().data, ramp().grid.affine, nib.Nifti2Header(endianness=">"))
    image.to_filename(tmp_path / "a.nii.gz")
    assert np.array_equal(read_volume(tmp_path / "a.nii.gz").data, ramp().data)


def test_a_missing_orientation_is_a_warning(tmp_path):
    image = nib.Nifti1Image(ramp().data, ramp().grid.affine)
    image.set_sform(None, 0)
    image.set_qform(None, 0)
    image.to_filename(tmp_path / "a.nii")
    assert load(tmp_path / "a.nii")[1] == [Remark("orientation_unrecorded", {"format": "nifti", "axes": "LAS"})]


@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_a_truncated_file_is_refused(name, share, tmp_path):
    noise = np.random.default_rng(0).normal(size=(30, 30, 30)).astype(np.float32)
    write_volume(Volume(noise, Grid.centred((30, 30, 30), (1, 1, 1))), tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(InputError, match="truncated"):
        read_volume(tmp_path / name)


def test_a_singular_affine_colour_and_text_are_refused(tmp_path):
    image = nib.Nifti1Image(ramp().data, None)
    image.set_sform(np.diag([1.0, 1.0, 0.0, 1.0]), 1)
    image.to_filename(tmp_path / "flat.nii.gz")
    colour = np.zeros((4, 5, 6), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    nib.Nifti1Image(colour, np.eye(4)).to_filename(tmp_path / "colour.nii.gz")
    (tmp_path / "text.nii.gz").write_text("hello")
    for name, words in (("flat", "singular"), ("colour", "one number per voxel"), ("text", "not NIfTI")):
        with pytest.raises(InputError, match=rf"{name}\.nii\.gz.*{words}"):
            read_volume(tmp_path / f"{name}.nii.gz")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES])
def test_failed_write_leaves_the_old_file_and_nothing_else(code, tmp_path, monkeypatch):
    target = tmp_path / "a.nii.gz"
    target.write_text("old")

    def fail(*_):
        raise OSError(code, "no")

    monkeypatch.setattr(nib.Nifti1Image, "to_stream", fail)
    with pytest.raises(OutputError, match="disk is full" if code == errno.ENOSPC else "not writable"):
        write_volume(ramp(), target)
    assert [path.name for path in tmp_path.iterdir()] == ["a.nii.gz"]
    assert target.read_text() == "old"


def test_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(self, stream):
        stream.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(nib.Nifti1Image, "to_stream", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_volume(ramp(), tmp_path / "a.nii.gz")
    assert list(tmp_path.iterdir()) == []


def test_absent_folder_is_an_output_error(tmp_path):
    with pytest.raises(OutputError, match="does not exist"):
        write_volume(ramp(), tmp_path / "nowhere" / "a.nii.gz")


def store(path, qform=None, sform=None, unit="mm", sizes=None):
    """A NIfTI file with these forms (affines; None: code 0), unit, and pixdim put in afterwards."""
    plain = qform if qform is not None else sform if sform is not None else ramp("LAS").grid.affine
    image = nib.Nifti1Image(ramp("LAS").data, plain)
    image.header.set_xyzt_units(unit)
    image.set_qform(plain if qform is None else qform, code=int(qform is not None))
    image.set_sform(plain if sform is None else sform, code=2 * int(sform is not None))
    image.to_filename(path)
    if sizes is not None:
        raw = bytearray(path.read_bytes())
        raw[80:92] = np.array(sizes, "<f4").tobytes()
        path.write_bytes(raw)
    return path


def itk_corners(path):
    image = sitk.ReadImage(str(path))
    return np.array(
        [image.TransformIndexToPhysicalPoint(corner) for corner in product(*((0, n - 1) for n in image.GetSize()))]
    )


def turned(affine):
    turn = np.deg2rad(25)
    rotation = np.array(
        [[np.cos(turn), -np.sin(turn), 0, 12], [np.sin(turn), np.cos(turn), 0, -8], [0, 0, 1, 30], [0, 0, 0, 1]]
    )
    return rotation @ affine


PLAIN = ramp("LAS").grid.affine
FORMS = {
    "turned": turned(PLAIN),
    "upside down": np.diag([1, -1, -1, 1.0]) @ PLAIN,
    "mirrored": np.diag([-1, 1, 1, 1.0]) @ PLAIN,
    "larger": np.diag([1.3, 1.3, 1.3, 1]) @ PLAIN,
}


@pytest.mark.parametrize("name", FORMS)
def test_a_disagreeing_sform_is_used_with_a_warning_and_results_match_the_scan_in_all_readers(name, tmp_path):
    path = store(tmp_path / "scan.nii", PLAIN, FORMS[name])
    scan, (remark,) = load(path)
    assert np.allclose(scan.grid.affine, FORMS[name], atol=1e-4)
    assert (remark.kind, remark.values["mirrored"]) == ("orientations_disagree", name == "mirrored")
    assert remark.values["apart_mm"] == pytest.approx(scan.grid.mm_apart(PLAIN), abs=1e-3)
    back = scan.reoriented("SPL").reoriented(scan.grid.axes)
    for volume in (scan.with_data(scan.data > 5, "label"), back):
        write_volume(volume, tmp_path / "mask.nii")
        assert np.array_equal(stored(tmp_path / "mask.nii").affine, stored(path).affine)
        assert np.abs(itk_corners(tmp_path / "mask.nii") - itk_corners(path)).max() < 1e-3
        assert load(tmp_path / "mask.nii")[0].grid.same_as(scan.grid)
    moved = Volume(scan.data, Grid(scan.grid.shape, turned(scan.grid.affine), scan.grid.filed))
    write_volume(moved, tmp_path / "moved.nii")
    assert np.allclose(stored(tmp_path / "moved.nii").affine, moved.grid.affine, atol=1e-4)


def test_results_of_a_scan_without_codes_match_it_in_all_readers(tmp_path):
    path = store(tmp_path / "scan.nii")
    write_volume(load(path)[0], tmp_path / "mask.nii")
    assert np.array_equal(stored(tmp_path / "mask.nii").affine, stored(path).affine)
    assert np.abs(itk_corners(tmp_path / "mask.nii") - itk_corners(path)).max() < 1e-3


def test_forms_that_differ_by_rounding_give_no_warning(tmp_path):
    scan, remarks = load(store(tmp_path / "a.nii", PLAIN, np.round(PLAIN, 4)))
    assert remarks == []
    assert scan.grid.filed is None


@pytest.mark.parametrize(("unit", "share", "words"), [("meter", 0.001, "metres"), ("micron", 1000.0, "micrometres")])
@pytest.mark.parametrize("form", ["qform", "sform"])
def test_voxel_sizes_are_read_in_the_unit_of_the_header(form, unit, share, words, tmp_path):
    scaled = np.diag([share, share, share, 1]) @ PLAIN
    path = store(tmp_path / "a.nii", **{form: scaled}, unit=unit)
    scan, (remark,) = load(path)
    assert np.allclose(scan.grid.affine, PLAIN, atol=1e-3)
    assert remark.sentence == f"The file gives its voxel size in {words}, and was read accordingly."
    write_volume(scan, tmp_path / "b.nii")
    assert np.array_equal(stored(tmp_path / "b.nii").affine, stored(path).affine)
    assert np.abs(itk_corners(tmp_path / "b.nii") - itk_corners(path)).max() < 1e-3
    assert load(tmp_path / "b.nii")[0].grid.same_as(scan.grid)


def test_millimetres_are_assumed_without_a_unit(tmp_path):
    scan, remarks = load(store(tmp_path / "a.nii", sform=PLAIN, unit="unknown"))
    assert np.allclose(scan.grid.affine, PLAIN, atol=1e-4)
    assert remarks == []


def test_an_unknown_unit_is_refused(tmp_path):
    path = store(tmp_path / "a.nii", PLAIN, PLAIN)
    raw = bytearray(path.read_bytes())
    raw[123] = 5
    path.write_bytes(raw)
    with pytest.raises(InputError, match="unit is unknown"):
        load(path)


@pytest.mark.filterwarnings("ignore:invalid value encountered in dot:RuntimeWarning")  # of nibabel
@pytest.mark.parametrize("sizes", [(0, 1.3, 5), (1.1, np.nan, 5), (0, 0, 0), (1.1, 1.3, np.inf)])
def test_a_voxel_size_of_zero_is_refused_unless_the_sform_gives_it(sizes, tmp_path):
    for name, forms in (("q.nii", loose({"qform": PLAIN})), ("none.nii", {})):
        with pytest.raises(InputError, match="size of a voxel"):
            load(store(tmp_path / name, **forms, sizes=sizes))
    scan, remarks = load(store(tmp_path / "s.nii", sform=PLAIN, sizes=sizes))
    assert np.allclose(scan.grid.affine, PLAIN, atol=1e-4)
    assert [remark.kind for remark in remarks] == ["voxel_sizes_disagree"]


@pytest.mark.parametrize("code", [-1, 6, 16, 300])
@pytest.mark.parametrize("at", [252, 254])
def test_an_orientation_code_that_readers_interpret_differently_is_refused(code, at, tmp_path):
    path = store(tmp_path / "scan.nii", PLAIN, PLAIN)
    raw = bytearray(path.read_bytes())
    raw[at : at + 2] = np.int16(code).tobytes()
    path.write_bytes(raw)
    with pytest.raises(InputError, match=f"form_code {code}"):
        load(path)


def test_a_negative_size_is_refused_if_it_positions_the_voxels(tmp_path):
    with pytest.raises(InputError, match="the header says -2 × 3 × 4"):
        load(store(tmp_path / "scan.nii", PLAIN, sizes=(-2, 3, 4)))


@pytest.mark.parametrize("behind", [b"", b"x", b"more" * 1000])
def test_damage_that_unpacks_to_extra_bytes_is_found_by_the_checksum(behind, tmp_path):
    whole = store(tmp_path / "scan.nii", PLAIN, PLAIN).read_bytes() + behind
    packed = bytearray(gzip.compress(whole, 1, mtime=0))
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(packed)
    assert np.array_equal(load(path)[0].data, load(tmp_path / "scan.nii")[0].data)
    packed[-6] ^= 1  # of the checksum
    path.write_bytes(packed)
    with pytest.raises(InputError, match="damaged"):
        load(path)


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
@pytest.mark.parametrize("dtype", [np.float32, np.int16])
def test_a_read_volume_is_independent_of_the_file(dtype, name, tmp_path):
    volume = ramp()
    write_volume(volume.with_data(volume.data.astype(dtype)), tmp_path / name)
    found = read_volume(tmp_path / name).data
    before = (tmp_path / name).read_bytes()
    found += 1
    assert (found == volume.data + 1).all()
    assert (tmp_path / name).read_bytes() == before
