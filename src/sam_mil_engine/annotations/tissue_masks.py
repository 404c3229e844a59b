"""Masks of tissue as images: PNG or TIFF, of any size, of the whole slide."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import shapely

from ..errors import AnnotationError
from ..geometry import Frame
from ..slide.info import SlideInfo
from .masks import mask_area
from .model import Area, as_area

MASK_ENDINGS = frozenset({".png", ".tif", ".tiff"})
#: Longer sides are reduced: outlines of tissue need no finer pixels.
_LONGEST = 4096
#: Pixels by which a side of a mask may differ from its share of the slide.
_SLACK = 1.5


def read_tissue_mask(path: Path, info: SlideInfo) -> Area:
    """Read a mask of a slide: pixels above 0 are tissue.

    Parameters
    ----------
    path
        An image of one or more channels.
    info
        The slide. The image shows all of it or, where the slide has bounds, what lies in them: its sides say which.

    Returns
    -------
    The area in level-0 pixels, along the edges of the pixels.

    Raises
    ------
    AnnotationError
        If it is no image, or its sides are not those of the slide.
    """
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise AnnotationError(
            "it cannot be read as an image", where=path, hint="Save the mask as PNG or TIFF of 8 or 16 bits"
        )
    channels = pixels if pixels.ndim == 2 else pixels[..., :3].max(axis=2)
    mask: npt.NDArray[np.bool_] = channels > 0
    frame = _frame(path, mask.shape[::-1], info)
    mask, frame = _reduced(mask, frame)
    return as_area(shapely.transform(mask_area(mask), frame.to_px0))


def _frame(path: Path, size: tuple[int, ...], info: SlideInfo) -> Frame:
    """Return where the mask lies: on the slide, or on its bounds."""
    width, height = size
    for left, top, *whole in ((0, 0, *info.size_px0), info.bounds_px0 or (0, 0, *info.size_px0)):
        scale = max(whole[0] / width, whole[1] / height)
        if abs(whole[0] / scale - width) <= _SLACK and abs(whole[1] / scale - height) <= _SLACK:
            return Frame(origin_px0=(left, top), downsample=(whole[0] / width, whole[1] / height))
    raise AnnotationError(
        f"the mask of {width} x {height} px has other proportions than the slide of"
        f" {info.size_px0[0]} x {info.size_px0[1]} px",
        where=path,
        hint="Save a mask of the whole slide; its size does not matter, its proportions do",
    )


def _reduced(mask: npt.NDArray[np.bool_], frame: Frame) -> tuple[npt.NDArray[np.bool_], Frame]:
    height, width = mask.shape
    factor = max(height, width) / _LONGEST
    if factor <= 1:
        return mask, frame
    size = (max(1, round(width / factor)), max(1, round(height / factor)))
    small = cv2.resize(mask.astype(np.uint8) * 255, size, interpolation=cv2.INTER_AREA) > 127
    downsample = (frame.downsample[0] * width / size[0], frame.downsample[1] * height / size[1])
    return small, Frame(origin_px0=frame.origin_px0, downsample=downsample)
