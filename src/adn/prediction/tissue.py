"""`adn tissue`: tissue and brain of scans, labelled and written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from adn.errors import InputError
from adn.io import case_names, open_scan, write_volume
from adn.io.atomic import atomic_folder, check_folder_free, check_writable, sweep
from adn.space.labels import TISSUES
from adn.work.pool import Failure, map_processes

if TYPE_CHECKING:
    from adn.brain import TissueModel

MARKER, BRAIN = "tissue.nii.gz", "brain.nii.gz"


@dataclass(frozen=True)
class TissueTask:
    """A scan, and the folder for its maps."""

    scan: Path
    folder: Path


@dataclass(frozen=True)
class TissueVolumes:
    """Results for one scan: mL of each tissue by its name; warnings about the scan."""

    ml: dict[str, float]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Labeller:
    """Labels one scan after another with the tissue network, which is loaded when first needed, and kept."""

    device: str = "auto"
    overwrite: bool = False

    @cached_property
    def model(self) -> TissueModel:
        """The tissue network. Raises as `load_tissue` does."""
        from adn.brain import load_tissue

        return load_tissue(device=self.device)

    def __call__(self, task: TissueTask) -> TissueVolumes:
        """Read, label and save one scan.

        Raises InputError where it cannot be read or the outline found cannot be its brain; OutputError where the folder
        exists already and must not be overwritten, or holds anything but earlier maps.
        """
        check_folder_free(task.folder, marker=MARKER, only=(MARKER, BRAIN), overwrite=self.overwrite)
        scan = open_scan(task.scan)
        from adn.brain import segment_tissue

        found = segment_tissue(scan.volume, self.model)
        if found.doubt:
            raise InputError(
                f"needs an axial head CT with skull; what the tissue network took for the brain {found.doubt}.",
                task.scan,
            )
        with atomic_folder(task.folder, marker=MARKER, only=(MARKER, BRAIN), overwrite=self.overwrite) as partial:
            write_volume(found.tissue, partial / MARKER)
            write_volume(found.brain, partial / BRAIN)
        voxel_ml = found.tissue.grid.voxel_ml
        ml = {label.name: float((found.tissue.data == label).sum()) * voxel_ml for label in TISSUES}
        return TissueVolumes(ml, scan.warnings)


def label_scans(
    scans: Sequence[Path],
    out: Path,
    labeller: Labeller,
    jobs: int | None = 1,
    tell: Callable[[TissueTask, TissueVolumes | Failure], object] | None = None,
) -> list[TissueVolumes | Failure]:
    """Write tissue and brain of every scan into `out/<case>`; a scan that fails does not stop the others.

    jobs: as in `map_processes`. tell: called with each scan's task and its volumes, or why there are none, as they
    finish. Returns them in the order of the scans. Raises OutputError where nothing can be written.
    """
    check_writable(out)
    tasks = [TissueTask(scan, out / case) for scan, case in zip(scans, case_names(scans), strict=True)]
    found: dict[TissueTask, TissueVolumes | Failure] = {}
    for task, volumes in map_processes(labeller, tasks, jobs, clean_up=_remove_partial):
        found[task] = volumes
        if tell:
            tell(task, volumes)
    return [found[task] for task in tasks]


def _remove_partial(task: TissueTask) -> None:
    sweep(task.folder.parent, task.folder.name)
