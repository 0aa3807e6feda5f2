"""How fits ended: after all epochs allowed or before, and whether longer training might improve the models."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mmbc.config import TrainConfig
from study.records.stored_study import StoredStudy
from study.text.format import count, listed

CUT_OFF = 0.2
"""Share of an arm's fits whose best epoch is the last one allowed from which readers have to know of it."""


@dataclass(frozen=True)
class FitEnds:
    """How the fits of an arm ended whose weights are those of the best epoch; after a nested search, its refits.

    Attributes:
        arm: its name.
        n_fits: that have ended.
        allowed, patience: most epochs of a fit, and epochs without a better one after which it stops.
        n_full: fits that ran all epochs allowed.
        n_last: fits whose best epoch was the last one allowed; refits that lasted as long as was allowed.
    """

    arm: str
    n_fits: int
    allowed: int
    patience: int
    n_full: int
    n_last: int

    @property
    def is_cut_off(self) -> bool:
        """Whether enough fits were best at the last epoch allowed to say so."""
        return self.n_last >= max(1, CUT_OFF * self.n_fits)

    @property
    def can_stop(self) -> bool:
        """Whether a fit could end before the last epoch allowed."""
        return self.patience < self.allowed


def fit_ends(study: StoredStudy, trained: Mapping[str, TrainConfig]) -> list[FitEnds]:
    """Return how the fits of every arm ended that keeps the best epoch and has a fit; nothing of an imported study.

    Args:
        study: with its records.
        trained: arm -> how it was trained.
    """
    nested, ends = is_nested(study), []
    for arm, train in trained.items():
        fits = [record for record in study.records.values() if record.arm == arm and record.best_epoch]
        if not fits or train.keep == "last":
            continue
        lasted = [record.n_epochs or record.best_epoch or 0 for record in fits]
        best = lasted if nested else [record.best_epoch or 0 for record in fits]
        full, last = (sum(n >= train.max_epochs for n in epochs) for epochs in (lasted, best))
        ends.append(FitEnds(arm, len(fits), train.max_epochs, train.patience, max(full, last), last))
    return ends


def is_nested(study: StoredStudy) -> bool:
    """Whether hyper-parameters were searched inside every training part, so that there is no validation part."""
    return study.settings.search is not None and study.settings.search.mode == "nested"


def ends_in_words(ends: Sequence[FitEnds], name: Callable[[str], str], *, nested: bool, some_fixed: bool) -> str:
    """Return how fits ended, and of which models the best epoch was the last one.

    Args:
        ends: of all arms that keep the best epoch, at least one with a best epoch that was the last.
        name: what an arm is called.
        nested: whether they are refits.
        some_fixed: whether other arms were trained for a fixed number of epochs.
    """
    fit = "refit" if nested else "fit"
    at_last = [f"{e.n_last} of {count(e.n_fits, fit)} of {name(e.arm)}" for e in ends if e.n_last]
    these = "this model" if len(at_last) == 1 else "these models"
    if nested:
        return f"{listed(at_last)} lasted as long as was allowed: longer training might improve {these}."
    n, n_full, limits = sum(e.n_fits for e in ends), sum(e.n_full for e in ends), {e.allowed for e in ends}
    limit = f"the full {count(limits.pop(), 'epoch')}" if len(limits) == 1 else "all epochs allowed"
    of = f"{count(n, 'fit')} that {'keeps' if n == 1 else 'keep'} the best epoch" if some_fixed else count(n, "fit")
    if n_full < n:
        ran = f"{n_full} of {of} ran {limit}, the {'other' if n - n_full == 1 else 'others'} stopped early"
    else:
        ran = f"{'The' if n == 1 else 'All'} {of} ran {limit}"
        patience = {e.patience for e in ends}
        if not any(e.can_stop for e in ends):
            why = f"with patience {patience.pop()}" if len(patience) == 1 else "with such patience"
            ran += f" ({why} none could stop early)" if n > 1 else f" ({why} it could not stop early)"
    return f"{ran}. The best epoch was the last one in {listed(at_last)}: longer training might improve {these}."
