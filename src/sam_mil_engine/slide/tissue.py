"""Find tissue: CLAM's procedure (Lu et al. 2021), and what to try where it finds nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import shapely

from ..geometry import Frame
from ..progress import Progress, ProgressCallback, silent
from ..settings import TissueSettings
from .facts import UInt8Image
from .slide import Slide
from .tissue_regions import Ring, TissueRegions

#: Coarsest downsample at which tissue is looked for, and the longest side that the image keeps at least.
COARSEST_DOWNSAMPLE = 64.0
MIN_SIDE = 1000
#: CLAM counts areas in patches of this many level-0 pixels.
REFERENCE_AREA_PX0 = 512.0**2
#: Steps of saturation between both sides of Otsu's threshold; less is noise of a blank slide.
MIN_CONTRAST = 6.0
#: The small areas: this part of the asked area, but at most this part of what is looked at.
SMALL_AREA = 1 / 8
SMALL_AREA_OF_SLIDE = 0.005


def find_tissue(slide: Slide, settings: TissueSettings, *, progress: ProgressCallback = silent) -> TissueRegions:
    """Find the tissue of a slide.

    The saturation of an image at 1/64 (finer where that has under 1000 pixels) is median-blurred, thresholded and
    closed; outer contours are kept by area, and of each the largest holes. Only the slide's bounds are looked at.
    Where the settings find nothing and ``settings.fallback`` is on, Otsu's threshold and smaller areas are tried.

    Returns
    -------
    Polygons with holes in level-0 pixels; none where the slide is blank. ``method`` names the attempt, and
    ``left_out_px0`` tells of pieces that were too small for it.

    Raises
    ------
    SlideError
        If the slide cannot be read.
    Cancelled
        If ``progress`` raises it.

    Notes
    -----
    Lu et al., Data-efficient and weakly supervised computational pathology on whole-slide images, 2021.
    """
    progress(Progress("tissue", 0, 2, unit="steps", message="reading the overview"))
    width, height = slide.info.size_px0
    x, y, bound_width, bound_height = slide.info.bounds_px0 or (0, 0, width, height)
    downsample = min(COARSEST_DOWNSAMPLE, max(1.0, max(bound_width, bound_height) / MIN_SIDE))
    image, frame = slide.read_image(bounds_px0=(x, y, x + bound_width, y + bound_height), downsample=downsample)
    progress(Progress("tissue", 1, 2, unit="steps", message="finding contours"))
    regions = find_tissue_in_image(image, frame, settings)
    progress(Progress("tissue", 2, 2, unit="steps", message=f"{len(regions)} piece(s) of tissue, {regions.method}"))
    return regions


def find_tissue_in_image(image: UInt8Image, frame: Frame, settings: TissueSettings) -> TissueRegions:
    """Find tissue in an RGB image (h, w, 3) that lies in ``frame``; see :func:`find_tissue`."""
    saturation = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)[..., 1]
    saturation = cv2.medianBlur(np.ascontiguousarray(saturation), settings.median_blur)
    area_px0 = float(frame.area_to_px0(saturation.size))
    regions = None
    for attempt in _attempts(settings, area_px0):
        mask = _foreground(saturation, otsu=attempt.otsu, settings=settings)
        regions = _regions_of_mask(mask, frame, attempt)
        if len(regions):
            return regions
    return TissueRegions(polygons_px0=(), area_px0=np.zeros(0), method="none")


@dataclass(frozen=True, slots=True)
class _Attempt:
    method: str
    otsu: bool
    min_tissue_px0: float
    min_hole_px0: float
    max_holes: int
    dust_px0: float


def _attempts(settings: TissueSettings, slide_area_px0: float) -> Iterator[_Attempt]:
    tissue = settings.min_tissue_area * REFERENCE_AREA_PX0
    hole = settings.min_hole_area * REFERENCE_AREA_PX0
    small_tissue = min(tissue * SMALL_AREA, slide_area_px0 * SMALL_AREA_OF_SLIDE)
    small_hole = hole * small_tissue / tissue if tissue else hole
    own = "otsu" if settings.otsu else "default"
    yield _Attempt(
        method=own,
        otsu=settings.otsu,
        min_tissue_px0=tissue,
        min_hole_px0=hole,
        max_holes=settings.max_holes,
        dust_px0=small_tissue,
    )
    if not settings.fallback:
        return
    if not settings.otsu:
        yield _Attempt(
            method="otsu",
            otsu=True,
            min_tissue_px0=tissue,
            min_hole_px0=hole,
            max_holes=settings.max_holes,
            dust_px0=small_tissue,
        )
        yield _Attempt(
            method="small-areas",
            otsu=False,
            min_tissue_px0=small_tissue,
            min_hole_px0=small_hole,
            max_holes=settings.max_holes,
            dust_px0=small_tissue,
        )
    yield _Attempt(
        method="otsu, small-areas",
        otsu=True,
        min_tissue_px0=small_tissue,
        min_hole_px0=small_hole,
        max_holes=settings.max_holes,
        dust_px0=small_tissue,
    )


def _foreground(
    saturation: npt.NDArray[np.uint8], *, otsu: bool, settings: TissueSettings
) -> npt.NDArray[np.uint8]:
    if otsu:
        _, mask = cv2.threshold(saturation, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
        above = mask > 0
        if not above.any() or above.all():
            return np.zeros_like(saturation)
        if saturation[above].mean() - saturation[~above].mean() < MIN_CONTRAST:
            return np.zeros_like(saturation)
    else:
        _, mask = cv2.threshold(saturation, settings.saturation_threshold, 255, cv2.THRESH_BINARY)
    if settings.close_size > 0:
        # Not MORPH_CLOSE: with an even side, CLAM's default, that moves everything by one pixel.
        side = settings.close_size
        kernel = np.ones((side, side), dtype=np.uint8)
        mask = cv2.dilate(mask, kernel, anchor=(side // 2, side // 2))
        mask = cv2.erode(mask, kernel, anchor=((side - 1) // 2, (side - 1) // 2))
    return np.asarray(mask, dtype=np.uint8)


def _regions_of_mask(mask: npt.NDArray[np.uint8], frame: Frame, attempt: _Attempt) -> TissueRegions:
    contours, hierarchy = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    if not contours:
        return TissueRegions(polygons_px0=(), area_px0=np.zeros(0), method=attempt.method)
    # (next, previous, first child, parent) of every contour; in CCOMP a contour with a parent is a hole.
    parents = hierarchy.reshape(-1, 4)[:, 3]
    areas = frame.area_to_px0([cv2.contourArea(contour) for contour in contours])
    holes_of: dict[int, list[int]] = {}
    for number in np.flatnonzero(parents >= 0):
        holes_of.setdefault(int(parents[number]), []).append(int(number))
    polygons: list[shapely.Polygon] = []
    left_out: list[float] = []
    for number in np.flatnonzero(parents < 0):
        holes = holes_of.get(int(number), [])
        area = float(areas[number] - areas[holes].sum())
        if area <= max(attempt.min_tissue_px0, 0):
            left_out += [area] if area > attempt.dust_px0 else []
            continue
        kept = sorted(holes, key=lambda hole: -areas[hole])[: attempt.max_holes]
        kept = [hole for hole in kept if areas[hole] > attempt.min_hole_px0]
        parts = _polygons(_ring(contours[int(number)], frame), [_ring(contours[hole], frame) for hole in kept])
        # Cutting at one-pixel bridges leaves crumbs: what is too small for itself goes, the largest part stays.
        polygons += [part for part in parts if part is parts[0] or part.area > attempt.min_tissue_px0]
    return TissueRegions.of(polygons, method=attempt.method, left_out_px0=left_out)


def _ring(contour: npt.NDArray[np.int32], frame: Frame) -> Ring:
    """Contours run through the centres of pixels."""
    return frame.to_px0(contour.reshape(-1, 2) + 0.5)


def _polygons(outer: Ring, holes: list[Ring]) -> list[shapely.Polygon]:
    """Build valid polygons, largest first: where tissue is one pixel wide, contours touch themselves or holes."""
    area = shapely.make_valid(shapely.Polygon(outer))
    if holes:
        area = shapely.difference(area, shapely.union_all([shapely.make_valid(shapely.Polygon(h)) for h in holes]))
    parts = [part for part in shapely.get_parts(area) if isinstance(part, shapely.Polygon) and part.area > 0]
    return sorted(parts, key=lambda part: -part.area)
