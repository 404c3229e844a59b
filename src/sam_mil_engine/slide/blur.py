"""Where a slide is out of focus: the variance of the Laplacian at a fixed resolution, cell by cell."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from ..geometry import Frame
from .facts import UInt8Image
from .slide import Slide

#: Micrometres per pixel at which sharpness is measured: nuclei are a few pixels wide.
UM_PER_PIXEL = 2.0
#: Side of a cell in pixels: 128 µm.
CELL = 64
#: Cells that are read at once, in both directions.
_CELLS_AT_ONCE = 16
#: A cell is out of focus where the variance of the Laplacian is below this part of the variance of the grey values.
BLURRED = 0.25
#: Part of a cell that may be smooth by itself.
_LITTLE = 0.1
#: Standard deviation of the grey values below which a cell holds nothing that could be sharp.
_EMPTY = 6.0


def blurred(slide: Slide, frame: Frame, smooth: npt.NDArray[np.bool_], *, mpp: float) -> npt.NDArray[np.bool_]:
    """Find what is out of focus.

    Parameters
    ----------
    slide
        The slide.
    frame, smooth
        The image to fill, and where in it something smooth, such as ink, lies over the tissue: cells with more than
        a little of it are passed over.
    mpp
        Micrometres per level-0 pixel.

    Returns
    -------
    A mask of the same shape. Cells of 128 µm without anything in them are not blurred.
    """
    width, height = slide.info.size_px0
    down = max(1.0, UM_PER_PIXEL / mpp)
    step = CELL * _CELLS_AT_ONCE * down
    mask = np.zeros_like(smooth)
    for top in np.arange(0, height, step):
        for left in np.arange(0, width, step):
            bounds = (float(left), float(top), float(min(left + step, width)), float(min(top + step, height)))
            image, inner = read_sharp(slide, down, bounds_px0=bounds)
            for row, column in zip(*np.nonzero(blurred_cells(image)), strict=True):
                corners = inner.to_px0([(column * CELL, row * CELL), ((column + 1) * CELL, (row + 1) * CELL)])
                (x0, y0), (x1, y1) = np.rint(frame.from_px0(corners)).astype(int).tolist()
                cell = np.s_[max(0, y0) : y1, max(0, x0) : x1]
                if mask[cell].size and smooth[cell].mean() <= _LITTLE:
                    mask[cell] = True
    return mask


def read_sharp(
    slide: Slide, down: float, *, bounds_px0: tuple[float, float, float, float] | None = None
) -> tuple[UInt8Image, Frame]:
    """Return an image whose pixels are averages of at least two by two, and the frame it lies in.

    Pixels only a little larger than those of a level of the slide would be soft by themselves: sharp tissue would
    be taken for blurred.
    """
    if down < 2:
        return slide.read_image(bounds_px0=bounds_px0, downsample=down)
    fine, frame = slide.read_image(bounds_px0=bounds_px0, downsample=down / 2)
    rows, columns = (max(1, side // 2) for side in fine.shape[:2])
    whole = fine[: 2 * rows, : 2 * columns]
    image = cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA)
    (x, y), inner = frame.downsample, np.divide(whole.shape[1::-1], (columns, rows))
    larger = Frame(origin_px0=frame.origin_px0, downsample=(float(x * inner[0]), float(y * inner[1])))
    return np.asarray(image, dtype=np.uint8), larger


def blurred_cells(image: UInt8Image) -> npt.NDArray[np.bool_]:
    """Return which cells of an RGB image at 2 µm per pixel are out of focus; a border of part cells is left out."""
    sharpness, spread = cell_sharpness(image)
    return np.asarray((spread > _EMPTY) & (sharpness < BLURRED * spread**2), dtype=bool)


def cell_sharpness(image: UInt8Image) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return the variance of the Laplacian, and the standard deviation of the grey values, of each cell."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    laplacian = cv2.Laplacian(grey, cv2.CV_32F)
    rows, columns = grey.shape[0] // CELL, grey.shape[1] // CELL

    def cells(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        cut = values[: rows * CELL, : columns * CELL].reshape(rows, CELL, columns, CELL)
        return np.asarray(cut.transpose(0, 2, 1, 3).reshape(rows, columns, -1), dtype=np.float32)

    return cells(laplacian).var(axis=2), cells(grey).std(axis=2)
