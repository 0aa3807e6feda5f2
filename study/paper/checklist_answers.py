"""Which answer each checklist item has; an item that is not named here is the authors' alone."""

from collections.abc import Callable

from study.paper import checklist_data as data
from study.paper import checklist_models as models
from study.paper.checklist_facts import Answer, Facts, of_results, own

TRIPOD: dict[str, Callable[[Facts], Answer]] = {
    "5a": data.source, "6b": own(data.excluded), "7": own(data.preparation), "8a": data.outcome,
    "9a": own(data.predictors), "9b": own(data.predictors), "10": data.sample_size, "11": own(data.missing),
    "12a": data.partition, "12b": own(models.handled), "12c": own(models.building), "12d": models.clusters,
    "12e": models.measures, "12f": own(models.updating), "12g": models.predictions, "13": own(models.imbalance),
    "14": models.fairness, "15": models.output, "16": own(data.differences), "18e": data.data_sharing,
    "18f": models.code_sharing, "20a": data.flow, "20b": data.characteristics, "20c": data.compared_parts,
    "21": data.parts, "22": own(models.specification), "23a": of_results(models.performance),
    "23b": of_results(models.clusters), "24": own(models.updating), "26": models.limitations,
}  # fmt: skip
CLAIM: dict[str, Callable[[Facts], Answer]] = {
    "9": own(data.preparation), "10": own(data.excluded), "12": own(data.missing), "19": data.partition,
    "20": data.disjoint, "21": data.sample_size, "22": own(models.network), "23": models.software,
    "24": own(models.initialisation), "25": own(models.network), "26": own(models.selection),
    "27": own(models.ensembling), "28": models.metrics, "29": models.uncertainty, "30": of_results(models.robustness),
    "32": of_results(models.internal), "33": own(models.external), "35": data.flow, "36": data.demographics,
    "37": of_results(models.overall), "38": of_results(models.diagnostic), "39": of_results(models.errors),
    "43": models.code_sharing,
}  # fmt: skip
