"""Methods: the models of a study trained by this program, and how they were fitted."""

from collections.abc import Callable
from typing import Any

from mmbc.config import AugmentConfig, Config, ModelConfig
from study.design.study_file import BASELINE
from study.records.stored_study import StoredStudy
from study.reporting.facts.arm_names import display_name
from study.reporting.facts.bibliography import backbone
from study.reporting.facts.prose import fill, paragraphs
from study.reporting.facts.search_facts import is_nested
from study.reporting.facts.sentences import by_arm, citing, configs, each, has_baseline, uses_table
from study.reporting.methods.search import earlier_choice, refit_epochs
from study.text.format import count, listed

WEIGHTS = {
    "hub": "the pretrained weights that timm distributes for it",
    "package": "pretrained ImageNet weights [@deng2009]",
    "none": "random weights, its frozen layers never trained (a test of the machinery alone)",
}
JOINED = {"concat": "concatenation", "attention": "cross-attention"}

Named = dict[str, Config]
"""Configurations by the names that a reader sees."""


def models(study: StoredStudy) -> list[str]:
    """Return the paragraphs on the models and their training; of models trained elsewhere what authors must fill."""
    p = study.settings.protocol
    if study.imported:
        names = [display_name(study, arm) for arm in study.settings.arms]
        return paragraphs("methods_models", imported=True, models=names, n_seeds=p.seeds)
    arms = named_configs(study)
    return paragraphs(
        "methods_models",
        imported=False,
        models=[_described(study, arm, config) for arm, config in configs(study).items()],
        n_seeds=p.seeds,
        unit=study.settings.unit,
        nested=is_nested(study),
        refit_epochs=refit_epochs(study),
        earlier_choice=earlier_choice(study),
        fractions=[f"{f:g}" for f in sorted({c.train.fraction for c in arms.values()} - {1.0})],
        **_architecture(arms),
        **_fitting(arms),
        **_augmentation(arms),
    )


def named_configs(study: StoredStudy, which: Callable[[Config], bool] = lambda _: True) -> Named:
    """Return `configs` by the names of the arms that a reader sees."""
    return {display_name(study, arm): config for arm, config in configs(study, which).items()}


def _described(study: StoredStudy, arm: str, config: Config) -> str:
    """Return a model's name with its inputs and the settings that it changes beside them."""
    name = display_name(study, arm)
    short = [] if name == arm else [f"`{arm}`"]
    if len(config.model.inputs) == 1:
        inputs = "images alone" if config.uses_images else "clinical columns alone"
    else:
        inputs = f"images and clinical columns, joined by {JOINED.get(config.model.fusion) or fill('what')}"
    told = [] if short and name.endswith(" alone") else [inputs]
    changed = {k: v for k, v in study.settings.arms[arm].set.items() if k not in ("model.inputs", "model.fusion")}
    others = [f"`{key}` = {f'{value:g}' if isinstance(value, float) else value}" for key, value in changed.items()]
    return f"{name} ({', '.join([*short, *told, *others])})"


def _architecture(arms: Named) -> dict[str, Any]:
    """Return what the networks are made of."""
    images = {arm: c for arm, c in arms.items() if c.uses_images}
    tables = {arm: c for arm, c in arms.items() if uses_table(c)}
    both = {arm: c for arm, c in arms.items() if len(c.model.inputs) == 2}
    kinds = dict.fromkeys([*JOINED, *(c.model.fusion for c in both.values())])
    fused = {kind: {arm: c for arm, c in both.items() if c.model.fusion == kind} for kind in kinds}
    return {
        "backbone": each(images, lambda c: _backbone(c.model)) if images else "",
        "bfloat16": bool(images) and next(iter(images.values())).run.trunk_precision == "bfloat16",
        "fine_tuning": each(images, lambda c: _fine_tuning(c.model)) if images else "",
        "tabular_hidden": each(tables, lambda c: _units(c.model.tabular_hidden)) if tables else "",
        "classifier_hidden": each(arms, lambda c: _units(c.model.classifier_hidden)),
        "dropout": each(arms, lambda c: f"dropout {c.model.dropout:g}" if c.model.dropout else "no dropout"),
        "fused": {
            kind: {
                "names": list(of_kind),
                "heads": each(of_kind, lambda c: c.model.attention_heads),
                "width": each(of_kind, lambda c: c.model.attention_dim),
            }
            for kind, of_kind in fused.items()
            if of_kind
        },
    }


def _backbone(model: ModelConfig) -> str:
    weights = WEIGHTS.get(model.weights, f"weights read from a file ({fill('what they were trained on')})")
    cites = citing([*backbone(model.backbone), "wightman2019"])
    return f"the backbone `{model.backbone}` of timm{cites} with {weights}"


def _fine_tuning(model: ModelConfig) -> str:
    if not model.fine_tuned_blocks:
        return "all of it was frozen, in inference mode"
    stages = "stage" if model.fine_tuned_blocks == 1 else f"{model.fine_tuned_blocks} stages"
    return f"its last {stages} and head convolution were fine-tuned, the layers before them frozen, in inference mode"


def _units(hidden: tuple[int, ...]) -> str:
    return listed([str(n) for n in hidden])


def _fitting(arms: Named) -> dict[str, Any]:
    """Return optimiser, schedule, stopping and weighting."""
    tuned = {arm: c for arm, c in arms.items() if c.uses_images and c.model.fine_tuned_blocks}
    smoothed = each(
        arms, lambda c: f"label smoothing {c.train.label_smoothing:g}" if c.train.label_smoothing else "none"
    )
    weighted = [arm for arm, config in arms.items() if config.train.class_weighting == "balanced"]
    return {
        "smoothing": "" if smoothed == "none" else smoothed,
        "batch_size": each(arms, lambda c: c.train.batch_size),
        "head_lr": each(arms, lambda c: f"{c.train.head_lr:g}"),
        "lr": each(tuned, lambda c: f"{c.train.lr:g}") if tuned else "",
        "weight_decay": each(arms, lambda c: f"{c.train.weight_decay:g}"),
        "clip_norm": each(arms, lambda c: f"{c.train.clip_norm:g}"),
        "periods": each(arms, lambda c: _periods(c.train.restart_epochs, c.train.restart_factor)),
        "duration": each(arms, _duration),
        "weighted": weighted,
        "all_weighted": len(weighted) == len(arms),
    }


def _periods(first: int, factor: int) -> str:
    if factor == 1:
        return f"every {count(first, 'epoch')}"
    return f"the first period of {count(first, 'epoch')}, each later one {factor} times as long"


def _duration(config: Config) -> str:
    t = config.train
    if t.keep == "last":
        return f"{count(t.max_epochs, 'epoch')} without early stopping, and the last weights were kept"
    measure = "log loss" if t.monitor == "log_loss" else "AUC"
    mean = f" (mean of the last {t.monitor_window} epochs)" if t.monitor_window > 1 else ""
    # a fit whose patience is no shorter than its epochs cannot stop early
    early = f", ending after {count(t.patience, 'epoch')} without a better one" if t.patience < t.max_epochs else ""
    lasted = f"{'at most ' if early else ''}{count(t.max_epochs, 'epoch')}{early}"
    return f"{lasted}; the weights of the epoch with the best validation {measure}{mean} were kept"


def _augmentation(arms: Named) -> dict[str, Any]:
    """Return how training images were changed; '' where they were not."""
    changed = {arm: _changes_of_images(config.augment) for arm, config in arms.items() if config.uses_images}
    told = {arm: text or "not at all" for arm, text in changed.items()}
    banks = {arm: arms[arm].train.view_bank for arm, text in changed.items() if text}
    return {
        "views": by_arm({arm: n or "new ones in every epoch" for arm, n in banks.items()})
        if any(banks.values())
        else "",
        "augmentation": by_arm(told) if any(changed.values()) else "",
        "same_augmentation": len(changed) > 1 and len(set(changed.values())) == 1,
    }


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


def baseline(study: StoredStudy) -> list[str]:
    """Return the paragraphs on the logistic regression beside the models, and on deliberate leaks."""
    leaky = {record.arm: record.leak for record in study.records.values() if record.leak and not study.imported}
    return paragraphs(
        "methods_baseline",
        imported=study.imported,
        baseline=BASELINE in study.arms if study.imported else has_baseline(study),
        nested=is_nested(study),
        leaky=[f"{display_name(study, arm)} ({leak})" for arm, leak in leaky.items()],
    )
