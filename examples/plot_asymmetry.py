"""Asymmetry maps
==============

A, P, Q and the scans they explain, for the three slices with most infarct (figure 4 of the paper).

::

    python examples/plot_asymmetry.py [SCAN] [-o PICTURE]

Without SCAN a virtual patient is made. `docs/images/example.png` of the README is made so.
"""

from pathlib import Path

from patient import arguments, predicted

from adn.figures import asymmetry_panel, key_slices


def main(scan: Path | None = None, out: Path = Path("asymmetry.png")) -> Path:
    """Draw the asymmetries of a scan and return the picture's path."""
    prediction = predicted(scan)
    asymmetry_panel(prediction, key_slices(prediction, 3)).save(out, dpi=75)
    return out


if __name__ == "__main__":
    print(main(*arguments(__doc__, "asymmetry.png")))
