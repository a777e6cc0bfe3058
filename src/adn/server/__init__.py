"""The page and its HTTP API: `adn serve` takes scans, `adn view` shows results. Needs the extra `serve`."""
