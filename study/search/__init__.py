"""Searching hyper-parameters with Optuna: a space, waves of trials in lockstep, winners refitted and tested once."""
