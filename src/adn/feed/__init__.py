"""Turns cases, on disk or virtual, into training batches."""
