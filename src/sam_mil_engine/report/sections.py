"""A slide's section from what is on disk: its bag, its file if that is still there, its scores."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from .. import layout
from ..bag.feature_bag import FeatureBag
from ..bag.h5 import read_attributes, read_bag, read_grid, read_place, read_segments, read_stages, read_tissue
from ..drawing.images import RgbImage
from ..errors import SamMilError
from ..geometry import Frame
from ..mil.scores import SlideScores
from ..slide.reader import open_slide
from ..tables.cells import nfc
from .content import SlideSection

#: Longest side of the images that are read; panels may be smaller.
IMAGE_SIDE = 900


def section_from_bag(path: Path, *, scores: SlideScores | None = None, label: str | None = None) -> SlideSection:
    """Collect what a bag knows, and an image of its slide.

    Parameters
    ----------
    path
        The native bag. Where the slide file is no longer at the place that the bag names, the image in the
        project's ``masks`` is used, and the section says so.
    scores
        Of this slide; where they are of other patches or groups than the bag's, they win and a note says so.
    label
        The true class, if known.

    Raises
    ------
    BagError
        If the bag cannot be read.
    """
    stages = read_stages(path)
    # A bag that another program wrote has no list of stages, but features.
    bag = read_bag(path) if "features" in stages or not stages else None
    attrs = read_attributes(path) if bag is None else bag.attrs
    grid = read_grid(path) if "tiles" in stages else None
    size = attrs.get("size_px0") if grid is None else grid.size_px0
    section = SlideSection(
        nfc(str(attrs.get("slide_id", path.stem))),
        mpp=_pair(attrs.get("mpp")),
        place=read_place(path),
        tissue=read_tissue(path),
        segments=read_segments(path),
        coords_px0=grid.coords_px0 if grid is not None else None if bag is None else bag.coords_px0,
        patch_size_px0=_pair(attrs.get("patch_size_level0") if size is None else size),
        groups=None if bag is None else bag.groups,
        label=label,
    )
    if scores is not None:
        section = _with_scores(section, bag, scores)
    return _with_image(section, path, attrs)


def section_from_scores(scores: SlideScores, *, label: str | None = None) -> SlideSection:
    """Collect a section from the bag that the scores were made from, or from the scores alone if it is gone."""
    notes = tuple(str(note) for note in scores.attrs.get("notes", ()))
    bag = scores.attrs.get("path")
    if bag is not None and os.path.isfile(str(bag)):
        section = section_from_bag(Path(bag), scores=scores, label=label)
        return replace(section, notes=(*section.notes, *notes))
    missing = "The bag of this slide is not known" if bag is None else f"The bag is no longer at {bag}"
    return SlideSection(
        scores.slide_id,
        mpp=_pair(scores.attrs.get("mpp")),
        coords_px0=scores.coords_px0,
        patch_size_px0=_pair(scores.attrs.get("size_px0")),
        scores=scores,
        label=label,
        notes=(f"{missing}: there are no images, segments or groups.", *notes),
    )


def _with_scores(section: SlideSection, bag: FeatureBag | None, scores: SlideScores) -> SlideSection:
    """Add scores; groups that are not those of the scores are left out."""
    same = bag is not None and np.array_equal(bag.coords_px0, scores.coords_px0)
    if same and section.groups is not None and scores.groups is not None:
        same = len(scores.groups.attention_mass) == len(section.groups)
    if not same:
        note = "The bag was changed after the prediction, so its groups are left out: predict the slide again."
        section = replace(section, groups=None, notes=(*section.notes, note))
    return replace(section, scores=scores, coords_px0=scores.coords_px0)


def _with_image(section: SlideSection, path: Path, attrs: Mapping[str, Any]) -> SlideSection:
    slide_path = attrs.get("slide_path")
    reason = "The bag does not say where its slide file is"
    if slide_path is not None:
        try:
            with open_slide(str(slide_path)) as slide:
                image, frame = slide.read_image(max_side=IMAGE_SIDE)
                return replace(section, image=image, frame=frame, info=slide.info)
        except SamMilError as error:
            reason = f"The slide file could not be read ({error.what}: {slide_path})"
    mask = path.parent.parent / layout.MASKS / f"{path.stem}.jpg"
    found = _mask_image(mask, attrs.get("level_dim"))
    if found is None:
        return replace(section, notes=(*section.notes, f"{reason}: there are no images."))
    note = f"{reason}: images are made from {layout.MASKS}/{mask.name}, on which the tissue is outlined."
    return replace(section, image=found[0], frame=found[1], notes=(*section.notes, note))


def _mask_image(mask: Path, size_px0: Any) -> tuple[RgbImage, Frame] | None:
    """Return the image of the tissue that ``process`` made of the whole slide, and its frame."""
    import cv2

    data = cv2.imread(str(mask)) if mask.is_file() and size_px0 is not None else None
    if data is None:
        return None
    height, width = data.shape[:2]
    frame = Frame((0.0, 0.0), (float(size_px0[0]) / width, float(size_px0[1]) / height))
    return cv2.cvtColor(data, cv2.COLOR_BGR2RGB), frame


def _pair(value: Any) -> tuple[float, float] | None:
    """Two numbers from an attribute that may be one number, two, or missing."""
    if value is None:
        return None
    numbers = np.atleast_1d(np.asarray(value, dtype=np.float64))
    return float(numbers[0]), float(numbers[-1])
