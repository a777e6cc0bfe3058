"""AISD (Liang et al. 2021) from a user's own downloads."""
