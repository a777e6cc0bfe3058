"""Arguments and options that several commands share, each defined once."""

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
    typer.Option(
        help="Name of built-in weights ('adn info' lists them and the default), a .safetensors file or the folder of a "
        "training run, or a .toml file that averages several."
    ),
]
Device = Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where to run the networks.")]
Jobs = Annotated[int | None, typer.Option(min=1, help="How many cases to process at once; default: one per core.")]
Fold = Annotated[int | None, typer.Option(min=0, help="The fold of the split to validate on.")]
Anatomy = Annotated[
    Path | None, typer.Option(help="Folder of head label maps (FreeSurfer labels, NIfTI); default: a template brain.")
]
Lesions = Annotated[
    Path | None, typer.Option(help="Folder of infarct masks in MNI space (NIfTI); default: generated infarcts.")
]
Workers = Annotated[int, typer.Option(min=0, help="Extra processes that prepare training samples; 0: none.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace earlier results of the same case.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")]
VolumeLimit = Annotated[
    float, typer.Option("--volume-limit-ml", help="Volume, mL, that the report compares the infarct with.")
]
KeepOld = Annotated[
    bool,
    typer.Option("--keep-old", help="Also mark parts that look like an old infarct, which are otherwise left out."),
]
Lang = Annotated[
    str,
    typer.Option("--lang", help="Language of the report: en, de or tr. Keys and values for programs do not change."),
]
