"""Sentences and sections of the report."""
