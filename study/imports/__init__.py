"""Predictions from elsewhere, as a study."""
