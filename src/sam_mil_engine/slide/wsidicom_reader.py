"""DICOM slides that OpenSlide refuses, through wsidicom."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import SlideError
from .dicom_files import (
    Optics,
    describe_other_object,
    flavours_of,
    is_dicom,
    optics_of,
    resampled_warnings,
    series_files,
    why_not_a_slide,
)
from .facts import UInt8Image, exact_downsamples, plausible_mpp
from .info import SlideInfo
from .levels import usable_levels

if TYPE_CHECKING:
    import wsidicom


class WsiDicomReader:
    """The pyramid of a DICOM series. wsidicom locks its files itself, so all threads share one handle."""

    def __init__(self, path: Path, slide: wsidicom.WsiDicom, optics: Optics):
        self._slide = slide
        pyramid = slide.pyramids[0]
        stored = [(int(level.size.width), int(level.size.height)) for level in pyramid]
        levels = usable_levels(stored, [])
        numbers = [int(level.level) for level in pyramid]
        self._numbers = tuple(numbers[number] for number in levels.numbers)
        sizes = levels.sizes
        spacing = pyramid.base_level.mpp
        mpp, mpp_warnings = plausible_mpp(float(spacing.width), float(spacing.height))
        self._info = SlideInfo(
            path=path,
            reader="wsidicom",
            vendor="dicom",
            size_px0=sizes[0],
            level_sizes=sizes,
            level_downsamples=exact_downsamples(sizes),
            mpp=mpp,
            objective_power=optics.objective_power,
            icc_profile=optics.icc_profile,
            warnings=levels.warnings + mpp_warnings,
        )

    @property
    def info(self) -> SlideInfo:
        """The facts of the series."""
        return self._info

    def note(self, sentences: Iterable[str]) -> None:
        """Add what is unusual about the file to its facts, each sentence once."""
        known = dict.fromkeys((*self._info.warnings, *sentences))
        self._info = replace(self._info, warnings=tuple(known))

    def read(self, level: int, location: tuple[int, int], size: tuple[int, int]) -> UInt8Image:
        """Read a rectangle of a level; see :class:`~sam_mil_engine.slide.slide.SlideReader`."""
        image = self._slide.read_region(location, self._numbers[level], size)
        return np.asarray(image.convert("RGB"), dtype=np.uint8)

    def close(self) -> None:
        """Close the files of the series."""
        self._slide.close()


def open_with_wsidicom(path: Path) -> WsiDicomReader | None:
    """Open the series of ``path`` in its folder, or return None if it is not a DICOM file.

    Raises
    ------
    SlideError
        If it is another DICOM object (a segmentation, an annotation), a label or overview without its slide, or
        lacks what a slide image must state.
    """
    if not is_dicom(path):
        return None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        other = describe_other_object(path)
        if other is not None:
            raise SlideError(
                f"this DICOM file is a {other}, not the image of a slide",
                hint="Open the slide image that it belongs to",
            )
        try:
            from wsidicom import WsiDicom

            reader = WsiDicomReader(path, WsiDicom.open(series_files(path)), optics_of(path))
        except Exception as error:
            # wsidicom and pydicom raise many types for files that break the standard.
            raise SlideError(str(error) or type(error).__name__, hint=why_not_a_slide(path)) from error
    reader.note(resampled_warnings(flavours_of(path)))
    reader.note(f"DICOM: {str(one.message).split(' Please see', maxsplit=1)[0]}" for one in caught)
    return reader
