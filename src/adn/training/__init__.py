"""Training: T first, then D and F together with T frozen (paper, section 3)."""

from adn.training.stages import EpochEnd, resume, train

__all__ = ["EpochEnd", "resume", "train"]
