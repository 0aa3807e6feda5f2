"""The fold certificate: the answer to "confirm that no individual is in two partitions", for a paper's supplement.

One JSON and one Markdown file: a digest of every image, who is in which part, the overlap of every pair of parts,
copies and how they were merged, the balance of the folds, seeds and versions. Patients are named by digests; images by
their names, in which some cohorts have the patient's key.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import mmbc
from mmbc.config import digest
from mmbc.data.tables import identifiers
from mmbc.files import write_atomically, write_json
from study.checks.markdown import table
from study.checks.splits import LARGE, balance_table, in_no_part, not_in_cohort, overlap_matrix
from study.checks.subject import Subject, given
from study.design.folds import Folds
from study.records.finding import plain
from study.text.format import count

UNLIKE_SHOWN = 12
PACKAGES = ("numpy", "pandas", "scikit-learn", "ImageHash", "opencv-python-headless")
"""Programs whose versions decide what is found."""


def certificate(
    name: str, subject: Subject, *, read: Mapping[str, str], near: Sequence[Mapping[str, Any]] | None = None
) -> dict[str, Any]:
    """Return the certificate of the splits of a subject that has some.

    Args:
        name: of the cohort or study.
        subject: the cohort and its folds.
        read: what the cohort is and how it was read, by name.
        near: clusters of near-duplicates; None where they were not looked for.
    """
    images, listed, folds, protocol = subject.images, _listed(subject), given(subject.folds), subject.protocol
    clusters = [{**one, "on_two_sides": _on_two_sides(one, images, folds)} for one in near or ()]
    overlap = overlap_matrix(folds)
    spelled = identifiers.spellings(images, "patient_id") if subject.data.spellings != "distinct" else []
    worst = int(overlap.drop(columns=["repeat", "fold"]).to_numpy().max())
    balance = balance_table(folds, images, subject.features)
    content = {
        "name": name,
        "statement": " ".join(_statement(folds, images, spelled, worst, None if near is None else clusters)),
        "read": dict(read),
        "patients": int(images["patient_id"].nunique()),
        "images": len(images),
        "overlap": overlap.to_dict("records"),
        "parts": folds.table(images).to_dict("records"),
        "copies": copies(listed, images),
        "near_duplicates": None if near is None else clusters,
        "balance": balance.to_dict("records"),
        "seeds": {
            "split seed": protocol.split_seed,
            "repeats": protocol.repeats,
            "training seeds (0, 1, ...)": protocol.seeds,
        },
        "versions": {"mmbc": mmbc.__version__, **{package: metadata.version(package) for package in PACKAGES}},
        "membership": membership(images, listed, folds),
    }
    content = plain(content)
    return {**content, "digest": digest(content)}


def _listed(subject: Subject) -> pd.DataFrame:
    """Return all listed images with their patients and, where files were opened, digests; of a study alone its rows."""
    if subject.listing is None or subject.account is None:
        return subject.images[["image_id"]].assign(listed_patient=subject.images["patient_id"])
    rows = subject.account.rows[["image_id"]].assign(listed_patient=subject.listing.images["patient_id"])
    return rows if subject.facts is None else rows.join(subject.facts[["content_digest", "pixel_digest"]])


def _statement(
    folds: Folds, images: pd.DataFrame, spelled: Sequence[str], worst: int, near: Sequence[Mapping[str, Any]] | None
) -> Iterator[str]:
    """Yield what is confirmed, and what could not be."""
    n = len(folds.splits)
    n_patients = images["patient_id"].nunique()
    strangers, nowhere = not_in_cohort(folds, images), in_no_part(folds, images)
    if spelled:
        yield (
            f"NOT confirmed: {count(len(spelled), 'key')} of the cohort {'occurs' if len(spelled) == 1 else 'occur'} in"
            " several spellings, which may be one patient each."
        )
    if worst:
        yield f"NOT confirmed: up to {worst} of {n_patients} patients are in two parts of one of {n} splits."
    if strangers:
        yield (
            f"NOT confirmed: {count(len(strangers), 'patient')} of the splits {'is' if len(strangers) == 1 else 'are'}"
            " not in the cohort, which may be others under another spelling."
        )
    if nowhere:
        yield f"NOT confirmed: {count(len(nowhere), 'patient')} of the cohort in no part of a split."
    if spelled or worst or strangers or nowhere:
        return
    yield (
        f"Confirmed: in none of {n} splits is one of {n_patients} patients in two parts (training, validation, test)."
        " Patients are the keys of the cohort after patients who share an identical image were merged."
        if "pixel_digest" in images
        else (
            f"Confirmed: in none of {n} splits is one of {n_patients} patient keys in two parts (training, validation,"
            " test)."
        )
    )
    apart = sum(one["on_two_sides"] for one in near or ())
    if near is None:
        yield "Near-duplicates were not looked for."
    elif apart:
        yield (
            f"BUT {count(apart, 'cluster')} of images that look like one exposure, under several patient keys,"
            f" {'lies' if apart == 1 else 'lie'} on two sides of a split: if these keys are one person,"
            " that person is in two parts."
        )


def _on_two_sides(cluster: Mapping[str, Any], images: pd.DataFrame, folds: Folds) -> bool:
    """Whether the patients of a cluster of near-duplicates are in two parts of a split."""
    patients = set(images.loc[images["image_id"].isin(cluster["images"]), "patient_id"])
    every = folds.splits.values()
    return any(sum(bool(patients & set(ids)) for ids in split.parts().values()) > 1 for split in every)


def pseudonym(patient: str) -> str:
    """Return 12 hex digits that stand for a patient key."""
    return hashlib.sha256(f"patient|{patient}".encode()).hexdigest()[:12]


def membership(images: pd.DataFrame, listed: pd.DataFrame, folds: Folds) -> list[dict[str, Any]]:
    """Return one entry per used image: digests, a pseudonym of its patient, and the fold that tests it, by repeat."""
    tested: dict[str, dict[str, int]] = {}
    for (repeat, fold), split in folds.splits.items():
        for patient in split.test:
            tested.setdefault(patient, {})[str(repeat)] = fold
    bytes_of: dict[str, str] = {}
    if "content_digest" in listed:
        bytes_of = dict(zip(listed["image_id"], listed["content_digest"], strict=True))
    pixels = images["pixel_digest"] if "pixel_digest" in images else [None] * len(images)
    return [
        {
            "image": image,
            "patient": pseudonym(patient),
            "sha256": bytes_of.get(image),
            "pixels": pixel,
            "tested_in": tested.get(patient, {}),
        }
        for image, patient, pixel in zip(images["image_id"], images["patient_id"], pixels, strict=True)
    ]


def copies(listed: pd.DataFrame, images: pd.DataFrame) -> list[dict[str, Any]] | None:
    """Return the groups of pixel-identical images: which one is used, and how many patient keys became one.

    None where the pixels of what is listed are not known.
    """
    if "pixel_digest" not in listed:
        return None
    known = listed[listed["pixel_digest"].fillna("") != ""]
    used = set(images["image_id"])
    return [
        {
            "pixels": pixels,
            "images": list(rows["image_id"]),
            "used": [i for i in rows["image_id"] if i in used],
            "patient_keys": int(rows["listed_patient"].nunique()),
        }
        for pixels, rows in known[known.duplicated("pixel_digest", keep=False)].groupby("pixel_digest", sort=False)
    ]


def to_markdown(content: Mapping[str, Any], notice: str = "") -> str:
    """Return a certificate as a page for a supplement; the digests of the images are in the JSON file alone."""
    balance = pd.DataFrame(content["balance"])
    parts = [f"# Fold certificate: {content['name']}"]
    parts += [f"> **{notice[0].upper()}{notice[1:]}.**"] if notice else []
    parts += [
        f"**{content['statement']}**",
        (
            f"{content['images']} images of {content['patients']} patients. Digest of this certificate:"
            f" `{content['digest']}`. {_in_json(content)}"
        ),
        "\n".join(f"- {name}: {text}" for name, text in content["read"].items() if text),
        "## Patients in two parts",
        table(pd.DataFrame(content["overlap"])),
        "## Patients and images by part",
        table(_parts(pd.DataFrame(content["parts"]))),
        "## Copies",
        _copies_text(content),
        "## Balance of the test parts",
        (
            "Standardised differences between a test part and the other patients: difference of means over the root of"
            f" the mean variance (Austin 2009); beyond ±{LARGE:g} groups are called unlike. Chance alone gives about"
            f" its standard error. The {min(UNLIKE_SHOWN, len(balance))} largest of {len(balance)}:"
        ),
        table(_largest(balance)),
        "## Seeds and versions",
        table(pd.DataFrame([*content["seeds"].items(), *content["versions"].items()], columns=["what", "value"])),
    ]
    return "\n\n".join(parts) + "\n"


def _in_json(content: Mapping[str, Any]) -> str:
    """Say what the JSON file has beside."""
    members = content["membership"]
    bytes_, pixels = (any(one[name] for one in members) for name in ("sha256", "pixels"))
    digests = " and ".join(["SHA-256 of every file"] * bytes_ + ["a digest of the pixels of every image"] * pixels)
    return (
        f"`certificate.json` has {digests + ', ' if digests else ''}digests in place of patient keys, and the fold that"
        " tests each image."
    )


def _parts(counts: pd.DataFrame) -> pd.DataFrame:
    if counts.empty:
        return counts
    return counts.assign(prevalence=counts["prevalence"].map("{:.3f}".format)).drop(
        columns=[] if counts["name"].astype(bool).any() else ["name"]
    )


def _largest(balance: pd.DataFrame) -> pd.DataFrame:
    if balance.empty:
        return balance
    order = np.argsort(-balance["difference"].abs().to_numpy(), kind="stable")[:UNLIKE_SHOWN]
    shown = balance.iloc[order]
    return shown.assign(
        test=shown["test"].map("{:.3g}".format),
        rest=shown["rest"].map("{:.3g}".format),
        difference=shown["difference"].map("{:+.2f}".format),
        se=shown["se"].map("{:.2f}".format),
    ).rename(columns={"difference": "standardised difference", "se": "standard error"})


def _copies_text(content: Mapping[str, Any]) -> str:
    groups, near = content["copies"], content["near_duplicates"] or ()
    if groups is None:
        return "No listed file was opened for this certificate: copies are not known (`study.audit --data`)."
    n_images = sum(len(group["images"]) for group in groups)
    across = sum(group["patient_keys"] > 1 for group in groups)
    merged = (
        f"{count(across, 'group')} joined several patient keys, which are one patient here. "
        if across
        else "No group joins patients. "
    )
    text = (
        f"{n_images} listed images are in {count(len(groups), 'group')} of identical pixels; one image of each is used."
        f" {merged}"
        if groups
        else "No two listed images have identical pixels. "
    )
    return text + (
        f"{count(len(near), 'cluster')} of near-duplicates by perceptual hash,"
        f" {sum(one['patient_keys'] > 1 for one in near)} of several patients,"
        f" {sum(one['on_two_sides'] for one in near)} on two sides of a split; they were not merged: see"
        " `duplicates.png`."
        if near
        else ""
    )


def write_certificate(content: Mapping[str, Any], folder: Path, notice: str = "") -> list[Path]:
    """Write `certificate.json` and `certificate.md`."""
    write_json(folder / "certificate.json", {**({"notice": notice} if notice else {}), **content})
    write_atomically(folder / "certificate.md", to_markdown(content, notice).encode())
    return [folder / "certificate.md", folder / "certificate.json"]
