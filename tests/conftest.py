"""Shapes and dtypes in the signatures of tensor space are checked while tests run, and only then."""

from jaxtyping import install_import_hook

install_import_hook(["adn.nn", "adn.losses", "adn.asymmetry", "adn.warp"], "beartype.beartype")
