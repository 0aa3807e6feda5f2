"""Synthetic cohorts: the phantom, and a cohort as a hospital might hand it over."""
