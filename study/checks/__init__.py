"""The audit: what a reviewer would find in a cohort, its splits and a study."""
