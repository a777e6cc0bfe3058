import io
import shutil
import tarfile
import zipfile

import pytest

from adn.datasets.aisd import case as aisd_case
from adn.errors import InputError
from replicas.aisd import imported, pack, write_replica

pytestmark = pytest.mark.usefixtures("taken_as_upright")


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch):
    """Drawing takes most of an import's time here; test_aisd.py looks at the page."""
    monkeypatch.setattr(aisd_case, "draw_preview", lambda path, *_: path.write_bytes(b"jpeg"))


def test_archives_give_the_same_as_folders_and_leave_nothing(tmp_path):
    replica = write_replica(tmp_path / "tree", "0000001")
    replica.pictures, replica.labels = replica.pictures[::-1], replica.labels[::-1]
    replica.write_pngs()
    pack(tmp_path / "tree")
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    for name in ("image.zip", "mask.zip", "dicom-0.tar.gz"):
        shutil.move(tmp_path / "tree" / name, downloads / name)
    from_tree, from_archives = (imported(root)["0000001"] for root in (tmp_path / "tree", downloads))
    assert from_tree == from_archives
    for name in ("ct.nii.gz", "infarct.nii.gz"):
        a, b = (root / "out" / "0000001" / name for root in (tmp_path / "tree", downloads))
        assert a.read_bytes() == b.read_bytes()
    assert sorted(path.name for path in (downloads / "out").iterdir()) == [
        "0000001",
        "import.csv",
        "import.html",
        "licence.txt",
        "split.csv",
    ]


def test_unsafe_and_broken_archives_are_refused(tmp_path):
    def tar(name, *members):
        with tarfile.open(tmp_path / name, "w:gz") as out:
            for member in members:
                out.addfile(member, io.BytesIO(b"x" * member.size))

    outside, link = tarfile.TarInfo("../0000001/CT/1.dcm"), tarfile.TarInfo("0000001/CT/1.dcm")
    outside.size, link.type, link.linkname = 3, tarfile.SYMTYPE, "/etc/passwd"
    for member, why in ((outside, "outside its folder"), (link, "symbolic link")):
        tar("dicom-0.tar.gz", member)
        with pytest.raises(InputError, match=f"dicom-0.tar.gz.*{why}"):
            imported(tmp_path)
    whole = (tmp_path / "dicom-0.tar.gz").read_bytes()
    (tmp_path / "dicom-0.tar.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="broken"):
        imported(tmp_path)
    (tmp_path / "dicom-0.tar.gz").unlink()
    with zipfile.ZipFile(tmp_path / "mask.zip", "w") as out:
        out.writestr("../0000001/000.png", b"x")
    with pytest.raises(InputError, match=r"mask\.zip.*outside its folder"):
        imported(tmp_path)
    assert not list((tmp_path / "out" / ".unpacked").iterdir())
