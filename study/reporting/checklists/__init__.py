"""TRIPOD+AI and CLAIM, filled in from a study's records."""
