"""A remark of every kind, with values that its sentence needs."""

import string

from adn.lang import words
from adn.remarks import Remark

VALUES = {  # of kinds whose sentence has a rule instead of a template
    "orientation_unrecorded": {"format": "nifti", "axes": "LAS"},
    "orientations_disagree": {"apart_mm": 79.6, "mirrored": True},
    "classical_stripper": {"reason": "volume", "brain_ml": 120.0},
    "method_does_not_disentangle": {"method": "resunet", "aligns": False},
}


def example(kind):
    if kind in VALUES:
        return Remark(kind, VALUES[kind])
    text = words().texts[f"remarks.{kind}"]
    fields = [(name, form) for _, name, form, _ in string.Formatter().parse(text) if name]
    return Remark(kind, {name: 12.0 if form else "series 3" for name, form in fields})
