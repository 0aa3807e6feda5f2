"""Manifests, well and badly made: each is read right, or refused in words that name the row and the column."""

import io

import numpy as np
import openpyxl
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmbc.config import DataConfig
from mmbc.data.cohort import assemble
from mmbc.data.readers import Source, find_source, manifest
from mmbc.errors import CohortError, MmbcError

PATIENTS = 24


def table(n_patients=PATIENTS, **columns):
    rng = np.random.default_rng(3)
    patients = pd.DataFrame(
        {
            "patient_id": [f"{number:03d}" for number in range(n_patients)],
            "label": np.arange(n_patients) % 2,
            "age": rng.integers(30, 90, n_patients).astype(str),
            "family_history": rng.choice(["yes", "no", ""], n_patients),
        }
    )
    views = pd.DataFrame({"breast": ["L", "L", "R", "R"], "view": ["CC", "MLO", "CC", "MLO"]})
    frame = patients.merge(views, how="cross")
    frame.insert(0, "image", "img/" + frame["patient_id"] + frame["breast"] + frame["view"] + ".png")
    for name, values in columns.items():
        frame[name] = values(frame) if callable(values) else values
    return frame


def write(folder, frame, name="made.csv", **options):
    path = folder / name
    if path.suffix == ".xlsx":
        frame.to_excel(path, index=False, **options)
    elif path.suffix == ".parquet":
        frame.to_parquet(path, index=False)
    else:
        frame.to_csv(path, index=False, **({"sep": "\t"} if path.suffix == ".tsv" else {}) | options)
    return path


def read(path, aside=(), **data):
    return manifest.read(path, DataConfig(**data), aside)


def kinds(listing):
    return {feature.name: feature.kind for feature in listing.features}


@pytest.mark.parametrize("name", ["made.csv", "made.tsv", "made.xlsx", "made.parquet", "made.txt"])
def test_every_format_gives_the_same_cohort(tmp_path, name):
    expected = read(write(tmp_path, table()))
    found = read(write(tmp_path, table(), name))
    compared = expected.images.drop(columns=["row"])
    pd.testing.assert_frame_equal(found.images.drop(columns=["row"]), compared)
    assert kinds(found) == {"age": "numeric", "family_history": "categorical"}
    assert found.images["patient_id"].iloc[4] == "001", "a name of digits stays a name"
    assert found.images["family_history"].isna().any()
    cohort = assemble(found, DataConfig())
    assert cohort.n_patients == PATIENTS and cohort.positive == ("1",)
    assert set(cohort.images["status"]) == {"label 0", "label 1"}


def test_no_family_history_is_invented(tmp_path):
    listing = read(write(tmp_path, table().drop(columns="family_history")))
    assert kinds(listing) == {"age": "numeric"}


def test_columns_by_name_in_any_spelling_and_by_mapping(tmp_path):
    frame = table().rename(columns={"patient_id": "Patient ID", "image": "IMAGE", "label": "Outcome", "breast": "Side"})
    path = write(tmp_path, frame, sep=";")
    with pytest.raises(CohortError, match=r"no column 'label'.*--columns label=NAME.*columns found: IMAGE, Patient ID"):
        read(path)
    listing = read(path, columns={"label": "Outcome", "breast": "Side"})
    assert set(listing.images["breast"]) == {"L", "R"}
    with pytest.raises(CohortError, match=r"--columns label=Outcom: made.csv has no column.*did you mean 'Outcome'"):
        read(path, columns={"label": "Outcom"})
    with pytest.raises(CohortError, match=r"there is no role 'lable'; did you mean 'label'"):
        read(path, columns={"lable": "Outcome"})


def test_two_columns_that_could_be_one_role(tmp_path):
    frame = table().assign(**{"Patient-ID": "x"})
    with pytest.raises(CohortError, match=r"several columns could be 'patient_id': .*--columns patient_id=NAME"):
        read(write(tmp_path, frame))


def test_features_as_chosen_and_as_overridden(tmp_path):
    path = write(tmp_path, table(density=lambda f: f["patient_id"].str[-1].astype(int) % 4 + 1))
    assert kinds(read(path)) == {"age": "numeric", "family_history": "categorical", "density": "ordinal"}
    assert kinds(read(path, features=("age",))) == {"age": "numeric"}
    assert kinds(read(path, feature_kinds={"density": "categorical", "age": "skip"})) == {
        "family_history": "categorical",
        "density": "categorical",
    }
    with pytest.raises(CohortError, match=r"no clinical column 'agee'.*did you mean 'age'"):
        read(path, features=("agee",))


def test_words_in_an_order(tmp_path):
    path = write(tmp_path, table(density=lambda f: f["patient_id"].str[-1].map(lambda d: "abcd"[int(d) % 4])))
    listing = read(path, feature_kinds={"density": ("a", "b", "c", "d")})
    assert listing.features[-1].order == ("a", "b", "c", "d")
    with pytest.raises(CohortError, match=r"'density': values outside the order \['a', 'b', 'c'\]: row 14: 'd'"):
        read(path, feature_kinds={"density": ("a", "b", "c")})


def test_dates_texts_and_identifiers_are_not_taken_unseen(tmp_path):
    frame = table(
        exam=lambda f: "2020-01-" + (f["patient_id"].astype(int) % 27 + 1).astype(str).str.zfill(2),
        accession=lambda f: 5000 + f["patient_id"].astype(int),
        remarks=lambda f: "seen in room " + f["patient_id"],
    )
    listing = read(write(tmp_path, frame))
    assert [name for name, _ in listing.left_out] == ["exam", "accession", "remarks"]
    with pytest.raises(CohortError, match=r"'exam' was asked for, but it is a date"):
        read(write(tmp_path, frame), features=("age", "exam"))
    taken = read(write(tmp_path, frame), feature_kinds={"accession": "numeric"})
    assert kinds(taken)["accession"] == "numeric"


def test_columns_of_splits_and_rows_are_features_only_if_asked_for(tmp_path):
    frame = table(
        split=lambda f: f["patient_id"].astype(int).mod(3).map({0: "train", 1: "test", 2: "val"}),
        fold=lambda f: f["patient_id"].astype(int) % 5,
        part=lambda f: f["patient_id"].astype(int) % 2,
    )
    frame.insert(0, "Unnamed: 0", range(len(frame)))
    path = write(tmp_path, frame)
    listing = read(path)
    assert kinds(listing) == {"age": "numeric", "family_history": "categorical"}
    assert [name for name, _ in listing.left_out] == ["Unnamed: 0", "split", "fold", "part"]
    assert kinds(read(path, features=("age", "fold"))) == {"age": "numeric", "fold": "ordinal"}
    assert kinds(read(path, feature_kinds={"split": "categorical"}))["split"] == "categorical"
    unnamed = tmp_path / "unnamed.csv"
    frame.drop(columns="Unnamed: 0").to_csv(unnamed)
    assert kinds(read(unnamed)) == kinds(listing), "the index that pandas writes"
    assert "fold" in read(path, aside=("fold",)).images


def test_columns_that_tell_images_apart_are_no_clinical_columns(tmp_path):
    frame = table(side=lambda f: f["breast"], exposure=lambda f: [0.5 + n % 4 for n in range(len(f))])
    listing = read(write(tmp_path, frame.drop(columns="breast")))
    assert kinds(listing) == {"age": "numeric", "family_history": "categorical"}
    assert {name: reason[:30] for name, reason in listing.left_out} == dict.fromkeys(
        ["side", "exposure"], "differs between images of a pa"
    )
    assert "exposure" in kinds(read(write(tmp_path, frame), features=("exposure",)))


def test_labels_of_breasts_that_never_differ_are_doubted(tmp_path):
    data = DataConfig(label_level="breast")
    alike = assemble(read(write(tmp_path, table())), data)
    assert any("do the labels really belong to breasts" in note for note in alike.notes)
    differing = assemble(read(write(tmp_path, table(label=lambda f: f["label"] * (f["breast"] == "L")))), data)
    assert not any("really belong" in note for note in differing.notes)


def test_columns_for_splits_are_kept_but_no_features(tmp_path):
    listing = read(
        write(tmp_path, table(year=lambda f: 2015 + f["patient_id"].astype(int) % 3)), aside=("year", "site")
    )
    assert listing.aside == ("year", "site") and "year" not in kinds(listing)
    cohort = assemble(listing, DataConfig())
    assert cohort.images["year"].dtype == "float64"


def test_values_that_mean_not_known(tmp_path):
    path = write(tmp_path, table(age=lambda f: f["age"].where(f["patient_id"] > "003", "999")))
    assert read(path).images["age"].max() == 999
    assert read(path, missing_values=("999",)).images["age"].isna().sum() == 16


def test_labels_in_words_need_the_positive_one(tmp_path):
    path = write(tmp_path, table(label=lambda f: f["label"].map({0: "benign", 1: "malignant"})))
    with pytest.raises(CohortError, match=r"--positive NAME; found: 'benign' .48 rows., 'malignant'"):
        assemble(read(path), DataConfig())
    cohort = assemble(read(path), DataConfig(positive=("malignant",)))
    assert set(cohort.images.loc[cohort.images["label"] == 1, "status"]) == {"malignant"}


def test_three_labels_need_the_positive_one_too(tmp_path):
    path = write(tmp_path, table(label=lambda f: f["patient_id"].astype(int) % 3))
    with pytest.raises(CohortError, match="which labels are positive"):
        assemble(read(path), DataConfig())
    cohort = assemble(read(path), DataConfig(positive=("2",), negative=("0",)))
    assert cohort.flow.query("step == 'other class'")["n_images"].sum() == 32
    assert set(cohort.images["status"]) == {"label 0", "label 2"}


def test_truth_in_words_needs_nothing(tmp_path):
    frame = table(label=lambda f: f["label"] == 1)
    for name in ("made.csv", "made.parquet", "made.xlsx"):
        assert assemble(read(write(tmp_path, frame, name)), DataConfig()).positive == ("True",)


def test_a_label_for_each_breast(tmp_path):
    frame = table(label=lambda f: f["label"] * (f["breast"] == "L"))
    path = write(tmp_path, frame)
    with pytest.raises(CohortError, match=r"example 001: row 6 .*positive.*agree: --label-level breast"):
        assemble(read(path), DataConfig())
    cohort = assemble(read(path), DataConfig(label_level="breast"))
    positive = cohort.images[cohort.images["label"] == 1]
    assert set(positive["breast"]) == {"L"} and positive["patient_id"].nunique() == PATIENTS // 2


def test_a_column_that_gives_the_label_away_stops_the_run(tmp_path):
    listing = read(write(tmp_path, table(biopsy=lambda f: f["label"].map({0: "B2", 1: "B5"}))))
    with pytest.raises(CohortError, match=r"'biopsy' .AUC 1.00 alone.*--allow-leaky-column biopsy"):
        assemble(listing, DataConfig())
    assert any(
        "biopsy nearly determines" in note for note in assemble(listing, DataConfig(), allow_leaky=["biopsy"]).notes
    )


def test_paths_of_every_kind(tmp_path):
    relative = read(write(tmp_path, table()))
    assert relative.images["path"].iloc[0] == tmp_path / "img" / "000LCC.png"
    assert relative.images["image_id"].iloc[0] == "img/000LCC.png"
    windows = read(write(tmp_path, table(image=lambda f: f["image"].str.replace("/", "\\"))))
    assert windows.images["path"].equals(relative.images["path"])
    absolute = read(write(tmp_path, table(image=lambda f: "/far/away/" + f["image"])))
    assert absolute.images["image_id"].iloc[0] == "000LCC.png", "no machine's path becomes a name"
    rooted = read(write(tmp_path, table()), image_root="/far/away")
    assert rooted.images["path"].equals(absolute.images["path"])
    accents = read(write(tmp_path, table(image=lambda f: "Bilder/Müller é 乳 " + f["image"])))
    assert accents.images["image_id"].iloc[0] == "Bilder/Müller é 乳 img/000LCC.png"


def test_where_a_manifest_is_found(tmp_path):
    path = write(tmp_path, table(), "manifest.csv")
    assert find_source(str(tmp_path)) == Source("manifest", tmp_path)
    assert find_source(str(path)) == find_source(f"manifest:{path}") == Source("manifest", path)
    assert read(tmp_path).name == read(path).name == tmp_path.name.replace("[", "-").replace("]", "-")
    (tmp_path / "manifest.tsv").write_text("x")
    with pytest.raises(CohortError, match="no known layout"):
        find_source(str(tmp_path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("image,patient_id,label\n", "no rows"),
        ("image,patient_id,label\na.png,1,0\nb.png,1,0,9\n", "line 3"),
        ("image,patient_id,label,label\na.png,1,0,0\n", "names a column twice: label"),
        ("image,patient_id,label,\na.png,1,0,5\n", "column 4 has values but no name"),
        (
            "image,patient_id,label\na.png,,0\nb.png,2,\n",
            r"'patient_id' .patient_id. is empty in rows 2; column 'label'",
        ),
        ("image,patient_id,label,breast\na.png,1,0,L\nb.png,1,0,X\n", r"must be L, R, left or right: row 3: 'X'"),
        ('image,patient_id,label\n"a.png,1,0\n', "line 2 opens a quote"),
    ],
)
def test_tables_that_cannot_be_read(tmp_path, text, message):
    path = tmp_path / "made.csv"
    path.write_text(text)
    with pytest.raises(CohortError, match=message):
        read(path)


def test_files_that_are_no_tables(tmp_path):
    for name in ("made.csv", "made.xlsx", "made.parquet"):
        path = tmp_path / name
        path.write_bytes(b"\x89PNG\xff\xfe\x00 not a table")
        with pytest.raises(CohortError, match=name):
            read(path)
    (tmp_path / "latin.csv").write_bytes("image,patient_id,label\nMüller.png,1,0\n".encode("latin-1"))
    with pytest.raises(CohortError, match="not UTF-8.*CSV UTF-8"):
        read(tmp_path / "latin.csv")
    with pytest.raises(CohortError, match="a table is one of"):
        read(tmp_path / "made.ods")


def test_an_excel_file_with_numbers_dates_and_sheets(tmp_path):
    frame = table(patient_id=lambda f: f["patient_id"].astype(int), exam=pd.Timestamp("2020-05-04"))
    frame.loc[::2, "exam"] = pd.Timestamp("2021-01-01 10:30")
    path = tmp_path / "made.xlsx"
    with pd.ExcelWriter(path) as book:
        pd.DataFrame({"about": ["nothing"]}).to_excel(book, sheet_name="Info", index=False)
        frame.to_excel(book, sheet_name="Images", index=False)
    listing = read(path, sheet="Images")
    assert listing.images["patient_id"].iloc[4] == "1" and listing.left_out[0][0] == "exam"
    with pytest.raises(CohortError, match="'Nope'"):
        read(path, sheet="Nope")


def test_a_workbook_as_a_hospital_exports_it(tmp_path):
    """A title above the header, cells merged over a patient's rows, numbers beside texts with decimal commas."""
    frame = table(n_patients=4, befund=lambda f: f["label"].map({0: "benigne", 1: "maligne"})).drop(columns="age")
    frame["bmi"] = [22.25, "24,9", 31.0, "27,75"] * 4
    book = openpyxl.Workbook()
    sheet = book.active
    for row in (["Radiologie, Export vom 3.2.2023"], [], list(frame), *frame.to_numpy().tolist()):
        sheet.append(row)
    sheet.merge_cells("A1:F1")
    column = list(frame).index("befund") + 1
    for first in range(4, 20, 4):
        sheet.merge_cells(start_row=first, end_row=first + 3, start_column=column, end_column=column)
    assert sheet.cell(5, column).value is None
    book.save(tmp_path / "made.xlsx")
    listing = read(tmp_path / "made.xlsx", columns={"label": "befund"}, features=["bmi"])
    assert listing.images["outcome"].tolist() == frame["befund"].tolist()
    assert listing.images["row"].tolist() == list(range(4, 20))
    assert listing.images["bmi"].tolist() == [22.25, 24.9, 31.0, 27.75] * 4
    assert "title above its header was left out: 'Radiologie, Export vom 3.2.2023'" in listing.extent


def test_masks_beside_their_images_are_refused(tmp_path):
    frame = table(n_patients=4)
    assert len(read(write(tmp_path, frame.assign(image=frame["image"].str.replace("CC", "CC_mask")))).images) == 16
    masks = frame.assign(image=frame["image"].str.replace(".png", "_mask.png"))
    with pytest.raises(CohortError, match=r"16 rows list masks .*: row 18 \(000LCC_mask.png\).*leave these rows out"):
        read(write(tmp_path, pd.concat([frame, masks, frame.iloc[:0]])))


def test_sides_in_other_languages(tmp_path):
    german = table(seite=lambda f: f["breast"].map({"L": "links", "R": "Rechts"})).drop(columns="breast")
    listing = read(write(tmp_path, german), columns={"breast": "seite"})
    assert listing.images["breast"].tolist() == table()["breast"].tolist()


def test_a_value_that_stands_in_some_rows_alone_is_not_everywhere(tmp_path):
    listing = read(write(tmp_path, table(finding=lambda f: f["label"].map({0: "", 1: "Mass"}))))
    assert ("finding", "the same value in 48 of 96 rows, else blank: 'Mass'") in listing.left_out


# ------------------------------------------------------------------------------------------- anything a user may bring

CELL = st.one_of(
    st.sampled_from(
        ["0", "1", "2", "1.0", "yes", " yes ", "no", "", "-", "NA", "nan", "NaN ", "3,5", "1e400", "inf", "é乳"]
    ),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters='\0\r\n"'), max_size=6),
    st.integers(-5, 5).map(str),
)
ROW = st.fixed_dictionaries(
    {
        "image": st.one_of(st.sampled_from(["a.png", "b/ä.png", "b\\c.png", "/abs/d.png", " e.png "]), CELL),
        "patient_id": st.one_of(st.sampled_from(["P1", "P2", "007"]), CELL),
        "label": st.one_of(st.sampled_from(["0", "1"]), CELL),
        "breast": st.one_of(st.sampled_from(["L", "R", "left", ""]), CELL),
        "site": CELL,
        "x": CELL,
        "y": CELL,
    }
)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(ROW, min_size=1, max_size=12),
    dropped=st.sets(st.sampled_from(["image", "label", "breast", "site", "x"]), max_size=2),
    level=st.sampled_from(["case", "breast"]),
)
def test_any_table_is_a_cohort_or_a_clear_error(tmp_path, rows, dropped, level):
    judge(tmp_path, pd.DataFrame(rows).drop(columns=sorted(dropped)), level)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(st.tuples(st.integers(0, 95), st.integers(0, 6), CELL), max_size=4),
    level=st.sampled_from(["case", "breast"]),
)
def test_a_good_table_with_bad_cells_is_a_cohort_or_a_clear_error(tmp_path, changes, level):
    frame = table().astype(str)
    for row, column, value in changes:
        frame.iloc[row, column] = value
    judge(tmp_path, frame, level)


def judge(tmp_path, frame, level):
    """Check that a table is read right, or refused in words."""
    path = tmp_path / "any.csv"
    frame.to_csv(path, index=False)
    data = DataConfig(label_level=level)
    try:
        cohort = assemble(manifest.read(path, data), data)
    except MmbcError as error:
        text = str(error)
        assert "any" in text, "the file or the cohort is named"
        about = ("row ", "rows ", "line ", "column", "label", "patient_id", "classes", "no rows", "AUC")
        assert any(word in text for word in about), text
        return
    images = cohort.images
    assert len(images) + len(cohort.excluded) == cohort.flow.query("step == 'listed'")["n_images"].sum()
    assert set(images["label"]) == {0, 1}
    assert images["image_id"].is_unique and images["patient_id"].notna().all()
    labels = images.groupby(["case_id", "breast"] if level == "breast" else "case_id")["label"].nunique()
    assert (labels == 1).all()
    stripped = frame.apply(lambda column: column.str.strip())
    assert set(images["patient_id"]) <= set(stripped["patient_id"]), "every patient is one of the table's"
    for feature in cohort.features:
        if feature.kind != "categorical":
            assert images[feature.name].dtype == "float64" and np.isfinite(images[feature.name].dropna()).all()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(spaces=st.lists(st.sampled_from(["", " ", "  ", "\t", "\u00a0"]), min_size=96, max_size=96))
def test_spaces_at_the_ends_of_cells_change_nothing(tmp_path, spaces):
    frame = table()
    padded = frame.astype(str).apply(lambda column: [s + v + s for s, v in zip(spaces, column, strict=True)])
    expected, found = (read(write(tmp_path, content)) for content in (frame, padded))
    pd.testing.assert_frame_equal(found.images, expected.images)


def test_one_patient_or_one_class_is_refused(tmp_path):
    with pytest.raises(CohortError, match="two classes are needed"):
        assemble(read(write(tmp_path, table(label=1))), DataConfig())
    with pytest.raises(CohortError, match="have images of both labels"):
        assemble(read(write(tmp_path, table(patient_id="P"))), DataConfig())


def test_an_image_listed_twice_is_named_by_row(tmp_path):
    frame = table()
    frame.loc[7, "image"] = frame.loc[2, "image"]
    with pytest.raises(CohortError, match=r"listed more than once: row 4 \(img/000RCC.png\), row 9 \(img/000RCC.png\)"):
        assemble(read(write(tmp_path, frame)), DataConfig())


@pytest.mark.exhaustive
def test_a_hundred_thousand_rows(tmp_path):
    """A step that is quadratic in the rows would run into the time limit here."""
    frame = table(25_000)
    buffer = io.StringIO()
    frame.to_csv(buffer, index=False)
    path = tmp_path / "large.csv"
    path.write_text(buffer.getvalue())
    cohort = assemble(read(path), DataConfig())
    assert len(cohort.images) == 100_000 and cohort.n_patients == 25_000
