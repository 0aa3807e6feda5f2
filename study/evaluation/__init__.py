"""The numbers of a study from its predictions: units, arms, contrasts, groups, verdicts."""
