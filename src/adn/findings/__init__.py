"""What is said about a scan: volume, side, density, territory, quality."""
