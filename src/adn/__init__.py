"""adn: acute ischemic stroke infarcts in non-contrast head CT."""

__version__ = "0.1.0"
