"""The checks of the audit: what each asks, what a fault means, and what to do."""

from dataclasses import dataclass

from mmbc.errors import ConfigError, nearest

GROUPS = ("files and copies", "labels", "annotations in pixels", "shortcuts", "clinical columns", "splits", "study")


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
        code: such as `A03`; codes are never given to another check.
        name: a few words, as tables show it.
        group: of `GROUPS`.
        asks: what is looked at, and how.
        means: what a fault means for results.
        remedy: what to do.
        fast: whether it needs no look into pixels, so that `study.cv` makes it at the start of every study.
    """

    code: str
    name: str
    group: str
    asks: str
    means: str
    remedy: str
    fast: bool = True


CHECKS: tuple[Check, ...] = (
    Check(
        "A01",
        "missing or unreadable files",
        "files and copies",
        "Is every listed file there, and can it be decoded to its end?",
        "What is absent is rarely absent at random; results are about what was left.",
        "Complete the download. To go on with the rest: `--allow-missing-images`, `--max-unreadable`; the flow table"
        " counts.",
    ),
    Check(
        "A02",
        "identical files",
        "files and copies",
        "Do two files have the same bytes (SHA-256)?",
        "A copy on both sides of a split is a test image that was trained on.",
        "Keep one of them. Copies of one patient are used once, patients who share one are merged.",
    ),
    Check(
        "A03",
        "identical pixels",
        "files and copies",
        "Do two images have the same pixels, however their files were written?",
        "As A02; copies also count twice in training and in every metric.",
        "Keep one of them. Copies of one patient are used once, patients who share one are merged.",
    ),
    Check(
        "A04",
        "near-duplicates",
        "files and copies",
        "Do two images look the same: perceptual hashes of 256 bits (ImageHash) close together, mirrored ones included,"
        " and thumbnails that correlate?",
        "Resaved, brightened, mirrored or annotated copies leak like identical ones.",
        "Look at the contact sheet. Give the same person one `patient_id`, or remove one of the pair.",
        fast=False,
    ),
    Check(
        "A05",
        "patients with conflicting labels",
        "labels",
        "Does one patient key carry two classes?",
        "Either one woman has two findings, or two women share a key; split by image, her other examination gives the"
        " label away.",
        "Look the patients up. They are one group in every split, positive if any of their rows is.",
    ),
    Check(
        "A06",
        "repeated identifiers",
        "labels",
        "Does one patient key name several cases, or one case more images than it has breasts and views?",
        "Splits by case or by file divide such a patient; counts of patients by file name are wrong.",
        "Look the patients up. They are one group in every split.",
    ),
    Check(
        "A07",
        "labels of the opposite breast",
        "labels",
        "With one label a case: do annotations show that the other breast of a positive case has no lesion?",
        "Images without a lesion are labelled positive: image-level metrics are capped, and a model is taught the"
        " person, not the lesion.",
        "Report per patient (the default here), or use `--label-level breast`.",
    ),
    Check(
        "A08",
        "codes for unknown",
        "labels",
        "Does a clinical column hold values that stand for 'not known' (0, 99, 999, negative ones)?",
        "A code that is scaled like a number is a feature made of missingness.",
        "Where it was taken as a number, declare it: `--set 'data.missing_values=[\"999\"]'`.",
    ),
    Check(
        "A09",
        "coloured annotations",
        "annotations in pixels",
        "Are there saturated colours in grey images? How well does their number alone tell the classes apart?",
        "Somebody drew the diagnosis into the image, and a network reads it.",
        "Get the images without. In Mini-DDSM version 1 outlines are removed by default (`--outlines sham`).",
        fast=False,
    ),
    Check(
        "A10",
        "drawn curves",
        "annotations in pixels",
        "Are there thin closed curves of even grey? How well does their number alone tell the classes apart?",
        "As A09, in black and white.",
        "Look at the images that are named; get them without, or leave them out.",
        fast=False,
    ),
    Check(
        "A11",
        "markers at the borders",
        "annotations in pixels",
        "Are there letters, labels or markers outside the breast? How well does their number alone tell the classes"
        " apart?",
        "Markers name hospitals, devices and wards, which have their own share of cancers.",
        "Crop to the breast: `--set data.crop=breast`; look at the result within sites.",
        fast=False,
    ),
    Check(
        "A12",
        "traces of removed outlines",
        "annotations in pixels",
        "After the outlines are removed: how well do the treated mask, the treated pixels and their surroundings tell"
        " the classes apart?",
        "A network may learn where something was removed instead of what was there.",
        "Use `--outlines sham`; print what remains beside every result (reports do).",
        fast=False,
    ),
    Check(
        "A13",
        "image size",
        "shortcuts",
        "How well do width and height alone tell the classes apart?",
        "Classes were acquired or cropped differently; resizing leaves a trace of it.",
        "Compare classes of one source; report within sites and against each negative class.",
    ),
    Check(
        "A14",
        "file size",
        "shortcuts",
        "How well does the number of bytes, in all and by pixel, tell the classes apart beyond recorded age and"
        " density?",
        "Compression, noise or content differ by class as a whole.",
        "As A13; write all images with one program and one quality.",
    ),
    Check(
        "A15",
        "image border",
        "shortcuts",
        "How well does a thin frame along the edges, without the inside of the breast, tell the classes apart?",
        "No lesion lies there: what tells is the scanner, the film edge or a marker.",
        "As A13; `--set data.crop=breast`.",
        fast=False,
    ),
    Check(
        "A16",
        "grey levels",
        "shortcuts",
        "How well do mean, spread and lower quantiles of grey tell the classes apart beyond recorded age and density?",
        "Exposure and processing differ by class; a little is breast density, which the table knows too.",
        "As A13; brightness and contrast jitter in training (on by default).",
        fast=False,
    ),
    Check(
        "A17",
        "noise",
        "shortcuts",
        "How well does the level of noise tell the classes apart beyond recorded age and density?",
        "Scanner or processing differ by class.",
        "As A13.",
        fast=False,
    ),
    Check(
        "A18",
        "site",
        "shortcuts",
        "How well does the site (or the beginning of the file name) alone tell the classes apart?",
        "A model that recognises the site has learnt its share of positives.",
        "Report within sites (the report does), test on held-out sites: `--folds site`.",
    ),
    Check(
        "A19",
        "silhouette",
        "shortcuts",
        "How well does the outline of the breast alone, without any grey, tell the classes apart?",
        "Positioning, size and age differ by class. Some of it is real, none of it is a lesion.",
        "Compare with age and density alone (the logistic baseline).",
        fast=False,
    ),
    Check(
        "A20",
        "image without its centre",
        "shortcuts",
        "How well does the image tell the classes apart when the inside of the breast is taken out?",
        "What a model reaches beyond this is what the tissue adds.",
        "As A13.",
        fast=False,
    ),
    Check(
        "A21",
        "permuted labels",
        "shortcuts",
        "With labels permuted over patients, do nearest neighbours in everything measured come out at 0.5?",
        "It must: anything else says that patients are on two sides or that the evaluation itself leaks.",
        "Look at A25 and A04 first.",
        fast=False,
    ),
    Check(
        "A22",
        "columns that tell too much",
        "clinical columns",
        "Does one clinical column alone tell the classes apart nearly perfectly (AUC 0.97: failed; 0.85: warning)?",
        "It is a result of the diagnosis, not a predictor of it.",
        "Leave it out: `--features` with the others, or `data.feature_kinds` with `skip`.",
    ),
    Check(
        "A23",
        "missing by class",
        "clinical columns",
        "Is a clinical column missing more often in one class?",
        "That a value is missing then tells the class; an imputed value or an indicator hands it on.",
        "Find out why; leave the column out, or do without `data.missing_indicators`.",
    ),
    Check(
        "A24",
        "preprocessing of training rows alone",
        "clinical columns",
        "Are the medians, means and scales in the records those of each cell's training rows, recomputed from the"
        " cohort?",
        "Scalers and imputers fitted on all rows know the test rows.",
        "Train the cells that are named again.",
    ),
    Check(
        "A25",
        "patients on two sides",
        "splits",
        "Is a patient, or a copy of an image of hers, in two parts of one split?",
        "Test images of a woman who was trained on: the most frequent leak in this field.",
        "Split by patient (the default here), with keys that name persons.",
    ),
    Check(
        "A26",
        "balance of the folds",
        "splits",
        "Do prevalence and clinical columns of a test part differ from the rest by more than chance would: standardised"
        " differences beyond ±0.25 and 3 standard errors? A prevalence that `study.cv` refuses fails.",
        "Fold values then differ for reasons that are not the model's.",
        "Choose another `protocol.split_seed` before the first run, or more repeats.",
    ),
    Check(
        "A27",
        "rows tested once",
        "splits",
        "Is every row tested exactly once in each repeat, and every patient in some part of every split?",
        "Rows that are never or twice tested make pooled numbers about another cohort.",
        "Correct the folds file.",
    ),
    Check(
        "A28",
        "selection on test rows",
        "study",
        "Were epochs, thresholds, calibration or hyper-parameters chosen with rows or patients that are then tested?",
        "The best of several looks at the test part is better than the next look will be.",
        "Select on validation parts (the default), search nested (`study.search`).",
    ),
    Check(
        "A29",
        "epochs at the limit",
        "study",
        "Did fits reach their best epoch at the last one allowed?",
        "They were cut off: an arm that learns more slowly looks worse than it is.",
        "Raise `train.max_epochs`.",
    ),
    Check(
        "A30",
        "settings at the edge of the space",
        "study",
        "Do searches choose values at an end of the range that was searched?",
        "Better values may lie beyond; arms are then not compared at their best.",
        "Widen the range in the search space.",
    ),
    Check(
        "A31",
        "folds with too few positives",
        "study",
        "Has every test and validation part enough patients of both classes, and is none empty?",
        "Fold values jump and their intervals lean on approximations.",
        "Correct a file of folds that has empty parts; else use fewer folds or more patients (`study.precision` says"
        " what to expect).",
    ),
    Check(
        "A32",
        "ablation contract",
        "study",
        "Do arms differ in nothing but the keys they declare: same splits, seeds and settings, same search budget?",
        "A difference between arms is then also a difference of something else.",
        "Declare the key in the arm, and give all arms the same folds, seeds and trials.",
    ),
)
BY_CODE = {check.code: check for check in CHECKS}


def known(codes: tuple[str, ...]) -> tuple[str, ...]:
    """Return codes in upper case.

    Raises:
        ConfigError: one that no check has.
    """
    upper = tuple(code.strip().upper() for code in codes)
    for code in upper:
        if code not in BY_CODE:
            raise ConfigError(f"--ignore {code}: there is no such check; {nearest(code, BY_CODE)}")
    return upper
