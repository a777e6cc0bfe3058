"""Grids, volumes, rigid motions and units: patient space in numpy, and its counterpart in torch."""
