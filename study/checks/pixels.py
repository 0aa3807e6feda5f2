"""Measurements in the pixels of a cohort's images, each made when the first check asks for it and shared by all."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from mmbc.config import DataConfig
from mmbc.data.images.appearance import Appearance, read_appearance
from study.checks import duplicates, traces
from study.records.progress import Observer


@dataclass(frozen=True)
class Pixels:
    """What can be measured in the images that a study uses.

    Attributes:
        images: the cohort's rows.
        facts: what is known of their files (`mmbc.data.images.facts.FACTS`), in the same order.
        data: how files are decoded.
        cache: folder in which measurements are kept.
        observer: told about the work.
    """

    images: pd.DataFrame
    facts: pd.DataFrame
    data: DataConfig
    cache: Path
    observer: Observer

    @cached_property
    def appearance(self) -> Appearance:
        """Grey levels, borders, silhouettes, hashes and drawn marks of every image."""
        return read_appearance(
            list(self.images["path"]),
            list(self.facts["pixel_digest"]),
            cache=self.cache,
            progress=self.observer.preparing,
        )

    @cached_property
    def pairs(self) -> pd.DataFrame:
        """Near-duplicates, as `study.checks.duplicates.near_duplicates` returns them."""
        return duplicates.near_duplicates(self.appearance, self.images)

    @cached_property
    def clusters(self) -> list[dict[str, Any]]:
        """Connected components of `pairs`: their images, and how many patient keys these have."""
        return [
            {
                "images": list(self.images["image_id"].iloc[list(rows)]),
                "patient_keys": int(self.images["patient_id"].iloc[list(rows)].nunique()),
            }
            for rows in duplicates.clusters(self.pairs)
        ]

    @cached_property
    def traces(self) -> pd.DataFrame:
        """What each treatment of outlines leaves behind (`study.checks.traces.measure`); empty without outlines."""
        return traces.measure(
            list(self.images["path"]),
            self.facts,
            self.images,
            self.data,
            cache=self.cache,
            progress=self.observer.preparing,
        )

    @property
    def n_outlined(self) -> int:
        """How many images have lesion outlines in their pixels."""
        return int((self.facts["n_outline_pixels"] > 0).sum())
