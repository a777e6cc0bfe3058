"""The models of the HTTP API; the OpenAPI page is made from them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from adn.answers import OneSide
from adn.atlas import AspectsRegion

State = Literal["queued", "running", "done", "failed", "cancelled"]
FINAL: tuple[State, ...] = ("done", "failed", "cancelled")
STEPS = {  # in order: name that `predict_one` reports → text that users read
    "read": "Read the scan",
    "load": "Load the networks",
    "strip skull": "Find the brain",
    "conform": "Resample to the model's grid",
    "align": "Align the two sides",
    "disentangle and segment": "Compare the sides, mark the infarct",
    "carry home": "Resample the maps to the scan",
    "measure": "Measure",
    "write": "Write files and report",
}


def now() -> datetime:
    """The time in UTC, in whole milliseconds."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Step(_Frozen):
    """One step of a job. seconds: wall time, once done."""

    name: str
    title: str
    state: Literal["waiting", "running", "done"] = "waiting"
    seconds: float | None = None


class Failure(_Frozen):
    """Why a case failed, in a sentence for the user."""

    title: str
    detail: str


class File(_Frozen):
    """One file of a finished case. sha256: of its bytes."""

    name: str
    title: str
    bytes: int
    sha256: str
    media_type: str


class Layer(_Frozen):
    """One image for the viewer, a .nii.gz. The same name may exist in both spaces; `file` says where its bytes are.

    space: 'scan' is the scan's own grid, 'aligned' an upright one with the mid-sagittal plane at x = 0. range: values
    to show, in `unit`. colour: name of a NiiVue colormap.
    """

    name: str
    title: str
    space: Literal["scan", "aligned"]
    file: str
    kind: Literal["scan", "mask", "map"]
    unit: str
    range: tuple[float, float]
    colour: str


class Correction(_Frozen):
    """A mask that a reader corrected. file: beside the original. original_sha256: of the mask that was corrected.

    aspects: (left, right); None where it cannot be determined.
    """

    number: int
    file: str
    saved: datetime
    volume_ml: float
    left_ml: float
    right_ml: float
    side: Literal["left", "right", "both", "none"]
    aspects: tuple[int, int] | None = None
    original_sha256: str


class LostPoint(_Frozen):
    """A region of ASPECTS that is marked."""

    region: AspectsRegion
    side: OneSide


class LiveScore(_Frozen):
    """ASPECTS of a mask being painted, (left, right); None where it cannot be determined. lost: regions marked."""

    aspects: tuple[int, int] | None = None
    lost: list[LostPoint] = []


class Record(_Frozen):
    """What `case.json` keeps of a case: nothing that could identify a patient.

    kind: what was uploaded. attempts: how often work on it began. not_before: it waits until then. study, content:
    digests of the study's UID and of its images, if a node received it. dicom_pictures: key images are wanted, too.
    """

    id: str
    name: str
    state: State = "queued"
    created: datetime
    started: datetime | None = None
    finished: datetime | None = None
    steps: tuple[Step, ...] = ()
    error: Failure | None = None
    kind: Literal["nifti", "dicom", "zip", "result"]
    dicom_seg: bool = False
    attempts: int = 0
    not_before: datetime | None = None
    study: str = ""
    content: str = ""
    dicom_pictures: bool = False


class Case(_Frozen):
    """One scan and its outcome. results: the content of result.json. read_only: opened by `adn view`;
    corrected masks can be saved, but the case cannot be deleted.
    """

    id: str
    name: str
    state: State
    created: datetime
    started: datetime | None = None
    finished: datetime | None = None
    steps: list[Step] = []
    error: Failure | None = None
    results: dict[str, Any] | None = None
    files: list[File] = []
    layers: list[Layer] = []
    corrections: list[Correction] = []
    read_only: bool = False


class Weights(_Frozen):
    """A set of networks that this server can use."""

    name: str
    summary: str


class Limits(_Frozen):
    """Limits for an upload, and for the cases that may wait."""

    upload_mb: int = Field(default=1024, description="of one upload, MiB")
    unpacked_mb: int = Field(default=4096, description="of a zip, unpacked, MiB")
    unpacked_ratio: int = Field(default=100, description="of a zip, unpacked size by packed size")
    files: int = Field(default=5000, description="of one upload, or in a zip")
    waiting: int = Field(default=20, description="cases in the queue")


class Info(_Frozen):
    """What this server is and accepts. viewer: the image viewer is there. uploads: False for `adn view`."""

    version: str
    disclaimer: str
    weights: list[Weights]
    limits: Limits
    viewer: bool
    uploads: bool


class Problem(BaseModel):
    """An error in the form of RFC 9457."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str


def fresh_steps() -> tuple[Step, ...]:
    """All steps, each waiting."""
    return tuple(Step(name=name, title=title) for name, title in STEPS.items())
