"""The training of a study: preparation, the lockstep engine, processes, the baseline."""
