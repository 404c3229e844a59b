"""Colours as the scanner's maker means them: from the embedded ICC profile to sRGB."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import numpy as np
from PIL import Image, ImageCms

from ..errors import SlideError
from .facts import UInt8Image

Colours = Callable[[UInt8Image], UInt8Image]


def to_srgb(profile: bytes) -> Colours:
    """Return a function that turns pixels (h, w, 3) of a profile's colours into sRGB; safe to use from threads.

    The rendering intent is the profile's own.

    Raises
    ------
    SlideError
        If the profile is damaged, or does not describe RGB pixels.
    """
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        intent = ImageCms.Intent(ImageCms.getDefaultIntent(source))
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), "RGB", "RGB", intent)
    except (ImageCms.PyCMSError, OSError, ValueError) as error:
        raise SlideError(
            f"its ICC profile cannot be used ({error})", hint="The colours are shown as they are stored"
        ) from error

    def convert(pixels: UInt8Image) -> UInt8Image:
        return np.asarray(transform.apply(Image.fromarray(pixels)), dtype=np.uint8)

    return convert
