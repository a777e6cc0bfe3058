"""Options that several commands have, each written once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]
Device = Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where the networks run.")]
Anatomy = Annotated[
    Path | None, typer.Option(help="Folder of head label maps (FreeSurfer labels, NIfTI); default: a template brain.")
]
Lesions = Annotated[
    Path | None, typer.Option(help="Folder of infarct masks in MNI space (NIfTI); default: made-up infarcts.")
]
Workers = Annotated[int, typer.Option(min=0, help="Processes that prepare samples beside the training.")]
