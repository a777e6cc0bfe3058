"""NRRD and MetaImage: a file from outside never chooses what else is read."""

import zipfile

import numpy as np
import pytest
import SimpleITK as sitk

from adn.errors import InputError
from adn.io import open_scan
from adn.io.masks import read_mask
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


def test_no_header_reaches_out_of_a_file_that_should_hold_its_own_voxels(tmp_path, secret):
    for number, (name, header) in enumerate(pointing(secret)):
        for path in scans(tmp_path / f"case{number}", name, header):
            with pytest.raises(InputError) as error:
                open_scan(path)
            assert str(path) in str(error.value)
            assert "secret" not in str(error.value)


@pytest.mark.parametrize("name", ["voxels.raw", "../elsewhere/secret.raw", "link.raw"])
def test_a_nrrd_or_mha_names_no_other_file_even_beside_it(name, tmp_path, secret):
    folder = tmp_path / "case"
    folder.mkdir()
    (folder / "voxels.raw").write_bytes(voxels())
    (folder / "link.raw").symlink_to(secret)
    for file, header in (("a.nrrd", f"{NRRD}data file: {name}\n"), ("a.mha", f"{META}ElementDataFile = {name}\n")):
        with pytest.raises(InputError, match="own voxels"):
            open_scan(scans(folder, file, header)[0])


def test_nhdr_and_mhd_name_a_file_of_their_own_folder_and_none_elsewhere(tmp_path, secret):
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
def test_no_other_reader_of_itk_is_reached_by_content(ending, tmp_path):
    image = sitk.GetImageFromArray(np.zeros((1, 40, 44) if ending in ("png", "tif", "jpg", "bmp") else SHAPE, np.uint8))
    try:
        sitk.WriteImage(image[:, :, 0] if image.GetSize()[2] == 1 else image, str(tmp_path / f"a.{ending}"))
    except RuntimeError:
        pytest.skip(f"this SimpleITK does not write {ending}")
    for name in ("a.nrrd", "a.mha", "a.mhd", "a.nhdr"):
        (tmp_path / name).write_bytes((tmp_path / f"a.{ending}").read_bytes())
        with pytest.raises(InputError, match=f"{name}.*neither"):
            open_scan(tmp_path / name)


def test_a_header_that_states_more_than_a_head_reads_nothing(tmp_path):
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
