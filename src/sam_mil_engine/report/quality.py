"""A cohort at a glance: thumbnails of slides with tissue and patches, and what looks wrong, worst first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from .. import layout
from ..bag import h5
from ..bag.h5 import StoredArtefacts
from ..bag.names import find_existing
from ..drawing.colours import ARTEFACTS, POSITIVE
from ..drawing.images import RgbImage, draw_patches
from ..errors import BagError
from ..geometry import Frame
from ..slide.tile_grid import TileGrid
from ..slide.tissue_regions import TissueRegions
from .content import QualityItem
from .panels import fit

#: Slides with a thumbnail on one page, and its longest side in pixels.
MOST, SIDE = 120, 240
#: Patches below which a slide is named, and the part of the cohort's median below which it is.
_FEW, _FEW_OF_MEDIAN = 10, 0.1
#: Part of the slide from which tissue is taken to be a mistake.
_ALL = 0.9
#: Attempts of the tissue stage after those of the settings.
_FALLBACKS = frozenset({"otsu", "small-areas", "otsu, small-areas"})


def quality_items(folder: Path, rows: Sequence[Mapping[str, str]], bags: Sequence[Path]) -> tuple[QualityItem, ...]:
    """Return the slides of a project, worst first; the first :data:`MOST` have a thumbnail.

    Parameters
    ----------
    folder
        The project.
    rows
        Its ``process.csv``.
    bags
        Its bags.
    """
    states = {row["slide_id"]: row for row in rows}
    files = {bag.stem: bag for bag in bags}
    counts = [int(float(row["tiles"])) for row in rows if row.get("tiles")]
    median = float(np.median(counts)) if counts else 0.0
    found = [
        _item(name, files.get(name), states.get(name, {}), median=median)
        for name in dict.fromkeys([*states, *files])
    ]
    found.sort(key=lambda item: (-item.concern, item.slide_id))
    return tuple(
        item.with_thumbnail(_thumbnail(folder, files.get(item.slide_id))) if place < MOST else item
        for place, item in enumerate(found)
    )


def _item(name: str, bag: Path | None, row: Mapping[str, str], *, median: float) -> QualityItem:
    warnings: list[tuple[float, str]] = []
    state = row.get("state", "")
    if state in ("failed", "cancelled"):
        said = f": {row['error']}" if row.get("error") else ""
        warnings.append((100.0 if state == "failed" else 60.0, f"{state}{said}"))
    facts: list[str] = []
    if bag is not None:
        try:
            tissue, grid, artefacts = h5.read_tissue(bag), h5.read_grid(bag), h5.read_artefacts(bag)
            size, mpp = h5.read_place(bag).size_px0, h5.read_attributes(bag).get("mpp")
        except BagError as error:
            return QualityItem(name, warnings=(*(text for _, text in warnings), error.what), concern=100.0)
        warnings += _of_tissue(tissue, size)
        warnings += _of_patches(grid, artefacts, median=median)
        warnings += [] if mpp is not None else [(2.0, "the resolution is not known")]
        facts = [] if grid is None else [f"{len(grid)} patches"]
        facts += ["tissue drawn"] if tissue is not None and tissue.method.startswith("drawn") else []
    warnings.sort(key=lambda pair: -pair[0])
    return QualityItem(
        name,
        facts=", ".join(facts),
        warnings=tuple(text for _, text in warnings),
        concern=sum(weight for weight, _ in warnings),
    )


def _of_tissue(tissue: TissueRegions | None, size_px0: tuple[int, int] | None) -> list[tuple[float, str]]:
    if tissue is None:
        return []
    found: list[tuple[float, str]] = []
    if tissue.warning is not None:
        found.append((10.0 + 20.0 * tissue.left_out_share, tissue.warning))
    if tissue.method in _FALLBACKS:
        found.append((5.0, f"tissue was found by a further attempt ({tissue.method})"))
    if size_px0 is not None and tissue.area_px0.sum() > _ALL * size_px0[0] * size_px0[1]:
        found.append((20.0, "nearly the whole slide is taken for tissue"))
    return found


def _of_patches(
    grid: TileGrid | None, artefacts: StoredArtefacts | None, *, median: float
) -> list[tuple[float, str]]:
    if grid is None:
        return []
    found: list[tuple[float, str]] = []
    if len(grid) < max(_FEW, _FEW_OF_MEDIAN * median):
        found.append((15.0, f"few patches: {len(grid)}; half of the slides have {median:.0f} or more"))
    if artefacts is not None and artefacts.warning is not None:
        spoilt = sum(artefacts.counts.values())
        share = spoilt / max(1, len(grid) + sum(artefacts.dropped.values()))
        found.append((5.0 + 50.0 * share, artefacts.warning))
    return found


def _thumbnail(folder: Path, bag: Path | None) -> RgbImage | None:
    """Draw patches and artefacts over the image of the tissue that the project holds; None where there is none."""
    if bag is None:
        return None
    try:
        size, grid, artefacts = h5.read_place(bag).size_px0, h5.read_grid(bag), h5.read_artefacts(bag)
    except BagError:  # which is said beside the slide
        return None
    file = find_existing(folder / layout.MASKS / f"{bag.stem}.jpg")
    pixels = cv2.imread(str(file)) if file.is_file() else None
    if pixels is None or size is None:
        return None
    image = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), dtype=np.uint8)
    frame = Frame(downsample=(size[0] / image.shape[1], size[1] / image.shape[0]))
    image, frame = fit(image, frame, SIDE)
    if grid is not None and len(grid):
        image = draw_patches(image, frame, grid.coords_px0, grid.size_px0, colour=POSITIVE, opacity=0.25)
    if artefacts is not None:
        kinds = cv2.resize(artefacts.map.kinds, image.shape[1::-1], interpolation=cv2.INTER_NEAREST)
        for number, colour in enumerate(ARTEFACTS):
            image[kinds == number + 1] = colour
    return image
