"""The networks: T (align), D and F (ResUNet), and ADN, which composes them."""
