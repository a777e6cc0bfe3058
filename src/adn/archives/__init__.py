"""Predict whole archives of scans with dask.distributed, on as many processes and machines as are available."""
