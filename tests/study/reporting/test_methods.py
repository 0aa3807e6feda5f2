import dataclasses
import inspect
import shutil
import subprocess
from typing import get_args

import pandas as pd
import pytest

from mmbc.config import ModelConfig
from mmbc.data.tables.columns import Feature
from study.design.study_file import Arm, load
from study.evaluation.evaluation import Evaluation
from study.records.environment import Environment, Imported
from study.reporting.facts.arm_names import FUSIONS
from study.reporting.facts.bibliography import bibtex, cited, cited_keys, works
from study.reporting.facts.prose import FILL, TEMPLATES
from study.reporting.facts.sentences import by_arm
from study.reporting.methods import analysis
from study.reporting.methods.chapter import methods, to_latex, to_markdown
from study.reporting.methods.models import JOINED
from study.stats.comparison import compare


def variant(stored, *sets, arms=None, **changes):
    """The study as if it had been made with other settings."""
    settings = load("tiny", None, ["protocol.repeats=2", *sets])
    if arms is not None:
        settings = settings.model_copy(update={"arms": arms})
    return dataclasses.replace(stored, settings=settings, **changes)


def said(stored, *sets, evaluation=None, arms=None, **changes):
    return "\n".join(methods(variant(stored, *sets, arms=arms, **changes), evaluation or Evaluation()))


def cohort(stored, **changes):
    return dataclasses.replace(stored.cohort, **changes)


def test_the_reference_configuration_in_words(evaluated):
    text = "\n".join(methods(evaluated[0], dataclasses.replace(evaluated[1], n_replicates=123)))
    for phrase in (
        "synthetic phantom",
        "assigned at random to 2 folds, stratified by status and site",
        "This was done 2 times",
        "20 % of the patients",
        "The study has 4 networks: Images alone (`image`); Clinical data alone (`tabular`)",
        (
            "`tf_efficientnet_lite0` of timm [@tan2019; @liu2020; @wightman2019] with pretrained ImageNet weights"
            " [@deng2009]"
        ),
        "its last stage and head convolution were fine-tuned",
        "label smoothing 0.1",
        "batches of 16",
        "No class weighting",
        "Training lasted 2 epochs; the weights of the epoch with the best validation log loss (mean of the last 3",
        "(Platt scaling [@platt1999])",
        "123 bootstrap samples",
        "attention instead of concatenation (`attention` minus `concat`)",
        "needs at least 3 training seeds; with 1,",
        "logistic regression [@pedregosa2011]",
        "no prevalence",
        "L2 penalty",
    ):
        assert phrase in text, phrase
    assert FILL in text and "  " not in text and ".." not in text and " ." not in text
    assert "inpainted" not in text, "the phantom has no outlines"


def test_every_citation_is_in_the_bibliography(evaluated):
    stored, evaluation = evaluated
    for text in (
        methods(stored, evaluation),
        methods(variant(stored, "protocol.prevalence=0.01", "protocol.seeds=3"), evaluation),
        methods(
            dataclasses.replace(stored, cohort=cohort(stored, name="mini-ddsm-v2", notice="", n_outlined=3)), evaluation
        ),
    ):
        keys = cited_keys(text)
        assert keys and set(keys) <= set(works())
        assert bibtex(keys).count("@") >= len(keys)


@pytest.mark.parametrize(
    ("sets", "there", "absent"),
    [
        (["train.keep=last"], "2 epochs without early stopping, and the last weights were kept", "for early stopping"),
        (["train.monitor=auc", "train.monitor_window=1"], "best validation AUC were kept", "mean of the last"),
        (["train.patience=1"], "at most 2 epochs, ending after 1 epoch without a better one", "log loss;"),
        (
            ["train.class_weighting=balanced"],
            "Positive rows were weighted by the training part's ratio",
            "No class weighting",
        ),
        (["train.label_smoothing=0"], "binary cross-entropy by AdamW", "smoothing"),
        (["train.restart_factor=1", "train.restart_epochs=5"], "[@loshchilov2017], every 5 epochs", "times as long"),
        (["augment.enabled=false"], "Training images were not augmented", "flipped"),
        (["augment.flip=0", "augment.erase=0"], "rotated by up to 10°", "flipped"),
        (["model.fine_tuned_blocks=0"], "all of it was frozen", "for fine-tuned ones"),
        (
            ["model.weights=none", "model.allow_random_trunk=true"],
            "random weights, its frozen layers never trained",
            "ImageNet",
        ),
        (["model.weights=file:/somewhere/weights.pth"], "weights read from a file", "somewhere"),
        (["model.weights=hub", "model.backbone=efficientnet_b0"], "weights that timm distributes", "ImageNet"),
        (["model.backbone=tf_efficientnetv2_s"], "[@tan2021; @wightman2019]", "@tan2019"),
        (["model.dropout=0"], "no dropout", "dropout 0.5"),
        (
            ["data.missing_indicators=true"],
            "A 0/1 column was added for every clinical column",
            "A 0/1 column was added in",
        ),
        (["data.resize=stretch"], "stretched to 32 × 32 pixels", "black margin"),
        (["data.crop=breast"], "cut to the bounding box of the breast", "stretched"),
        (
            ["protocol.pool_views=max", "protocol.pool_breasts=mean"],
            "the greatest logit of its views",
            "was the greatest of",
        ),
        (["protocol.prevalence=0.006"], "declared prevalence of 0.6 %", "no prevalence"),
        (["protocol.seeds=3"], "equivalent if the 90 % CI of the procedure lay within", "needs at least"),
        (["protocol.repeats=1", "protocol.seeds=3"], "or, if that is wider", "This was done"),
        (
            ["protocol.seeds=2"],
            "With fewer than 3 training seeds no interval about the training procedure",
            "@nadeau2003",
        ),
        (["data.label_level=breast"], "the breast is the unit of analysis", "belongs to the case"),
        (["protocol.delta=0.05"], "δ = 0.05 AUC", "0.02 AUC"),
    ],
)
def test_what_differs_is_said(evaluated, sets, there, absent):
    text = said(evaluated[0], *sets)
    assert there in text and absent not in text


@pytest.mark.parametrize(
    ("sets", "folds", "there"),
    [
        (["protocol.holdout=0.25"], {"kind": "holdout", "n_folds": 1}, "into a test part (25 % of the patients)"),
        (
            ["protocol.test_where=site == 'B'"],
            {"kind": "holdout", "n_folds": 1},
            "The patients with `site == 'B'` were",
        ),
        (["protocol.fold_column=site"], {"n_folds": 3}, "Each of the 3 values of `site` in turn was the test part"),
        ([], {"own": True, "n_folds": 4}, "as given by the authors, into 4 test parts in each of 2 repeats"),
    ],
)
def test_ways_to_split(evaluated, sets, folds, there):
    stored = evaluated[0]
    fixed = ["protocol.repeats=1"] if "where" in str(sets) or "column" in str(sets) else []
    text = said(stored, *sets, *fixed, folds=stored.folds.changed(**folds))
    assert there in text and "to 2 folds" not in text
    if folds.get("n_folds") == 1:
        assert "From a single split there is no verdict" in text and "[@nadeau2003" not in text
        assert "within test folds" not in text and "stratified by fold" not in text


def test_arms_that_differ_are_told_apart(evaluated):
    arms = {
        "deep": Arm(question="?", set={"model.fine_tuned_blocks": 3, "train.lr": 1e-5}),
        "plain": Arm(question="?", set={"model.inputs": ["image"], "augment.enabled": False}),
    }
    text = said(evaluated[0], arms=arms)
    assert "deep (images and clinical columns, joined by concatenation, `model.fine_tuned_blocks` = 3" in text
    assert "its last 3 stages and head convolution" in text and "(deep) or its last stage" in text
    assert "probability 0.25 (deep) or not at all (plain)" in text and "saw the same changes" not in text
    assert "No contrast between two of the models was declared" in text and "attention" not in text


def test_tabular_alone_speaks_of_no_image(evaluated):
    arms = {"tabular": Arm(question="?", set={"model.inputs": ["tabular"]})}
    text = said(evaluated[0], arms=arms)
    for word in ("backbone", "augment", "timm", "fine-tuned", "pixels", "frozen", "feature map"):
        assert word not in text, word
    assert "The study has 1 network: Clinical data alone (`tabular`)" in text


def test_no_clinical_column(evaluated):
    stored = evaluated[0]
    text = said(stored, cohort=cohort(stored, features=()))
    assert "Clinical predictors" not in text and "Baseline" not in text


def test_categorical_columns_and_missing_values(evaluated):
    stored = evaluated[0]
    images = stored.cohort.images.assign(history=["yes", None] * (len(stored.cohort.images) // 2))
    text = said(stored, cohort=cohort(stored, images=images, features=(Feature("history", "categorical"),)))
    assert "one 0/1 column for each category" in text and "standardised; the median" not in text
    n = int(images["history"].isna().sum())
    assert f"Missing values: history in {n} images (50.0 %)" in text


@pytest.mark.parametrize(("mode", "phrase"), [("sham", "donor"), ("inpaint", "optimistic"), ("keep", "not evidence")])
def test_outlines(evaluated, mode, phrase):
    stored = evaluated[0]
    changed = cohort(stored, name="mini-ddsm-v1", notice="", n_outlined=5)
    text = said(stored, f"data.outlines={mode}", cohort=changed)
    assert phrase in text and "5 images" in text
    assert "version 1 of Mini-DDSM [@lekamlage2020]" in text and "[@heath2001]" in text


def test_ones_own_cohort_cites_no_data_set(evaluated):
    stored = evaluated[0]
    text = said(stored, cohort=cohort(stored, name="hospital", notice=""))
    assert "The cohort is hospital." in text and "lekamlage" not in text and f"{FILL}: source" in text


def imported(stored, **changes):
    return dataclasses.replace(
        stored, environment=Environment(imported=Imported(), mmbc="0.1.0"), history=stored.history.iloc[:0], **changes
    )


def test_of_an_imported_study_only_the_evaluation_is_described(evaluated):
    stored, evaluation = evaluated
    text = "\n".join(methods(imported(stored), evaluation))
    for word in (
        "backbone",
        "AdamW",
        "dropout",
        "epoch",
        "pixels",
        "declared before the run",
        "PyTorch",
        "timm",
        "phantom",
        "early stopping",
        "fixed before the run",
        "Training.",
        "class weighting",
    ):
        assert word not in text, word
    for mark in (
        "architecture, inputs",
        "source of the data",
        "how patients were assigned",
        "chosen before results were seen",
    ):
        assert mark in text
    assert "No patient is in two test parts of a repeat" in text and "Platt" in text
    assert "Beside these models a logistic regression" in text


def test_imported_predictions_without_validation_rows(evaluated):
    stored, evaluation = evaluated
    rows = stored.predictions[stored.predictions["part"] == "test"]
    text = "\n".join(methods(imported(stored, predictions=rows), evaluation))
    assert "No validation rows were given" in text and "Platt" not in text and "thresholds were chosen" not in text
    assert "also at the chosen thresholds" not in text
    nothing_known = stored.cohort.images.assign(site=pd.NA, status=pd.NA)
    bare = imported(stored, predictions=rows, cohort=cohort(stored, images=nothing_known, features=(), notice=""))
    assert "nan" not in "\n".join(methods(bare, Evaluation())).lower()


def test_pooling_says_what_the_rows_allow(evaluated):
    stored, evaluation = evaluated
    images = stored.cohort.images

    def pooling(rows):
        return "\n".join(methods(imported(stored, cohort=cohort(stored, images=rows)), evaluation))

    one = images.drop_duplicates("patient_id")
    assert "Every patient has one score." in pooling(one) and "breasts" not in pooling(one)
    without = pooling(images.assign(breast=pd.NA))
    assert (
        "The score of a case was the mean logit of its images; the score of a patient was the greatest of the cases'"
        in without
    )
    assert "The score of a breast was the mean logit of its views" in pooling(images)


def test_nothing_finished(evaluated):
    stored = dataclasses.replace(evaluated[0], records={}, predictions=evaluated[0].predictions.iloc[:0])
    text = "\n".join(methods(stored, Evaluation()))
    assert "Heterogeneity" not in text and "Partitions" in text


def test_a_deliberate_leak_is_named(evaluated):
    stored = evaluated[0]
    name = next(name for name in stored.records if name.startswith("image."))
    leaky = dataclasses.replace(stored, records={name: stored.records[name].changed(leak="outlines")})
    assert "trained with a deliberate leak, to show its effect: Images alone (outlines)" in "\n".join(
        methods(leaky, Evaluation())
    )


def test_by_arm():
    assert by_arm({"a": 1, "b": 1}) == "1" and by_arm({"a": 1, "b": 2, "c": 1}) == "1 (a and c) or 2 (b)"


def test_the_number_of_exchanges_is_that_of_the_test():
    assert inspect.signature(compare).parameters["n_permutations"].default == analysis.N_PERMUTATIONS


def test_markdown_and_latex():
    text = [
        "**Data.** See [@holm1979; @delong1988] & `a_b` at 5 %, **AUTHOR MUST FILL: x [@wilson1927].**",
        "−1 [@delong1988]",
    ]
    markdown = to_markdown(text, cited(text, "elsevier-vancouver"))
    assert markdown == "**Data.** See [1,2] & `a_b` at 5 %, **AUTHOR MUST FILL: x [3].**\n\n−1 [2]\n"
    assert to_latex(text, "super").startswith("% \\usepackage[super]{natbib}, ")
    assert r"\ensuremath{-}1 (ref.~\citenum{delong1988})" in to_latex(text, "super"), "no power of the number"
    assert r"See~\cite{holm1979" in to_latex(text, "super")
    latex = to_latex(text)
    assert latex.startswith(
        r"\paragraph{Data.} See~\cite{holm1979,delong1988} \& \texttt{a\_b} at 5~\%, \textbf{AUTHOR MUST FILL: x"
    )
    assert r"\ensuremath{-}1~\cite{delong1988}" in latex and "[@" not in latex


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_latex_compiles(evaluated, tmp_path):
    paragraphs = methods(*evaluated)
    assert "[U+" not in to_latex(paragraphs), "every character has its command"
    (tmp_path / "methods.tex").write_text(to_latex(paragraphs))
    (tmp_path / "paper.tex").write_text("\\documentclass{article}\\begin{document}\\input{methods}\\end{document}")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True)
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]


def test_a_view_bank_and_a_lower_precision_stand_in_methods(stored):
    assert "at random in every epoch: cropped" in said(stored)
    text = said(stored, "train.view_bank=16")
    assert "bfloat16" not in text
    assert "numbers of 16 bits (bfloat16)" in said(stored, "run.trunk_precision=bfloat16")
    assert "changed at random: cropped" in text and "The number of changed versions of an image was 16" in text


def test_every_kind_of_fusion_has_words_of_its_own():
    """A kind that has none is left to the author to describe, and never described as another."""
    kinds = set(get_args(ModelConfig.model_fields["fusion"].annotation))
    assert kinds == set(JOINED) == set(FUSIONS)
    template = (TEMPLATES / "methods_models.md.j2").read_text()
    assert all(f'kind == "{kind}"' in template for kind in kinds) and "fill(" in template
