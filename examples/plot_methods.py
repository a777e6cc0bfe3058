"""Methods side by side
====================

Methods side by side on the same case: here adn at three thresholds (figure 3 of the paper).

::

    python examples/plot_methods.py [SCAN REFERENCE] [-o PICTURE]

Without SCAN a virtual patient is made, whose infarct is known. Any masks on the scan's grid can be columns.
"""

from pathlib import Path

from patient import arguments, predicted, virtual_patient

from adn.figures import method_comparison
from adn.io.masks import read_mask


def main(scan: Path | None = None, out: Path = Path("methods.png"), reference: Path | None = None) -> Path:
    """Draw masks at three thresholds beside the reference and return the picture's path."""
    scan = scan or virtual_patient()
    prediction = predicted(scan)
    volume, probability = prediction.scan.volume, prediction.infarct_probability
    known = read_mask(reference or scan.with_name("infarct.nii.gz"))
    methods = {
        f"adn, threshold {threshold}": [probability.with_data(probability.data >= threshold, "label")]
        for threshold in (0.3, 0.5, 0.7)
    }
    method_comparison([volume], [known], methods, [prediction.case]).save(out, dpi=110)
    return out


if __name__ == "__main__":
    print(main(*arguments(__doc__, "methods.png", with_reference=True)))
