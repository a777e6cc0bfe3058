"""The import of TEKNOFEST-2021 on replicas: every maker's UIDs, gaps, direction, masks, patients, refusals."""

import csv
import importlib.util

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import UID
from typer.testing import CliRunner

from adn.cli.data import data as data_commands
from adn.datasets.layouts import find_cases
from adn.datasets.splits import read_split
from adn.datasets.teknofest import importer, series
from adn.datasets.teknofest.importer import import_teknofest
from adn.datasets.teknofest.uids import read_uid
from adn.errors import InputError
from adn.io import read_volume
from adn.results import DISCLAIMER
from given import given
from replicas.teknofest import NAME, head_slices, uid, write_series

pytestmark = pytest.mark.usefixtures("taken_as_upright")

MAKERS = ("GE", "Siemens", "Toshiba", "Philips")


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch, request):
    if "page" not in request.node.name:
        monkeypatch.setattr(importer, "draw_part", lambda path, *_: path.write_bytes(b"jpeg"))


def acquired(folder):
    """HU and infarct of the acquired slices, from below."""
    ct, infarct, seen = (
        read_volume(folder / f"{name}.nii.gz", np.int16).reoriented("SPL").data for name in ("ct", "infarct", "seen")
    )
    chosen = seen.any(axis=(1, 2))
    return ct[chosen], infarct[chosen], np.flatnonzero(chosen)


@pytest.mark.parametrize("maker", MAKERS)
def test_a_series_of_every_maker_is_imported(maker, tmp_path):
    head = head_slices()
    write_series(tmp_path / "src", head, maker, key=1, intercept=-8192.0 if maker == "Siemens" else -1024.0)
    (line,) = import_teknofest(tmp_path / "src", tmp_path / "out")
    assert (line.case, line.outcome, line.maker, line.patient) == ("case_10000", "imported", maker, "case_10000")
    assert (line.turned, line.direction, line.slices, line.height) == (False, "bone", len(head.hu), len(head.hu))
    assert line.spacing_mm == (5.0, 2.0, 2.0)
    hu, infarct, _ = acquired(tmp_path / "out" / line.case)
    assert np.array_equal(hu, head.hu)
    assert np.array_equal(infarct, head.infarct)
    assert line.infarct_ml == pytest.approx(head.infarct.sum() * 0.02)
    assert any("Gaps" in problem for problem in line.problems) == (maker == "Toshiba")


@pytest.mark.parametrize("reverse", [False, True])
def test_gaps_and_reversed_series_are_handled(reverse, tmp_path):
    head = head_slices(reverse=reverse)
    numbers = [*range(len(head.hu) - 2), len(head.hu), len(head.hu) + 3]
    write_series(tmp_path / "src", head, "GE", numbers=numbers)
    (line,) = import_teknofest(tmp_path / "src", tmp_path / "out")
    assert line.turned == reverse
    assert line.height == numbers[-1] + 1
    hu, _, places = acquired(tmp_path / "out" / line.case)
    assert np.array_equal(hu, head.hu[::-1] if reverse else head.hu)
    steps = np.diff(places).tolist()
    assert steps == np.diff(numbers).tolist()[:: -1 if reverse else 1]


def test_series_are_separated_by_uid_and_by_a_pause(tmp_path):
    for key, maker in enumerate(("GE", "GE", "Toshiba", "Toshiba")):
        write_series(tmp_path / "src", head_slices(key), maker, key=key, first=10000 + 1000 * key)
    lines = import_teknofest(tmp_path / "src", tmp_path / "out")
    assert [line.maker for line in lines] == ["GE", "GE", "Toshiba", "Toshiba"]
    assert {line.outcome for line in lines} == {"imported"}


def test_two_series_of_one_head_are_one_patient(tmp_path):
    write_series(tmp_path / "src", head_slices(0), "GE", key=0)
    again = head_slices(0)
    again.hu = again.hu + np.random.default_rng(1).normal(0, 2, again.hu.shape).round()
    write_series(tmp_path / "src", again, "GE", key=1, first=20000)
    first, second = import_teknofest(tmp_path / "src", tmp_path / "out")
    assert (first.patient, second.patient) == ("case_10000", "case_10000")
    assert "head of case_10000" in second.problems[-1]
    assert {case.subject for case in find_cases(tmp_path / "out")} == {"case_10000"}


def test_speckle_is_closed_unless_told_otherwise(tmp_path):
    head = head_slices()
    drawn = head.infarct.copy()
    head.infarct *= (np.random.default_rng(0).random(drawn.shape) < 0.7).astype(np.uint8)
    write_series(tmp_path / "src", head)
    (closed,) = import_teknofest(tmp_path / "src", tmp_path / "closed")
    (kept,) = import_teknofest(tmp_path / "src", tmp_path / "kept", close=False)
    assert closed.closed > 0.1
    assert kept.closed == 0
    assert np.array_equal(acquired(tmp_path / "kept" / "case_10000")[1], head.infarct)
    assert closed.infarct_ml > kept.infarct_ml


@pytest.mark.parametrize("kind", ["masks", "OVERLAY"])
def test_a_missing_mask_drops_its_slice_and_a_series_without_masks_is_dropped(kind, tmp_path):
    head = head_slices()
    files = write_series(tmp_path / "src", head, kinds=("PNG", kind))
    (tmp_path / "src" / "ISKEMI" / kind / f"{files[1].stem}.png").unlink()
    (line,) = import_teknofest(tmp_path / "src", tmp_path / "out")
    assert (line.slices, line.height) == (len(head.hu) - 1, len(head.hu))
    assert f"Slice {files[1].stem} has no outline" in " ".join(line.problems)
    write_series(tmp_path / "bare", head, kinds=("PNG",))
    (line,) = import_teknofest(tmp_path / "bare", tmp_path / "none")
    assert line.outcome == "left out"
    assert "No slice can be used. Slice 10" in line.problems[-1]


def test_a_damaged_file_and_an_unknown_uid_are_reported(tmp_path):
    head = head_slices()
    files = write_series(tmp_path / "src", head)
    files[0].write_bytes(b"nothing")
    strange = pydicom.dcmread(files[1])
    strange.file_meta.MediaStorageSOPInstanceUID = UID("1.3.12.2.77.5.5")
    strange.save_as(files[1])
    lines = import_teknofest(tmp_path / "src", tmp_path / "out")
    by_case = {line.case: line for line in lines}
    assert "damaged" in by_case[f"case_{files[0].stem}"].problems[0]
    assert "no known form" in by_case[f"case_{files[1].stem}"].problems[0]
    assert sum(line.outcome == "imported" for line in lines) == 1


def test_bleeds_and_heads_without_stroke_are_skipped(tmp_path):
    write_series(tmp_path / "src", head_slices(0))
    write_series(tmp_path / "src", head_slices(1), key=1, first=20000, folder="KANAMA")
    write_series(tmp_path / "src", head_slices(2), key=2, first=30000, folder="İNMEYOK")
    assert [line.case for line in import_teknofest(tmp_path / "src", tmp_path / "out")] == ["case_10000"]
    with pytest.raises(InputError, match="no folder DICOM"):
        import_teknofest(tmp_path / "src" / "ISKEMI" / "PNG", tmp_path / "none")


def test_an_import_resumes_and_redoes_what_changed(tmp_path, monkeypatch):
    for key in range(2):
        write_series(tmp_path / "src", head_slices(key), key=key, first=10000 + 1000 * key)
    done = []
    real = importer._lay

    def stop(found, line, close):
        if done:
            raise KeyboardInterrupt
        done.append(found.name)
        return real(found, line, close)

    with monkeypatch.context() as patched:
        patched.setattr(importer, "_lay", stop)
        with pytest.raises(KeyboardInterrupt):
            import_teknofest(tmp_path / "src", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == done
    made = []
    monkeypatch.setattr(
        importer, "_lay", lambda found, line, close: made.append(found.name) or real(found, line, close)
    )
    lines = import_teknofest(tmp_path / "src", tmp_path / "out")
    assert made == [line.case for line in lines if line.case not in done]
    made.clear()
    assert import_teknofest(tmp_path / "src", tmp_path / "out") == lines
    assert made == []
    import_teknofest(tmp_path / "src", tmp_path / "out", close=False)
    assert len(made) == 2


def test_nothing_from_the_headers_is_stored(tmp_path):
    write_series(tmp_path / "src", head_slices())
    import_teknofest(tmp_path / "src", tmp_path / "out")
    for path in (tmp_path / "out").rglob("*"):
        if path.is_file():
            assert NAME.encode() not in path.read_bytes()
            assert b"113619" not in path.read_bytes()


@pytest.mark.parametrize("maker", MAKERS)
def test_numbers_increase_only_within_a_series(maker):
    a, b, other = (given(read_uid(uid(maker, key, number))) for key, number in ((1, 3), (1, 4), (2, 3)))
    assert a.maker == maker
    assert a.series == b.series
    assert b.number == a.number + 1
    assert (other.series, other.time) != (a.series, a.time)
    assert read_uid("1.2.840.113619.x.1") is None


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.90"])
def test_lossless_jpeg_is_read_with_the_extra(syntax, tmp_path):
    gdcm = pytest.importorskip("gdcm")
    head = head_slices()
    kinds = {"1.2.840.10008.1.2.4.70": gdcm.TransferSyntax.JPEGLosslessProcess14_1,
             "1.2.840.10008.1.2.4.90": gdcm.TransferSyntax.JPEG2000Lossless}  # fmt: skip
    for path in write_series(tmp_path / "src", head):
        reader = gdcm.ImageReader()
        reader.SetFileName(str(path))
        assert reader.Read()
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(kinds[syntax]))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer = gdcm.ImageWriter()
        instance = pydicom.dcmread(path).file_meta.MediaStorageSOPInstanceUID
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        writer.SetFileName(str(path))
        assert writer.Write()
        packed = pydicom.dcmread(path)
        packed.file_meta.MediaStorageSOPInstanceUID = instance
        packed.save_as(path)
        assert packed.file_meta.TransferSyntaxUID == syntax
    (line,) = import_teknofest(tmp_path / "src", tmp_path / "out")
    assert np.array_equal(acquired(tmp_path / "out" / line.case)[0], head.hu)


def test_without_a_decoder_the_extra_is_named(tmp_path, monkeypatch):
    path = write_series(tmp_path / "src", head_slices())[0]
    packed = pydicom.dcmread(path)
    packed.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.4.70")
    packed.PixelData = encapsulate([b"packed"])
    packed["PixelData"].is_undefined_length = True
    packed.save_as(path)

    class Absent:
        is_available = False

    monkeypatch.setattr(series, "get_decoder", lambda syntax: Absent())
    with pytest.raises(InputError, match=r"adn-stroke\[import\]"):
        import_teknofest(tmp_path / "src", tmp_path / "out")


def test_the_command_writes_its_page(tmp_path):
    for key in range(3):
        write_series(tmp_path / "src", head_slices(key), MAKERS[key], key=key, first=10000 + 1000 * key)
    write_series(tmp_path / "src", head_slices(5), key=7, first=50000, kinds=("PNG",))
    result = CliRunner().invoke(data_commands, ["import-teknofest", str(tmp_path / "src"), str(tmp_path / "out")])
    assert result.exit_code == 3
    assert "3 of 4 series imported" in result.output
    page = (tmp_path / "out" / "import.html").read_text()
    assert DISCLAIMER in page
    assert "further research" in page
    assert page.count("<figure") == 3
    assert "http" not in page.replace("http-equiv", "")
    rows = list(csv.DictReader((tmp_path / "out" / "import.csv").open()))
    assert [row["outcome"] for row in rows].count("left out") == 1
    assert len(read_split(tmp_path / "out" / "split.csv").rows) == 3
    moved = (tmp_path / "out").rename(tmp_path / "moved")
    assert all(case.ct.is_file() for case in find_cases(moved))


def test_the_extra_is_installed_for_development():
    assert importlib.util.find_spec("gdcm") is not None
