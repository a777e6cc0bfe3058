"""CPAISD (Umerenkov et al. 2024) from a user's own download."""
