"""An open slide: regions and downsampled images of it, from any thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

import numpy as np

from ..errors import SlideError
from ..geometry import Frame
from .facts import WHITE, UInt8Image
from .info import SlideInfo
from .last_read import LastRead
from .reduced_image import Window, coarsest_level_for, reduce_window


class SlideReader(Protocol):
    """One opened file, read by one backend. Reading must be safe from several threads at once."""

    @property
    def info(self) -> SlideInfo:
        """The facts of the file."""

    def read(self, level: int, location: tuple[int, int], size: tuple[int, int]) -> UInt8Image:
        """Read a rectangle that lies inside a level.

        Parameters
        ----------
        level
            Number of the level.
        location
            Left and top, in pixels of that level.
        size
            Width and height, in pixels of that level; at least 1 x 1.

        Returns
        -------
        RGB pixels (height, width, 3), composited on white.
        """

    def close(self) -> None:
        """Give the file back. No read is running, and none follows."""


@runtime_checkable
class HalvingReader(Protocol):
    """A reader that can read at half the size for less than all pixels take."""

    def read_half(self, level: int, location: tuple[int, int], size: tuple[int, int]) -> UInt8Image | None:
        """Read as :meth:`SlideReader.read`, all numbers halves of the level's; None where it cannot be had so."""


class Slide:
    """A slide that is open, whatever its format. Safe to use from several threads; a context manager.

    Use :func:`sam_mil_engine.slide.reader.open_slide` to get one.
    """

    def __init__(self, reader: SlideReader):
        self._reader = reader
        self.info: SlideInfo = reader.info
        self._state = threading.Condition()
        self._reading = 0
        self._closed = False
        self._thumbnail: tuple[int, UInt8Image, Frame] | None = None
        self._last = LastRead()

    def state_mpp(self, mpp: float) -> None:
        """Take a resolution in µm per level-0 pixel in place of what the file says."""
        self.info = replace(self.info, mpp=(mpp, mpp))

    def __repr__(self) -> str:
        width, height = self.info.size_px0
        return f"<Slide {self.info.path.name}, {width} x {height} px, {self.info.reader}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._closed

    def close(self) -> None:
        """Close the file for all threads, after the reads that are running; closing twice is allowed."""
        with self._state:
            if self._closed:
                return
            self._closed = True
            self._state.wait_for(lambda: self._reading == 0)
        self._reader.close()

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        with self._state:
            if self._closed:
                raise SlideError("the slide is closed", where=self.info.path, hint="Open it again to read from it")
            self._reading += 1
        try:
            yield
        finally:
            with self._state:
                self._reading -= 1
                self._state.notify_all()

    def read_level(self, level: int, location: tuple[int, int], size: tuple[int, int]) -> UInt8Image:
        """Read a rectangle given in pixels of ``level``; what lies outside the slide is white.

        Parameters
        ----------
        level, location, size
            Number of the level; left and top, width and height in its pixels.

        Returns
        -------
        RGB pixels (height, width, 3).

        Raises
        ------
        SlideError
            If the level does not exist, the slide is closed, or the pixels cannot be decoded.
        """
        if not 0 <= level < len(self.info.level_sizes):
            raise SlideError(
                f"there is no level {level}",
                where=self.info.path,
                hint=f"The slide has {len(self.info.level_sizes)} level(s), counted from 0",
            )
        width, height = (max(0, int(side)) for side in size)
        x, y = int(location[0]), int(location[1])
        level_width, level_height = self.info.level_sizes[level]
        left, top = max(x, 0), max(y, 0)
        right, bottom = min(x + width, level_width), min(y + height, level_height)
        with self._in_use():
            if right <= left or bottom <= top:
                return np.full((height, width, 3), WHITE, dtype=np.uint8)
            pixels = self._read_inside(level, (left, top), (right - left, bottom - top))
        if pixels.shape[:2] == (height, width):
            return pixels
        padded = np.full((height, width, 3), WHITE, dtype=np.uint8)
        padded[top - y : bottom - y, left - x : right - x] = pixels
        return padded

    def read_half(self, level: int, location: tuple[int, int], size: tuple[int, int]) -> UInt8Image | None:
        """Read a rectangle inside a level at half its size, for display, where that takes less than all pixels.

        Pixels are close to the means of four, not equal.

        Parameters
        ----------
        level, location, size
            Number of the level; left and top, width and height in halves of its pixels.

        Returns
        -------
        RGB pixels (height, width, 3); None where the file cannot be read so, or is damaged there: reading all
        pixels says what is wrong.

        Raises
        ------
        SlideError
            If the slide is closed.
        """
        if not isinstance(self._reader, HalvingReader):
            return None
        with self._in_use():
            return self._reader.read_half(level, location, size)

    def _read_inside(self, level: int, location: tuple[int, int], size: tuple[int, int]) -> UInt8Image:
        try:
            return self._reader.read(level, location, size)
        except SlideError:
            raise
        except Exception as error:
            down_x, down_y = self.info.level_downsamples[level]
            raise SlideError(
                f"the region {size[0]} x {size[1]} px at x={location[0]}, y={location[1]} of level {level} "
                f"(level-0 x={location[0] * down_x:.0f}, y={location[1] * down_y:.0f}) cannot be read "
                f"({self.info.reader}: {str(error) or type(error).__name__})",
                where=self.info.path,
                hint="The file is damaged there; copy it again from its source",
            ) from error

    def read_region(self, location_px0: tuple[int, int], level: int, size: tuple[int, int]) -> UInt8Image:
        """Read a rectangle as OpenSlide does.

        Parameters
        ----------
        location_px0
            Left and top in level-0 pixels; rounded to the nearest pixel of ``level``.
        level
            Number of the level.
        size
            Width and height in pixels of ``level``.

        Returns
        -------
        RGB pixels (height, width, 3); transparent pixels and what lies outside the slide are white.

        Raises
        ------
        SlideError
            As :meth:`read_level`.
        """
        if not 0 <= level < len(self.info.level_sizes):
            return self.read_level(level, (0, 0), size)
        down_x, down_y = self.info.level_downsamples[level]
        location = (round(location_px0[0] / down_x), round(location_px0[1] / down_y))
        return self.read_level(level, location, size)

    def read_image(
        self,
        *,
        bounds_px0: tuple[float, float, float, float] | None = None,
        max_side: int | None = None,
        downsample: float | None = None,
    ) -> tuple[UInt8Image, Frame]:
        """Return a downsampled image of part of the slide, and the frame it lies in.

        Pixels are averaged by area from the coarsest level that is fine enough, in stripes, so that memory grows
        with the image and not with the slide. Nothing is enlarged.

        Parameters
        ----------
        bounds_px0
            Left, top, right, bottom in level-0 pixels; cut to the slide; None takes all of it. The image covers
            it and at most one pixel of the level more on each side: the frame says exactly what.
        max_side
            Longest side of the image in pixels.
        downsample
            Level-0 pixels in one image pixel. With ``max_side`` too, the coarser of the two holds.

        Returns
        -------
        image
            RGB (height, width, 3).
        frame
            Its origin and its exact downsample of each axis.

        Raises
        ------
        SlideError
            If the bounds miss the slide, or the pixels cannot be read.
        """
        width, height = self.info.size_px0
        left, top, right, bottom = bounds_px0 or (0, 0, width, height)
        left, top, right, bottom = max(0, left), max(0, top), min(width, right), min(height, bottom)
        if not (left < right and top < bottom):
            raise SlideError(
                f"the bounds {bounds_px0} lie outside the slide of {width} x {height} px", where=self.info.path
            )
        asked = max(1.0, downsample or 1.0, max(right - left, bottom - top) / (max_side or np.inf))
        level = coarsest_level_for(self.info.level_downsamples, (asked, asked))
        down_x, down_y = self.info.level_downsamples[level]
        window = Window.around((left / down_x, top / down_y, right / down_x, bottom / down_y))
        target = (
            max(1, min(window.width, round((right - left) / asked))),
            max(1, min(window.height, round((bottom - top) / asked))),
        )
        read = self._last.reading(self.read_level, level)
        image = reduce_window(read, window=window, target=target)
        frame = Frame(
            origin_px0=(window.left * down_x, window.top * down_y),
            downsample=(window.width * down_x / target[0], window.height * down_y / target[1]),
        )
        return image, frame

    def thumbnail(self, max_side: int) -> tuple[UInt8Image, Frame]:
        """Return an image of everything, its longest side at most ``max_side`` pixels, and its frame.

        The image cannot be written to: the last one is kept for whoever asks for it again.
        """
        kept = self._thumbnail
        if kept is None or kept[0] != max_side:
            image, frame = self.read_image(max_side=max_side)
            image.flags.writeable = False
            kept = self._thumbnail = (max_side, image, frame)
        return kept[1:]

    def keeping_pixels(self) -> AbstractContextManager[None]:
        """Keep, in the block, the pixels that the last image was made of: another one of them is not read again."""
        return self._last.keeping()
