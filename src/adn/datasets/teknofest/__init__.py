"""The ischemia part of the TEKNOFEST-2021 stroke data set (Koç et al. 2022) from a user's own download."""
