"""Pictures for people: slices in radiological display, overlays, asymmetry panels, contact sheets. No torch."""

from adn.figures.display import axial_slice, axial_stack, even_slices, key_slices, slice_areas_cm2
from adn.figures.paper import framework, method_comparison
from adn.figures.prediction import asymmetry_panel, overlay, slice_sheet
from adn.figures.sheet import case_sheet, contact_sheet, write_contact_sheet
from adn.figures.training import training_curves, training_sheet, write_training_pictures

__all__ = [
    "asymmetry_panel",
    "axial_slice",
    "axial_stack",
    "case_sheet",
    "contact_sheet",
    "even_slices",
    "framework",
    "key_slices",
    "method_comparison",
    "overlay",
    "slice_areas_cm2",
    "slice_sheet",
    "training_curves",
    "training_sheet",
    "write_contact_sheet",
    "write_training_pictures",
]
