"""What the configs of this bundle name."""

from adn_bundle.marking import Evaluator as Evaluator
from adn_bundle.marking import InfarctNetwork as InfarctNetwork
