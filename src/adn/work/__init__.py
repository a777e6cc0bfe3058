"""How processes start, speak and end."""
