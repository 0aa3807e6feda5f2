"""What is asked of a study: study file, arms, folds, cells, search space."""
