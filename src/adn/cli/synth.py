"""`adn synth`: virtual patients as files, and a sheet that shows the first of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from adn.cli import terminal
from adn.cli.options import Anatomy, Lesions, Quiet
from adn.errors import InputError
from adn.virtual.presets import PRESETS

Format = Literal["nifti", "dicom"]
if TYPE_CHECKING:
    Preset = str
else:
    Preset = Literal[PRESETS]


def synth(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the patients; each gets OUT/<case>.")],
    n: Annotated[int | None, typer.Option("-n", min=1, help="How many virtual patients; default: 1.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="The same seed makes the same patients; default: 0.")] = None,
    preset: Annotated[
        Preset | None,
        typer.Option(help="A fixed set instead of -n and --seed; vp52 and vp52-val need --anatomy and --lesions."),
    ] = None,
    anatomy: Anatomy = None,
    lesions: Lesions = None,
    format: Annotated[Format, typer.Option(help="The CT as ct.nii.gz, or as a series in dicom/.")] = "nifti",
    quiet: Quiet = False,
) -> None:
    """Make virtual patients: a head CT with its infarct, tissues and brain known exactly.

    Each OUT/<case> holds the CT, infarct.nii.gz, tissue.nii.gz (1 GM, 2 WM, 3 CSF), brain.nii.gz and plan.json.

    Existing patients are kept, so a stopped run can be continued. OUT/contact_sheet.png shows the first of them.
    """
    if preset and (n is not None or seed is not None):
        raise InputError(f"--preset {preset} is a fixed set of patients: leave out -n and --seed.")
    terminal.check_writable(out)
    with terminal.counter("virtual patients", quiet) as progress:
        from adn.figures import write_contact_sheet
        from adn.virtual.folders import synthesize, synthesize_preset

        if preset:
            cases = synthesize_preset(preset, out, anatomy=anatomy, lesions=lesions, progress=progress, format=format)
        else:
            cases = synthesize(
                n or 1, out, seed or 0, anatomy=anatomy, lesions=lesions, progress=progress, format=format
            )
        write_contact_sheet(out)
    if not quiet:
        typer.echo(f"{len(cases)} virtual patient{'s' if len(cases) > 1 else ''} in {out}")
