"""Findings about a scan: volume, side, density, territory, quality."""
