"""Shipped weights as safetensors files; `adn.load_model` reads them."""
