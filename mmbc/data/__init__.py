"""From files on disk to a validated cohort, its splits, its images and its clinical columns."""
