"""Column widths of journals."""

JOURNALS = {"nature": (89.0, 183.0), "elsevier": (90.0, 190.0), "ieee": (88.9, 181.9)}
"""Widths of one and of two columns in mm."""
