import csv
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from adn.cli.data.import_aisd import import_aisd as import_command
from adn.datasets.aisd import case as aisd_case
from adn.datasets.aisd.importer import TEST_CASES
from adn.datasets.layouts import find_cases
from adn.datasets.splits import read_split
from adn.errors import InputError, OutputError
from adn.io import open_scan, read_volume
from adn.results import DISCLAIMER
from phantoms import ball, write_dicom_series
from replicas.aisd import WINDOW_HU, grey, half_head, imported, write_replica

pytestmark = pytest.mark.usefixtures("taken_as_upright")

REAL = Path(__file__).parents[2] / ".." / "shared" / "data" / "head_ct" / "aisd_0091454"


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch, request):
    """Drawing takes most of an import's time here: only the page's test does it."""
    if "page" not in request.node.name:
        monkeypatch.setattr(aisd_case, "draw_preview", lambda path, *_: path.write_bytes(b"jpeg"))


def overlay(case_folder):
    """Dice of the imported infarct and the ball, and the median HU inside it."""
    ct = read_volume(case_folder / "ct.nii.gz", np.int16)
    infarct = read_volume(case_folder / "infarct.nii.gz", np.uint8, "label")
    assert infarct.grid.same_as(ct.grid)
    inside, truth = infarct.data > 0, ball(ct.grid)
    dice = 2 * (inside & truth).sum() / (inside.sum() + truth.sum())
    return dice, float(np.median(ct.data[inside]))


def test_a_clean_case_is_imported(tmp_path):
    write_replica(tmp_path, "0000001").write_pngs()
    line = imported(tmp_path)["0000001"]
    assert (line.outcome, line.hu, line.order, line.turn, line.problems) == ("imported", "dicom", "same", 0, ())
    assert line.window_hu == pytest.approx(WINDOW_HU, abs=1.0)
    assert line.spacing_mm == pytest.approx((5.0, 2.0, 2.0), abs=0.01)
    dice, hu = overlay(tmp_path / "out" / "0000001")
    assert dice == 1.0
    assert hu == 6.0
    ct = read_volume(tmp_path / "out" / "0000001" / "ct.nii.gz", np.int16).reoriented("SPL")
    assert np.array_equal(ct.data, half_head().data)  # HU are the scanner's, not the picture's
    assert line.infarct_ml == pytest.approx(ball(half_head().grid).sum() * 0.02)


@pytest.mark.parametrize("turn", ["reversed", "upside down", "mirrored", "half turn"])
def test_order_and_rotation_are_found_by_content(turn, tmp_path):
    replica = write_replica(tmp_path, "0000001")
    change = {
        "reversed": np.s_[::-1],
        "upside down": np.s_[:, ::-1],
        "mirrored": np.s_[::-1, :, ::-1],
        "half turn": np.s_[:, ::-1, ::-1],
    }[turn]
    replica.pictures, replica.labels = replica.pictures[change], replica.labels[change]
    replica.write_pngs()
    line = imported(tmp_path)["0000001"]
    assert overlay(tmp_path / "out" / "0000001") == (1.0, 6.0)
    assert line.order == ("reversed" if turn in ("reversed", "mirrored") else "same")
    assert bool(line.turn) == (turn != "reversed")
    assert any("turned or flipped" in note for note in line.notes) == (turn != "reversed")


@pytest.mark.parametrize(("tilt_deg", "gaps"), [(-15.0, None), (12.0, [3.0] * 8 + [6.0] * 9)])
def test_masks_follow_a_tilted_gantry_and_uneven_gaps(tilt_deg, gaps, tmp_path):
    replica = write_replica(tmp_path, "0000001", tilt_deg=tilt_deg, gaps=gaps)
    replica.pictures, replica.labels = replica.pictures[::-1], replica.labels[::-1]
    replica.write_pngs()
    line = imported(tmp_path)["0000001"]
    dice, hu = overlay(tmp_path / "out" / "0000001")
    assert dice > 0.9
    assert hu == pytest.approx(6.0, abs=2.0)
    assert line.problems == ()
    assert "gantry tilt" in line.notes[0]


@pytest.mark.parametrize("window", [(0.0, 80.0), (-60.0, 140.0), (-100.0, 200.0)])
def test_other_windows_are_recognised(window, tmp_path):
    write_replica(tmp_path, "0000001", window=window).write_pngs()
    line = imported(tmp_path)["0000001"]
    assert (line.hu, line.problems) == ("dicom", ())
    assert line.window_hu == pytest.approx(window, abs=2.0)


def test_labels_are_merged_by_the_policy(tmp_path):
    replica = write_replica(tmp_path, "0000001")
    ball_labels = replica.labels > 0
    for value, columns in ((1, slice(0, 10)), (3, slice(40, 50)), (4, slice(50, 55)), (5, slice(55, 60))):
        replica.labels[..., columns][ball_labels[..., columns]] = value
    replica.write_pngs()
    line = imported(tmp_path)["0000001"]
    folder = tmp_path / "out" / "0000001"
    infarct, invisible = (read_volume(folder / f"{name}.nii.gz", np.uint8).data for name in ("infarct", "ignore"))
    assert not (infarct & invisible).any()
    assert infarct.sum() == (np.isin(replica.labels, (1, 2, 3, 5))).sum()
    assert invisible.sum() == (replica.labels == 4).sum() > 0
    assert find_cases(tmp_path / "out")[0].ignore == folder / "ignore.nii.gz"
    assert line.infarct_ml + line.invisible_ml == pytest.approx(ball_labels.sum() * 0.02)


def test_doubled_inner_folders_are_read(tmp_path):
    write_replica(tmp_path, "0000001").write_pngs(doubled=True)
    assert imported(tmp_path)["0000001"].problems == ()


def test_symbolic_links_are_followed_once(tmp_path):
    write_replica(tmp_path / "disk", "0000001").write_pngs()
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    for name in ("image", "mask", "dicom"):
        (downloads / name).symlink_to(tmp_path / "disk" / name)
    (downloads / "round").symlink_to(downloads)
    assert imported(downloads)["0000001"].problems == ()


def test_a_case_without_dicom_takes_hu_from_the_others_window(tmp_path):
    write_replica(tmp_path, "0000001", seed=1, window=(-12.0, 96.0)).write_pngs()
    late = write_replica(tmp_path, "0091465", window=(-12.0, 96.0), dicom=False)
    late.pictures, late.labels = late.pictures[::-1], late.labels[::-1]  # from the vertex down
    late.write_pngs()
    line = imported(tmp_path)["0091465"]
    assert (line.outcome, line.hu) == ("imported", "png")
    assert "dicom-3.tar.gz" in line.problems[-1]
    assert "window -12 to 96 HU" in line.problems[-1]
    ct = read_volume(tmp_path / "out" / "0091465" / "ct.nii.gz").reoriented("SPL")
    infarct = read_volume(tmp_path / "out" / "0091465" / "infarct.nii.gz", np.uint8).reoriented("SPL")
    truth = half_head()
    assert np.array_equal(infarct.data > 0, ball(truth.grid))  # the right way up again
    inside = (truth.data > -10) & (truth.data < 90)
    assert np.abs(ct.data - truth.data)[inside].max() <= 1.0
    assert (ct.data[truth.data == 1100] == 1500.0).mean() > 0.95  # all but specks
    assert ct.data[0, 0, 0] == -1000.0
    assert open_scan(tmp_path / "out" / "0091465" / "ct.nii.gz").warnings == ()  # passes for HU of a head
    assert ct.grid.spacing_mm == pytest.approx((5.0, 2.0, 2.0))


def test_0226134_more_masks_than_dicom_slices(tmp_path):
    write_replica(tmp_path, "0226134", step_mm=3.75, dicom=False).write_pngs()  # 24 slices, from another reconstruction
    write_dicom_series(half_head(0, 6.0), tmp_path / "dicom" / "0226134" / "CT")
    line = imported(tmp_path)["0226134"]
    assert (line.outcome, line.hu, line.slices) == ("imported", "png", 24)
    assert "of 22 PNGs that show something are found among 15 DICOM slices" in line.problems[0]
    infarct = read_volume(tmp_path / "out" / "0226134" / "infarct.nii.gz", np.uint8)
    assert infarct.data.sum() == ball(half_head(0, 3.75).grid).sum()


def test_dicom_slices_without_png_are_reported(tmp_path):
    replica = write_replica(tmp_path, "0000001")
    replica.pictures, replica.labels = replica.pictures[1:], replica.labels[1:]
    replica.write_pngs()
    line = imported(tmp_path)["0000001"]
    assert "1 of 18 DICOM slices have no PNG" in line.problems[0]
    assert overlay(tmp_path / "out" / "0000001") == (1.0, 6.0)


def test_dicom_of_another_scan_is_not_used(tmp_path):
    write_replica(tmp_path, "0000001", seed=1).write_pngs()
    shutil.rmtree(tmp_path / "dicom")
    other = half_head(2)
    other.data[:, :30] = -1000
    write_dicom_series(other, tmp_path / "dicom" / "0000001" / "CT")
    line = imported(tmp_path)["0000001"]
    assert line.hu == "png"
    assert "DICOM is not this scan" in line.problems[0]


def test_the_right_one_of_two_series_is_chosen(tmp_path):
    write_replica(tmp_path, "0000001").write_pngs()
    other = half_head(5)
    write_dicom_series(other, tmp_path / "dicom" / "0000001" / "CT", prefix="b", tags={"SeriesNumber": 9})
    line = imported(tmp_path)["0000001"]
    assert line.hu == "dicom"
    ct = read_volume(tmp_path / "out" / "0000001" / "ct.nii.gz", np.int16).reoriented("SPL")
    assert np.array_equal(ct.data, half_head().data)


def symmetric_head(tmp_path):
    """PNGs and DICOM of a head that is its own mirror image."""
    folder = tmp_path / "dicom" / "0000001" / "CT"
    replica = write_replica(tmp_path, "0000001", dicom=False)
    volume = half_head()
    volume.data[...] = np.maximum(volume.data, volume.data[:, :, ::-1])
    files = write_dicom_series(volume, folder)
    replica.pictures = np.stack([grey(pydicom.dcmread(path).pixel_array) for path in files])
    return replica


def test_an_ambiguous_case_is_reported_and_not_guessed(tmp_path):
    symmetric_head(tmp_path).write_pngs()
    line = imported(tmp_path)["0000001"]
    assert line.outcome == "left out"
    assert "about equally" in line.problems[0]
    assert not (tmp_path / "out" / "0000001").exists()


def test_identical_slices_are_ambiguous_only_under_a_mask(tmp_path):
    replica = write_replica(tmp_path, "0000001")
    files = sorted((tmp_path / "dicom" / "0000001" / "CT").glob("*.dcm"))
    middle = int(np.argmax(replica.labels.sum(axis=(1, 2))))
    twin, original = pydicom.dcmread(files[middle + 1]), pydicom.dcmread(files[middle])
    twin.PixelData = original.PixelData  # two DICOM slices alike, and one PNG of them
    twin.save_as(files[middle + 1])
    replica.pictures = np.delete(replica.pictures, middle + 1, axis=0)
    replica.labels = np.delete(replica.labels, middle + 1, axis=0)
    replica.write_pngs()
    line = imported(tmp_path)["0000001"]
    assert line.outcome == "left out"
    assert f"PNG number {middle} fits several DICOM slices" in line.problems[0]


def test_png_only_and_no_top_or_bottom(tmp_path):
    replica = write_replica(tmp_path, "0000001", dicom=False)
    half = len(replica.pictures) // 2
    replica.pictures, replica.labels = replica.pictures[half : half + 2], replica.labels[half : half + 2]
    replica.write_pngs()
    line = imported(tmp_path)["0000001"]
    assert line.outcome == "left out"
    assert "top and bottom cannot be distinguished" in line.problems[-1]


@pytest.mark.parametrize("value", [6, 255])
def test_unknown_mask_values_are_refused(value, tmp_path):
    replica = write_replica(tmp_path, "0000001", label=value)
    replica.write_pngs()
    line = imported(tmp_path)["0000001"]
    assert line.outcome == "left out"
    assert f"[{value}]" in line.problems[0]


def test_empty_or_invisible_only_masks_are_reported(tmp_path):
    replica = write_replica(tmp_path, "0000001", label=4)
    replica.write_pngs()
    replica.case, replica.labels = "0000002", replica.labels * 0
    replica.write_pngs()
    shutil.copytree(tmp_path / "dicom" / "0000001", tmp_path / "dicom" / "0000002")
    lines = imported(tmp_path, jobs=2)
    assert "only invisible infarct (label 4)" in lines["0000001"].problems[0]
    assert lines["0000001"].invisible_ml > 1
    assert "holds nothing" in lines["0000002"].problems[0]
    assert [line.outcome for line in lines.values()] == ["imported"] * 2


def test_mismatched_images_and_masks_are_refused(tmp_path):
    write_replica(tmp_path, "0000001").write_pngs()
    (tmp_path / "image" / "0000001" / "007.png").unlink()
    write_replica(tmp_path, "0000002").write_pngs(kinds=("mask",))
    lines = imported(tmp_path)
    assert "17 image and 18 mask PNGs (without a partner: 007)" in lines["0000001"].problems[0]
    assert "0 image and 18 mask PNGs" in lines["0000002"].problems[0]
    assert {line.outcome for line in lines.values()} == {"left out"}


def test_a_damaged_file_loses_one_case_only(tmp_path):
    for case in ("0000001", "0000002", "0000003"):
        write_replica(tmp_path, case).write_pngs()
    png = tmp_path / "mask" / "0000001" / "003.png"
    png.write_bytes(png.read_bytes()[:40])
    dcm = next((tmp_path / "dicom" / "0000002" / "CT").glob("*.dcm"))
    dcm.write_bytes(dcm.read_bytes()[:3000])
    lines = imported(tmp_path)
    assert "003.png" in lines["0000001"].problems[0]
    assert "truncated" in lines["0000002"].problems[0]
    assert [line.outcome for line in lines.values()] == ["left out", "left out", "imported"]


def test_the_split_is_the_official_one(tmp_path):
    assert len(TEST_CASES) == 52
    test = min(TEST_CASES)
    for case in (test, "0000001"):
        write_replica(tmp_path, case).write_pngs()
    write_replica(tmp_path, "0000002").write_pngs(kinds=("mask",))
    imported(tmp_path)
    parts = read_split(tmp_path / "out" / "split.csv").parts()
    assert parts == (("0000001",), (), (test,))
    with (tmp_path / "out" / "import.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["case"], row["part"], row["outcome"]) for row in rows] == [
        ("0000001", "train", "imported"),
        ("0000002", "train", "left out"),
        (test, "test", "imported"),
    ]


def test_a_folder_without_aisd_is_refused(tmp_path):
    with pytest.raises(InputError, match="needed AISD's downloads"):
        imported(tmp_path)


def test_an_import_resumes_and_notices_changes(tmp_path):
    replica = write_replica(tmp_path, "0000001")
    replica.write_pngs()
    write_replica(tmp_path, "0000002", dicom=False).write_pngs()
    first = imported(tmp_path)
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*/ct.nii.gz")}
    assert imported(tmp_path) == first
    assert {path: path.stat().st_mtime_ns for path in times} == times
    mask = tmp_path / "mask" / "0000001" / "009.png"
    Image.fromarray(np.where(np.asarray(Image.open(mask)) > 0, 4, 0).astype(np.uint8)).save(mask)
    assert imported(tmp_path)["0000001"].invisible_ml > 0
    assert (tmp_path / "out" / "0000002" / "ct.nii.gz").stat().st_mtime_ns in times.values()
    mask.unlink()
    assert imported(tmp_path)["0000001"].outcome == "left out"
    assert not (tmp_path / "out" / "0000001").exists()


def test_a_foreign_folder_is_not_touched(tmp_path):
    write_replica(tmp_path, "0000001").write_pngs()
    (tmp_path / "out" / "0000001").mkdir(parents=True)
    (tmp_path / "out" / "0000001" / "thesis.txt").write_text("all of it")
    with pytest.raises(OutputError, match="not a result of adn"):
        imported(tmp_path)
    assert (tmp_path / "out" / "0000001" / "thesis.txt").read_text() == "all of it"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0000001"]


def test_the_command_writes_its_page(tmp_path):
    settings_of: dict[str, dict[str, Any]] = {
        "0000001": {},
        min(TEST_CASES): {"seed": 3, "dicom": False},
        "0000003": {"label": 6},
    }
    for case, settings in settings_of.items():
        write_replica(tmp_path, case, **settings).write_pngs()
    app = typer.Typer()
    app.command()(import_command)
    result = CliRunner().invoke(app, [str(tmp_path), str(tmp_path / "out"), "--jobs", "2"])
    assert result.exit_code == 3  # one was left out
    assert "2 of 3 cases imported (1 with HU estimated from PNGs), 1 left out" in result.stdout
    assert DISCLAIMER in result.stdout
    errors = " ".join(result.stderr.split())
    assert "0000003: The mask holds values that AISD does not define: [6]" in errors
    assert f"{min(TEST_CASES)}: warning: There is no DICOM." in errors
    assert "warning: 51 of the 52 test cases are not there." in errors
    page = (tmp_path / "out" / "import.html").read_text(encoding="utf-8")
    assert page.count(DISCLAIMER) == 2
    assert page.count('src="data:image/jpeg;base64,') == 2
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)  # one file, offline
    assert "51 of the 52 test cases are not there" in page
    assert f'href="#c-{min(TEST_CASES)}"' in page
    with Image.open(tmp_path / "out" / "0000001" / "preview.jpg") as picture:
        red = np.asarray(picture).astype(int)
    red = np.argwhere((red[..., 0] - red[..., 1] > 80) & (red[..., 0] - red[..., 2] > 80))
    panel = red[:, 1] * 6 % picture.width / picture.width  # place within its panel, left to right
    assert panel.mean() > 0.55  # patient left, where the marker is, on image right


@pytest.mark.real
@pytest.mark.skipif(not REAL.is_dir(), reason="../shared/data is absent")
@pytest.mark.parametrize("turn", [np.s_[:], np.s_[::-1], np.s_[::-1, :, ::-1]], ids=["same", "reversed", "flipped"])
def test_a_real_case_is_imported(turn, tmp_path):
    shutil.copytree(REAL, tmp_path / "dicom" / "0091454" / "CT")
    slices = [pydicom.dcmread(path) for path in sorted(REAL.glob("*.dcm"))]
    hu = np.stack([one.pixel_array * float(one.RescaleSlope) + float(one.RescaleIntercept) for one in slices])
    labels = np.zeros(hu.shape, np.uint8)
    labels[5:8, 200:240, 330:350] = 2  # right of the picture's middle, so patient left
    for kind, stack in (("image", grey(hu)), ("mask", labels)):
        folder = tmp_path / kind / "0091454"
        folder.mkdir(parents=True)
        for number, plane in enumerate(stack[turn]):
            Image.fromarray(np.ascontiguousarray(plane)).save(folder / f"{number:03d}.png")
    line = imported(tmp_path)["0091454"]
    assert (line.outcome, line.hu, line.slices) == ("imported", "dicom", 14)
    assert line.window_hu == pytest.approx(WINDOW_HU, abs=0.5)
    assert line.infarct_ml == pytest.approx(3 * 40 * 20 * 0.42578125**2 * 9 / 1000, rel=0.02)
    infarct = read_volume(tmp_path / "out" / "0091454" / "infarct.nii.gz", np.uint8)
    centre = infarct.grid.affine @ [*np.argwhere(infarct.data).mean(axis=0), 1.0]
    position = np.array(slices[6].ImagePositionPatient, float)
    right, down = np.array([1.0, 0, 0]), np.array(slices[6].ImageOrientationPatient[3:], float)
    expected = position + right * 339.5 * 0.42578125 + down * 219.5 * 0.42578125
    assert centre[:3] == pytest.approx(expected * (-1, -1, 1), abs=0.6)
