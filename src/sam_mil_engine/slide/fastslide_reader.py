"""Zeiss CZI and Philips iSyntax through the package fastslide, where it is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..errors import SlideError
from .containers import FASTSLIDE_ENDINGS, has_fastslide
from .facts import UInt8Image, exact_downsamples, on_white, plausible_mpp
from .info import SlideInfo
from .levels import usable_levels


class FastSlideReader:
    """A slide of fastslide, which is read by several threads at once."""

    def __init__(self, path: Path, slide: Any):
        self._slide = slide
        levels = usable_levels([(int(width), int(height)) for width, height in slide.level_dimensions], [])
        self._numbers = levels.numbers
        mpp, mpp_warnings = plausible_mpp(*(float(value) if value else None for value in slide.mpp or (None, None)))
        power = slide.properties.get("objective_magnification")
        self._info = SlideInfo(
            path=path,
            reader="fastslide",
            vendor=str(slide.format).lower(),
            size_px0=levels.sizes[0],
            level_sizes=levels.sizes,
            level_downsamples=exact_downsamples(levels.sizes),
            mpp=mpp,
            objective_power=float(power) if power else None,
            icc_profile=slide.icc_profile or None,
            warnings=(*levels.warnings, *mpp_warnings),
        )

    @property
    def info(self) -> SlideInfo:
        """The facts of the slide."""
        return self._info

    def read(self, level: int, location: tuple[int, int], size: tuple[int, int]) -> UInt8Image:
        """Read a rectangle of a level; see :class:`~sam_mil_engine.slide.slide.SlideReader`."""
        pixels = np.asarray(self._slide.read_region(location, self._numbers[level], size).numpy())
        return on_white(pixels) if pixels.shape[2] == 4 else np.ascontiguousarray(pixels)

    def close(self) -> None:
        """Close the file."""
        self._slide.close()


def open_with_fastslide(path: Path) -> FastSlideReader | None:
    """Open ``path``, or return None if it has another ending than CZI and iSyntax, or fastslide is not installed.

    Raises
    ------
    SlideError
        If the file is damaged, or no image in red, green and blue of 8 bits.
    """
    if path.suffix.lower() not in FASTSLIDE_ENDINGS or not has_fastslide():
        return None
    import fastslide

    try:
        slide = fastslide.FastSlide.from_file_path(str(path))
        brightfield = str(slide.dtype) == "uint8" and int(slide.num_channels) in (3, 4)
    except Exception as error:  # fastslide raises RuntimeError and others for files that break their standard
        raise SlideError(str(error) or type(error).__name__, hint="Copy the file again from its source") from error
    if not brightfield:
        found = f"{slide.num_channels} channels of {slide.dtype}"
        slide.close()
        raise SlideError(
            f"it has {found}, not red, green and blue of 8 bits", hint="Only brightfield slides are read"
        )
    return FastSlideReader(path, slide)
