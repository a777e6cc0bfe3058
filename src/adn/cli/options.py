"""Arguments and options that several commands have, each written once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Scans = Annotated[
    list[Path],
    typer.Argument(metavar="SCAN", help="Head CT: .nii .nii.gz .nrrd .mha, a DICOM file, folder or .zip."),
]
Results = Annotated[Path, typer.Option("--out", "-o", help="Results folder; each scan gets OUT/<case>.")]
Data = Annotated[
    Path, typer.Argument(metavar="DIR", help="Folder of cases, CSV of paths, BIDS data set, or nnU-Net raw data set.")
]
Weights = Annotated[
    str | None,
    typer.Option(help="Shipped weights by name (see 'adn info'), a .safetensors file, or a .toml that joins several."),
]
Device = Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where the networks run.")]
Jobs = Annotated[int | None, typer.Option(min=1, help="Cases at a time; default: one for each core.")]
Fold = Annotated[int | None, typer.Option(min=0, help="The fold of the split that validates.")]
Anatomy = Annotated[
    Path | None, typer.Option(help="Folder of head label maps (FreeSurfer labels, NIfTI); default: a template brain.")
]
Lesions = Annotated[
    Path | None, typer.Option(help="Folder of infarct masks in MNI space (NIfTI); default: made-up infarcts.")
]
Workers = Annotated[int, typer.Option(min=0, help="Processes that prepare samples beside the training.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace earlier results of the same case.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]
VolumeLimit = Annotated[
    float, typer.Option("--volume-limit-ml", help="The report says whether the infarct is above or below this volume.")
]
Lang = Annotated[
    str, typer.Option("--lang", help="Language of the report: en, de, tr. Programs read kinds and numbers, which stay.")
]
