"""Strips of the most and least attended patches of every class, read from the slides where these are there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import get_args

import numpy as np

from ..bag.h5 import read_attributes, read_grid
from ..drawing.images import encode_image
from ..errors import BagError, SamMilError
from ..files import atomic_write
from ..mil.ranking import STRIP, End, ranked
from ..prediction.patches import SlidePatches
from ..slide.reader import open_slide
from ..slide.tiling import read_patch
from .content import PatchImage, Strip

#: How many patches of a strip one slide gives at most where there are others.
PER_SLIDE = 3
#: Name of the folder of patches next to its report.
FOLDER = "{stem}-tiles"


def make_strips(slides: Sequence[SlidePatches]) -> tuple[tuple[Strip, ...], tuple[str, ...]]:
    """Return two strips per class, in the order of the classes' first slides, and what could not be read.

    Models without attention have no strips.
    """
    strips: list[Strip] = []
    notes: list[str] = []
    attended = [one for one in slides if one.attention is not None and one.bag_path is not None]
    for name in dict.fromkeys(one.label for one in attended):
        own = [one for one in attended if one.label == name]
        for kind in get_args(End):
            images, why = _read(_chosen(own, kind), own)
            notes += why
            if images:
                strips.append(Strip(f"{kind.capitalize()} attended, {name}", kind, of_class=name, patches=images))
    return tuple(strips), tuple(dict.fromkeys(notes))


def save_strips(report: Path, strips: Sequence[Strip]) -> Path | None:
    """Save the patches of strips as PNG files in a folder next to the report; None if there are none.

    A file is called ``most-01-SLIDE-X-Y.png`` in the folder of its class; X, Y is its corner in level-0 pixels.
    """
    if not strips:
        return None
    folder = report.with_name(FOLDER.format(stem=report.stem))
    for strip in strips:
        inner = folder / _file_name(strip.of_class)
        for number, image in enumerate(strip.patches, start=1):
            x, y = image.corner_px0
            name = f"{strip.kind}-{number:02d}-{_file_name(image.slide_id)}-{x}-{y}.png"
            atomic_write(inner / name, encode_image(image.rgb, ".png"))
    return folder


def _chosen(slides: Sequence[SlidePatches], end: End) -> list[tuple[int, int]]:
    """(slide, patch) of the most or least attended patches; one slide does not take all the places."""
    numbers = np.concatenate([np.full(len(one.coords_px0), k) for k, one in enumerate(slides)])
    patches = np.concatenate([np.arange(len(one.coords_px0)) for one in slides])
    values = np.concatenate([one.attention for one in slides if one.attention is not None])
    most = STRIP if len(slides) == 1 else max(PER_SLIDE, -(-STRIP // len(slides)))
    taken: list[tuple[int, int]] = []
    for place in ranked(values, end):
        slide = int(numbers[place])
        if sum(one == slide for one, _ in taken) < most:
            taken.append((slide, int(patches[place])))
        if len(taken) == STRIP:
            break
    return taken


def _read(
    chosen: Iterable[tuple[int, int]], slides: Sequence[SlidePatches]
) -> tuple[tuple[PatchImage, ...], list[str]]:
    """Read patches in their order; a slide that cannot be read is named."""
    by_slide: dict[int, list[int]] = {}
    order = list(chosen)
    for slide, patch in order:
        by_slide.setdefault(slide, []).append(patch)
    found: dict[tuple[int, int], PatchImage] = {}
    notes = []
    for number, patches in by_slide.items():
        try:
            found |= {(number, patch): image for patch, image in _images(slides[number], patches)}
        except SamMilError as error:
            notes.append(f"{slides[number].slide_id}: its patches are not shown ({error.what}).")
    return tuple(found[place] for place in order if place in found), notes


def _images(slide: SlidePatches, patches: Sequence[int]) -> Iterator[tuple[int, PatchImage]]:
    if slide.bag_path is None or slide.attention is None:
        raise ValueError("patches are read of slides with a bag and attention")
    path, grid = read_attributes(slide.bag_path).get("slide_path"), read_grid(slide.bag_path)
    if path is None or grid is None:
        raise BagError("the bag does not say where its slide file is", where=slide.bag_path)
    if not np.array_equal(grid.coords_px0, slide.coords_px0):
        raise BagError("the bag was changed after the prediction", where=slide.bag_path)
    with open_slide(str(path)) as opened:
        for patch in patches:
            x, y = (int(value) for value in slide.coords_px0[patch])
            value = f"{slide.attention[patch]:.2g}×"
            yield patch, PatchImage(read_patch(opened, grid, patch), slide.slide_id, corner_px0=(x, y), value=value)


def _file_name(text: str) -> str:
    return re.sub(r"[^\w.-]+", "-", text).strip(".") or "unnamed"
