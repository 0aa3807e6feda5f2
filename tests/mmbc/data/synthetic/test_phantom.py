"""The phantom is the same whenever and however it is made, and holds the planted signals and no others."""

import cv2
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from mmbc.config import DataConfig, PhantomConfig
from mmbc.data.cohort import assemble
from mmbc.data.listing import KEYS
from mmbc.data.synthetic import phantom
from mmbc.data.synthetic.phantom import VIEWS, draw_patients, read, render

TINY = PhantomConfig(n_patients=10, height=48)
MANY = 6000


def table_auc(patients: pd.DataFrame) -> float:
    columns = patients[["true_age", "true_density"]].to_numpy()
    scaled = (columns - columns.mean(axis=0)) / columns.std(axis=0)
    label = patients["status"] == "Cancer"
    return roc_auc_score(label, LogisticRegression().fit(scaled, label).predict_proba(scaled)[:, 1])


def interaction_auc(patients: pd.DataFrame) -> float:
    older = np.where(patients["true_age"] > patients["true_age"].median(), 1, -1)
    return roc_auc_score(patients["status"] == "Cancer", patients["trait"] * older)


def drawn(config: PhantomConfig, number: int) -> list[np.ndarray]:
    patient = draw_patients(config).iloc[number]
    return [render(config, patient, number, view) for view in range(len(VIEWS))]


def test_listing_is_complete_and_a_cohort_can_be_made_of_it(tmp_path):
    listing = read(TINY, tmp_path, render=False)
    assert list(listing.images.columns) == [*KEYS, "age", "density", "path", "annotated"]
    assert listing.notice == "synthetic phantom cohort, not clinical evidence" and listing.name == "phantom"
    assert not list(tmp_path.iterdir())
    cohort = assemble(listing, DataConfig(positive="Cancer"))
    assert len(cohort.images) == 40 and cohort.n_patients == 10
    assert (
        cohort.images.groupby("patient_id")[["breast", "view"]]
        .apply(lambda rows: len(rows.drop_duplicates()))
        .eq(4)
        .all()
    )
    assert set(cohort.images["site"]) == {"A", "B"}


def test_rows_are_the_same_rendered_or_not(tmp_path):
    planned, rendered = read(TINY, tmp_path, render=False).images, read(TINY, tmp_path, render=True).images
    assert planned.equals(rendered)
    assert all(path.is_file() for path in rendered["path"])
    assert rendered["path"].map(lambda path: path.parent.parent).eq(tmp_path).all()


def test_files_hold_what_render_draws_and_nothing_depends_on_order(tmp_path):
    seen = []
    listing = read(TINY, tmp_path, render=True, progress=lambda *done: seen.append(done))
    patients = draw_patients(TINY)
    for row in (39, 2, 17):
        pixels = cv2.imread(str(listing.images["path"][row]), cv2.IMREAD_UNCHANGED)
        assert pixels.shape == (48, 36) and pixels.dtype == np.uint8
        assert np.array_equal(pixels, render(TINY, patients.iloc[row // 4], row // 4, row % 4))
    assert seen[-1] == ("rendering phantom patients", 10, 10)


def test_images_are_used_again_and_completed_when_some_are_gone(tmp_path):
    paths = read(TINY, tmp_path, render=True).images["path"]
    before = {path: path.read_bytes() for path in paths}
    stamp = paths[0].stat().st_mtime_ns
    read(TINY, tmp_path, render=True)
    assert paths[0].stat().st_mtime_ns == stamp
    paths[5].unlink()
    read(TINY, tmp_path, render=True)
    assert {path: path.read_bytes() for path in paths} == before
    assert len(list(tmp_path.iterdir())) == 1


def test_other_settings_make_another_folder_and_another_seed_another_cohort(tmp_path):
    one, other = read(TINY, tmp_path, render=False), read(TINY.model_copy(update={"seed": 8}), tmp_path, render=False)
    assert one.images["path"][0].parent != other.images["path"][0].parent
    assert not one.images["age"].equals(other.images["age"])


def test_an_interrupted_rendering_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(phantom, "render", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        read(TINY, tmp_path, render=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("n", "prevalence"), [(120, 0.4), (4, 0.01), (4, 0.99), (301, 0.1)])
def test_number_of_cancers_is_exact(n, prevalence):
    patients = draw_patients(
        PhantomConfig(n_patients=n, prevalence=prevalence, table_strength=3, interaction_strength=3)
    )
    assert (patients["status"] == "Cancer").sum() == min(max(round(prevalence * n), 1), n - 1)


def test_planted_signals_are_in_the_table():
    patients = draw_patients(PhantomConfig(n_patients=MANY))
    assert 0.65 < table_auc(patients) < 0.72
    assert interaction_auc(patients) > 0.65
    cancer = patients["status"] == "Cancer"
    assert abs(roc_auc_score(cancer, patients["trait"]) - 0.5) < 0.03
    assert abs(roc_auc_score(cancer, patients["site"] == "A") - 0.5) < 0.03
    assert patients[["age", "density"]].isna().mean().between(0.02, 0.04).all()


def test_strength_zero_removes_each_signal_alone():
    no_table = draw_patients(PhantomConfig(n_patients=MANY, table_strength=0))
    no_interaction = draw_patients(PhantomConfig(n_patients=MANY, interaction_strength=0))
    assert abs(table_auc(no_table) - 0.5) < 0.03 < interaction_auc(no_table) - 0.6
    assert abs(interaction_auc(no_interaction) - 0.5) < 0.03 < table_auc(no_interaction) - 0.6


def test_lesions_are_drawn_in_one_breast_of_cancers_only_and_scale_with_strength():
    none = PhantomConfig(n_patients=12, height=96, image_strength=0)
    status = draw_patients(none)["status"]
    for number in range(12):
        plain, weak, strong = (drawn(none.model_copy(update={"image_strength": s}), number) for s in (0.0, 1.0, 2.0))
        change = [float(np.abs(a.astype(int) - b).sum()) for a, b in zip(plain, weak, strict=True)]
        more = [float(np.abs(a.astype(int) - b).sum()) for a, b in zip(plain, strong, strict=True)]
        touched = [value > 0 for value in change]
        expected = (
            [[True, True, False, False], [False, False, True, True]] if status[number] == "Cancer" else [[False] * 4]
        )
        assert touched in expected
        assert all(m > c for m, c in zip(more, change, strict=True) if c)


def test_breasts_are_mirrored_and_density_brightens():
    config = PhantomConfig(n_patients=4, height=96, image_strength=0)
    patient = draw_patients(config).iloc[0]
    left, right = render(config, patient, 0, 0), render(config, patient, 0, 2)
    assert left[:, :36].mean() > 2 * left[:, 36:].mean() and right[:, 36:].mean() > 2 * right[:, :36].mean()
    means = []
    for density in (1.0, 2.0, 3.0, 4.0):
        changed = patient.copy()
        changed["true_density"] = density
        means.append(render(config, changed, 0, 0).mean())
    assert means == sorted(means) and means[3] > 1.1 * means[0]


def test_the_trait_is_visible_in_every_image():
    config = PhantomConfig(n_patients=40, height=96)
    patients = draw_patients(config)
    for view in range(len(VIEWS)):
        direction = []
        for number in range(40):
            smooth = cv2.GaussianBlur(render(config, patients.iloc[number], number, view).astype(np.float32), (0, 0), 1)
            inside = smooth > 60
            across, down = (cv2.Sobel(smooth, cv2.CV_32F, dx, 1 - dx)[inside] for dx in (1, 0))
            direction.append(np.log((across**2).mean() / (down**2).mean()))
        assert np.corrcoef(direction, patients["trait"])[0, 1] > 0.8
