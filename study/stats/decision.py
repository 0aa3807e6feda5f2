"""Predictive values and net benefit, restated at a declared prevalence.

A case-control or enriched cohort has not the prevalence of the people a model is meant for, so these take sensitivity
and specificity from the cohort and the prevalence from the author.
"""

import numpy as np

from study.stats.metrics import ratio


def predictive_values(
    sensitivity: np.ndarray, specificity: np.ndarray, prevalence: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return PPV and NPV at a prevalence (Bayes), of any shape; NaN where nobody is called so."""
    sensitivity, specificity = np.asarray(sensitivity, dtype=float), np.asarray(specificity, dtype=float)
    true_positive, false_positive = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
    true_negative, false_negative = specificity * (1 - prevalence), (1 - sensitivity) * prevalence
    return ratio(true_positive, true_positive + false_positive), ratio(true_negative, true_negative + false_negative)


def at_prevalence(probs: np.ndarray, from_prevalence: float, to_prevalence: float) -> np.ndarray:
    """Restate calibrated probabilities (n,) at another prevalence: odds times the ratio of the prior odds."""
    odds = to_prevalence / (1 - to_prevalence) * (1 - from_prevalence) / from_prevalence
    return probs * odds / (probs * odds + 1 - probs)


def net_benefit(
    sensitivity: np.ndarray, specificity: np.ndarray, prevalence: float, threshold: np.ndarray | float
) -> np.ndarray:
    """Return the net benefit of treating above a threshold probability (Vickers and Elkin 2006), per person.

    sensitivity · prevalence - (1 - specificity) (1 - prevalence) · threshold / (1 - threshold).
    """
    harm = np.asarray(threshold) / (1 - np.asarray(threshold))
    return sensitivity * prevalence - (1 - specificity) * (1 - prevalence) * harm


def treat_all(prevalence: float, threshold: np.ndarray | float) -> np.ndarray:
    """Return the net benefit of treating everybody; that of treating nobody is 0."""
    return net_benefit(np.asarray(1.0), np.asarray(0.0), prevalence, threshold)
