"""Nothing that identifies a patient leaves adn: not in files, not in messages, not in the log of --debug."""

import gzip
import shutil
import subprocess
import sys

import pytest
import torch
from pydicom import config, dcmread
from pydicom._dicom_dict import DicomDictionary
from pydicom.datadict import keyword_for_tag

from adn.io.weights import save_weights
from adn.nn.adn import build_adn
from adn.recipes import load_recipe
from phantoms import head, write_dicom_series

pytest.importorskip("highdicom")
SECRETS = ("Zyxwvname", "Zyxwvgiven", "ZYX-4711", "19330607", "zyxwvnote")
PLANTED = {"PN": "Zyxwvname^Zyxwvgiven", "SH": "ZYX-4711", "DA": "19330607"}  # every other text says all of it
ALL = "Zyxwvname Zyxwvgiven ZYX-4711 19330607 zyxwvnote"
TEXT = {"PN", "SH", "LO", "LT", "ST", "UC", "UT"}
NEEDED = {"PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "StudyID", "AccessionNumber",
          "ReferringPhysicianName"}  # fmt: skip
PROGRAM = "import logging, sys; logging.basicConfig(level=1); from adn.cli import main; sys.exit(main())"


def plant(file):
    """Name, id, birth date and a note in every text tag that DICOM knows, and in a private one."""
    data = dcmread(file)
    for tag, (vr, _, _, _, keyword) in DicomDictionary.items():
        if keyword and tag >> 16 not in (0x0000, 0x0002) and (vr in TEXT or keyword == "PatientBirthDate"):
            setattr(data, keyword, PLANTED.get(vr, ALL))
    data.PatientID = "ZYX-4711"
    data.private_block(0x0099, "zyxwvnote", create=True).add_new(1, "LT", ALL)
    data.SpecificCharacterSet = "ISO_IR 100"
    with config.disable_value_validation():
        data.save_as(file)


def told(data):
    """Keywords of all elements, at any depth, that hold a secret."""
    for element in data.iterall():
        if element.VR != "SQ" and any(secret.lower() in str(element.value).lower() for secret in SECRETS):
            yield keyword_for_tag(element.tag)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Output folder, words and exit code of one whole run: two series in one scan, and a scan that is damaged."""
    folder = tmp_path_factory.mktemp("privacy")
    coarse = head((17, 64, 54), (9.0, 3.0, 3.0))
    files = write_dicom_series(coarse, folder / "patient" / "a", tilt_deg=10, tags={"SeriesNumber": 4})
    files += write_dicom_series(coarse, folder / "patient" / "b", gaps=[20.0] * 6, tags={"SeriesNumber": 5})
    files += write_dicom_series(coarse, folder / "damaged", gaps=[20.0] * 6)
    for file in files:
        plant(file)
    files[-1].write_bytes(files[-1].read_bytes()[:-2000])
    torch.manual_seed(3)
    recipe = load_recipe("tiny")
    save_weights(build_adn(recipe).state_dict(), recipe.model_dump(), folder / "tiny.safetensors")
    arguments = [
        "--debug",
        "predict",
        "patient",
        "damaged",
        "-o",
        "out",
        "--weights",
        "tiny.safetensors",
        "--dicom-seg",
    ]
    command = [sys.executable, "-W", "always", "-c", PROGRAM, *arguments]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    yield folder / "out", result.stdout + result.stderr, result.returncode
    shutil.rmtree(folder)


def test_the_run_produced_every_output_and_message(ran):
    out, words, code = ran
    assert code == 3, words[-2000:]
    names = {path.name for path in out.rglob("*")}
    assert {"results.csv", "report.html", "result.json", "scan.nii.gz", "infarct_seg.dcm", "infarct_sr.dcm"} <= names
    assert "Several CT series" in words
    assert "truncated or damaged" in words


def test_only_seg_and_sr_identify_the_patient(ran):
    for path in (path for path in ran[0].rglob("*") if path.is_file() and path.suffix != ".dcm"):
        content = path.read_bytes()
        content = (gzip.decompress(content) if path.suffix == ".gz" else content).lower()
        assert not [secret for secret in SECRETS if secret.lower().encode() in content], path.name


def test_no_message_or_log_identifies_the_patient(ran):
    lines = [line for line in ran[1].splitlines() if any(secret.lower() in line.lower() for secret in SECRETS)]
    assert lines == []


@pytest.mark.parametrize("name", ["infarct_seg.dcm", "infarct_sr.dcm"])
def test_seg_and_sr_hold_only_what_joins_the_study(name, ran):
    assert set(told(dcmread(ran[0] / "patient" / name))) == NEEDED
