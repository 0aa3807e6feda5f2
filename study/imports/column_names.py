"""What the columns of tables of predictions are usually called, in lower case with `_` between words."""

from collections.abc import Mapping


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "patient_id": _names(
        "patient patientid pat_id patid pid patient_number patient_no patient_nr subject subject_id subjectid"
        " participant participant_id"
    ),
    "label": _names("y_true y_test y target truth ground_truth gt true_label true_class labels outcome actual"),
    "prob": _names(
        "y_prob y_proba y_score probability proba probabilities score p pred_prob prob_positive"
        " predicted_probability predict_proba"
    ),
    "fold": _names(
        "cv_fold cv fold_id foldid fold_no fold_nr fold_number fold_index fold_idx kfold k_fold outer_fold test_fold"
    ),
    "arm": _names("model model_name method classifier algorithm network architecture"),
}
"""Role -> other names of its column."""
LOGITS = _names("logit logits")
LESSER = {"prob": (*_names("pred preds prediction predictions predicted y_pred y_hat"), *LOGITS)}
"""Names that are taken where none of `SYNONYMS` is there."""
EXTRA = {
    *SYNONYMS["prob"],
    *LESSER["prob"],
    *_names("predicted_label pred_label predicted_class loss log_loss bce correct residual threshold index level_0"),
    "decision_function",
}
"""Columns that tables of predictions have beside the score; they are no clinical ones."""
PERSONS = _names("case case_id caseid case_no identifier id name group groups mrn accession study_id")
"""Names of a column that may say who the patient is, or something else; asked about."""
PARTS = _names("split subset partition phase set dataset")
"""Names of a column that may say which part a row is of."""
IMAGES = _names("image images image_name img img_id file filename file_name image_path path")
"""Names of a column that may tell a patient's images apart."""
