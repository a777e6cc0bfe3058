import stat
import zipfile
from contextlib import suppress

import pytest

from adn.errors import InputError
from adn.io import archive, open_scan, write_volume
from phantoms import head, write_dicom_series


def zipped(path, files):
    with zipfile.ZipFile(path, "w") as out:
        for name, content in files.items():
            out.writestr(name, content)
    return path


@pytest.mark.parametrize("name", ["../evil.dcm", "a/../../evil.dcm", "/etc/evil", "C:\\evil", "..\\evil"])
def test_traversal_is_refused_and_nothing_is_written(name, tmp_path):
    path = zipped(tmp_path / "a.zip", {"ok.dcm": b"x", name: b"x"})
    (tmp_path / "into").mkdir()
    with pytest.raises(InputError, match=r"a\.zip.*outside its folder"):
        archive.extract(path, tmp_path / "into")
    assert list((tmp_path / "into").iterdir()) == []


def test_symlink_is_refused(tmp_path):
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    path = zipped(tmp_path / "a.zip", {link: "/etc/passwd"})
    with pytest.raises(InputError, match="symbolic link"):
        open_scan(path)


def test_encrypted_is_refused(tmp_path):
    path = zipped(tmp_path / "a.zip", {"a.dcm": b"abc"})
    data = bytearray(path.read_bytes())
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(magic) + offset] |= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match="encrypted"):
        open_scan(path)


def test_broken_zips_are_refused(tmp_path):
    whole = zipped(tmp_path / "a.zip", {"a.dcm": b"abc" * 1000}).read_bytes()
    damaged = bytearray(whole)
    damaged[100] ^= 255
    for name, content in (("half.zip", whole[:500]), ("text.zip", b"text"), ("damaged.zip", bytes(damaged))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=rf"{name}.*damaged"):
            open_scan(tmp_path / name)


def test_a_zip_bomb_is_refused_before_unpacking(tmp_path, monkeypatch):
    path = zipped(tmp_path / "a.zip", {"a": b"0" * 2000})
    monkeypatch.setattr(archive, "MAX_TOTAL_BYTES", 1000)
    with pytest.raises(InputError, match="unpacks to more"):
        open_scan(path)


def test_a_zip_without_images_is_refused(tmp_path):
    with pytest.raises(InputError, match="neither DICOM nor"):
        open_scan(zipped(tmp_path / "a.zip", {"readme.txt": "hello"}))


def test_a_zip_holds_dicom_or_one_nifti(tmp_path):
    files = write_dicom_series(head(), tmp_path / "dicom")
    study = zipped(tmp_path / "study.zip", {f"deep/{f.stem}": f.read_bytes() for f in files} | {"__MACOSX/._x": b"x"})
    scan = open_scan(study)
    assert (scan.name, scan.source, scan.volume.data.shape) == ("study", "dicom", (80, 96, 30))
    write_volume(head(), tmp_path / "ct.nii.gz")
    one = (tmp_path / "ct.nii.gz").read_bytes()
    assert open_scan(zipped(tmp_path / "one.zip", {"ct.nii.gz": one})).source == "nifti"
    with pytest.raises(InputError, match="2 image files"):
        open_scan(zipped(tmp_path / "two.zip", {"a.nii.gz": one, "b.nii.gz": one}))


def test_errors_name_the_archive_not_a_temporary_file(tmp_path):
    with pytest.raises(InputError) as caught:
        open_scan(zipped(tmp_path / "a.zip", {"a.nii.gz": b"text"}))
    assert "a.zip: needed" in str(caught.value)
    assert "adn-" not in str(caught.value)


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2, zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
def test_damage_is_reported_for_every_compression(method, tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", method) as out:
        out.writestr("a.dcm", bytes(range(256)) * 8)
    whole = path.read_bytes()
    for place in range(0, len(whole), 3):
        damaged = bytearray(whole)
        damaged[place] ^= 1 + place % 255
        path.write_bytes(damaged)
        target = tmp_path / str(place)
        target.mkdir()
        with suppress(InputError):
            archive.extract(path, target)
