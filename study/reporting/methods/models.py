"""Methods: the models of a study trained by this program, and how they were fitted."""

from mmbc.config import AugmentConfig, Config, ModelConfig
from study.design.study_file import BASELINE
from study.records.stored_study import StoredStudy
from study.reporting.facts.bibliography import backbone
from study.reporting.facts.search_facts import is_nested
from study.reporting.facts.sentences import by_arm, citing, configs, each, fill, has_baseline, paragraph, uses_table
from study.reporting.methods.search import earlier_choice, refit_epochs
from study.text.format import count, listed

WEIGHTS = {
    "hub": "the pretrained weights that timm distributes for it",
    "package": "pretrained ImageNet weights [@deng2009]",
    "none": "random weights, its frozen layers never trained (a test of the machinery alone)",
}
JOINED = {"concat": "concatenation", "attention": "cross-attention"}
NORMALISED = "with batch normalisation and ReLU"


def models(study: StoredStudy) -> str:
    """The arms and the networks they are made of."""
    if study.imported:
        arms, n_seeds = list(study.settings.arms), study.settings.protocol.seeds
        return paragraph(
            "Models",
            f"Predictions of {count(len(arms), 'model')} ({listed(arms)}), made elsewhere, were evaluated"
            + (f", from {n_seeds} training seeds." if n_seeds > 1 else "."),
            fill("architecture, inputs, training, tuning and handling of missing data of each model."),
        )
    return paragraph("Models", _arms(study), _images(study), _table(study), _fusion(study), _classifier(study))


def _arms(study: StoredStudy) -> str:
    arms = configs(study)
    texts = [f"{arm} ({_inputs(config)}{_changes(study, arm)})" for arm, config in arms.items()]
    return f"The study has {count(len(arms), 'arm')}: {'; '.join(texts)}."


def _inputs(config: Config) -> str:
    if len(config.model.inputs) == 1:
        return "images alone" if config.uses_images else "clinical columns alone"
    return f"images and clinical columns, joined by {JOINED.get(config.model.fusion, fill('what'))}"


def _changes(study: StoredStudy, arm: str) -> str:
    """Settings of an arm beside its inputs and their fusion."""
    shown = {
        key: value for key, value in study.settings.arms[arm].set.items() if key not in ("model.inputs", "model.fusion")
    }
    texts = {key: f"{value:g}" if isinstance(value, float) else str(value) for key, value in shown.items()}
    return "".join(f", `{key}` = {text}" for key, text in texts.items())


def _images(study: StoredStudy) -> str:
    arms = configs(study, lambda config: config.uses_images)
    if not arms:
        return ""
    return (
        f"Images went through {each(arms, lambda c: _backbone(c.model))};"
        f" {each(arms, lambda c: _fine_tuning(c.model))}. The last feature map was averaged over its positions."
    )


def _backbone(model: ModelConfig) -> str:
    weights = WEIGHTS.get(model.weights, f"weights read from a file ({fill('what they were trained on')})")
    cites = citing([*backbone(model.backbone), "wightman2019"])
    return f"the backbone `{model.backbone}` of timm{cites} with {weights}"


def _fine_tuning(model: ModelConfig) -> str:
    if not model.fine_tuned_blocks:
        return "all of it was frozen, in inference mode"
    stages = "stage" if model.fine_tuned_blocks == 1 else f"{model.fine_tuned_blocks} stages"
    return f"its last {stages} and head convolution were fine-tuned, the layers before them frozen, in inference mode"


def _table(study: StoredStudy) -> str:
    arms = configs(study, uses_table)
    if not arms:
        return ""
    return f"The encoded clinical columns went through linear layers of {each(arms, _hidden)} units, each {NORMALISED}."


def _hidden(config: Config) -> str:
    return listed([str(n) for n in config.model.tabular_hidden])


def _fusion(study: StoredStudy) -> str:
    both = configs(study, lambda config: len(config.model.inputs) == 2)
    kinds = dict.fromkeys([*JOINED, *(config.model.fusion for config in both.values())])
    arms = {kind: {arm: c for arm, c in both.items() if c.model.fusion == kind} for kind in kinds}
    return " ".join(_joining(kind, of_kind) for kind, of_kind in arms.items() if of_kind)


def _joining(fusion: str, arms: dict[str, Config]) -> str:
    """Return what a kind of fusion does; of one without a sentence here the author has to say it."""
    match fusion:
        case "concat":
            text = "the classifier's input was the image and the clinical vector"
        case "attention":
            text = (
                "the clinical vector was the query, and the positions of the last feature map were keys and values,"
                f" of an attention [@vaswani2017] with {each(arms, lambda c: c.model.attention_heads)} heads in"
                f" {each(arms, lambda c: c.model.attention_dim)} dimensions; its result was a third part of the"
                " classifier's input beside these two"
            )
        case _:
            text = fill(f"how `model.fusion` = {fusion} joins image and clinical vector.")
    return f"With {JOINED.get(fusion, fusion)} ({listed(list(arms))}) {text}."


def _classifier(study: StoredStudy) -> str:
    arms = configs(study)
    hidden = each(arms, lambda c: listed([str(n) for n in c.model.classifier_hidden]))
    dropout = each(arms, lambda c: f"dropout {c.model.dropout:g}" if c.model.dropout else "no dropout")
    return (
        f"The classifier had hidden layers of {hidden} units {NORMALISED}, {dropout}, and one output, the logit of a"
        " positive label."
    )


def training(study: StoredStudy) -> str:
    """Optimiser, schedule, stopping, augmentation, seeds, and whether anything was searched."""
    arms = configs(study)
    if not arms:
        return ""
    return paragraph(
        "Training",
        f"Every image was a row with the label of its {_owner(study)}.",
        _optimiser(arms),
        _schedule(arms),
        _stopping(study, arms),
        _weighting(arms),
        _augmentation(study),
        _seeds(study),
        earlier_choice(study),
    )


def _owner(study: StoredStudy) -> str:
    return "breast" if study.settings.unit == "breast" else "case"


def _optimiser(arms: dict[str, Config]) -> str:
    tuned = {arm: c for arm, c in arms.items() if c.uses_images and c.model.fine_tuned_blocks}
    slow = f" and {each(tuned, lambda c: f'{c.train.lr:g}')} for fine-tuned ones" if tuned else ""
    smoothed = each(
        arms, lambda c: f"label smoothing {c.train.label_smoothing:g}" if c.train.label_smoothing else "none"
    )
    smoothing = "" if smoothed == "none" else f" ({smoothed} [@szegedy2016])"
    return (
        f"Models were fitted to the binary cross-entropy{smoothing} by AdamW [@loshchilov2019] in batches of"
        f" {each(arms, lambda c: c.train.batch_size)}, with a learning rate of"
        f" {each(arms, lambda c: f'{c.train.head_lr:g}')} for new layers{slow}, weight decay"
        f" {each(arms, lambda c: f'{c.train.weight_decay:g}')} and gradients clipped at norm"
        f" {each(arms, lambda c: f'{c.train.clip_norm:g}')}."
    )


def _schedule(arms: dict[str, Config]) -> str:
    return (
        "Learning rates followed a cosine with warm restarts [@loshchilov2017], "
        f"{each(arms, lambda c: _periods(c.train.restart_epochs, c.train.restart_factor))}."
    )


def _periods(first: int, factor: int) -> str:
    if factor == 1:
        return f"every {count(first, 'epoch')}"
    return f"the first period of {count(first, 'epoch')}, each later one {factor} times as long"


def _stopping(study: StoredStudy, arms: dict[str, Config]) -> str:
    if not is_nested(study):
        return f"Training lasted {each(arms, _duration)}."
    epochs = refit_epochs(study)
    lasted = f" ({epochs})" if epochs else ""
    return (
        f"In the search, on inner folds, training lasted {each(arms, _duration)}. Refits on whole training parts lasted"
        f" the median of the best epochs of the inner fits{lasted}, without early stopping, and the last weights were"
        " kept."
    )


def _duration(config: Config) -> str:
    t = config.train
    if t.keep == "last":
        return f"{count(t.max_epochs, 'epoch')} without early stopping, and the last weights were kept"
    measure = "log loss" if t.monitor == "log_loss" else "ROC-AUC"
    mean = f" (mean of the last {t.monitor_window} epochs)" if t.monitor_window > 1 else ""
    # a fit whose patience is no shorter than its epochs cannot stop early
    early = f", ending after {count(t.patience, 'epoch')} without a better one" if t.patience < t.max_epochs else ""
    return (
        f"at most {count(t.max_epochs, 'epoch')}{early}; the weights of the epoch with the best validation"
        f" {measure}{mean} were kept"
    )


def _weighting(arms: dict[str, Config]) -> str:
    weighted = [arm for arm, config in arms.items() if config.train.class_weighting == "balanced"]
    if not weighted:
        return "No class weighting or resampling was used."
    where = "" if len(weighted) == len(arms) else f" in {listed(weighted)}"
    return (
        f"Positive rows were weighted{where} by the training part's ratio of negative to positive rows; the shift this"
        " causes in predicted probabilities is undone by the calibration described below."
    )


def _augmentation(study: StoredStudy) -> str:
    arms = configs(study, lambda config: config.uses_images)
    if not arms:
        return ""
    changed = {arm: _changes_of_images(config.augment) for arm, config in arms.items()}
    if not any(changed.values()):
        return "Training images were not augmented."
    shared = " Arms of a seed saw the same changes." if len(arms) > 1 and len(set(changed.values())) == 1 else ""
    said = by_arm({arm: text or "not at all" for arm, text in changed.items()})
    return f"Training images were changed at random in every epoch: {said}.{shared}"


def _changes_of_images(a: AugmentConfig) -> str:
    if not a.enabled:
        return ""
    parts = [
        f"cropped to {100 * a.min_crop:g} to 100 % of the side" if a.min_crop < 1 else "",
        f"flipped horizontally with probability {a.flip:g}" if a.flip else "",
        f"rotated by up to {a.rotation:g}°" if a.rotation else "",
        f"brightness shifted by up to {100 * a.brightness:g} % of the range" if a.brightness else "",
        f"contrast scaled by up to ±{100 * a.contrast:g} %" if a.contrast else "",
        f"a rectangle of up to {100 * a.erase_area:g} % erased with probability {a.erase:g}" if a.erase else "",
    ]
    return ", ".join(part for part in parts if part)


def _seeds(study: StoredStudy) -> str:
    n = study.settings.protocol.seeds
    return f"Each arm was trained with {count(n, 'random seed')} on every split."


def leaks(study: StoredStudy) -> str:
    """Arms that were given what they should not have; '' where there is none."""
    leaky = {record.arm: record.leak for record in study.records.values() if record.leak}
    if study.imported or not leaky:
        return ""
    named = listed([f"{arm} ({leak})" for arm, leak in leaky.items()])
    return paragraph(
        "Deliberate leaks", f"Trained with a deliberate leak, to show its effect: {named}. These are no evidence."
    )


def baseline(study: StoredStudy) -> str:
    """The logistic regression beside the arms."""
    if study.imported and BASELINE in study.arms:
        return paragraph(
            "Baseline",
            "Beside these models a logistic regression [@pedregosa2011] on the clinical columns (L2 penalty, C = 1) was"
            " fitted in the same folds, by this program, to the patients who are neither tested nor validation patients"
            " there; numeric and ordinal columns were standardised, and a missing value was given the median, each"
            " learned from those patients.",
        )
    if not has_baseline(study):
        return ""
    if not study.cohort.features:
        return paragraph(
            "Baseline", "Without a clinical column the baseline predicts the training part's share of positives."
        )
    return paragraph(
        "Baseline",
        "A logistic regression [@pedregosa2011] on the encoded clinical columns (L2 penalty, C = 1), fitted to the"
        " images of the same training parts, was evaluated beside the arms.",
        (
            "Nothing of it was searched; it was calibrated on predictions out of the same inner folds."
            if is_nested(study)
            else ""
        ),
    )
