"""The body of `adn synth`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from rich.progress import Progress

from adn.cli import terminal
from adn.cli.sheet import draw_sheet
from adn.errors import InputError

Preset = Literal["vp52", "vp52-val", "vp-mni", "vp-mni-val"]
Format = Literal["nifti", "dicom"]


def run(
    out: Path,
    n: int | None,
    seed: int | None,
    preset: Preset | None,
    anatomy: Path | None,
    lesions: Path | None,
    format: Format,
    bar: Progress,
) -> int:
    """Make the patients and the contact sheet; return how many patients there are."""
    if preset and (n is not None or seed is not None):
        raise InputError(f"--preset {preset} says which patients there are: leave out -n and --seed.")
    terminal.check_writable(out)
    from adn.virtual.folders import synthesize, synthesize_preset

    row = bar.add_task("virtual patients", total=None)

    def draw(done: int, total: int) -> None:
        bar.update(row, completed=done, total=total)

    if preset:
        cases = synthesize_preset(preset, out, anatomy=anatomy, lesions=lesions, progress=draw, format=format)
    else:
        cases = synthesize(n or 1, out, seed or 0, anatomy=anatomy, lesions=lesions, progress=draw, format=format)
    draw_sheet(out)
    return len(cases)
