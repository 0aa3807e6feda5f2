"""The fold certificate: the answer to "confirm that no individual is in two partitions", for a paper's supplement.

One JSON and one Markdown file: a digest of every image, who is in which part, the overlap of every pair of parts, copies and how
they were merged, the balance of the folds, seeds and versions. Patients are named by digests alone.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mmbc.config import digest
from mmbc.data.cohort import Feature
from study.audit.finding import plain
from study.audit.markdown import table
from study.audit.splitting import LARGE, balance_table, overlap_matrix
from study.folds import splits
from study.folds import table as fold_counts
from study.paper.format import count
from study.record import write_atomically, write_json

UNLIKE_SHOWN = 12


def certificate(
    name: str, images: pd.DataFrame, listed: pd.DataFrame, content: Mapping[str, Any], features: tuple[Feature, ...],
    *, seeds: Mapping[str, int], versions: Mapping[str, str], near: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:  # fmt: skip
    """Return the certificate of a cohort's splits.

    Args:
        name: of the cohort or study.
        images: the rows that are used: `image_id`, `patient_id`, `label`, and `pixel_digest` where files were opened.
        listed: all listed rows: `image_id`, `listed_patient` and, where files were opened, `content_digest`, `pixel_digest`.
        content: of folds.json.
        features: the clinical columns.
        seeds: of splits and training, by name.
        versions: of the programs, by name.
        near: clusters of near-duplicates, if they were looked for.
    """
    overlap = overlap_matrix(content)
    worst = int(overlap.drop(columns=["repeat", "fold"]).to_numpy().max())
    balance = balance_table(content, images, features)
    found = {
        "name": name,
        "statement": _statement(content, images, worst),
        "patients": int(images["patient_id"].nunique()), "images": len(images),
        "overlap": overlap.to_dict("records"),
        "parts": fold_counts(dict(content), images).to_dict("records"),
        "copies": copies(listed, images),
        "near_duplicates": list(near),
        "balance": balance.to_dict("records"),
        "seeds": dict(seeds), "versions": dict(versions),
        "membership": membership(images, listed, content),
    }  # fmt: skip
    found = plain(found)
    return {**found, "digest": digest(found)}


def _statement(content: Mapping[str, Any], images: pd.DataFrame, worst: int) -> str:
    n = len(splits(dict(content)))
    n_patients = images["patient_id"].nunique()
    if worst:
        return f"NOT confirmed: up to {worst} of {n_patients} patients are in two parts of one of {n} splits."
    return (
        f"Confirmed: in none of {n} splits is one of {n_patients} patients in two parts (training, validation, test). Patients are the "
        "keys of the cohort after patients who share an identical image were merged."
    )


def pseudonym(patient: str) -> str:
    """Return 12 hex digits that stand for a patient key."""
    return hashlib.sha256(f"patient|{patient}".encode()).hexdigest()[:12]


def membership(images: pd.DataFrame, listed: pd.DataFrame, content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return one entry per used image: its digests, a pseudonym of its patient, and the fold that tests it, by repeat."""
    tested: dict[str, dict[str, int]] = {}
    for (repeat, fold), split in splits(dict(content)).items():
        for patient in split.test:
            tested.setdefault(patient, {})[str(repeat)] = fold
    bytes_of: dict[str, str] = {}
    if "content_digest" in listed:
        bytes_of = dict(zip(listed["image_id"], listed["content_digest"], strict=True))
    pixels = images["pixel_digest"] if "pixel_digest" in images else [None] * len(images)
    return [
        {
            "image": image, "patient": pseudonym(patient), "sha256": bytes_of.get(image), "pixels": pixel,
            "tested_in": tested.get(patient, {}),
        }
        for image, patient, pixel in zip(images["image_id"], images["patient_id"], pixels, strict=True)
    ]  # fmt: skip


def copies(listed: pd.DataFrame, images: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the groups of pixel-identical images: which one is used, and how many patient keys became one."""
    if "pixel_digest" not in listed:
        return []
    known = listed[listed["pixel_digest"].fillna("") != ""]
    used = set(images["image_id"])
    return [
        {
            "pixels": pixels, "images": list(rows["image_id"]), "used": [i for i in rows["image_id"] if i in used],
            "patient_keys": int(rows["listed_patient"].nunique()),
        }
        for pixels, rows in known[known.duplicated("pixel_digest", keep=False)].groupby("pixel_digest", sort=False)
    ]  # fmt: skip


def to_markdown(found: Mapping[str, Any], notice: str = "") -> str:
    """Return a certificate as a page for a supplement; the digests of the images are in the JSON file alone."""
    balance = pd.DataFrame(found["balance"])
    parts = [f"# Fold certificate: {found['name']}"]
    parts += [f"> **{notice[0].upper()}{notice[1:]}.**"] if notice else []
    parts += [
        f"**{found['statement']}**",
        f"{found['images']} images of {found['patients']} patients. Digest of this certificate: `{found['digest']}`. SHA-256 digests of every "
        "image, pseudonyms of the patients and the fold that tests them: `certificate.json`.",
        "## Patients in two parts", table(pd.DataFrame(found["overlap"])),
        "## Patients and images by part", table(_parts(pd.DataFrame(found["parts"]))),
        "## Copies", _copies_text(found),
        "## Balance of the test parts",
        "Standardised differences between a test part and the other patients: difference of means over the root of the mean variance "
        f"(Austin 2009); beyond ±{LARGE:g} groups are called unlike. Chance alone gives about its standard error. The "
        f"{min(UNLIKE_SHOWN, len(balance))} largest of {len(balance)}:",
        table(_largest(balance)),
        "## Seeds and versions",
        table(pd.DataFrame([*found["seeds"].items(), *found["versions"].items()], columns=["what", "value"])),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _parts(counts: pd.DataFrame) -> pd.DataFrame:
    return counts.assign(prevalence=counts["prevalence"].map("{:.3f}".format)).drop(
        columns=[] if counts["name"].astype(bool).any() else ["name"]
    )


def _largest(balance: pd.DataFrame) -> pd.DataFrame:
    if balance.empty:
        return balance
    order = np.argsort(-balance["difference"].abs().to_numpy(), kind="stable")[:UNLIKE_SHOWN]
    shown = balance.iloc[order]
    return shown.assign(
        test=shown["test"].map("{:.3g}".format), rest=shown["rest"].map("{:.3g}".format),
        difference=shown["difference"].map("{:+.2f}".format), se=shown["se"].map("{:.2f}".format),
    ).rename(columns={"difference": "standardised difference", "se": "standard error"})  # fmt: skip


def _copies_text(found: Mapping[str, Any]) -> str:
    groups, near = found["copies"], found["near_duplicates"]
    n_images = sum(len(group["images"]) for group in groups)
    across = sum(group["patient_keys"] > 1 for group in groups)
    merged = (
        f"{count(across, 'group')} joined several patient keys, which are one patient here. "
        if across
        else "No group joins patients. "
    )
    text = (
        f"{n_images} listed images are in {count(len(groups), 'group')} of identical pixels; one image of each is used. {merged}"
        if groups
        else "No two listed images have identical pixels. "
    )
    return text + (
        f"{count(len(near), 'cluster')} of near-duplicates by perceptual hash, {sum(one['patient_keys'] > 1 for one in near)} of several "
        "patients; they were not merged: see `duplicates.png`."
        if near
        else ""
    )


def write_certificate(found: Mapping[str, Any], folder: Path, notice: str = "") -> list[Path]:
    """Write `certificate.json` and `certificate.md`."""
    write_json(folder / "certificate.json", {**({"notice": notice} if notice else {}), **found})
    write_atomically(folder / "certificate.md", to_markdown(found, notice).encode())
    return [folder / "certificate.md", folder / "certificate.json"]
