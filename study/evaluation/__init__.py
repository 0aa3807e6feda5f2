"""From predictions to the numbers of a study: units, arms, contrasts, groups, verdicts."""
