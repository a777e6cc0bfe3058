"""Training: T first, then D and F together with T frozen (paper, section 3)."""

from adn.train.stages import train

__all__ = ["train"]
