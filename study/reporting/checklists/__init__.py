"""TRIPOD+AI, CLAIM, STARD-AI and PROBAST+AI, filled in from a study's records."""
