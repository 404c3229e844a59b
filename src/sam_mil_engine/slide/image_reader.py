"""Plain images (PNG, JPEG, BMP, WebP) as slides of one level, through Pillow."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..errors import SlideError
from .facts import UInt8Image, exact_downsamples, grey_to_rgb, on_white, scale_to_8_bits, significant_bits
from .info import SlideInfo

FORMATS = ("PNG", "JPEG", "BMP", "WEBP")
#: Endings of the names of such files.
ENDINGS = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".webp")
#: EXIF's orientation tag.
_ORIENTATION = 0x0112


class ImageReader:
    """A plain image, decoded once and kept in memory. Its dots per inch are a printer's and give no mpp."""

    def __init__(self, path: Path, pixels: UInt8Image, *, kind: str, icc: bytes | None, notes: tuple[str, ...]):
        self._pixels = pixels
        height, width = pixels.shape[:2]
        sizes = ((width, height),)
        self._info = SlideInfo(
            path=path,
            reader="image",
            vendor=kind.lower(),
            size_px0=sizes[0],
            level_sizes=sizes,
            level_downsamples=exact_downsamples(sizes),
            icc_profile=icc,
            warnings=notes,
        )

    @property
    def info(self) -> SlideInfo:
        """The facts of the file."""
        return self._info

    def read(self, level: int, location: tuple[int, int], size: tuple[int, int]) -> UInt8Image:
        """Copy a rectangle; see :class:`~sam_mil_engine.slide.slide.SlideReader`."""
        (left, top), (width, height) = location, size
        return self._pixels[top : top + height, left : left + width].copy()

    def close(self) -> None:
        """Forget the pixels."""
        self._pixels = np.zeros((0, 0, 3), dtype=np.uint8)


def open_with_pillow(path: Path) -> ImageReader | None:
    """Open ``path``, or return None if it is not a plain image.

    Raises
    ------
    SlideError
        If the image is damaged, or larger than 179 megapixels (twice Pillow's limit).
    """
    try:
        with warnings.catch_warnings():
            # Pillow warns from 89 megapixels on and raises from twice that on: the error is the limit here.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(path, formats=FORMATS)
    except UnidentifiedImageError:
        return None
    except Image.DecompressionBombError as error:
        raise SlideError(
            "the image is too large to be held in memory",
            hint="Convert it to a tiled pyramid, for example with `vips tiffsave IN OUT.tif --tile --pyramid`",
            window_hint="Convert it to a tiled TIFF with a pyramid, for example with libvips or QuPath",
        ) from error
    with image:
        try:
            turned = image.getexif().get(_ORIENTATION, 1) != 1
            pixels, notes = _to_rgb(ImageOps.exif_transpose(image))
        except (OSError, SyntaxError, ValueError) as error:
            raise SlideError(
                str(error) or type(error).__name__, hint="The image is damaged; copy it again"
            ) from error
        if turned:
            notes += ("The image was rotated upright, as its EXIF orientation says.",)
        if path.suffix.lower() not in ENDINGS:
            notes += (
                f"The file is a plain {image.format} image although its name ends in {path.suffix or 'nothing'}; "
                "it may be only the preview of a slide.",
            )
        return ImageReader(
            path, pixels, kind=image.format or "image", icc=image.info.get("icc_profile"), notes=notes
        )


def _to_rgb(image: Image.Image) -> tuple[UInt8Image, tuple[str, ...]]:
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.uint16)
        bits = significant_bits(int(values.max()))
        note = f"16-bit intensities: the range of {bits} bits (0 to {2**bits - 1}) is shown as 0 to 255."
        return grey_to_rgb(scale_to_8_bits(values, bits)), (note,)
    if image.has_transparency_data:
        return on_white(np.asarray(image.convert("RGBA"))), ()
    return np.array(image.convert("RGB"), dtype=np.uint8), ()
