"""The framework
=============

The framework with real outputs: what T, D and F make of one head CT (figure 1 of the paper).

::

    python examples/plot_framework.py [SCAN] [-o PICTURE]

Without SCAN a virtual patient is made.
"""

from pathlib import Path

from patient import arguments, predicted

from adn.figures import framework


def main(scan: Path | None = None, out: Path = Path("framework.png")) -> Path:
    """Draw the framework for a scan and return the picture's path."""
    framework(predicted(scan)).savefig(out, dpi=110)
    return out


if __name__ == "__main__":
    print(main(*arguments(__doc__, "framework.png")))
