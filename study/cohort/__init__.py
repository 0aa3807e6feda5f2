"""A cohort opened and described."""
