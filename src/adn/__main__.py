"""`python -m adn` is `adn`."""

import sys

from adn.cli import main

if __name__ == "__main__":
    sys.exit(main())
