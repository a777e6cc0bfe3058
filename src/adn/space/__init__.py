"""Where things are: grids, volumes, rigid motions, units; patient space in numpy, and its counterpart in torch."""
