"""Training: T first, then D and F together with T frozen (paper, section 3)."""

from adn.training.fit import Machine
from adn.training.sources import Source
from adn.training.stages import Begin, EpochEnd, Watch, resume, train

__all__ = ["Begin", "EpochEnd", "Machine", "Source", "Watch", "resume", "train"]
