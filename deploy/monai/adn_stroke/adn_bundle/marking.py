"""adn as a bundle of MONAI wants it: a network and an evaluator. Whatever is done with a scan is done by adn."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data.meta_tensor import MetaTensor
from monai.utils.enums import MetaKeys, SpaceKeys
from nibabel.nifti1 import Nifti1Image

import adn
from adn.prediction.batch import Networks, Outcome, Request, predict_scans
from adn.report import result_dict
from adn.results import DISCLAIMER, RESULT_FILE

logger = logging.getLogger("adn_stroke")


class InfarctNetwork(torch.nn.Module):
    """A head CT in, the mask of its infarct out, for programs that run a bundle's network themselves.

    weights: as `adn predict --weights` takes them; None: the default. device: where adn's networks run. They are loaded
    with the first scan.
    """

    def __init__(self, weights: str | None = None, device: torch.device | str = "auto") -> None:
        super().__init__()
        self.networks = Networks(weights, torch.device(device).type if device != "auto" else "auto")

    def forward(self, image: MetaTensor) -> MetaTensor:
        """Mark one scan.

        image: (1, 1, i, j, k), HU of the whole field of view, as `LoadImaged` and `EnsureChannelFirstd` give them, not
        scaled, turned or resampled. Returns the mask on the same voxels, uint8, 0 or 1; `meta["adn"]` is what `adn
        predict` writes into result.json, which says whether the scan can be judged. Raises ValueError for more than one
        scan, and as `adn.open_scan` and `adn.predict` do.
        """
        if tuple(image.shape[:2]) != (1, 1) or image.ndim != 5:
            raise ValueError(f"One scan of shape (1, 1, i, j, k) was expected, but {tuple(image.shape)} came.")
        affine = np.asarray(image.affine.cpu(), dtype=np.float64).reshape(4, 4)
        if image.meta.get(MetaKeys.SPACE) == SpaceKeys.LPS:
            affine = np.diag((-1.0, -1.0, 1.0, 1.0)) @ affine
        with tempfile.TemporaryDirectory() as folder:  # so that the scan goes through all checks of adn.open_scan
            path = Path(folder) / "scan.nii"
            file = Nifti1Image(np.asarray(image.detach().cpu()[0, 0], dtype=np.float32), affine)
            file.header.set_xyzt_units("mm")
            file.to_filename(path)
            scan = adn.open_scan(path)
        prediction = adn.predict(scan, self.networks.model)
        mask = torch.from_numpy(np.ascontiguousarray(prediction.infarct.data, dtype=np.uint8))[None, None]
        return MetaTensor(mask, meta={**image.meta, "adn": result_dict(prediction)})


class Evaluator:
    """Marks every scan of a data set as `adn predict` does, and writes the same folder for each.

    dataset: items with the scan's path at 'image'. output_dir: gets `<case>/infarct.nii.gz`, maps, result.json and
    report.html. weights, device: as in `InfarctNetwork`. overwrite: replace earlier results.
    """

    def __init__(
        self,
        dataset: Sequence[Mapping[str, Any]],
        output_dir: str,
        weights: str | None = None,
        device: torch.device | str = "auto",
        overwrite: bool = False,
    ) -> None:
        self.dataset = dataset
        self.networks = InfarctNetwork(weights, device).networks
        self.request = Request(Path(output_dir), overwrite=overwrite)

    def run(self) -> list[Outcome]:
        """Mark all scans; one that fails does not stop the rest. Raises ValueError without scans, RuntimeError where
        any failed."""
        scans = [Path(item["image"]) for item in self.dataset]
        if not scans:
            raise ValueError("There is no scan to mark: set dataset_dir to a folder with .nii or .nii.gz, or datalist.")
        outcomes = predict_scans(scans, self.request, self.networks, tell=tell)
        logger.info(DISCLAIMER)
        failed = [outcome for outcome in outcomes if outcome.code]
        if failed:
            raise RuntimeError(f"{len(failed)} of {len(outcomes)} scans failed; the log says why.")
        return outcomes


def tell(outcome: Outcome) -> None:
    """Log what became of one scan, doubts first."""
    if outcome.report is None:
        logger.error("%s: %s", outcome.task.case, outcome.error)
        return
    for sentence in outcome.warnings:
        logger.warning("%s: %s", outcome.task.case, sentence)
    result = json.loads((outcome.report.parent / RESULT_FILE).read_text(encoding="utf-8"))
    logger.info("%s: %s. %s", outcome.task.case, result["verdict"].rstrip("."), outcome.report)
