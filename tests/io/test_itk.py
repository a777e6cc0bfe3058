"""NRRD and MetaImage: a file from outside never chooses what else is read."""

import gzip
import os
import zipfile
import zlib

import numpy as np
import pytest
import SimpleITK as sitk

from adn.errors import InputError
from adn.io import open_scan
from adn.io.itk import load
from adn.io.masks import read_mask
from adn.remarks import Remark
from phantoms import head

SHAPE = (40, 44, 20)
NRRD = "NRRD0004\ntype: float\ndimension: 3\nsizes: 40 44 20\nspacings: 4 4 6\nendian: little\nencoding: raw\n"
META = (
    "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\nElementSpacing = 4 4 6\n"
    "DimSize = 40 44 20\nElementType = MET_FLOAT\n"
)


def voxels():
    return np.ones(SHAPE, np.float32).tobytes()


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "elsewhere" / "secret.raw"
    path.parent.mkdir()
    path.write_bytes(voxels())
    return path


def scans(folder, name, header, end=b""):
    """The header as a file on its own, and inside a zip."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(header.encode() + end)
    with zipfile.ZipFile(folder / "upload.zip", "w") as archive:
        archive.writestr(name, header.encode() + end)
    return [folder / name, folder / "upload.zip"]


def pointing(target):
    """(file name, header) of every way known to make ITK read `target`."""
    yield "a.nrrd", f"{NRRD}data file: {target}\n"
    yield "a.nrrd", f"{NRRD}datafile: {target}\n\n"
    yield "a.nrrd", f"{NRRD}Data File: {target}\r\n"
    yield "a.nrrd", f"{NRRD}content: x\rdata file: {target}\n"
    yield "a.nrrd", f"{NRRD}content: x\r\ry\ndata file: {target}\n\n"
    yield "a.nrrd", f"{NRRD}data file: LIST\n{target}\n"
    yield "a.nrrd", f"{NRRD}data file: {target}%d 1 1 1\n"
    yield "a.nrrd", f"{NRRD}{'# comment' * 20_000}\ndata file: {target}\n"
    yield "a.mha", f"{META}ElementDataFile = {target}\n"
    yield "a.mha", f"{META}ElementDataFile: {target}\n"
    yield "a.mha", f"{META}ElementDataFile={target}\r\n"
    yield "a.mha", f"{META}Comment = x\rElementDataFile = LOCAL\nElementDataFile = {target}\n"
    yield "a.mha", f"{META}Comment = {'x' * 600}ElementDataFile = {target}\nElementDataFile = LOCAL\n"
    yield "a.mha", f"{META}ElementDataFile = LIST\n{target}\n"
    yield "a.mha", f"{META}ElementDataFile = {target}%d 1 1 1\n"
    yield "a.mha", f"Comment: \n{META}ElementDataFile = {target}\n"


def test_a_self_contained_file_may_not_refer_to_another_file(tmp_path, secret):
    for number, (name, header) in enumerate(pointing(secret)):
        for path in scans(tmp_path / f"case{number}", name, header):
            with pytest.raises(InputError) as error:
                open_scan(path)
            assert str(path) in str(error.value)
            assert "secret" not in str(error.value)


@pytest.mark.parametrize("name", ["voxels.raw", "../elsewhere/secret.raw", "link.raw"])
def test_a_nrrd_or_mha_may_not_name_another_file_even_beside_it(name, tmp_path, secret):
    folder = tmp_path / "case"
    folder.mkdir()
    (folder / "voxels.raw").write_bytes(voxels())
    (folder / "link.raw").symlink_to(secret)
    for file, header in (("a.nrrd", f"{NRRD}data file: {name}\n"), ("a.mha", f"{META}ElementDataFile = {name}\n")):
        with pytest.raises(InputError, match="own voxels"):
            open_scan(scans(folder, file, header)[0])


def test_nhdr_and_mhd_may_name_a_file_in_their_own_folder_only(tmp_path, secret):
    folder = tmp_path / "case"
    folder.mkdir()
    (folder / "voxels.raw").write_bytes(voxels())
    (folder / "link.raw").symlink_to(secret)
    for file, header, key in (("a.nhdr", NRRD, "data file:"), ("a.mhd", META, "ElementDataFile =")):
        mask = read_mask(scans(folder, file, f"{header}{key} voxels.raw\n")[0])
        assert mask.data.shape == SHAPE
        assert mask.data.all()
        for name in (secret, "../elsewhere/secret.raw", "link.raw", f"LIST\n{secret}", "%s 1 1 1", "", "..", "no.raw"):
            with pytest.raises(InputError, match=r"same folder|damaged"):
                read_mask(scans(folder, file, f"{header}{key} {name}\n")[0])


def test_an_mhd_in_a_zip_reads_nothing(tmp_path, secret):
    for path in scans(tmp_path / "case", "a.mhd", f"{META}ElementDataFile = {secret}\n")[1:]:
        with pytest.raises(InputError, match="neither DICOM nor an image"):
            open_scan(path)


@pytest.mark.parametrize("ending", ["png", "tif", "vtk", "mnc", "hdr", "gipl", "bmp", "jpg"])
def test_content_never_selects_another_itk_reader(ending, tmp_path):
    image = sitk.GetImageFromArray(np.zeros((1, 40, 44) if ending in ("png", "tif", "jpg", "bmp") else SHAPE, np.uint8))
    try:
        sitk.WriteImage(image[:, :, 0] if image.GetSize()[2] == 1 else image, str(tmp_path / f"a.{ending}"))
    except RuntimeError:
        pytest.skip(f"this SimpleITK does not write {ending}")
    for name in ("a.nrrd", "a.mha", "a.mhd", "a.nhdr"):
        (tmp_path / name).write_bytes((tmp_path / f"a.{ending}").read_bytes())
        with pytest.raises(InputError, match=f"{name}.*neither"):
            open_scan(tmp_path / name)


def test_a_header_that_states_an_oversized_image_is_refused_unread(tmp_path):
    header = NRRD.replace("40 44 20", "4000 4400 2000")
    with pytest.raises(InputError, match="4000×4400×2000"):
        open_scan(scans(tmp_path / "case", "a.nrrd", header + "\n", voxels())[0])


def test_headers_as_other_programs_write_them_are_read(tmp_path):
    volume = head(axes="LPS")
    data = np.ascontiguousarray(volume.data.transpose(2, 1, 0), "<f4")
    sizes = " ".join(map(str, volume.data.shape))
    end = data.tobytes()
    nrrd = f"NRRD0005\r\n# made by hand\r\ntype: float\r\ndimension: 3\r\nsizes: {sizes}\r\n"
    nrrd += "spacings: 4 4 6\r\nendian: little\r\nencoding: raw\r\nkey:=data file\r\n\r\n"
    meta = META.replace("40 44 20", sizes).replace("\n", "\r\n") + "ElementDataFile = LOCAL\n"
    for name, header in (("b.nrrd", nrrd), ("b.mha", meta)):
        for path in scans(tmp_path / name, name, header, end):
            assert np.array_equal(open_scan(path).volume.data, volume.data)


NAMED = "space: right-anterior-superior\nspace directions: (2,0,0) (0,3,0) (0,0,7)\nspace origin: (10,20,30)\n"


def write_nrrd(path, fields):
    header = f"NRRD0004\ntype: short\ndimension: 3\nsizes: 4 5 6\nendian: little\nencoding: raw\n{fields}\n"
    path.write_bytes(header.encode() + np.arange(120, dtype="<i2").tobytes())
    return path


def write_meta(path, fields):
    header = (
        "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\nDimSize = 4 5 6\n"
        f"ElementType = MET_SHORT\n{fields}ElementDataFile = LOCAL\n"
    )
    path.write_bytes(header.encode() + np.arange(120, dtype="<i2").tobytes())
    return path


@pytest.mark.parametrize("space", ["right-anterior-superior", "RAS", "left-anterior-superior", "LAS", "LPS"])
def test_a_named_space_defines_left_and_right(space, tmp_path):
    volume, remarks = load(write_nrrd(tmp_path / "a.nrrd", NAMED.replace("right-anterior-superior", space)))
    assert remarks == []
    axes: str = {"right-anterior-superior": "RAS", "left-anterior-superior": "LAS"}.get(space) or space
    assert volume.grid.axes == axes
    assert volume.grid.affine[:3, 3].tolist() == [10 if axes[0] == "R" else -10, 20 if axes[1] == "A" else -20, 30]


@pytest.mark.parametrize("space", ["space dimension: 3", "space: scanner-xyz", "space: 3D-right-handed"])
def test_without_a_named_space_sides_are_assumed_and_reported(space, tmp_path):
    volume, remarks = load(write_nrrd(tmp_path / "a.nrrd", NAMED.replace("space: right-anterior-superior", space)))
    assert volume.grid.axes == "LPS"
    assert remarks == [Remark("orientation_unrecorded", {"format": "nrrd", "axes": "LPS"})]
    assert remarks[0].sentence == (
        "The file records no orientation (no anatomical space is named): left and right are assumed. "
        "Its axes are taken to run to the patient's left, back, top."
    )


def test_spacings_alone_do_not_define_sides(tmp_path):
    for path in (
        write_nrrd(tmp_path / "a.nrrd", "spacings: 2 3 7\n"),
        write_meta(tmp_path / "a.mha", "ElementSpacing = 2 3 7\n"),
    ):
        volume, (remark,) = load(path)
        assert volume.grid.spacing_mm == (2.0, 3.0, 7.0)
        assert (remark.kind, remark.values["axes"]) == ("orientation_unrecorded", "LPS")


@pytest.mark.parametrize(
    ("unit", "mm", "words"), [("m", 1000.0, "metres"), ("um", 0.001, "micrometres"), ("microns", 0.001, "micrometres")]
)
def test_lengths_are_read_in_the_stated_unit(unit, mm, words, tmp_path):
    said = f'space units: "{unit}" "{unit}" "{unit}"\n'
    volume, (remark,) = load(write_nrrd(tmp_path / "a.nrrd", NAMED + said))
    assert np.allclose(volume.grid.spacing_mm, (2 * mm, 3 * mm, 7 * mm))
    assert np.allclose(volume.grid.affine[:3, 3], (10 * mm, 20 * mm, 30 * mm))
    assert remark.sentence == f"The file gives its voxel size in {words}, and was read accordingly."
    meta = f"TransformMatrix = 1 0 0 0 1 0 0 0 1\nOffset = 10 20 30\nElementSpacing = 2 3 7\nDistanceUnits = {unit}\n"
    volume, remarks = load(write_meta(tmp_path / "a.mha", meta))
    assert np.allclose(volume.grid.spacing_mm, (2 * mm, 3 * mm, 7 * mm))
    assert [remark.kind for remark in remarks] == ["unit_of_length"]


@pytest.mark.parametrize(
    "sides",
    ["NDims = -1\nDimSize = 4 5 6", "NDims = 0\nDimSize = 4 5 6", "NDims = 30\nDimSize = 4 5 6",
     "NDims = 3\nDimSize = 4 5", "DimSize = 4 5 6",
     "NDims = 3\nDimSize = 4 -5 6", "NDims = 3\nDimSize = 4 x 6", "NDims = 3",
     "NDims = 3\nDimSize = 4 5 6\nElementNumberOfChannels = -2"],
)  # fmt: skip
def test_header_sizes_that_would_crash_itk_are_refused(sides, tmp_path):
    path = write_meta(tmp_path / "a.mha", "ElementSpacing = 2 3 7\n")
    head, _, rest = path.read_bytes().partition(b"NDims = 3\n")
    path.write_bytes(head + sides.encode() + b"\n" + rest.replace(b"DimSize = 4 5 6\n", b""))
    with pytest.raises(InputError, match="do not give its size"):
        load(path)


def test_millimetres_give_no_warning(tmp_path):
    assert load(write_nrrd(tmp_path / "a.nrrd", NAMED + 'space units: "mm" "mm" "mm"\n'))[1] == []


@pytest.mark.parametrize(
    "fields",
    [
        "",
        "space: LPS\n",
        "spacings: nan 3 7\n",
        "spacings: 0 3 7\n",
        "axis mins: 0 0 0\naxis maxs: 9 9 9\n",
        "space: LPS\nspace directions: none (0,3,0) (0,0,7)\n",
        "space: LPS\nspace directions: (0,0,0) (0,3,0) (0,0,7)\n",
    ],
)
def test_a_nrrd_without_voxel_size_is_refused(fields, tmp_path):
    with pytest.raises(InputError, match="size of a voxel"):
        load(write_nrrd(tmp_path / "a.nrrd", fields))


@pytest.mark.parametrize("fields", ["", "ElementSpacing = 0 3 7\n", "ElementSpacing = nan 3 7\n"])
def test_a_metaimage_without_voxel_size_is_refused(fields, tmp_path):
    with pytest.raises(InputError, match="size of a voxel"):
        load(write_meta(tmp_path / "a.mha", fields))


def test_an_unknown_unit_is_refused(tmp_path):
    with pytest.raises(InputError, match="unit is unknown"):
        load(write_nrrd(tmp_path / "a.nrrd", NAMED + 'space units: "pixel" "pixel" "pixel"\n'))


def test_metaimages_that_itk_made_of_nifti_or_dicom_are_read(tmp_path):
    fields = "ITK_FileNotes = x\ndim[0] = 3\npixdim[1] = 2\n0008|0060 = CT\nElementSpacing = 2 3 7\n"
    assert load(write_meta(tmp_path / "a.mha", fields))[0].grid.spacing_mm == (2.0, 3.0, 7.0)


def test_a_folder_whose_name_is_not_utf8_is_read(tmp_path):
    """ITK would end the process."""
    folder = tmp_path / os.fsdecode(b"d\xfcr")
    folder.mkdir()
    (folder / "voxels.raw").write_bytes(np.arange(120, dtype="<i2").tobytes())
    nrrd, meta = write_nrrd(folder / "a.nrrd", NAMED), write_meta(folder / "a.mha", "ElementSpacing = 2 3 7\n")
    detached = folder / "a.mhd"
    detached.write_bytes(meta.read_bytes().partition(b"LOCAL")[0] + b"voxels.raw\n")
    for path in (nrrd, meta, detached):
        assert load(path)[0].data.ravel(order="F")[-1] == 119


def test_a_duplicate_field_is_refused(tmp_path):
    for fields in ("NDims = -1\n", "ElementSpacing = 2 3 7\nElementSpacing = 3 2 7\n"):
        with pytest.raises(InputError, match="twice"):
            load(write_meta(tmp_path / "a.mha", fields))


def packed_meta(folder, packed, size, place="LOCAL"):
    lines = f"CompressedData = True\nCompressedDataSize = {size}\nElementSpacing = 2 3 7\n"
    path = write_meta(folder / "a.mha", lines)
    head = path.read_bytes().partition(b"LOCAL")[0]
    path = path if place == "LOCAL" else path.with_suffix(".mhd")
    path.write_bytes(head + place.encode() + b"\n" + (packed if place == "LOCAL" else b""))
    if place != "LOCAL":
        (folder / place).write_bytes(packed)
    return path


@pytest.mark.parametrize("place", ["LOCAL", "a.zraw"])
def test_incomplete_compressed_voxels_are_refused(place, tmp_path):
    """ITK fills the rest with what the memory held before: parts of another patient."""
    packed = zlib.compress(np.arange(120, dtype="<i2").tobytes())
    for size in (len(packed), 0) if place != "LOCAL" else (len(packed),):
        assert load(packed_meta(tmp_path, packed, size, place))[0].data.ravel(order="F")[-1] == 119
    spoilt = bytearray(packed)
    spoilt[20] ^= 255
    for content, size in (
        (packed, len(packed) // 2),
        (packed[:-20], len(packed)),
        (b"", 0),
        (bytes(spoilt), len(packed)),
        (packed if place == "LOCAL" else b"", 0),
    ):
        with pytest.raises(InputError, match="damaged"):
            load(packed_meta(tmp_path, content, size, place))


@pytest.mark.parametrize("name", ["a.nrrd", "a.nhdr"])
def test_a_compressed_nrrd_is_read_exactly_or_refused(name, tmp_path):
    path = write_nrrd(tmp_path / name, NAMED)
    head = path.read_bytes().partition(b"\n\n")[0].replace(b"encoding: raw", b"encoding: gzip")
    packed = gzip.compress(np.arange(120, dtype="<i2").tobytes())
    for damage in (None, 15, 40, len(packed) - 6, -1):
        content = bytearray(packed)
        if damage == -1:
            del content[-30:]
        elif damage is not None:
            content[damage] ^= 4
        if name == "a.nhdr":
            path.write_bytes(head + b"\ndata file: a.raw.gz\n")
            (tmp_path / "a.raw.gz").write_bytes(content)
        else:
            path.write_bytes(head + b"\n\n" + content)
        if damage is None:
            assert load(path)[0].data.ravel(order="F")[-1] == 119
        else:
            with pytest.raises(InputError, match="damaged"):
                load(path)


@pytest.mark.parametrize("value", ["nan", "x", "inf", "1e999"])
def test_invalid_numbers_that_position_voxels_are_refused(value, tmp_path):
    """ITK takes 0."""
    meta = f"Offset = 10 {value} 30\nElementSpacing = 2 3 7\n"
    nrrd = NAMED.replace("(10,20,30)", f"(10,{value},30)")
    for path in (write_meta(tmp_path / "a.mha", meta), write_nrrd(tmp_path / "a.nrrd", nrrd)):
        with pytest.raises(InputError, match=r"place the voxels|damaged"):
            load(path)
