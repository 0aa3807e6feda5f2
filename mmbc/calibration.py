"""Platt scaling: a slope and an intercept that turn logits into calibrated probabilities.

Platt 1999, "Probabilistic outputs for support vector machines", with the smoothed targets of its section 2.2, so that
the fit is defined for perfectly separated rows too. A temperature alone has no intercept and could not undo the shift
that class weighting causes.
"""

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit


def fit_platt(logits: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Fit (slope, intercept) by maximum likelihood on validation rows.

    The slope is kept at 0 or above: a model that ranks its few validation rows the wrong way round gets the constant
    prevalence, never reversed predictions.

    Args:
        logits: (n,), finite.
        labels: (n,), 0 or 1, both present.

    Raises:
        ValueError: a logit that is not finite, or one class alone.
    """
    logits, labels = np.asarray(logits, dtype=np.float64), np.asarray(labels)
    n_positive = int((labels == 1).sum())
    n_negative = len(labels) - n_positive
    if not np.isfinite(logits).all():
        raise ValueError("calibration: a logit is not finite")
    if n_positive == 0 or n_negative == 0:
        raise ValueError("calibration needs both classes among the validation rows")
    targets = np.where(labels == 1, (n_positive + 1) / (n_positive + 2), 1 / (n_negative + 2))
    centre, spread = logits.mean(), logits.std()
    if spread == 0:
        return 0.0, float(np.log(targets.mean() / (1 - targets.mean())))
    scaled = (logits - centre) / spread

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        z = parameters[0] * scaled + parameters[1]
        error = expit(z) - targets
        return float(np.mean(np.logaddexp(0, z) - targets * z)), np.array([np.mean(error * scaled), np.mean(error)])

    fitted = minimize(
        loss,
        np.array([1.0, 0.0]),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, None), (None, None)],
        options={"ftol": 1e-14, "gtol": 1e-10},
    )
    slope = float(fitted.x[0] / spread)
    return slope, float(fitted.x[1] - slope * centre)


def apply_platt(logits: np.ndarray, slope: float, intercept: float) -> np.ndarray:
    """Return probabilities (n,) of float64 for logits (n,)."""
    return expit(slope * np.asarray(logits, dtype=np.float64) + intercept)
