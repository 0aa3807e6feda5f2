"""Rounding, labels and notices that everything a person reads shares."""
