"""A target and its Optuna study: who may ask for a trial, and which trials count."""

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from mmbc.errors import StudyError
from study.design.search_space import reference
from study.tuning.sampling import NumberedTPE, pruner
from study.tuning.targets import Target

DIGEST = "mmbc:digest"
"""Study attribute: what its trials depend on, so that trials of another search are never taken for these."""
MARK = "mark"
"""Trial attribute: `reference`, or which lost trial this one makes up for. Two trials of one mark never count both."""
REFERENCE = "reference"
WORKER = "worker"
COUNTED = (TrialState.RUNNING, TrialState.WAITING, TrialState.COMPLETE, TrialState.PRUNED)


class TargetStudy:
    """A target and its Optuna study, created or joined."""

    def __init__(self, target: Target, name: str, storage: BaseStorage, cohort_digest: str) -> None:
        self.target = target
        self.budget = target.search.trials
        optuna_name = f"{name}/{target.name}"
        self.study = optuna.create_study(
            storage=storage,
            study_name=optuna_name,
            direction="maximize",
            load_if_exists=True,
            sampler=NumberedTPE(target.search.seed, target.name, self.budget),
            pruner=pruner(target.search),
        )
        own = target.digest(cohort_digest)
        stored = self.study.user_attrs.get(DIGEST)
        if stored is None:
            self.study.set_user_attr(DIGEST, own)
        elif stored != own:
            raise StudyError(
                f"the storage holds another search of the name {optuna_name} (other cohort, settings, space or folds);"
                " use another --name, another --storage, or delete it there"
            )
        if not any(trial.user_attrs.get(MARK) == REFERENCE for trial in self.counted_trials()):
            values = reference(target.study, target.arm, target.holes)
            self.study.enqueue_trial(values, user_attrs={MARK: REFERENCE})

    def counted_trials(self) -> list[FrozenTrial]:
        """Return the trials that count, by number: running, waiting and finished ones, of each mark the first."""
        trials: list[FrozenTrial] = []
        marks = set()
        for trial in sorted(self.study.get_trials(deepcopy=False, states=COUNTED), key=lambda trial: trial.number):
            mark = trial.user_attrs.get(MARK)
            if mark is None or mark not in marks:
                trials.append(trial)
                marks.add(mark)
        return trials

    def finished_trials(self) -> list[FrozenTrial]:
        """Return the trials that have ended, by number."""
        return [trial for trial in self.counted_trials()[: self.budget] if trial.state.is_finished()]

    @property
    def is_done(self) -> bool:
        """Whether the budget is used up."""
        return len(self.finished_trials()) >= self.budget

    def ask(self, worker: str) -> optuna.Trial | None:
        """Return a trial for this process, or None when all are taken.

        Two processes may ask at once: the storage numbers their trials, and the surplus one gives its back.
        """
        if sum(trial.state != TrialState.WAITING for trial in self.counted_trials()) >= self.budget:
            return None
        trial = self.study.ask()
        trial.set_user_attr(WORKER, worker)
        if trial.number not in {other.number for other in self.counted_trials()[: self.budget]}:
            self.study.tell(trial, state=TrialState.FAIL)
            return None
        return trial

    def give_up(self, trial: FrozenTrial) -> bool:
        """Mark a lost trial as failed and have it made again with its values; False if somebody else already has."""
        try:
            self.study.tell(trial.number, state=TrialState.FAIL)
        except (ValueError, UpdateFinishedTrialError):  # it has ended meanwhile
            return False
        values = trial.system_attrs.get("fixed_params", trial.params)
        if values:
            mark = trial.user_attrs.get(MARK, f"instead of {trial.number}")
            self.study.enqueue_trial(values, user_attrs={MARK: mark})
        return True

    def running_trials(self) -> list[FrozenTrial]:
        """Return the trials somebody is at work on."""
        return [trial for trial in self.counted_trials() if trial.state == TrialState.RUNNING]
