"""Recipes as TOML files; `adn.load_recipe` reads them."""
