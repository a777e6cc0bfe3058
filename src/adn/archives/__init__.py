"""Whole archives of scans, predicted by as many processes and machines as there are, by dask.distributed."""
