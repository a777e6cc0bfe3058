"""Agreement of a predicted infarct with a reference: overlap, distance, volume, lesions. Numpy and SimpleITK only.

Policy for empty masks: both empty → Dice 1, HD95 0; one empty → Dice 0, HD95 None (missing, to be reported).
"""

from adn.metrics.lesions import LesionAgreement, lesion_agreement
from adn.metrics.overlap import dice, precision_recall, volume_difference_ml
from adn.metrics.scores import Scores, score
from adn.metrics.surface import hd95_mm, surface_dice

__all__ = [
    "LesionAgreement",
    "Scores",
    "dice",
    "hd95_mm",
    "lesion_agreement",
    "precision_recall",
    "score",
    "surface_dice",
    "volume_difference_ml",
]
