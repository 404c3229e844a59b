"""Drawing on images of a slide: pure functions, uint8 RGB (height, width, 3) in, a new image out.

All geometry comes in level-0 pixels and goes through the image's :class:`~sam_mil_engine.geometry.Frame`.
An image pixel (column, row) covers [column, column + 1) x [row, row + 1) of the raster; it belongs to the shape
that holds its centre.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..annotations.masks import tissue_area
from ..annotations.raster import rasterise
from ..errors import SamMilError, SettingsError
from ..files import atomic_write
from ..geometry import Frame
from ..segment.segments import Segments
from ..slide.tile_grid import TileGrid
from ..slide.tissue_regions import Ring, TissueRegions
from .colours import ANNOTATION, HOLE, RGB, TISSUE, colours_of, opacities_of, segment_colours

if TYPE_CHECKING:
    from ..slide.reader import Slide

RgbImage = npt.NDArray[np.uint8]
#: An outer ring (n, 2) in level-0 pixels and its hole rings, as in :class:`TissueRegions`.
Polygon = tuple[Ring, tuple[Ring, ...]]

_STITCH_GROUND = 205
#: Fractional bits of OpenCV's fixed-point coordinates.
_SHIFT = 4


def draw_tissue(image: RgbImage, frame: Frame, tissue: TissueRegions, *, width: int = 2) -> RgbImage:
    """Outline pieces of tissue in green and their holes in orange."""
    drawn = _lines(image, frame, (outer for outer, _ in tissue.polygons_px0), colour=TISSUE, width=width)
    holes = (hole for _, rings in tissue.polygons_px0 for hole in rings)
    return _lines(drawn, frame, holes, colour=HOLE, width=width)


def draw_outlines(
    image: RgbImage, frame: Frame, polygons: Sequence[Polygon], *, colour: RGB = ANNOTATION, width: int = 2
) -> RgbImage:
    """Outline annotation polygons and their holes, blue as in the paper's Figure 6."""
    rings = (ring for outer, holes in polygons for ring in (outer, *holes))
    return _lines(image, frame, rings, colour=colour, width=width)


def _lines(image: RgbImage, frame: Frame, rings: Iterable[Ring], *, colour: RGB, width: int) -> RgbImage:
    import cv2

    drawn = np.ascontiguousarray(image).copy()
    # OpenCV's integer coordinates are centres of pixels, ours are their corners: hence the half.
    points = [np.round((frame.from_px0(ring) - 0.5) * 2**_SHIFT).astype(np.int32) for ring in rings if len(ring)]
    if points:
        cv2.polylines(
            drawn, points, isClosed=True, color=colour, thickness=width, lineType=cv2.LINE_AA, shift=_SHIFT
        )
    return drawn


def segment_labels(segments: Segments, frame: Frame, size: tuple[int, int]) -> npt.NDArray[np.int64]:
    """(height, width): number of the smallest segment at every pixel of an image, -1 where there is none.

    Parameters
    ----------
    segments
        On their own raster.
    frame, size
        Frame of the image, and its width and height.
    """
    width, height = size
    # Of a raster that is much finer than the image, only every so many pixels are painted.
    step = max(1, int(min(np.divide(frame.downsample, segments.frame.downsample))))
    labels = segments.labels()[::step, ::step]
    centres = np.stack([np.arange(max(size)) + 0.5] * 2, axis=-1)
    raster = np.floor(segments.frame.from_px0(frame.to_px0(centres))).astype(np.int64)
    columns, rows = raster[:width, 0], raster[:height, 1]
    inside_x = (columns >= 0) & (columns < segments.size_raster[0])
    inside_y = (rows >= 0) & (rows < segments.size_raster[1])
    result = np.full((height, width), -1, dtype=np.int64)
    seen = labels[np.ix_(rows[inside_y] // step, columns[inside_x] // step)]
    result[np.ix_(inside_y, inside_x)] = seen.astype(np.int64) - 1
    return result


def draw_segments(image: RgbImage, frame: Frame, segments: Segments, *, opacity: float = 0.45) -> RgbImage:
    """Fill segments with translucent colours and outline what is seen of each, small ones over large ones.

    The colour of segment k is ``segment_colours(len(segments))[k]``.
    """
    height, width = image.shape[:2]
    labels = segment_labels(segments, frame, (width, height))
    colours = segment_colours(len(segments))
    drawn = _blend(image, labels >= 0, colours[labels[labels >= 0]], opacity)
    # An outline pixel has a neighbour, inside the image, of another segment.
    other = np.zeros(labels.shape, dtype=bool)
    across, down = labels[:, 1:] != labels[:, :-1], labels[1:] != labels[:-1]
    other[:, 1:] |= across
    other[:, :-1] |= across
    other[1:] |= down
    other[:-1] |= down
    edge = other & (labels >= 0)
    drawn[edge] = np.round(colours[labels[edge]] * 0.62).astype(np.uint8)
    return drawn


def draw_map(
    image: RgbImage,
    frame: Frame,
    coords_px0: npt.ArrayLike,
    size_px0: tuple[float, float],
    values: npt.ArrayLike,
    *,
    colormap: str,
    limits: tuple[float, float],
    opacity: float = 0.6,
    tissue: TissueRegions | None = None,
) -> RgbImage:
    """Colour the rectangle of every patch by its value, as far as it lies in the tissue.

    Parameters
    ----------
    image, frame
        What to draw on.
    coords_px0, size_px0
        (N, 2) top left corners, and the width and height of a patch.
    values
        (N,); a patch whose value is not finite is left out.
    colormap, limits
        Name of a matplotlib colour map, and the values of its two ends.
    opacity
        0 shows the image, 1 the colour alone where the colour map is opaque
        (:func:`~sam_mil_engine.drawing.colours.opacity_table`).
    tissue
        Only what lies in it is coloured; everything in the patches where None.

    Returns
    -------
    Image
        Pixels whose centre lies in a patch are coloured; a patch thinner than a pixel colours one pixel. Where
        patches overlap, the mean is seen.
    """
    numbers = np.asarray(values, dtype=np.float64)
    coords = np.asarray(coords_px0, dtype=np.float64).reshape(-1, 2)
    if numbers.shape != (len(coords),):
        raise SettingsError(f"a map needs one value per patch: {numbers.shape} values for {len(coords)} patches")
    seen = np.flatnonzero(np.isfinite(numbers))
    total, count = np.zeros(image.shape[:2]), np.zeros(image.shape[:2], dtype=np.int64)
    for number, (left, top, right, bottom) in zip(seen, _cells(frame, coords[seen], size_px0), strict=True):
        total[top:bottom, left:right] += numbers[number]
        count[top:bottom, left:right] += 1
    covered = count > 0
    if tissue is not None:
        covered &= rasterise(tissue_area(tissue), frame=frame, size_raster=image.shape[1::-1])
    means = total[covered] / count[covered]
    strength = opacity * opacities_of(means, colormap=colormap, limits=limits)
    return _blend(image, covered, colours_of(means, colormap=colormap, limits=limits), strength[:, None])


def draw_patches(
    image: RgbImage,
    frame: Frame,
    coords_px0: npt.ArrayLike,
    size_px0: tuple[float, float],
    *,
    colour: RGB,
    opacity: float = 0.5,
) -> RgbImage:
    """Fill the rectangles of some patches (N, 2) with one colour."""
    coords = np.asarray(coords_px0, dtype=np.float64).reshape(-1, 2)
    covered = np.zeros(image.shape[:2], dtype=bool)
    for left, top, right, bottom in _cells(frame, coords, size_px0):
        covered[top:bottom, left:right] = True
    return _blend(image, covered, np.asarray(colour, dtype=np.uint8), opacity)


def stitch(slide: Slide, grid: TileGrid, max_side: int) -> RgbImage:
    """Put the patches together on a grey ground, as CLAM's stitches: what the encoder will see.

    Parameters
    ----------
    slide
        The open slide.
    grid
        Its patches.
    max_side
        Longest side of the image in pixels.
    """
    image, frame = slide.thumbnail(max_side)
    stitched = np.full_like(image, _STITCH_GROUND)
    for left, top, right, bottom in _cells(frame, grid.coords_px0.astype(np.float64), grid.size_px0):
        stitched[top:bottom, left:right] = image[top:bottom, left:right]
    return stitched


def soften(image: RgbImage, *, colour: float = 0.15, contrast: float = 0.75) -> RgbImage:
    """Take most of the colour and some contrast out, so that colours drawn over the image read true.

    ``colour`` and ``contrast`` say how much of each stays; contrast shrinks towards white.
    """
    numbers = image.astype(np.float32)
    grey = (numbers @ np.asarray([0.299, 0.587, 0.114], dtype=np.float32))[..., None]
    mixed = grey + colour * (numbers - grey)
    softened: RgbImage = np.round(255 - contrast * (255 - mixed)).astype(np.uint8)
    return softened


def attention_limit(relative: npt.ArrayLike) -> float:
    """Relative attention (1 = the mean patch) at which a colour map ends: outliers must not wash out the rest."""
    finite = np.asarray(relative, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    return max(2.0, float(np.percentile(finite, 99))) if len(finite) else 2.0


def encode_image(image: RgbImage, suffix: str, *, quality: int = 85) -> bytes:
    """Encode as ``.jpg`` (with full colour resolution, so that thin lines stay sharp) or ``.png``.

    Raises
    ------
    SettingsError
        If the suffix is another one.
    """
    import cv2

    if suffix.lower() not in (".jpg", ".jpeg", ".png"):
        raise SettingsError(f"images are written as .jpg or .png, not as {suffix!r}")
    options = []
    if suffix.lower() != ".png":
        full = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444
        options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
        options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, full]
    done, data = cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    if not done:
        raise SamMilError(f"an image of shape {image.shape} cannot be encoded as {suffix}")
    encoded: bytes = data.tobytes()
    return encoded


def save_image(path: Path, image: RgbImage) -> Path:
    """Write an image as its suffix says, in one step; raises :class:`ProjectError` where that fails."""
    atomic_write(path, encode_image(image, path.suffix))
    return path


def _cells(frame: Frame, coords_px0: npt.NDArray[np.float64], size_px0: tuple[float, float]) -> list[list[int]]:
    """Return left, top, right, bottom (exclusive) of every patch in whole pixels, never below 0."""
    corner, opposite = frame.from_px0(coords_px0), frame.from_px0(coords_px0 + np.asarray(size_px0))
    start = np.ceil(corner - 0.5).astype(np.int64)
    stop = np.ceil(opposite - 0.5).astype(np.int64)
    thin = stop <= start
    start = np.where(thin, np.floor((corner + opposite) / 2).astype(np.int64), start)
    stop = np.where(thin, start + 1, stop)
    cells: list[list[int]] = np.maximum(np.concatenate([start, stop], axis=1), 0).tolist()
    return cells


def _blend(
    image: RgbImage,
    where: npt.NDArray[np.bool_],
    colours: npt.NDArray[np.uint8],
    opacity: float | npt.NDArray[np.float64],
) -> RgbImage:
    drawn = image.copy()
    mixed = (1 - opacity) * image[where].astype(np.float64) + opacity * colours.astype(np.float64)
    drawn[where] = np.floor(mixed + 0.5).astype(np.uint8)
    return drawn
