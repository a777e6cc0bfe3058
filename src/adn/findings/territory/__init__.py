"""Where in the brain: a quick affine way to MNI space, and arterial territories there. Approximate by its nature."""

from adn.findings.territory.register import can_register, mni_from_aligned
from adn.findings.territory.shares import territory_at, territory_shares

__all__ = ["can_register", "mni_from_aligned", "territory_at", "territory_shares"]
