"""Key slice
=========

The slice with most infarct: as scanned, with its contour, and with relative hypodensity, as reports show it.

::

    python examples/plot_overlay.py [SCAN] [-o PICTURE]

Without SCAN a virtual patient is made.
"""

from pathlib import Path

from patient import arguments, predicted

from adn.figures import key_slices, overlay


def main(scan: Path | None = None, out: Path = Path("overlay.png")) -> Path:
    """Draw the key slice of a scan and return the picture's path."""
    prediction = predicted(scan)
    overlay(prediction, key_slices(prediction, 1)[0], ("scan", "contour", "hypodensity")).save(out, dpi=90)
    return out


if __name__ == "__main__":
    print(main(*arguments(__doc__, "overlay.png")))
