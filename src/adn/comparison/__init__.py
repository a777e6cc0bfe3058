"""Scans of one patient over time: registered to the first, and how the infarct grew."""
