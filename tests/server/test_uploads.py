"""Uploads: what is accepted, what is refused, and that nothing of a refused upload is left."""

import errno
import gzip
import stat
import zipfile

import nibabel as nib
import pytest

from phantoms import head, write_dicom_series
from server.stub_server import nifti, upload, wait, zipped


@pytest.fixture(scope="module")
def slices(tmp_path_factory):
    files = write_dicom_series(head((12, 16, 16), (12.0, 12.0, 12.0)), tmp_path_factory.mktemp("dicom"))
    return [path.read_bytes() for path in files]


def stored(folder, case_id):
    """What the worker will read, before it does: the queue is held by nobody, so look at the record's kind."""
    return (folder / case_id / "case.json").read_text()


@pytest.mark.parametrize("name", ["scan.nii", "..\\..\\scan.nii.gz", "", "/etc/passwd"])
def test_file_type_is_decided_by_content_not_by_name(name, client, folder):
    case = upload(client, nifti(), names=[name or "x"]).json()
    assert '"kind": "nifti"' in stored(folder, case["id"])
    assert wait(client, case["id"])["state"] == "done"


def test_a_dicom_folder_may_hold_other_files(client, folder, slices):
    names = [f"Doe^Jane/CT 5.0/{i:03d}" for i in range(len(slices))] + ["Doe^Jane/.DS_Store", "Doe^Jane/notes.txt"]
    case = upload(client, *slices, b"junk", b"hello", names=names, dicom_seg=True).json()
    assert '"kind": "dicom"' in stored(folder, case["id"])
    assert wait(client, case["id"])["state"] == "done"


def test_a_zip_is_accepted(client, folder, slices):
    case = upload(client, zipped({f"a/{i}": data for i, data in enumerate(slices)})).json()
    assert '"kind": "zip"' in stored(folder, case["id"])
    assert wait(client, case["id"])["state"] == "done"


def link():
    info = zipfile.ZipInfo("link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


def huge():
    """A NIfTI header that promises 10⁹ voxels."""
    header = nib.Nifti1Header()
    header.set_data_shape((1000, 1000, 1000))
    return header.binaryblock[:344] + b"n+1\0" + bytes(4)


REFUSED = {
    "text": ([b"hello"], 415, "holds no scan"),
    "empty": ([b""], 415, "holds no scan"),
    "gzip of something": ([b"\x1f\x8b\x08" + bytes(50)], 415, "holds no scan"),
    "a program named as a scan": ([b"\x7fELF" + bytes(500)], 415, "holds no scan"),
    "two scans": ([nifti(), nifti()], 415, "several scans"),
    "out of its folder": ([zipped({"../evil.dcm": b"x"})], 415, "outside its folder"),
    "absolute": ([zipped({"/etc/evil.dcm": b"x"})], 415, "outside its folder"),
    "link": ([zipped({link(): "/etc/passwd"})], 415, "symbolic link"),
    "broken zip": ([zipped({"a": b"abc" * 1000})[:60]], 415, "damaged"),
    "bomb by ratio": ([zipped({"a": bytes(10**6)})], 415, "100 times"),
    "bomb by size": ([zipped({str(i): bytes(10**5) for i in range(19)} | {"b": bytes(5 * 10**5)})], 415, "2 MiB"),
    "bomb by files": ([zipped({str(i): b"x" for i in range(21)})], 415, "more than 20 files"),
    "header of a bomb": ([gzip.compress(huge())], 413, "2 MiB"),
    "too many files": ([b"x"] * 21, 400, "Too many files"),
    "too large": ([bytes(2**20 + 1)], 413, "1 MiB"),
}


@pytest.mark.parametrize(("contents", "status", "words"), REFUSED.values(), ids=list(REFUSED))
def test_invalid_uploads_are_refused(contents, status, words, client, folder):
    before = sorted(path.name for path in folder.iterdir())
    response = upload(client, *contents)
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert words in response.json()["detail"]
    assert str(folder) not in response.text
    assert sorted(path.name for path in folder.iterdir()) == before


def test_a_body_without_content_length_is_limited_too(client, folder):
    def body():
        yield b'--b\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n'
        for _ in range(20):
            yield bytes(10**5)

    response = client.post("/api/cases", content=body(), headers={"Content-Type": "multipart/form-data; boundary=b"})
    assert response.status_code == 413
    assert not list(folder.glob(".incoming-*"))


def test_a_full_disk_is_reported(client, folder, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("adn.server.uploads.shutil.copyfileobj", full)
    response = upload(client, nifti())
    assert (response.status_code, "No space left" in response.json()["detail"]) == (507, True)
    assert not list(folder.glob(".incoming-*"))


def test_malformed_upload_requests_are_refused(client):
    assert client.post("/api/cases").status_code == 422
    assert client.post("/api/cases", data={"files": "text"}).status_code == 422
    broken = client.post("/api/cases", content=b"x", headers={"Content-Type": "multipart/form-data"})
    assert broken.status_code == 400
    assert upload(client, nifti(), dicom_seg=True).status_code == 415
    assert upload(client, nifti(), dicom_seg="Doe").status_code == 422
