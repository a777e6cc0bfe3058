"""Predictions on generated DICOM series: a ball of infarct whose position in the patient is known exactly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from adn.findings.measure import side_of
from adn.io import open_scan
from adn.results import Prediction
from adn.space.volume import Volume
from fake_prediction import make_prediction
from phantoms import BALL_CENTRE_MM, BALL_RADIUS_MM

HEAD_CENTRE_MM = (3.0, -7.0, 20.0)
CENTRE_MM = np.add(BALL_CENTRE_MM, HEAD_CENTRE_MM)  # RAS
UNEVEN = [4.0] * 16 + [1.2] + [7.0] * 16  # mm between slices
TAGS = {
    "FrameOfReferenceUID": "1.2.3.4.5",
    "PatientSex": "F",
    "StudyTime": "101112",
    "StudyID": "77",
    "AccessionNumber": "A1",
    "ReferringPhysicianName": "Who^Doctor",
}


def distance_mm(points_ras: np.ndarray) -> np.ndarray:
    """From the ball's surface, negative inside. points_ras: (…, 3)."""
    return np.linalg.norm(points_ras - CENTRE_MM, axis=-1) - BALL_RADIUS_MM


def predict_ball(source: Path, series: str | None = None, empty: bool = False) -> Prediction:
    """As if the ball had been found: the probability is 0.5 on its surface and falls by 0.05 per mm outwards."""
    scan = open_scan(source, series=series)
    grid = scan.volume.grid
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1)
    probability = np.clip(0.5 - 0.05 * distance_mm(index @ grid.affine[:3, :3].T + grid.affine[:3, 3]), 0, 1)
    if empty:
        probability[:] = 0
    infarct = Volume((probability >= 0.5).astype(np.uint8), grid, "label")
    ml = float(infarct.data.sum() * grid.voxel_ml)
    made = make_prediction()
    found = replace(made.measurements, volume_ml=ml, side=side_of(ml, 0.0), left_ml=ml, right_ml=0.0)
    return replace(
        made,
        scan=scan,
        infarct=infarct,
        infarct_probability=Volume(probability.astype(np.float32), grid, "1"),
        measurements=found,
    )
