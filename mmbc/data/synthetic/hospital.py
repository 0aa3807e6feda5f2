"""A synthetic cohort as a hospital might hand it over.

A folder of images and a spreadsheet whose columns have names of their own, with the usual traps: a date, an accession
number, remarks, missing values, and a biopsy result that gives the answer away. The images are those of the phantom.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from mmbc.config import PhantomConfig
from mmbc.data.synthetic import phantom

DENSITY = {1.0: "a", 2.0: "b", 3.0: "c", 4.0: "d"}
HOSPITALS = {"A": "North", "B": "South"}
FAMILY_HISTORY = {True: 0.3, False: 0.15}
"""Share of women with a family history, by cancer."""

REMARKS = ("", "", "", "patient asked for a copy", "skin marker", "repeated after motion", "implant, see letter")


def write(folder: Path, n_patients: int, seed: int) -> pd.DataFrame:
    """Write the images and `synthetic.csv` into a folder and return the table."""
    config = PhantomConfig(n_patients=n_patients, seed=seed, height=128)
    women = phantom.draw_patients(config).assign(number=range(n_patients))
    rng = np.random.default_rng([seed, 1])
    cancer = (women["status"] == "Cancer").to_numpy()
    history = rng.random(n_patients) < np.where(cancer, FAMILY_HISTORY[True], FAMILY_HISTORY[False])
    days = rng.integers(0, 4 * 365, n_patients)
    exams = pd.DataFrame(
        {
            "PatID": [f"{number:03d}" for number in rng.permutation(n_patients) + 1],
            "Outcome": np.where(cancer, "malignant", "benign"),
            "Hospital": women["site"].map(HOSPITALS),
            "ExamDate": (pd.Timestamp("2021-01-04") + pd.to_timedelta(days, unit="D")).strftime("%Y-%m-%d"),
            "Accession": 700_000 + rng.permutation(10 * n_patients)[:n_patients],
            "Age": women["age"].astype("Int64"),
            "FamilyHistory": np.where(rng.random(n_patients) < 0.1, "", np.where(history, "yes", "no")),
            "Density": women["density"].map(DENSITY),
            "Biopsy": np.where(cancer, "B5", np.where(women["status"] == "Benign", "B2", "")),
            "Remarks": rng.choice(REMARKS, n_patients),
        }
    )
    (folder / "images").mkdir(parents=True, exist_ok=True)
    rows = []
    for woman, exam in zip(women.to_dict("index").values(), exams.to_dict("records"), strict=True):
        for index, (breast, view) in enumerate(phantom.VIEWS):
            file = f"images/{exam['PatID']}_{breast}{view}.png"
            phantom.write(folder / file, phantom.render(config, pd.Series(woman), woman["number"], index))
            rows.append({"File": file, **exam, "Side": breast, "Projection": view})
    table = pd.DataFrame(rows)
    table.to_csv(folder / "synthetic.csv", index=False)
    return table
