"""Whether finished cells are of their study: checks when a study is read back."""

from pathlib import Path

import pandas as pd

from mmbc.config import digest
from mmbc.data.cohort import Cohort
from mmbc.errors import StudyError, some
from study.design.folds import Folds, split_digest
from study.design.search_results import SearchResult, arm_configs
from study.design.study_file import BASELINE, StudyFile
from study.records.cell_records import CellRecord


class Membership:
    """Checks that cells are of their study: same cohort, configuration, split and labels, no deliberate leak."""

    def __init__(
        self, settings: StudyFile, searched: SearchResult | None, folds: Folds, cohort: Cohort, cohort_digest: str
    ) -> None:
        self.nested = folds.nested
        self.cohort_digest = cohort_digest
        self.splits = folds.splits
        self.split_digests = {place: split_digest(split) for place, split in self.splits.items()}
        configs = arm_configs(settings, searched, list(self.splits))
        self.configs = {place: digest(config) for place, config in configs.items()}
        self.baseline = digest(settings.config)
        self.labels = cohort.images.set_index("image_id")[["patient_id", "label"]]

    def check_record(self, place: Path, record: CellRecord) -> None:
        """Refuse a cell trained with a leak on purpose, one of an optimism ledger, and one of another study."""
        if record.leak:
            raise StudyError(
                f"{place}: was trained with the deliberate leak {record.leak!r}; it cannot be reported beside honest"
                " cells"
            )
        if record.ledger:
            raise StudyError(
                f"{place}: belongs to an optimism ledger, not to a study; delete it and run the study again"
            )
        config = self.baseline if record.arm == BASELINE else self.configs.get((record.arm, *record.place))
        expected = {
            "cohort_digest": self.cohort_digest,
            "config_digest": config,
            "split_digest": self.split_digests[record.place],
        }
        other = [key.removesuffix("_digest") for key, value in expected.items() if getattr(record, key) != value]
        if other:
            raise StudyError(
                f"{place}: belongs to another study (other {' and '.join(other)}); studies are never mixed. Delete the"
                " folder and run the study again, or compare two studies with study.compare"
            )

    def check_rows(self, place: Path, record: CellRecord, rows: pd.DataFrame) -> None:
        """Refuse predictions that are not of the split's patients, or carry other labels than the cohort."""
        split = self.splits[record.place]
        for part in ("validation", "test"):
            # after a nested search all training rows have a prediction out of the inner folds, to calibrate on
            side = "train" if self.nested and part == "validation" else part
            wanted = self.labels[self.labels["patient_id"].isin(getattr(split, side))]
            predicted = rows[rows["part"] == part].set_index("image_id")[["patient_id", "label"]]
            if len(predicted) != len(wanted) or not predicted.reindex(wanted.index).equals(wanted):
                differing = set(predicted.index) ^ set(wanted.index) or {
                    image for image in wanted.index if not predicted.loc[image].equals(wanted.loc[image])
                }
                raise StudyError(
                    f"{place}: its {part} rows are not those of the cohort and the split (patients or labels differ, or"
                    f" rows are missing): {some(sorted(map(str, differing)), 3)}. Delete the folder and run the study"
                    " again"
                )
