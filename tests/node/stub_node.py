"""A stand-in for the pipeline of a node, importable in worker processes: the study's first slice says what happens."""

import os
import signal
import time
from pathlib import Path

from pydicom import dcmread

from adn.errors import InputError
from adn.io.atomic import atomic_folder
from adn.prediction.batch import Outcome
from adn.report.dicom_seg import PICTURE_NAME, SEG_NAME, SR_NAME
from adn.work.exits import DONE

CLASSES = {
    SEG_NAME: "1.2.840.10008.5.1.4.1.1.66.4",
    SR_NAME: "1.2.840.10008.5.1.4.1.1.88.34",
    PICTURE_NAME.format(1): "1.2.840.10008.5.1.4.1.1.7",
}


def predict(task, request, networks, progress):
    """Objects that name the study, as if found; 'bad', 'crash', 'crash once', 'slow 1.5' (s) by its description."""
    progress("read")
    if Path(task.scan).is_file():
        with atomic_folder(request.out / task.case, marker="result.json", overwrite=request.overwrite) as folder:
            (folder / "result.json").write_text('{"seconds": {}, "images": 0}')
        return Outcome(task, DONE)
    files = sorted(Path(task.scan).iterdir())
    first = dcmread(files[0])
    order = str(first.get("SeriesDescription", ""))
    if order == "bad":
        raise InputError("is not a head CT.", task.scan)
    once = request.out / "crashed-once"
    if order == "crash" or (order == "crash once" and not once.exists()):
        once.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if order.startswith("slow "):
        time.sleep(float(order.split()[1]))
    progress("write")
    with atomic_folder(request.out / task.case, marker="result.json", overwrite=request.overwrite) as folder:
        for name, sop_class in CLASSES.items():
            write_object(first, sop_class, len(files), folder / name)
        (folder / "result.json").write_text(f'{{"seconds": {{}}, "images": {len(files)}}}')
    return Outcome(task, DONE)


def write_object(first, sop_class, images, path):
    """A small object of the study; its comment tells of how many images it was made."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID, data.SOPInstanceUID = sop_class, generate_uid()
    data.file_meta.MediaStorageSOPClassUID, data.file_meta.MediaStorageSOPInstanceUID = sop_class, data.SOPInstanceUID
    data.StudyInstanceUID, data.SeriesInstanceUID = first.StudyInstanceUID, generate_uid()
    data.PatientName, data.PatientID = first.PatientName, first.PatientID
    data.Modality, data.ImageComments = "OT", str(images)
    data.save_as(path, enforce_file_format=True)
