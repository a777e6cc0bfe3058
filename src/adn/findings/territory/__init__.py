"""Where in the brain: a quick affine way to MNI space, and arterial territories there. Approximate by its nature."""

from adn.findings.territory.register import mni_from_aligned
from adn.findings.territory.shares import territory_shares

__all__ = ["mni_from_aligned", "territory_shares"]
