"""Scans of one patient over time: laid on one another, and how the infarct grew."""
