"""Images of different sizes from one reading of the same pixels."""

from __future__ import annotations

import numpy as np
import pytest

from conftest import ArrayReader
from sam_mil_engine.slide.slide import Slide


class CountingReader(ArrayReader):
    """Counts the pixels that are read."""

    pixels = 0

    def read(self, level, location, size):
        self.pixels += size[0] * size[1]
        return super().read(level, location, size)


@pytest.fixture
def reader() -> CountingReader:
    return CountingReader(np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8))


def test_images_of_the_same_pixels_are_read_once_and_are_those_of_two_readings(reader: CountingReader) -> None:
    slide = Slide(reader)
    apart = [slide.read_image(max_side=side)[0] for side in (50, 30)]
    assert reader.pixels == 2 * 90 * 120
    reader.pixels = 0
    with slide.keeping_pixels():
        together = [slide.read_image(max_side=side)[0] for side in (50, 30)]
    assert reader.pixels == 90 * 120
    for one, other in zip(apart, together, strict=True):
        np.testing.assert_array_equal(one, other)
    slide.read_image(max_side=50)
    assert reader.pixels == 2 * 90 * 120, "after the block, nothing is kept"


def test_other_pixels_are_read_again(reader: CountingReader) -> None:
    slide = Slide(reader)
    with slide.keeping_pixels():
        for bounds in ((0, 0, 60, 90), (60, 0, 120, 90), (0, 0, 60, 90)):
            image, _ = slide.read_image(bounds_px0=bounds, max_side=45)
            alone, _ = Slide(reader).read_image(bounds_px0=bounds, max_side=45)
            np.testing.assert_array_equal(image, alone)
    assert reader.pixels == 6 * 60 * 90


def test_the_last_thumbnail_is_kept_and_cannot_be_painted_on(reader: CountingReader) -> None:
    slide = Slide(reader)
    first, frame = slide.thumbnail(40)
    assert slide.thumbnail(40)[0] is first
    assert reader.pixels == 90 * 120
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 0
    other, other_frame = slide.thumbnail(20)
    assert (other.shape, other_frame.downsample) == ((15, 20, 3), (6, 6))
    assert frame.downsample == (3, 3)
