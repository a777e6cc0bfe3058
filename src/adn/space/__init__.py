"""Where things are: grids, volumes, rigid motions, units; patient space in numpy, and its twin in torch."""
