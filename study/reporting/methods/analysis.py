"""Methods: what was done with the predictions, whoever made them."""

from study.evaluation.arm_metrics import LEDELL, N_BINS
from study.evaluation.contrasts import declared as possible_contrasts
from study.evaluation.evaluation import Evaluation
from study.evaluation.groups import SMALLEST_CELL
from study.records.added_predictions import UNVERIFIED
from study.records.stored_study import StoredStudy
from study.reporting.facts.search_facts import is_nested
from study.reporting.facts.sentences import fill, paragraph
from study.stats.comparison import ALPHA, POWER, SEEDS_NEEDED
from study.text.format import count, listed

N_PERMUTATIONS = 10_000
"""Exchanges of the permutation test; a test compares it with the default of `study.stats.comparison.compare`."""


def has_validation(study: StoredStudy) -> bool:
    """Whether there are validation rows to calibrate and choose thresholds on."""
    return not study.imported or bool((study.predictions["part"] == "validation").any())


def scores(study: StoredStudy) -> str:
    """Pooling, calibration and operating points."""
    return paragraph("Scores, calibration and thresholds", _pooling(study), _calibration(study))


def _pooling(study: StoredStudy) -> str:
    """Pooling of images to units, as far as the rows have breasts and images."""
    p, images = study.settings.protocol, study.cohort.images
    fixed = "" if study.imported else ", rules that were fixed before the run"
    if images["patient_id"].is_unique:
        return (
            "Every patient has one score."
            if study.imported
            else "Every patient has one image, whose logit was her score."
        )
    views = {"mean": "the mean", "max": "the greatest"}[p.pool_views]
    # rows without a breast are pooled by case
    part, parts = ("case", "cases") if images["breast"].isna().all() else ("breast", "breasts")
    over = {
        "max": f"the greatest of her {parts}' logits",
        "mean": f"the mean of her {parts}' logits",
        "noisy-or": f"the noisy-or of her {parts}' probabilities",
    }[p.pool_breasts]
    rows = "views" if part == "breast" else "images"
    return f"A {part}'s score was {views} logit of its {rows}, a patient's {over}{fixed}."


def _calibration(study: StoredStudy) -> str:
    unit = study.settings.unit
    if not has_validation(study):
        return (
            "No validation rows were given, so probabilities were evaluated as they came, without recalibration, and"
            f" no threshold was chosen; a {unit} was called positive at a probability of at least 0.5."
        )
    whose = (
        f"each training part's {unit}s, each predicted by the chosen trial's inner fit that had not seen the patient,"
        if is_nested(study)
        else f"each model's validation {unit}s"
    )
    its = "the refit's" if is_nested(study) else "its"
    return (
        f"On the pooled logits of {whose} a slope, not below 0, and an intercept were fitted by maximum likelihood with"
        f" smoothed targets in place of 1 and 0, (P + 1)/(P + 2) and 1/(N + 2) for P positive and N negative {unit}s"
        f" (Platt scaling [@platt1999]). Thresholds were chosen on the same logits: for a specificity of 90 %, the"
        f" smallest logit of a negative {unit} that at least 90 % of the negative ones do not exceed; for a sensitivity"
        f" of 90 %, the greatest logit that at least 90 % of the positive {unit}s exceed. Both were applied to {its}"
        f" test {unit}s, of which those above the threshold count as called positive; elsewhere a {unit} was called"
        " positive at a calibrated probability of at least 0.5."
    )


def measures(study: StoredStudy, evaluation: Evaluation) -> str:
    """The performance measures with their intervals, and what these are about."""
    return paragraph(
        "Performance",
        _primary(study, evaluation),
        _estimands(study),
        _other_measures(study, evaluation.n_replicates),
        "The choice of measures follows published guidance [@vancalster2025]; F1 and accuracy are descriptive.",
    )


def _primary(study: StoredStudy, evaluation: Evaluation) -> str:
    """The AUC and its interval over patients."""
    unit, parts = evaluation.unit, _n_folds(study)
    several = (
        ", the mean of the values within test folds, because scores of different models are not on one scale "
        "[@forman2010; @airola2011]"
        if parts > 1
        else " on the test part"
    )
    several_runs = study.settings.protocol.repeats * study.settings.protocol.seeds > 1
    runs = " and averaged over repeats and seeds" if several_runs else ""
    averaged = (
        " Everything was computed in each run (repeat and seed) and averaged over them, in intervals too: a patient's"
        f" influence on the AUC, and counts and errors of a {unit}, were averaged over runs before a variance over"
        " patients was taken."
        if several_runs
        else ""
    )
    methods = set(evaluation.intervals["method"]) if len(evaluation.intervals) else set()
    beside = (
        " The influence-curve interval of LeDell et al. [@ledell2015] is given beside it." if LEDELL in methods else ""
    )
    folded = "stratified by fold, " if parts > 1 else ""
    return (
        f"The primary measure was the area under the ROC curve (AUC) at the {unit} level{several}{runs}. Its 95 %"
        " interval comes from the variance of DeLong et al. [@delong1988; @sun2014] for data clustered in patients"
        f" [@obuchowski1997], {folded}on the logit scale; a test part that gives no variance of its own was given that"
        f" of Hanley and McNeil [@hanley1982], and an AUC of 0 or 1 the interval of Newcombe [@newcombe2006]."
        f"{averaged}{beside}"
    )


def _n_folds(study: StoredStudy) -> int:
    return study.folds.n_folds


def _estimands(study: StoredStudy) -> str:
    """The two estimands, and the intervals for the second."""
    first = (
        "Such intervals are about these fitted models on new patients of this kind (E1); patients, never images, were"
        " the independent units."
    )
    if _n_folds(study) < 2:
        return f"{first} From a single split no interval about the training procedure was derived."
    enlarged = "the variance over patients times K/(K − 1) for K folds, which allows for other training sets"
    second = (
        f"{enlarged}, plus the variance between repeats over their number"
        if study.settings.protocol.repeats > 1
        else (
            "the corrected t interval of Nadeau and Bengio [@nadeau2003; @bouckaert2004] over fold values, or, if that"
            f" is wider, {enlarged}{_seeds_part(study)}"
        )
    )
    return f"{first} Intervals about the procedure, trained again on another such cohort (E2), use {second}."


def _seeds_part(study: StoredStudy) -> str:
    """What several training seeds add to the E2 variance of a single repeat."""
    if study.settings.protocol.seeds == 1:
        return ""
    return (
        ", plus the variance between the seeds' means over their number, with Satterthwaite's degrees of freedom"
        " [@satterthwaite1946]"
    )


def _other_measures(study: StoredStudy, n_replicates: int) -> str:
    proportions = "sensitivity, specificity and accuracy" + (
        ", also at the chosen thresholds" if has_validation(study) else ""
    )
    return (
        f"Proportions ({proportions}) were pooled over folds and have Wilson intervals [@wilson1927] with the number of"
        " rows reduced by the design effect of patients (exact ones at 0 and 100 %), Brier score and log loss"
        " intervals from their variance over patients. Calibration slope, intercept and calibration in the large"
        " [@cox1958; @vancalster2016; @vancalster2019] come from logistic regression of the label on the logit of"
        " the calibrated probability (in the large: with the slope fixed at 1), with standard errors clustered in"
        " patients and normal intervals. For the area under the precision-recall curve, the partial AUC at"
        f" specificities of 80 to 100 % [@mcclish1989] and the expected calibration error ({N_BINS} bins) intervals use"
        f" the standard error of {n_replicates:,} bootstrap samples of patients within fold and outcome [@davison1997]"
        " on the logit scale; F1, the Matthews correlation, balanced accuracy and the scaled Brier score use the"
        " bootstrap's percentiles."
    )


WHEN = {True: "declared before the run", False: "chosen after the run and therefore exploratory"}
"""When contrasts were chosen, by whether they are the study's own."""


def contrasts(study: StoredStudy, evaluation: Evaluation) -> str:
    """Comparison of the arms, and the rules of the verdicts."""
    declared = possible_contrasts(study)
    if not declared:
        return paragraph(
            "Differences between arms",
            "No contrast between two of the arms was declared; they are reported one by one.",
        )
    named = listed([f"{first} minus {second}" for first, second in declared])
    when = fill("whether these contrasts were chosen before results were seen.") if study.imported else ""
    before = "" if study.imported else f", {WHEN[study.chosen_contrasts is None]}"
    return paragraph(
        "Differences between arms",
        f"Arms were compared on the same patients and splits for {count(len(declared), 'contrast')}{before}: {named}.",
        when,
        _difference_intervals(study),
        _bayes(study),
        _verdicts(study),
        "Secondary analyses were a bootstrap of patients and a permutation test that exchanges the within-fold ranks"
        f" of whole patients between arms ({N_PERMUTATIONS:,} exchanges).",
    )


def _difference_intervals(study: StoredStudy) -> str:
    """E1, E2 and the adjustment."""
    holm = "p values were adjusted over the contrasts (Holm [@holm1979])"
    first = "A difference in AUC has an E1 interval from the clustered variance with Student's t"
    if _n_folds(study) < 2:
        return f"{first}; {holm}."
    other = (
        "the interval from patients and repeats described above"
        if study.settings.protocol.repeats > 1
        else "the one from the variance over patients described above"
    )
    return (
        f"{first}, and as E2 interval the wider of two: the corrected t of Nadeau and Bengio [@nadeau2003;"
        f" @bouckaert2004] over fold differences, and {other}; {holm}."
    )


def _bayes(study: StoredStudy) -> str:
    """Probabilities with the region of practical equivalence."""
    delta = study.settings.protocol.delta
    region = f"δ = {delta:g} AUC was the largest difference without practical meaning"
    why = fill("why a difference of this size would change nothing in practice.")
    if _n_folds(study) < 2:
        return f"{region}. {why}"
    return (
        f"{region}. {why} Probabilities below −δ, within ±δ and above δ are from the Bayesian correlated t test"
        " [@benavoli2017]."
    )


def _verdicts(study: StoredStudy) -> str:
    """The rules, or why there is no verdict."""
    n_seeds = study.settings.protocol.seeds
    if _n_folds(study) < 2:
        return (
            "From a single split there is no verdict on the procedures; differences are about these fitted models only."
        )
    if n_seeds < SEEDS_NEEDED:
        return (
            f"A verdict on the procedures needs at least {SEEDS_NEEDED} training seeds; with {n_seeds}, differences are"
            " about these fitted models only."
        )
    return (
        f"An arm was called better or worse if the adjusted E2 p value was below {ALPHA:g} and the E1 interval excluded"
        " 0; else equivalent if the 90 % E2 interval lay within ±δ (two one-sided tests [@schuirmann1987]); else"
        " non-inferior if it lay above −δ; else any gain was said to be below δ if it lay below δ; else the comparison"
        " was called inconclusive. The number of patients that would be needed is for equivalence with a power of"
        f" {100 * POWER:.0f} % if there is no difference, from the E2 variance of the contrast; where this has few"
        " degrees of freedom it is a range (80 %)."
    )


def added(study: StoredStudy) -> str:
    """Predictions that were added to the study; '' without any."""
    if study.added is None:
        return ""
    which = listed(list(study.added.arms))
    return paragraph(
        "Added predictions",
        f"Predictions of {which} were added from a table ({UNVERIFIED}). They were matched to the study's patients and"
        " test folds, evaluated by themselves in the same way, and compared with each arm on the patients that both"
        " were tested on. These differences are exploratory: their intervals are about the fitted models alone (E1),"
        " they are not adjusted, and they are not among the declared contrasts.",
        fill("how the added models were trained, selected and tuned, and that no test patient had a part in it"),
    )


def subgroups(study: StoredStudy, evaluation: Evaluation) -> str:
    """Subgroups, negative classes and sites; '' where none was analysed."""
    return paragraph("Heterogeneity", _groups(evaluation), _classes(evaluation))


def _groups(evaluation: Evaluation) -> str:
    if evaluation.subgroups.empty or evaluation.subgroups["suppressed"].all():
        return ""
    names = listed([str(name) for name in evaluation.subgroups["column"].unique()])
    return (
        f"The AUC was computed in subgroups by {names}, over pairs of the same test part and subgroup, with bootstrap"
        " intervals over patients and a Wald test of a difference between subgroups, not adjusted. Subgroups with"
        f" fewer than {SMALLEST_CELL} positive or negative patients were not analysed."
    )


def _classes(evaluation: Evaluation) -> str:
    metrics = [] if evaluation.contrasts_by_class.empty else list(evaluation.contrasts_by_class["metric"].unique())
    against = [metric.removeprefix("against ") for metric in metrics if metric.startswith("against ")]
    said = f"The AUC against each negative class alone ({listed(against)}) is given" if against else ""
    if "within sites" in metrics:
        said = f"{said}, and" if said else "The AUC is given"
        said += " over pairs of the same site, to tell disease from acquisition"
    return f"{said}." if said else ""


def utility(study: StoredStudy) -> str:
    """Predictive values and net benefit, or why they are not given."""
    prevalence = study.settings.protocol.prevalence
    if prevalence is None:
        return paragraph(
            "Clinical utility",
            "The cohort's share of positives is that of its sampling, and no prevalence of the target population was"
            " declared, so predictive values and net benefit are not given.",
        )
    values = (
        "Predictive values (at the threshold for 90 % specificity) and net benefit"
        if has_validation(study)
        else "Net benefit"
    )
    return paragraph(
        "Clinical utility",
        f"{values} [@vickers2006] are given for a declared prevalence of {100 * prevalence:.4g} %; they assume that"
        " sensitivity and specificity carry over to it.",
    )


def description() -> str:
    """Description of the cohort."""
    return paragraph(
        "Description of the cohort",
        "Characteristics are given by class, with the numbers missing and with standardised differences between"
        " positive and negative patients [@austin2009] in place of tests.",
    )
