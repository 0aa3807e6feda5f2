"""Time of an audit's slow parts, per image: `python -m study.bench --audit`."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from mmbc.data.images.appearance import read_appearance
from mmbc.data.images.facts import read_images
from mmbc.data.images.store import open_store
from study.benchmarks.material import Material
from study.checks import duplicates, traces
from study.checks.subject import subject_of_listing


def audit_speed(material: Material) -> dict[str, float]:
    """Return milliseconds an image of each look at the images, from cold.

    Reading decodes and digests every file; `pixels, keep` and so on decode and prepare it under each treatment of
    outlines; traces are only there for a cohort with outlines.
    """
    opened, folder = material.opened, material.folder / "audit"
    subject = subject_of_listing(opened.listing, material.study, opened.facts, cache=folder)
    images, facts = subject.images, subject.used_facts
    paths, digests = list(images["path"]), list(facts["pixel_digest"])
    milliseconds: dict[str, float] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        result = work()
        milliseconds[name] = 1000 * (time.perf_counter() - began) / len(images)
        return result

    timed("reading", lambda: read_images(paths, cache=folder / "reading"))
    for mode in ("keep", "inpaint", "sham"):
        data = subject.data.model_copy(update={"outlines": mode})
        timed(f"pixels, {mode}", partial(open_store, paths, facts, data, cache=folder / mode))
    appearance = timed("appearance", lambda: read_appearance(paths, digests, cache=folder / "appearance"))
    timed("near-duplicates", lambda: duplicates.near_duplicates(appearance, images))
    if (facts["n_outline_pixels"] > 0).any():
        timed("traces", lambda: traces.measure(paths, facts, images, subject.data, cache=folder / "traces"))
    return milliseconds
