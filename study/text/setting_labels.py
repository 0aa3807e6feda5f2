"""Names of settings in tables and figures, by the dotted keys of the study file."""

IMAGE = {
    "data.image_size": "Image side, pixels",
    "data.resize": "Resizing",
    "data.crop": "Cropping",
    "data.outlines": "Burned-in outlines",
    "model.backbone": "Backbone",
    "model.weights": "Pretrained weights",
    "model.fine_tuned_blocks": "Fine-tuned stages",
    "augment.enabled": "Augmentation",
    "augment.min_crop": "Random crop, least side",
    "augment.flip": "Flip, probability",
    "augment.rotation": "Rotation, degrees either way",
    "augment.brightness": "Brightness jitter",
    "augment.contrast": "Contrast jitter",
    "augment.erase": "Random erasing, probability",
    "augment.erase_area": "Random erasing, largest area",
    "train.lr": "Learning rate, fine-tuned stages",
}
"""Settings that mean something where an arm uses images."""
TABLE = {"model.tabular_hidden": "Tabular encoder, units", "data.missing_indicators": "Missing-value indicators"}
FUSED = {"model.fusion": "Fusion"}
ATTENTION = {"model.attention_heads": "Attention heads", "model.attention_dim": "Attention width"}
ALWAYS = {
    "model.inputs": "Inputs",
    "model.classifier_hidden": "Classifier, units",
    "model.dropout": "Dropout",
    "train.head_lr": "Learning rate, new layers",
    "train.weight_decay": "Weight decay (AdamW)",
    "train.label_smoothing": "Label smoothing",
    "train.clip_norm": "Gradient clipping, norm",
    "train.batch_size": "Batch size",
    "train.class_weighting": "Class weighting",
    "train.max_epochs": "Most epochs",
    "train.restart_epochs": "Cosine annealing, first period in epochs",
    "train.restart_factor": "Cosine annealing, growth of periods",
    "train.keep": "Weights kept",
    "train.monitor": "Monitored on validation",
    "train.monitor_window": "Monitored mean over epochs",
    "train.patience": "Patience, epochs",
    "run.precision": "Numeric precision",
}
PROTOCOL = {
    "data.positive": "Positive classes",
    "data.negative": "Negative classes",
    "data.label_level": "Level of the labels",
    "data.conflicts": "Labels that contradict each other",
    "data.features": "Clinical columns",
    "protocol.folds": "Folds",
    "protocol.holdout": "Share of patients in the test part",
    "protocol.fold_column": "Column that makes the folds",
    "protocol.test_where": "Condition that makes the test part",
    "protocol.repeats": "Repeats",
    "protocol.seeds": "Training seeds",
    "protocol.first_seed": "First training seed",
    "protocol.split_seed": "Seed of the splits",
    "protocol.validation": "Share of patients for validation",
    "protocol.contrasts": "Comparisons",
    "protocol.pool_views": "Pooling of views",
    "protocol.pool_breasts": "Pooling of breasts",
    "protocol.delta": "Largest unimportant difference in AUC (δ)",
    "protocol.prevalence": "Prevalence",
    "protocol.thresholds": "Range of thresholds of the decision curves",
    "protocol.subgroups": "Subgroups",
    "search.trials": "Trials of each search",
    "search.space": "Space of the search",
}
"""Settings of labels, splits and analysis, which all models have in common."""
STOPPING = ("train.monitor", "train.monitor_window", "train.patience")
"""Settings without effect where every fit runs to its last epoch."""
LABELS = IMAGE | TABLE | FUSED | ATTENTION | ALWAYS | PROTOCOL


def label(key: str) -> str:
    """Return the name of a setting; one that has none here is called by its key."""
    return LABELS.get(key, key)
