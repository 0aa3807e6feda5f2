"""The search of hyper-parameters with Optuna."""
