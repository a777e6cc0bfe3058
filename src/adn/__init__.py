"""adn: acute ischemic stroke infarcts in non-contrast head CT, with the asymmetry that explains them.

Everything listed in `__all__` is public and stays. Names are loaded on first use, so `import adn` is instant.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adn.config import Recipe
    from adn.errors import AdnError, InputError
    from adn.evaluation import evaluate
    from adn.io import open_scan
    from adn.prediction.assemble import predict
    from adn.prediction.model import load_model
    from adn.recipes import load_recipe
    from adn.report import save_prediction
    from adn.results import Measurements, Prediction, Scan
    from adn.space.geometry import Grid, RigidTransform
    from adn.space.volume import Volume
    from adn.training import train
    from adn.virtual.folders import synthesize, synthesize_preset

__version__ = "0.2.0"

_HOME = {
    "AdnError": "adn.errors",
    "Grid": "adn.space.geometry",
    "InputError": "adn.errors",
    "Measurements": "adn.results",
    "Prediction": "adn.results",
    "Recipe": "adn.config",
    "RigidTransform": "adn.space.geometry",
    "Scan": "adn.results",
    "Volume": "adn.space.volume",
    "evaluate": "adn.evaluation",
    "load_model": "adn.prediction.model",
    "load_recipe": "adn.recipes",
    "open_scan": "adn.io",
    "predict": "adn.prediction.assemble",
    "save_prediction": "adn.report",
    "synthesize": "adn.virtual.folders",
    "synthesize_preset": "adn.virtual.folders",
    "train": "adn.training",
}

__all__ = [
    "AdnError",
    "Grid",
    "InputError",
    "Measurements",
    "Prediction",
    "Recipe",
    "RigidTransform",
    "Scan",
    "Volume",
    "evaluate",
    "load_model",
    "load_recipe",
    "open_scan",
    "predict",
    "save_prediction",
    "synthesize",
    "synthesize_preset",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'adn' has no attribute '{name}'")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
