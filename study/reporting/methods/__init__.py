"""The Methods chapter of a study."""
