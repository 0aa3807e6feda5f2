"""What a reviewer would find in a cohort and in a study: coded checks, the fold certificate, the clean list."""
